//! Which algorithms keys have.

use std::fmt;
use std::str::FromStr;

use crate::{CryptoError, Operation, Suite};

/// What a key is for. Chosen when the key is created, the same for all its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Algorithm {
    /// Authenticated encryption, XAES-256-GCM with key commitment by default.
    #[default]
    XAes256Gcm,
    /// Authenticated encryption, AES-256-GCM (NIST SP 800-38D) with random nonces by default.
    Aes256Gcm,
    /// Authenticated encryption, AES-256-GCM-SIV (RFC 8452) with random nonces by default: what
    /// a repeated nonce gives away is only that two messages are equal.
    Aes256GcmSiv,
    /// Authenticated encryption, ChaCha20-Poly1305 (RFC 8439) with random nonces by default.
    ChaCha20Poly1305,
    /// Authenticated encryption, XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) by default.
    XChaCha20Poly1305,
    /// Deterministic authenticated encryption, AES-256-SIV (RFC 5297, 512-bit key).
    Aes256Siv,
    /// Message authentication and blind-index terms, HMAC-SHA-256 (RFC 2104, FIPS 198-1).
    HmacSha256,
    /// Message authentication and blind-index terms, HMAC-SHA-384.
    HmacSha384,
    /// Message authentication and blind-index terms, HMAC-SHA-512.
    HmacSha512,
    /// Signatures, Ed25519 (RFC 8032, pure).
    Ed25519,
    /// Signatures, ECDSA (FIPS 186-5) on P-256 with SHA-256.
    EcdsaP256,
    /// Signatures, ECDSA (FIPS 186-5) on P-384 with SHA-384.
    EcdsaP384,
    /// Signatures, RSA of 2048 bits (RFC 8017).
    Rsa2048,
    /// Signatures, RSA of 3072 bits (RFC 8017).
    Rsa3072,
    /// Signatures, RSA of 4096 bits (RFC 8017).
    Rsa4096,
    /// Encryption to a public key, RSA-OAEP with SHA-256 of 2048 bits (RFC 8017). Keys that sign
    /// and keys that decrypt are never the same (NIST SP 800-57 part 1, section 5.2).
    RsaOaep2048,
    /// Encryption to a public key, RSA-OAEP with SHA-256 of 3072 bits.
    RsaOaep3072,
    /// Encryption to a public key, RSA-OAEP with SHA-256 of 4096 bits.
    RsaOaep4096,
    /// Encryption to a public key, X25519 (RFC 7748).
    X25519,
    /// Encryption to a public key, ML-KEM-768 (FIPS 203): withstands quantum computers.
    MlKem768,
    /// Encryption to a public key, X25519 and ML-KEM-768 combined (X-Wing): secure while either is.
    X25519MlKem768,
    /// Signatures, ML-DSA-65 (FIPS 204): withstands quantum computers.
    MlDsa65,
}

/// The names of all algorithms, for the error that lists them.
pub(crate) const NAMES: &str = "xaes-256-gcm, aes-256-gcm, aes-256-gcm-siv, chacha20-poly1305, \
     xchacha20-poly1305, aes-256-siv, hmac-sha-256, hmac-sha-384, hmac-sha-512, ed25519, \
     ecdsa-p256, ecdsa-p384, rsa-2048, rsa-3072, rsa-4096, rsa-oaep-2048, rsa-oaep-3072, \
     rsa-oaep-4096, x25519, ml-kem-768, x25519-ml-kem-768, ml-dsa-65";

/// What kind of key an algorithm has: decides which operations it supports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Aead,
    Siv,
    Mac,
    /// Signs only.
    Signature,
    /// Decrypts what was encrypted to its public key.
    Recipient,
}

impl Algorithm {
    /// Every algorithm, in the order of declaration.
    pub const ALL: [Self; 22] = [
        Self::XAes256Gcm,
        Self::Aes256Gcm,
        Self::Aes256GcmSiv,
        Self::ChaCha20Poly1305,
        Self::XChaCha20Poly1305,
        Self::Aes256Siv,
        Self::HmacSha256,
        Self::HmacSha384,
        Self::HmacSha512,
        Self::Ed25519,
        Self::EcdsaP256,
        Self::EcdsaP384,
        Self::Rsa2048,
        Self::Rsa3072,
        Self::Rsa4096,
        Self::RsaOaep2048,
        Self::RsaOaep3072,
        Self::RsaOaep4096,
        Self::X25519,
        Self::MlKem768,
        Self::X25519MlKem768,
        Self::MlDsa65,
    ];

    /// The stable name, for example `xaes-256-gcm`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XAes256Gcm => "xaes-256-gcm",
            Self::Aes256Gcm => "aes-256-gcm",
            Self::Aes256GcmSiv => "aes-256-gcm-siv",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::XChaCha20Poly1305 => "xchacha20-poly1305",
            Self::Aes256Siv => "aes-256-siv",
            Self::HmacSha256 => "hmac-sha-256",
            Self::HmacSha384 => "hmac-sha-384",
            Self::HmacSha512 => "hmac-sha-512",
            Self::Ed25519 => "ed25519",
            Self::EcdsaP256 => "ecdsa-p256",
            Self::EcdsaP384 => "ecdsa-p384",
            Self::Rsa2048 => "rsa-2048",
            Self::Rsa3072 => "rsa-3072",
            Self::Rsa4096 => "rsa-4096",
            Self::RsaOaep2048 => "rsa-oaep-2048",
            Self::RsaOaep3072 => "rsa-oaep-3072",
            Self::RsaOaep4096 => "rsa-oaep-4096",
            Self::X25519 => "x25519",
            Self::MlKem768 => "ml-kem-768",
            Self::X25519MlKem768 => "x25519-ml-kem-768",
            Self::MlDsa65 => "ml-dsa-65",
        }
    }

    pub(crate) const fn family(self) -> Family {
        match self {
            Self::XAes256Gcm
            | Self::Aes256Gcm
            | Self::Aes256GcmSiv
            | Self::ChaCha20Poly1305
            | Self::XChaCha20Poly1305 => Family::Aead,
            Self::Aes256Siv => Family::Siv,
            Self::HmacSha256 | Self::HmacSha384 | Self::HmacSha512 => Family::Mac,
            Self::Ed25519
            | Self::EcdsaP256
            | Self::EcdsaP384
            | Self::Rsa2048
            | Self::Rsa3072
            | Self::Rsa4096
            | Self::MlDsa65 => Family::Signature,
            Self::RsaOaep2048
            | Self::RsaOaep3072
            | Self::RsaOaep4096
            | Self::X25519
            | Self::MlKem768
            | Self::X25519MlKem768 => Family::Recipient,
        }
    }

    /// Whether keys of this algorithm do `operation`.
    pub const fn supports(self, operation: Operation) -> bool {
        match operation {
            Operation::Encrypt | Operation::Decrypt => {
                matches!(self.family(), Family::Aead | Family::Siv | Family::Recipient)
            }
            Operation::Stream => matches!(self.family(), Family::Aead),
            Operation::Sign | Operation::Verify => {
                matches!(self.family(), Family::Signature)
            }
            Operation::Mac | Operation::Index => matches!(self.family(), Family::Mac),
            Operation::Derive => matches!(self.family(), Family::Aead | Family::Mac),
            Operation::Tokenize => matches!(self.family(), Family::Siv),
        }
    }

    /// Whether it is RSA, whose keys take long to make and whose private halves are slow.
    pub const fn is_rsa(self) -> bool {
        matches!(
            self,
            Self::Rsa2048
                | Self::Rsa3072
                | Self::Rsa4096
                | Self::RsaOaep2048
                | Self::RsaOaep3072
                | Self::RsaOaep4096
        )
    }

    /// Whether a version of such a key has a public half that may be given to anyone.
    pub const fn is_asymmetric(self) -> bool {
        matches!(self.family(), Family::Signature | Family::Recipient)
    }

    /// Whether key material can be wrapped to the public half of such a key.
    pub const fn wraps_keys(self) -> bool {
        matches!(self.family(), Family::Recipient)
    }

    /// The suite used when none is asked for; `None` when keys of this algorithm do not encrypt.
    pub const fn default_suite(self) -> Option<Suite> {
        match self {
            Self::XAes256Gcm => Some(Suite::XAes256Gcm),
            Self::Aes256Gcm => Some(Suite::Aes256Gcm),
            Self::Aes256GcmSiv => Some(Suite::Aes256GcmSiv),
            Self::ChaCha20Poly1305 => Some(Suite::ChaCha20Poly1305),
            Self::XChaCha20Poly1305 => Some(Suite::XChaCha20Poly1305),
            Self::Aes256Siv => Some(Suite::Aes256Siv),
            Self::RsaOaep2048 => Some(Suite::RsaOaep2048),
            Self::RsaOaep3072 => Some(Suite::RsaOaep3072),
            Self::RsaOaep4096 => Some(Suite::RsaOaep4096),
            Self::X25519 => Some(Suite::HpkeX25519),
            Self::MlKem768 => Some(Suite::HpkeMlKem768),
            Self::X25519MlKem768 => Some(Suite::HpkeXWing),
            _ => None,
        }
    }

    /// Whether a key of this algorithm seals and opens with `suite`. The randomised AEAD suites
    /// form one family (each has its own subkey); AES-256-SIV is its own, and
    /// so is each way to encrypt to a public key.
    pub const fn allows(self, suite: Suite) -> bool {
        match self.family() {
            Family::Aead => suite.is_aead(),
            Family::Siv => matches!(suite, Suite::Aes256Siv),
            Family::Recipient => matches!(
                (self, suite),
                (Self::RsaOaep2048, Suite::RsaOaep2048)
                    | (Self::RsaOaep3072, Suite::RsaOaep3072)
                    | (Self::RsaOaep4096, Suite::RsaOaep4096)
                    | (Self::X25519, Suite::HpkeX25519)
                    | (Self::MlKem768, Suite::HpkeMlKem768)
                    | (Self::X25519MlKem768, Suite::HpkeXWing)
            ),
            _ => false,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = CryptoError;

    fn from_str(name: &str) -> Result<Self, CryptoError> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.name() == name)
            .ok_or(CryptoError::UnknownAlgorithm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_lists_every_name_once() {
        let names: Vec<&str> = NAMES.split(", ").collect();
        assert_eq!(names, Algorithm::ALL.map(Algorithm::name));
    }

    #[test]
    fn what_has_a_suite_encrypts_with_it() {
        for algorithm in Algorithm::ALL {
            if let Some(suite) = algorithm.default_suite() {
                assert!(algorithm.supports(Operation::Encrypt) && algorithm.allows(suite));
            }
            let signs = algorithm.supports(Operation::Sign);
            assert_eq!(signs, algorithm.supports(Operation::Verify));
            assert!(!signs || algorithm.is_asymmetric());
        }
    }
}
