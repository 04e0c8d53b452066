//! Digests of components.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

const PREFIX: &str = "sha256:";

/// A component's digest: `sha256:` and 64 hexadecimal digits in lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentDigest(Arc<str>);

/// A text that is no digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a component's digest: `sha256:` and 64 hexadecimal digits in lower case")]
pub struct NoDigest;

impl ComponentDigest {
    /// That of these bytes.
    pub fn of(wasm: &[u8]) -> Self {
        Self(format!("{PREFIX}{}", hex::encode(keyward_crypto::sha256(wasm))).into())
    }

    /// From the digits alone.
    pub fn from_hex(digits: &str) -> Result<Self, NoDigest> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if digits.len() == 64 && digits.bytes().all(is_digit) {
            return Ok(Self(format!("{PREFIX}{digits}").into()));
        }
        Err(NoDigest)
    }

    /// The digits, which are safe in paths.
    pub fn hex(&self) -> &str {
        &self.0[PREFIX.len()..]
    }

    /// The whole of it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ComponentDigest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        text.strip_prefix(PREFIX).ok_or(NoDigest).and_then(Self::from_hex)
    }
}

impl fmt::Display for ComponentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digests_name_files() {
        let digits = "0a".repeat(32);
        let digest: ComponentDigest = format!("sha256:{digits}").parse().unwrap();
        assert_eq!((digest.hex(), digest.to_string()), (&*digits, format!("sha256:{digits}")));
        assert_eq!(ComponentDigest::from_hex(&digits), Ok(digest));
        let capitals = format!("sha256:{}", "A".repeat(64));
        for text in ["", "sha256:", "sha256:../../etc/passwd", &"a".repeat(64), &capitals] {
            assert_eq!(text.parse::<ComponentDigest>(), Err(NoDigest), "{text}");
        }
    }
}
