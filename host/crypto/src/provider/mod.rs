//! The seam between the format and the implementations of its primitives.
//!
//! A provider is chosen at compile time by type, so there is no dispatch on the hot path. The
//! traits are sealed: the providers are the ones in this module.

use crate::CryptoError;

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

/// Bytes of an AES-GCM nonce.
pub(crate) const GCM_NONCE_LEN: usize = 12;
/// Bytes of an AES-GCM tag.
pub(crate) const TAG_LEN: usize = 16;

mod sealed {
    pub trait Sealed {}
}

/// The primitives the format is built from.
pub trait Provider: sealed::Sealed + Sized + 'static {
    /// Name for reports: `aws-lc` or `rustcrypto`.
    const NAME: &'static str;
    /// AES-256-GCM under one key.
    type Aes256Gcm: AeadKey;
    /// HMAC-SHA-256 under one key.
    type HmacSha256: HmacKey;

    /// SHA-256 of `data`.
    fn sha256(data: &[u8]) -> [u8; 32];
    /// HKDF-SHA-256, extract and expand.
    fn hkdf_sha256(salt: &[u8], key: &[u8], info: &[u8], out: &mut [u8])
    -> Result<(), CryptoError>;
}

/// An AES-256-GCM key with its schedule expanded; 96-bit nonces, 128-bit tags.
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

/// An HMAC-SHA-256 key with its inner and outer state computed.
pub trait HmacKey: Sized + Send + Sync {
    /// Expands the key; any length.
    fn expand(key: &[u8]) -> Self;
    /// The tag over the concatenation of `parts`.
    fn sign(&self, parts: &[&[u8]]) -> [u8; 32];
}
