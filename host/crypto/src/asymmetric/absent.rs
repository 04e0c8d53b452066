//! What stands for signatures and RSA in a build without AWS-LC: only that has RSA without known timing
//! faults, and one provider for all signatures keeps them alike.

use zeroize::Zeroizing;

use super::SignatureForm;
use crate::{Algorithm, CryptoError, KeyMaterial};

/// There is none.
pub(crate) enum SigningKey {}

impl SigningKey {
    pub(crate) fn new(algorithm: Algorithm, _: &KeyMaterial) -> Result<Self, CryptoError> {
        Err(CryptoError::AlgorithmNotInBuild { algorithm })
    }

    pub(crate) fn sign(&self, _: &[u8], _: SignatureForm) -> Result<Vec<u8>, CryptoError> {
        match *self {}
    }

    pub(crate) fn verify(&self, _: &[u8], _: &[u8], _: SignatureForm) -> Result<bool, CryptoError> {
        match *self {}
    }

    pub(crate) fn public_key_der(&self) -> Result<Vec<u8>, CryptoError> {
        match *self {}
    }
}

/// There is none.
pub(crate) enum RsaOaepKey {}

impl RsaOaepKey {
    pub(crate) fn new(algorithm: Algorithm, _: &KeyMaterial) -> Result<Self, CryptoError> {
        Err(CryptoError::AlgorithmNotInBuild { algorithm })
    }

    pub(crate) fn len(&self) -> usize {
        match *self {}
    }

    pub(crate) fn wrap(&self, _: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match *self {}
    }

    pub(crate) fn unwrap(&self, _: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        match *self {}
    }

    pub(crate) fn public_key_der(&self) -> &[u8] {
        match *self {}
    }
}

/// There is none.
pub(crate) enum RsaOaepPublicKey {}

impl RsaOaepPublicKey {
    pub(crate) fn from_der(_: &[u8]) -> Option<Self> {
        None
    }

    pub(crate) fn wrap(&self, _: &[u8]) -> Result<Vec<u8>, CryptoError> {
        match *self {}
    }
}

pub(super) fn verify(
    algorithm: Algorithm,
    _: &[u8],
    _: &[u8],
    _: &[u8],
    _: SignatureForm,
) -> Result<bool, CryptoError> {
    Err(CryptoError::AlgorithmNotInBuild { algorithm })
}

pub(super) fn check_public_key(algorithm: Algorithm, _: &[u8]) -> Result<(), CryptoError> {
    Err(CryptoError::AlgorithmNotInBuild { algorithm })
}

pub(crate) fn generate_pkcs8(algorithm: Algorithm) -> Result<Zeroizing<Box<[u8]>>, CryptoError> {
    Err(CryptoError::AlgorithmNotInBuild { algorithm })
}

pub(crate) fn check_pkcs8(algorithm: Algorithm, _: &[u8]) -> Result<(), CryptoError> {
    Err(CryptoError::AlgorithmNotInBuild { algorithm })
}
