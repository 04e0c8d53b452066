//! The text form of a ciphertext: `kw1.` and base64url (RFC 4648, section 5) without padding.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::CryptoError;

/// What every text form begins with.
pub const PREFIX: &str = "kw1.";

/// Writes a binary ciphertext as text.
pub fn encode(ciphertext: &[u8]) -> String {
    let mut text = String::new();
    encode_into(ciphertext, &mut text);
    text
}

/// Appends what [`encode`] writes.
pub fn encode_into(ciphertext: &[u8], out: &mut String) {
    out.reserve(PREFIX.len() + ciphertext.len().div_ceil(3) * 4);
    out.push_str(PREFIX);
    URL_SAFE_NO_PAD.encode_string(ciphertext, out);
}

/// Reads it back. There is exactly one text for each ciphertext; a missing prefix, padding, white
/// space, another alphabet or stray trailing bits are [`CryptoError::CiphertextInvalid`].
pub fn decode(text: &str) -> Result<Vec<u8>, CryptoError> {
    let encoded = text.strip_prefix(PREFIX).ok_or(CryptoError::CiphertextInvalid)?;
    URL_SAFE_NO_PAD.decode(encoded).map_err(|_| CryptoError::CiphertextInvalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_text_per_ciphertext() {
        assert_eq!(encode(b"\xfb\xff"), "kw1.-_8");
        assert_eq!(decode("kw1.-_8").unwrap(), b"\xfb\xff");
        assert_eq!(decode("kw1.").unwrap(), b"");
        for wrong in [
            "",
            "kw1",
            "kw2.-_8",
            "KW1.-_8",
            "-_8",
            "kw1.-_8=",
            "kw1.+/8",
            "kw1.-_9",
            "kw1.-",
            "kw1. -_8",
            "kw1.-_8\n",
        ] {
            assert_eq!(decode(wrong), Err(CryptoError::CiphertextInvalid), "{wrong:?}");
        }
    }
}
