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
    /// Make a token of the same form as a text, or take it back.
    Tokenize,
}

impl Operation {
    /// Every operation, in the order of declaration.
    pub const ALL: [Self; 9] = [
        Self::Encrypt,
        Self::Decrypt,
        Self::Stream,
        Self::Sign,
        Self::Verify,
        Self::Mac,
        Self::Index,
        Self::Derive,
        Self::Tokenize,
    ];

    /// The stable name: `encrypt`, `decrypt`, `stream`, `sign`, `verify`, `mac`, `index`, `derive`
    /// or `tokenize`.
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
            Self::Tokenize => "tokenize",
        }
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
