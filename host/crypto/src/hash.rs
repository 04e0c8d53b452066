//! SHA-2, HMAC-SHA-256 and HKDF-SHA-256 on the default provider.

use std::fmt;
use std::str::FromStr;

use crate::CryptoError;
use crate::provider::{self, HmacKey, Provider};

/// A hash function (FIPS 180-4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Digest {
    /// SHA-256: 32 bytes.
    Sha256,
    /// SHA-384: 48 bytes.
    Sha384,
    /// SHA-512: 64 bytes.
    Sha512,
}

impl Digest {
    /// Every function, in the order of declaration.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// The stable name: `sha-256`, `sha-384` or `sha-512`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha-256",
            Self::Sha384 => "sha-384",
            Self::Sha512 => "sha-512",
        }
    }

    /// The digest of `data`.
    pub fn of(self, data: &[u8]) -> Vec<u8> {
        provider::Default::digest(self, data)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Digest {
    type Err = CryptoError;

    fn from_str(name: &str) -> Result<Self, CryptoError> {
        let found = Self::ALL.into_iter().find(|digest| digest.name() == name);
        found.ok_or(CryptoError::UnknownDigest)
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    fn vectors<P: Provider>() {
        // FIPS 180-4: NIST's examples for `abc`.
        for (name, start, length) in
            [("sha-256", "ba7816bf", 32), ("sha-384", "cb00753f", 48), ("sha-512", "ddaf35a1", 64)]
        {
            let digest: Digest = name.parse().unwrap();
            assert_eq!(digest.to_string(), name);
            let of = P::digest(digest, b"abc");
            assert_eq!((hex::encode(&of[..4]).as_str(), of.len()), (start, length));
        }
    }

    #[test]
    fn digests_have_the_standards_values() {
        #[cfg(feature = "aws-lc")]
        vectors::<provider::AwsLc>();
        #[cfg(feature = "rustcrypto")]
        vectors::<provider::RustCrypto>();
        assert_eq!("md5".parse::<Digest>(), Err(CryptoError::UnknownDigest));
    }
}
