//! The text form of a token.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyward_crypto::CryptoError;
use zeroize::Zeroizing;

/// What every token begins with.
pub const PREFIX: &str = "kw_";
const SECRET_BYTES: usize = 32;
/// Base64url characters of the secret, and of the checksum.
const SECRET_CHARS: usize = 43;
const CHECKSUM_CHARS: usize = 6;
const LEN: usize = PREFIX.len() + SECRET_CHARS + CHECKSUM_CHARS;

/// A token in clear. Shown once, to whom it is for.
pub struct Token(Zeroizing<String>);

impl Token {
    /// A new random token.
    pub fn generate() -> Result<Self, CryptoError> {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        keyward_crypto::random_bytes(secret.as_mut_slice())?;
        let mut text = Zeroizing::new(String::with_capacity(LEN));
        text.push_str(PREFIX);
        URL_SAFE_NO_PAD.encode_string(secret.as_slice(), &mut text);
        let checksum = checksum(text.as_bytes());
        URL_SAFE_NO_PAD.encode_string(checksum, &mut text);
        Ok(Self(text))
    }

    /// The text to put behind `Authorization: Bearer`.
    pub fn expose(&self) -> &str {
        &self.0
    }

    pub(super) fn hash(&self) -> [u8; 32] {
        keyward_crypto::sha256(self.0.as_bytes())
    }
}

/// The hash to look a presented token up by, if it has the right form and checksum.
pub(super) fn hash_if_well_formed(presented: &str) -> Option<[u8; 32]> {
    if presented.len() != LEN || !presented.starts_with(PREFIX) {
        return None;
    }
    let (body, checksum_text) = presented.as_bytes().split_at(LEN - CHECKSUM_CHARS);
    let mut given = [0; 4];
    let decoded = URL_SAFE_NO_PAD.decode_slice_unchecked(checksum_text, &mut given).ok()?;
    (decoded == 4 && given == checksum(body)).then(|| keyward_crypto::sha256(presented.as_bytes()))
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    crc32fast::hash(bytes).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_token_is_well_formed() {
        let token = Token::generate().unwrap();
        assert_eq!(token.expose().len(), LEN);
        assert_eq!(hash_if_well_formed(token.expose()), Some(token.hash()));
    }

    #[test]
    fn any_changed_character_breaks_the_checksum() {
        let token = Token::generate().unwrap();
        for at in 0..LEN {
            let mut bytes = token.expose().as_bytes().to_vec();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(hash_if_well_formed(&changed), None, "at {at}");
        }
    }

    #[test]
    fn other_texts_are_not_tokens() {
        for text in ["", "kw_", "Bearer", &"k".repeat(LEN), &"ü".repeat(LEN / 2)] {
            assert_eq!(hash_if_well_formed(text), None);
        }
    }
}
