//! The 14 bytes every ciphertext begins with.

use crate::{CryptoError, KeyId, Suite};

/// The format byte: the first of every ciphertext.
const FORMAT: u8 = 0x01;

/// What a ciphertext says about itself, in the clear and authenticated:
/// `0x01 | suite u8 | key id u64 BE | key version u32 BE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// How the rest of the ciphertext is made.
    pub suite: Suite,
    /// The key that sealed it.
    pub key_id: KeyId,
    /// The version of that key.
    pub key_version: u32,
}

impl Header {
    /// Length in bytes.
    pub const LEN: usize = 14;

    /// Reads the header of a binary ciphertext (not of its text form), for finding the key.
    /// Nothing in it is authenticated until the ciphertext opens. Too short, another format or an
    /// unknown suite is [`CryptoError::CiphertextInvalid`].
    pub fn parse(ciphertext: &[u8]) -> Result<Self, CryptoError> {
        let (header, _) = Self::split(ciphertext)?;
        Ok(header)
    }

    /// The header and what follows it.
    pub(crate) fn split(ciphertext: &[u8]) -> Result<(Self, &[u8]), CryptoError> {
        let (suite, key_id, key_version, rest) = split(ciphertext)?;
        let suite = Suite::from_id(suite).ok_or(CryptoError::CiphertextInvalid)?;
        Ok((Self { suite, key_id, key_version }, rest))
    }

    /// The header's bytes.
    pub(crate) fn to_bytes(self) -> [u8; Self::LEN] {
        to_bytes(self.suite.id(), self.key_id, self.key_version)
    }
}

/// Suite id, key id and key version of a ciphertext or stream, and what follows them.
pub(crate) fn split(bytes: &[u8]) -> Result<(u8, KeyId, u32, &[u8]), CryptoError> {
    let (&[format, suite, i0, i1, i2, i3, i4, i5, i6, i7, v0, v1, v2, v3], rest) =
        bytes.split_first_chunk::<{ Header::LEN }>().ok_or(CryptoError::CiphertextInvalid)?;
    if format != FORMAT {
        return Err(CryptoError::CiphertextInvalid);
    }
    let key_id = KeyId(u64::from_be_bytes([i0, i1, i2, i3, i4, i5, i6, i7]));
    Ok((suite, key_id, u32::from_be_bytes([v0, v1, v2, v3]), rest))
}

/// The 14 bytes with this suite id.
pub(crate) fn to_bytes(suite: u8, key_id: KeyId, key_version: u32) -> [u8; Header::LEN] {
    let mut bytes = [0; Header::LEN];
    bytes[0] = FORMAT;
    bytes[1] = suite;
    bytes[2..10].copy_from_slice(&key_id.0.to_be_bytes());
    bytes[10..].copy_from_slice(&key_version.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_it_writes_and_nothing_else() {
        let header =
            Header { suite: Suite::Aes256Siv, key_id: KeyId(u64::MAX - 1), key_version: 7 };
        let bytes = header.to_bytes();
        assert_eq!(Header::parse(&bytes), Ok(header));
        for length in 0..Header::LEN {
            assert_eq!(Header::parse(&bytes[..length]), Err(CryptoError::CiphertextInvalid));
        }
        for format in (0..=255).filter(|&format| format != FORMAT) {
            let mut other = bytes;
            other[0] = format;
            assert_eq!(Header::parse(&other), Err(CryptoError::CiphertextInvalid));
        }
        for suite in (0..=255).filter(|&id| Suite::from_id(id).is_none()) {
            let mut other = bytes;
            other[1] = suite;
            assert_eq!(Header::parse(&other), Err(CryptoError::CiphertextInvalid));
        }
    }
}
