//! Keys with a public half.

use zeroize::Zeroizing;

use crate::{Algorithm, CryptoError};

#[cfg(feature = "aws-lc")]
mod documents;

/// A fresh key as PKCS#8, for the algorithms whose material is such a document.
#[cfg(feature = "aws-lc")]
pub(crate) fn generate_pkcs8(algorithm: Algorithm) -> Result<Zeroizing<Box<[u8]>>, CryptoError> {
    documents::generate(algorithm)
}

/// Whether `document` is the PKCS#8 document of a key of `algorithm`.
#[cfg(feature = "aws-lc")]
pub(crate) fn check_pkcs8(algorithm: Algorithm, document: &[u8]) -> Result<(), CryptoError> {
    documents::check(algorithm, document)
}

/// Only AWS-LC has RSA without known timing faults, and it has ECDSA faster.
#[cfg(not(feature = "aws-lc"))]
pub(crate) fn generate_pkcs8(algorithm: Algorithm) -> Result<Zeroizing<Box<[u8]>>, CryptoError> {
    Err(CryptoError::AlgorithmNotInBuild { algorithm })
}

/// Only AWS-LC has RSA without known timing faults, and it has ECDSA faster.
#[cfg(not(feature = "aws-lc"))]
pub(crate) fn check_pkcs8(algorithm: Algorithm, _document: &[u8]) -> Result<(), CryptoError> {
    Err(CryptoError::AlgorithmNotInBuild { algorithm })
}
