//! PKCS#8 documents of ECDSA and RSA keys.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, RsaKeyPair,
};
use zeroize::Zeroizing;

use crate::{Algorithm, CryptoError};

/// What the document of an algorithm holds.
enum Kind {
    Ecdsa(&'static EcdsaSigningAlgorithm),
    Rsa { size: KeySize },
}

fn kind(algorithm: Algorithm) -> Result<Kind, CryptoError> {
    Ok(match algorithm {
        Algorithm::EcdsaP256 => Kind::Ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING),
        Algorithm::EcdsaP384 => Kind::Ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING),
        Algorithm::Rsa2048 | Algorithm::RsaOaep2048 => Kind::Rsa { size: KeySize::Rsa2048 },
        Algorithm::Rsa3072 | Algorithm::RsaOaep3072 => Kind::Rsa { size: KeySize::Rsa3072 },
        Algorithm::Rsa4096 | Algorithm::RsaOaep4096 => Kind::Rsa { size: KeySize::Rsa4096 },
        _ => return Err(CryptoError::KeyMaterialInvalid { algorithm }),
    })
}

/// A fresh key as PKCS#8 v1.
pub(crate) fn generate(algorithm: Algorithm) -> Result<Zeroizing<Box<[u8]>>, CryptoError> {
    let failed = |_| CryptoError::Provider;
    let document = match kind(algorithm)? {
        Kind::Ecdsa(parameters) => {
            let pair = EcdsaKeyPair::generate(parameters).map_err(failed)?;
            Zeroizing::new(pair.to_pkcs8v1().map_err(failed)?.as_ref().into())
        }
        Kind::Rsa { size } => {
            let pair = RsaKeyPair::generate(size).map_err(failed)?;
            let document: Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
            Zeroizing::new(document.as_ref().into())
        }
    };
    Ok(document)
}

/// [`CryptoError::KeyMaterialInvalid`] unless `document` is the PKCS#8 of a key of `algorithm`.
pub(crate) fn check(algorithm: Algorithm, document: &[u8]) -> Result<(), CryptoError> {
    let invalid = CryptoError::KeyMaterialInvalid { algorithm };
    if !is_one_sequence(document) {
        return Err(invalid);
    }
    match kind(algorithm)? {
        Kind::Ecdsa(parameters) => {
            EcdsaKeyPair::from_pkcs8(parameters, document).map_err(|_| invalid)?;
        }
        Kind::Rsa { size } => {
            let pair = RsaKeyPair::from_pkcs8(document).map_err(|_| invalid)?;
            if pair.public_modulus_len() != size.len() {
                return Err(invalid);
            }
        }
    }
    Ok(())
}

/// Whether the bytes are one DER sequence and nothing more: AWS-LC ignores what follows it, and
/// what a store gave back longer than it was written is damaged.
pub(super) fn is_one_sequence(document: &[u8]) -> bool {
    match document {
        [0x30, length @ 0..=0x7f, rest @ ..] | [0x30, 0x81, length, rest @ ..] => {
            rest.len() == usize::from(*length)
        }
        [0x30, 0x82, high, low, rest @ ..] => {
            rest.len() == usize::from(u16::from_be_bytes([*high, *low]))
        }
        _ => false,
    }
}
