//! Which of the forms of a signature.

use std::fmt;

/// Which form a signature has, where an algorithm knows several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SignatureForm {
    /// The algorithm's own: 64 bytes for Ed25519 (RFC 8032), DER for ECDSA (RFC 3279), PSS with
    /// SHA-256 and a salt of 32 bytes for RSA (RFC 8017), 3,309 bytes for ML-DSA-65 (FIPS 204, pure,
    /// empty context).
    #[default]
    Standard,
    /// ECDSA: r and s one after the other, each as long as the curve's order (RFC 7518, section
    /// 3.4; IEEE P1363).
    Fixed,
    /// RSA: PKCS#1 v1.5 with SHA-256 (RFC 8017, section 8.2), for peers that know no PSS.
    Pkcs1,
}

impl SignatureForm {
    /// The stable name: `standard`, `fixed` or `pkcs1`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Fixed => "fixed",
            Self::Pkcs1 => "pkcs1",
        }
    }
}

impl fmt::Display for SignatureForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
