//! Signatures, by AWS-LC.

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::PublicEncryptingKey;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, Ed25519KeyPair, KeyPair, ParsedPublicKey, PqdsaKeyPair, RsaEncoding,
    RsaKeyPair, VerificationAlgorithm,
};

use super::SignatureForm;
use crate::lazy::Lazy;
use crate::{Algorithm, CryptoError, KeyMaterial};

/// The private half of a key that signs. AWS-LC wipes it when it is freed.
pub(crate) struct SigningKey {
    algorithm: Algorithm,
    pair: Pair,
    /// The public half, ready to verify the standard form of signatures: parsing it costs more
    /// than a signature of RSA does. Not secret.
    standard: Lazy<ParsedPublicKey>,
    /// The same for the one other form that ECDSA and RSA have: AWS-LC ties it to the key.
    other: Lazy<ParsedPublicKey>,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    /// AWS-LC ties the form of the signature to the pair.
    Ecdsa {
        der: EcdsaKeyPair,
        fixed: EcdsaKeyPair,
    },
    Rsa(RsaKeyPair),
    MlDsa(PqdsaKeyPair),
}

impl SigningKey {
    /// [`CryptoError::KeyMaterialInvalid`] for material that is none of a key that signs.
    pub(crate) fn new(algorithm: Algorithm, material: &KeyMaterial) -> Result<Self, CryptoError> {
        let secret = material.expose();
        let invalid = |_| CryptoError::KeyMaterialInvalid { algorithm };
        let ecdsa = |parameters| EcdsaKeyPair::from_pkcs8(parameters, secret).map_err(invalid);
        let pair = match algorithm {
            // Unchecked: there is no public key to check the seed against, it is computed.
            Algorithm::Ed25519 => {
                Pair::Ed25519(Ed25519KeyPair::from_seed_unchecked(secret).map_err(invalid)?)
            }
            Algorithm::EcdsaP256 => Pair::Ecdsa {
                der: ecdsa(&signature::ECDSA_P256_SHA256_ASN1_SIGNING)?,
                fixed: ecdsa(&signature::ECDSA_P256_SHA256_FIXED_SIGNING)?,
            },
            Algorithm::EcdsaP384 => Pair::Ecdsa {
                der: ecdsa(&signature::ECDSA_P384_SHA384_ASN1_SIGNING)?,
                fixed: ecdsa(&signature::ECDSA_P384_SHA384_FIXED_SIGNING)?,
            },
            Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096 => {
                Pair::Rsa(RsaKeyPair::from_pkcs8(secret).map_err(invalid)?)
            }
            Algorithm::MlDsa65 => Pair::MlDsa(
                PqdsaKeyPair::from_seed(&signature::ML_DSA_65_SIGNING, secret).map_err(invalid)?,
            ),
            _ => return Err(CryptoError::KeyMaterialInvalid { algorithm }),
        };
        Ok(Self { algorithm, pair, standard: Lazy::new(), other: Lazy::new() })
    }

    /// The signature of `input`.
    pub(crate) fn sign(&self, input: &[u8], form: SignatureForm) -> Result<Vec<u8>, CryptoError> {
        let failed = |_| CryptoError::Provider;
        // AWS-LC takes its own generator whatever is passed.
        let random = SystemRandom::new();
        match (&self.pair, form) {
            (Pair::Ed25519(pair), SignatureForm::Standard) => {
                Ok(pair.try_sign(input).map_err(failed)?.as_ref().to_vec())
            }
            (Pair::Ecdsa { der, .. }, SignatureForm::Standard) => {
                Ok(der.sign(&random, input).map_err(failed)?.as_ref().to_vec())
            }
            (Pair::Ecdsa { fixed, .. }, SignatureForm::Fixed) => {
                Ok(fixed.sign(&random, input).map_err(failed)?.as_ref().to_vec())
            }
            (Pair::Rsa(pair), SignatureForm::Standard | SignatureForm::Pkcs1) => {
                let encoding: &'static dyn RsaEncoding = match form {
                    SignatureForm::Pkcs1 => &signature::RSA_PKCS1_SHA256,
                    _ => &signature::RSA_PSS_SHA256,
                };
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &random, input, &mut out).map_err(failed)?;
                Ok(out)
            }
            (Pair::MlDsa(pair), SignatureForm::Standard) => {
                let mut out = vec![0; signature::ML_DSA_65_SIGNING.signature_len()];
                let length = pair.sign(input, &mut out).map_err(failed)?;
                out.truncate(length);
                Ok(out)
            }
            _ => {
                let algorithm = self.algorithm;
                Err(CryptoError::SignatureFormNotAllowed { algorithm, form })
            }
        }
    }

    /// Whether `signature` is one of `input` by this key.
    pub(crate) fn verify(
        &self,
        input: &[u8],
        signature: &[u8],
        form: SignatureForm,
    ) -> Result<bool, CryptoError> {
        // Refuses a form the algorithm does not know, so that `other` is one only.
        let parameters = parameters(self.algorithm, form)?;
        let parsed = match form {
            SignatureForm::Standard => &self.standard,
            SignatureForm::Fixed | SignatureForm::Pkcs1 => &self.other,
        };
        let key = parsed.get(|| {
            ParsedPublicKey::new(parameters, &self.public_key_der()?)
                .map_err(|_| CryptoError::Provider)
        })?;
        Ok(key.verify_sig(input, signature).is_ok())
    }

    /// The public half as SubjectPublicKeyInfo (RFC 5280), DER.
    pub(crate) fn public_key_der(&self) -> Result<Vec<u8>, CryptoError> {
        let der: Result<PublicKeyX509Der<'static>, _> = match &self.pair {
            Pair::Ed25519(pair) => pair.public_key().as_der(),
            Pair::Ecdsa { der, .. } => der.public_key().as_der(),
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::MlDsa(pair) => pair.public_key().as_der(),
        };
        Ok(der.map_err(|_| CryptoError::Provider)?.as_ref().to_vec())
    }
}

/// Whether `signature` is one of `input` under the public key, a SubjectPublicKeyInfo.
pub(super) fn verify(
    algorithm: Algorithm,
    public_key: &[u8],
    input: &[u8],
    signature: &[u8],
    form: SignatureForm,
) -> Result<bool, CryptoError> {
    let parameters = parameters(algorithm, form)?;
    let key = ParsedPublicKey::new(parameters, public_key)
        .map_err(|_| CryptoError::PublicKeyInvalid { algorithm })?;
    Ok(key.verify_sig(input, signature).is_ok())
}

/// [`CryptoError::PublicKeyInvalid`] unless it is the SubjectPublicKeyInfo of such a key.
pub(super) fn check_public_key(algorithm: Algorithm, der: &[u8]) -> Result<(), CryptoError> {
    let invalid = CryptoError::PublicKeyInvalid { algorithm };
    ParsedPublicKey::new(parameters(algorithm, SignatureForm::Standard)?, der)
        .map_err(|_| invalid)?;
    let bits = match algorithm {
        Algorithm::Rsa2048 => 2048,
        Algorithm::Rsa3072 => 3072,
        Algorithm::Rsa4096 => 4096,
        _ => return Ok(()),
    };
    // What parses is RSA of any size.
    let key = PublicEncryptingKey::from_der(der).map_err(|_| invalid)?;
    if key.key_size_bits() == bits { Ok(()) } else { Err(invalid) }
}

fn parameters(
    algorithm: Algorithm,
    form: SignatureForm,
) -> Result<&'static dyn VerificationAlgorithm, CryptoError> {
    Ok(match (algorithm, form) {
        (Algorithm::Ed25519, SignatureForm::Standard) => &signature::ED25519,
        (Algorithm::EcdsaP256, SignatureForm::Standard) => &signature::ECDSA_P256_SHA256_ASN1,
        (Algorithm::EcdsaP256, SignatureForm::Fixed) => &signature::ECDSA_P256_SHA256_FIXED,
        (Algorithm::EcdsaP384, SignatureForm::Standard) => &signature::ECDSA_P384_SHA384_ASN1,
        (Algorithm::EcdsaP384, SignatureForm::Fixed) => &signature::ECDSA_P384_SHA384_FIXED,
        (Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096, SignatureForm::Standard) => {
            &signature::RSA_PSS_2048_8192_SHA256
        }
        (Algorithm::Rsa2048 | Algorithm::Rsa3072 | Algorithm::Rsa4096, SignatureForm::Pkcs1) => {
            &signature::RSA_PKCS1_2048_8192_SHA256
        }
        (Algorithm::MlDsa65, SignatureForm::Standard) => &signature::ML_DSA_65,
        _ => return Err(CryptoError::SignatureFormNotAllowed { algorithm, form }),
    })
}
