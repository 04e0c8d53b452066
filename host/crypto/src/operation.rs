//! What can be done with a key.

use std::fmt;

/// One thing a key can do; [`Algorithm::supports`](crate::Algorithm::supports) tells which keys do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Seal a plaintext.
    Encrypt,
    /// Open a ciphertext.
    Decrypt,
    /// Seal or open a stream.
    Stream,
    /// Make a signature.
    Sign,
    /// Check a signature.
    Verify,
    /// Make or check a message authentication code.
    Mac,
    /// Compute a blind-index term.
    Index,
    /// Derive secret bytes.
    Derive,
}

impl Operation {
    /// Every operation, in the order of declaration.
    pub const ALL: [Self; 8] = [
        Self::Encrypt,
        Self::Decrypt,
        Self::Stream,
        Self::Sign,
        Self::Verify,
        Self::Mac,
        Self::Index,
        Self::Derive,
    ];

    /// The stable name: `encrypt`, `decrypt`, `stream`, `sign`, `verify`, `mac`, `index` or `derive`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::Stream => "stream",
            Self::Sign => "sign",
            Self::Verify => "verify",
            Self::Mac => "mac",
            Self::Index => "index",
            Self::Derive => "derive",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
