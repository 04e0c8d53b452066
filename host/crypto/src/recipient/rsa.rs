//! RSA-OAEP wraps the key of one message, AES-256-GCM carries the message: any length, and
//! authenticated data, neither of which RSA has.
//!
//! The key is used once, so the nonce is zero.

use zeroize::Zeroizing;

use crate::asymmetric::RsaOaepKey;
use crate::provider::{self, AeadKey, NONCE_LEN, Provider, TAG_LEN};
use crate::wrapping::key_wrap;
use crate::{Algorithm, CryptoError, KeyMaterial, random_bytes};

type Aes256Gcm = <provider::Default as Provider>::Aes256Gcm;

const NONCE: [u8; NONCE_LEN] = [0; NONCE_LEN];

/// An RSA key pair that others encrypt to.
pub(crate) struct RsaRecipient(RsaOaepKey);

impl RsaRecipient {
    pub(super) fn new(algorithm: Algorithm, material: &KeyMaterial) -> Result<Self, CryptoError> {
        RsaOaepKey::new(algorithm, material).map(Self)
    }

    /// Appends `wrapped key || ciphertext || tag` to `out`.
    pub(super) fn seal_into(
        &self,
        aad: &[u8],
        plaintext: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        let mut key = Zeroizing::new([0; 32]);
        random_bytes(key.as_mut_slice())?;
        out.extend_from_slice(&self.0.wrap(key.as_slice())?);
        let start = out.len();
        out.extend_from_slice(plaintext);
        let body = out.get_mut(start..).unwrap_or_default();
        let tag = Aes256Gcm::expand(&key)?.seal(&NONCE, aad, body)?;
        out.extend_from_slice(&tag);
        Ok(())
    }

    /// Opens what [`seal_into`](Self::seal_into) appended.
    pub(super) fn open(
        &self,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let invalid = CryptoError::CiphertextInvalid;
        let (wrapped, rest) = sealed.split_at_checked(self.0.len()).ok_or(invalid)?;
        let (body, tag) = rest.split_last_chunk::<TAG_LEN>().ok_or(invalid)?;
        let key = self.0.unwrap(wrapped)?;
        let key: &[u8; 32] = key.as_slice().try_into().map_err(|_| invalid)?;
        let mut out = Zeroizing::new(body.to_vec());
        Aes256Gcm::expand(key)?.open(&NONCE, aad, &mut out, tag)?;
        Ok(out)
    }

    /// Opens what [`key_wrap::rsa_wrap`](crate::wrapping::key_wrap::rsa_wrap) gave.
    pub(super) fn unwrap_key(&self, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, CryptoError> {
        let invalid = CryptoError::WrappedKeyInvalid;
        let (kek, wrapped) = wrapped.split_at_checked(self.0.len()).ok_or(invalid)?;
        let kek = self.0.unwrap(kek)?;
        key_wrap::unwrap(kek.as_slice().try_into().map_err(|_| invalid)?, wrapped)
    }

    /// The public half as SubjectPublicKeyInfo, DER.
    pub(super) fn public_key_der(&self) -> Vec<u8> {
        self.0.public_key_der().to_vec()
    }
}
