//! The RustCrypto crates: the portable provider.

use aes_gcm::aead::{AeadInOut, KeyInit};
use hmac::Mac;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{AeadKey, HmacKey, Provider, sealed};
use crate::CryptoError;

/// The portable provider.
pub enum RustCrypto {}

impl sealed::Sealed for RustCrypto {}

impl Provider for RustCrypto {
    const NAME: &'static str = "rustcrypto";
    type Aes256Gcm = aes_gcm::Aes256Gcm;
    type HmacSha256 = hmac::Hmac<Sha256>;

    fn sha256(data: &[u8]) -> [u8; 32] {
        Sha256::digest(data).into()
    }

    fn hkdf_sha256(
        salt: &[u8],
        key: &[u8],
        info: &[u8],
        out: &mut [u8],
    ) -> Result<(), CryptoError> {
        hkdf::Hkdf::<Sha256>::new(Some(salt), key)
            .expand(info, out)
            .map_err(|_| CryptoError::TooLong)
    }
}

impl AeadKey for aes_gcm::Aes256Gcm {
    fn expand(key: &[u8; 32]) -> Result<Self, CryptoError> {
        Ok(<Self as KeyInit>::new(key.into()))
    }

    fn seal(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<[u8; 16], CryptoError> {
        self.encrypt_inout_detached(nonce.into(), aad, in_out.into())
            .map(Into::into)
            .map_err(|_| CryptoError::TooLong)
    }

    fn open(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        in_out: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), CryptoError> {
        self.decrypt_inout_detached(nonce.into(), aad, in_out.into(), tag.into())
            .map_err(|_| CryptoError::CiphertextInvalid)
    }
}

impl HmacKey for hmac::Hmac<Sha256> {
    fn expand(key: &[u8]) -> Self {
        // RFC 2104, section 2: longer than a block is hashed, shorter is padded with zeros.
        let mut block = Zeroizing::new([0; 64]);
        if key.len() <= block.len() {
            block[..key.len()].copy_from_slice(key);
        } else {
            block[..32].copy_from_slice(&Sha256::digest(key));
        }
        <Self as KeyInit>::new((&*block).into())
    }

    fn sign(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}
