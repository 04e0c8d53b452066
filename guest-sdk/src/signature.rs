//! The forms of signatures.

/// Which form a signature has, where an algorithm knows several. One the key's algorithm does not
/// know is [`Error::Invalid`](crate::Error::Invalid).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u8)]
pub enum SignatureForm {
    /// The algorithm's own: 64 bytes for Ed25519, DER for ECDSA, PSS with SHA-256 and a salt of 32
    /// bytes for RSA, 3,309 bytes for ML-DSA-65.
    #[default]
    Standard,
    /// ECDSA: r and s one after the other, each as long as the curve's order (RFC 7518, IEEE
    /// P1363).
    Fixed,
    /// RSA: PKCS#1 v1.5 with SHA-256, for peers that know no PSS.
    Pkcs1,
}

impl SignatureForm {
    /// Every form, in the contract's order.
    pub const ALL: [Self; 3] = [Self::Standard, Self::Fixed, Self::Pkcs1];
}
