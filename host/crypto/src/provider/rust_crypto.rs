//! The RustCrypto crates: the portable provider.

use aes_gcm::aead::{AeadInOut, KeyInit};
use hmac::Mac;
use sha2::{Digest, Sha256, Sha384, Sha512};
use zeroize::Zeroizing;

use super::{AeadKey, HmacKey, Provider, sealed};
use crate::CryptoError;

/// The portable provider.
pub enum RustCrypto {}

impl sealed::Sealed for RustCrypto {}

impl Provider for RustCrypto {
    const NAME: &'static str = "rustcrypto";
    type Aes256Gcm = aes_gcm::Aes256Gcm;
    type Aes256GcmSiv = aes_gcm_siv::Aes256GcmSiv;
    type ChaCha20Poly1305 = chacha20poly1305::ChaCha20Poly1305;
    type HmacSha256 = hmac::Hmac<Sha256>;
    type HmacSha384 = hmac::Hmac<Sha384>;
    type HmacSha512 = hmac::Hmac<Sha512>;

    fn sha256(data: &[u8]) -> [u8; 32] {
        Sha256::digest(data).into()
    }

    fn digest(digest: crate::Digest, data: &[u8]) -> Vec<u8> {
        match digest {
            crate::Digest::Sha256 => Sha256::digest(data).to_vec(),
            crate::Digest::Sha384 => Sha384::digest(data).to_vec(),
            crate::Digest::Sha512 => Sha512::digest(data).to_vec(),
        }
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

macro_rules! aead_key {
    ($cipher:ty) => {
        impl AeadKey for $cipher {
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
    };
}
aead_key!(aes_gcm::Aes256Gcm);
aead_key!(aes_gcm_siv::Aes256GcmSiv);
aead_key!(chacha20poly1305::ChaCha20Poly1305);

macro_rules! hmac_key {
    ($hash:ty, $length:literal, $block:literal) => {
        impl HmacKey<$length> for hmac::Hmac<$hash> {
            fn expand(key: &[u8]) -> Self {
                // RFC 2104, section 2: longer than a block is hashed, shorter is padded with zeros.
                let mut block = Zeroizing::new([0; $block]);
                if key.len() <= block.len() {
                    block[..key.len()].copy_from_slice(key);
                } else {
                    block[..$length].copy_from_slice(&<$hash>::digest(key));
                }
                <Self as KeyInit>::new((&*block).into())
            }

            fn sign(&self, parts: &[&[u8]]) -> [u8; $length] {
                let mut mac = self.clone();
                for part in parts {
                    mac.update(part);
                }
                mac.finalize().into_bytes().into()
            }
        }
    };
}
hmac_key!(Sha256, 32, 64);
hmac_key!(Sha384, 48, 128);
hmac_key!(Sha512, 64, 128);
