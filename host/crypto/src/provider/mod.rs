//! The seam between the format and the implementations of its primitives.
//!
//! A provider is chosen at compile time by type, so there is no dispatch on the hot path. The
//! traits are sealed: the providers are the ones in this module.

use crate::{CryptoError, Digest};

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(feature = "rustcrypto")]
mod rust_crypto;

#[cfg(feature = "aws-lc")]
pub use aws_lc::AwsLc;
#[cfg(feature = "rustcrypto")]
pub use rust_crypto::RustCrypto;

/// The provider used unless another is named: AWS-LC when compiled in.
#[cfg(feature = "aws-lc")]
pub type Default = AwsLc;
/// The provider used unless another is named: RustCrypto, as AWS-LC is not compiled in.
#[cfg(all(feature = "rustcrypto", not(feature = "aws-lc")))]
pub type Default = RustCrypto;

/// Bytes of the nonce of AES-GCM, AES-GCM-SIV and ChaCha20-Poly1305.
pub(crate) const NONCE_LEN: usize = 12;
/// Bytes of a tag of any AEAD.
pub(crate) const TAG_LEN: usize = 16;

mod sealed {
    pub trait Sealed {}
}

/// The primitives the format is built from.
pub trait Provider: sealed::Sealed + Sized + 'static {
    /// Name for reports: `aws-lc` or `rustcrypto`.
    const NAME: &'static str;
    /// AES-256-GCM (NIST SP 800-38D) under one key.
    type Aes256Gcm: AeadKey;
    /// AES-256-GCM-SIV (RFC 8452) under one key.
    type Aes256GcmSiv: AeadKey;
    /// ChaCha20-Poly1305 (RFC 8439) under one key.
    type ChaCha20Poly1305: AeadKey;
    /// HMAC-SHA-256 under one key.
    type HmacSha256: HmacKey<32>;
    /// HMAC-SHA-384 under one key.
    type HmacSha384: HmacKey<48>;
    /// HMAC-SHA-512 under one key.
    type HmacSha512: HmacKey<64>;

    /// SHA-256 of `data`.
    fn sha256(data: &[u8]) -> [u8; 32];
    /// The digest of `data`, as long as the function makes it.
    fn digest(digest: Digest, data: &[u8]) -> Vec<u8>;
    /// HKDF-SHA-256, extract and expand.
    fn hkdf_sha256(salt: &[u8], key: &[u8], info: &[u8], out: &mut [u8])
    -> Result<(), CryptoError>;
}

/// An AEAD key with its schedule expanded: 256-bit keys, 96-bit nonces, 128-bit tags.
pub trait AeadKey: Sized + Send + Sync {
    /// Expands the key.
    fn expand(key: &[u8; 32]) -> Result<Self, CryptoError>;
    /// Encrypts `in_out` in place and returns the tag.
    fn seal(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        in_out: &mut [u8],
    ) -> Result<[u8; 16], CryptoError>;
    /// Decrypts `in_out` in place. On [`CryptoError::CiphertextInvalid`] its content is
    /// unspecified and must be wiped by the caller.
    fn open(
        &self,
        nonce: &[u8; 12],
        aad: &[u8],
        in_out: &mut [u8],
        tag: &[u8; 16],
    ) -> Result<(), CryptoError>;
}

/// An HMAC key with its inner and outer state computed; `N` is the length of the hash in bytes.
pub trait HmacKey<const N: usize>: Sized + Send + Sync {
    /// Expands the key; any length.
    fn expand(key: &[u8]) -> Self;
    /// The tag over the concatenation of `parts`.
    fn sign(&self, parts: &[&[u8]]) -> [u8; N];
}
