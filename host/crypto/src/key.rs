//! Key ids.

use std::fmt;
use std::str::FromStr;

use crate::{CryptoError, random_bytes};

/// The random 64-bit id a key gets when it is created; the same for all its versions. It stands in
/// ciphertext headers so that key names do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub u64);

impl KeyId {
    /// A fresh random id.
    pub fn random() -> Result<Self, CryptoError> {
        let mut bytes = [0; 8];
        random_bytes(&mut bytes)?;
        Ok(Self(u64::from_be_bytes(bytes)))
    }
}

/// 16 lower-case hexadecimal digits.
impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Exactly what [`Display`](fmt::Display) writes; anything else is [`CryptoError::KeyIdInvalid`].
impl FromStr for KeyId {
    type Err = CryptoError;

    fn from_str(text: &str) -> Result<Self, CryptoError> {
        let canonical =
            text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !canonical {
            return Err(CryptoError::KeyIdInvalid);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| CryptoError::KeyIdInvalid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_ids_have_one_spelling() {
        let id = KeyId(0x00ab_cdef_0123_4567);
        assert_eq!(id.to_string(), "00abcdef01234567");
        assert_eq!("00abcdef01234567".parse(), Ok(id));
        for wrong in
            ["", "abcdef01234567", "00ABCDEF01234567", "+0abcdef01234567", "00abcdef0123456 "]
        {
            assert_eq!(wrong.parse::<KeyId>(), Err(CryptoError::KeyIdInvalid), "{wrong:?}");
        }
    }
}
