//! Encryption to a public key: a fresh AES-256-GCM key for each message, and that key encapsulated
//! for, or wrapped to, the recipient.

pub(crate) mod hpke;
mod public;
mod rsa;

use ::hpke::kem::{MlKem768, X25519HkdfSha256, XWing};
use zeroize::Zeroizing;

use self::hpke::Pair;
pub(crate) use self::hpke::{ML_KEM_768_ENC_LEN, X_WING_ENC_LEN, X25519_ENC_LEN};
pub use self::public::RecipientKey;
use self::rsa::RsaRecipient;
use crate::{Algorithm, CryptoError, KeyMaterial};

/// The private half of a key that others encrypt to.
pub(crate) enum Recipient {
    Rsa(Box<RsaRecipient>),
    X25519(Box<Pair<X25519HkdfSha256>>),
    MlKem768(Box<Pair<MlKem768>>),
    XWing(Box<Pair<XWing>>),
}

impl Recipient {
    /// [`CryptoError::KeyMaterialInvalid`] for an algorithm that has no recipients.
    pub(crate) fn new(algorithm: Algorithm, material: &KeyMaterial) -> Result<Self, CryptoError> {
        let secret = material.expose();
        match algorithm {
            Algorithm::X25519 => Pair::new(secret).map(Box::new).map(Self::X25519),
            Algorithm::MlKem768 => Pair::new(secret).map(Box::new).map(Self::MlKem768),
            Algorithm::X25519MlKem768 => Pair::new(secret).map(Box::new).map(Self::XWing),
            _ => return Ok(Self::Rsa(Box::new(RsaRecipient::new(algorithm, material)?))),
        }
        .ok_or(CryptoError::KeyMaterialInvalid { algorithm })
    }

    /// Appends `encapsulated or wrapped key || ciphertext || tag` to `out`.
    pub(crate) fn seal_into(
        &self,
        aad: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        match self {
            Self::Rsa(key) => key.seal_into(aad, plaintext, out),
            Self::X25519(pair) => pair.seal_into(aad, plaintext, out),
            Self::MlKem768(pair) => pair.seal_into(aad, plaintext, out),
            Self::XWing(pair) => pair.seal_into(aad, plaintext, out),
        }
    }

    /// Opens what [`seal_into`](Self::seal_into) appended.
    pub(crate) fn open(
        &self,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        match self {
            Self::Rsa(key) => key.open(aad, sealed),
            Self::X25519(pair) => pair.open::<X25519_ENC_LEN>(aad, sealed),
            Self::MlKem768(pair) => pair.open::<ML_KEM_768_ENC_LEN>(aad, sealed),
            Self::XWing(pair) => pair.open::<X_WING_ENC_LEN>(aad, sealed),
        }
    }

    /// What is wrapped here to the public half of the key: by itself for HPKE, under a key that
    /// RSA-OAEP wraps for RSA. See [`crate::WrappingKey`].
    pub(crate) fn unwrap(
        &self,
        info: &[u8],
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        match self {
            Self::Rsa(key) => key.unwrap_key(wrapped),
            Self::X25519(_) | Self::MlKem768(_) | Self::XWing(_) => self.open(info, wrapped),
        }
        .map_err(|_| CryptoError::WrappedKeyInvalid)
    }

    /// The public half as SubjectPublicKeyInfo (RFC 5280), DER.
    pub(crate) fn public_key_der(&self) -> Vec<u8> {
        match self {
            Self::Rsa(key) => key.public_key_der(),
            Self::X25519(pair) => pair.public_key_der(),
            Self::MlKem768(pair) => pair.public_key_der(),
            Self::XWing(pair) => pair.public_key_der(),
        }
    }
}
