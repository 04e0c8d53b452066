//! SHA-256, HMAC-SHA-256 and HKDF-SHA-256 on the default provider.

use crate::CryptoError;
use crate::provider::{self, HmacKey, Provider};

/// SHA-256 (FIPS 180-4).
pub fn sha256(data: &[u8]) -> [u8; 32] {
    provider::Default::sha256(data)
}

/// HMAC-SHA-256 (RFC 2104) with a key of any length. Compare tags in constant time.
pub fn hmac_sha256(key: &[u8], data: &[u8]) -> [u8; 32] {
    <provider::Default as Provider>::HmacSha256::expand(key).sign(&[data])
}

/// HKDF-SHA-256 (RFC 5869), extract and expand, filling `out`; an empty salt is the RFC's absent
/// one. [`CryptoError::TooLong`] when `out` is longer than 255 × 32 bytes.
pub fn hkdf_sha256(
    salt: &[u8],
    key: &[u8],
    info: &[u8],
    out: &mut [u8],
) -> Result<(), CryptoError> {
    provider::Default::hkdf_sha256(salt, key, info, out)
}
