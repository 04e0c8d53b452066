//! Which algorithms keys have, and which suites ciphertexts name.

use std::fmt;
use std::str::FromStr;

use crate::CryptoError;

/// What a key is for. Chosen when the key is created, the same for all its versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Algorithm {
    /// Authenticated encryption, XAES-256-GCM with key commitment by default.
    #[default]
    XAes256Gcm,
    /// Authenticated encryption, AES-256-GCM (NIST SP 800-38D) with random nonces by default.
    Aes256Gcm,
    /// Deterministic authenticated encryption, AES-256-SIV (RFC 5297, 512-bit key).
    Aes256Siv,
    /// Message authentication and blind-index terms, HMAC-SHA-256 (RFC 2104, FIPS 198-1).
    HmacSha256,
}

impl Algorithm {
    /// Every algorithm, in the order of declaration.
    pub const ALL: [Self; 4] =
        [Self::XAes256Gcm, Self::Aes256Gcm, Self::Aes256Siv, Self::HmacSha256];

    /// The stable name: `xaes-256-gcm`, `aes-256-gcm`, `aes-256-siv` or `hmac-sha-256`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XAes256Gcm => "xaes-256-gcm",
            Self::Aes256Gcm => "aes-256-gcm",
            Self::Aes256Siv => "aes-256-siv",
            Self::HmacSha256 => "hmac-sha-256",
        }
    }

    /// The suite used when none is asked for; `None` when keys of this algorithm do not encrypt.
    pub const fn default_suite(self) -> Option<Suite> {
        match self {
            Self::XAes256Gcm => Some(Suite::XAes256Gcm),
            Self::Aes256Gcm => Some(Suite::Aes256Gcm),
            Self::Aes256Siv => Some(Suite::Aes256Siv),
            Self::HmacSha256 => None,
        }
    }

    /// Whether a key of this algorithm seals and opens with `suite`. The two randomised AEAD
    /// suites form one family (each has its own subkey); AES-256-SIV is its own.
    pub const fn allows(self, suite: Suite) -> bool {
        match self {
            Self::XAes256Gcm | Self::Aes256Gcm => {
                matches!(suite, Suite::XAes256Gcm | Suite::Aes256Gcm)
            }
            Self::Aes256Siv => matches!(suite, Suite::Aes256Siv),
            Self::HmacSha256 => false,
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

/// How one ciphertext was made; its id is the second byte of the ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Suite {
    /// XAES-256-GCM (C2SP) with a 256-bit key commitment: 192-bit random nonce.
    XAes256Gcm = 0x01,
    /// AES-256-GCM: 96-bit random nonce, at most 2^32 messages per key version, no commitment.
    Aes256Gcm = 0x02,
    /// AES-256-SIV: no nonce; equal plaintexts under equal bindings give equal ciphertexts.
    Aes256Siv = 0x03,
}

impl Suite {
    /// Every suite, in the order of ids.
    pub const ALL: [Self; 3] = [Self::XAes256Gcm, Self::Aes256Gcm, Self::Aes256Siv];

    /// The byte that names the suite in a ciphertext.
    pub const fn id(self) -> u8 {
        self as u8
    }

    /// The suite of that id, if there is one.
    pub const fn from_id(id: u8) -> Option<Self> {
        match id {
            0x01 => Some(Self::XAes256Gcm),
            0x02 => Some(Self::Aes256Gcm),
            0x03 => Some(Self::Aes256Siv),
            _ => None,
        }
    }

    /// The stable name: `xaes-256-gcm`, `aes-256-gcm` or `aes-256-siv`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XAes256Gcm => "xaes-256-gcm",
            Self::Aes256Gcm => "aes-256-gcm",
            Self::Aes256Siv => "aes-256-siv",
        }
    }

    /// Bytes by which a ciphertext is longer than its plaintext, header included.
    pub const fn overhead(self) -> usize {
        crate::Header::LEN
            + match self {
                Self::XAes256Gcm => crate::xaes::NONCE_LEN + crate::xaes::OVERHEAD,
                Self::Aes256Gcm => crate::provider::GCM_NONCE_LEN + crate::provider::TAG_LEN,
                Self::Aes256Siv => crate::siv::IV_LEN,
            }
    }
}

impl fmt::Display for Suite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Suite {
    type Err = CryptoError;

    fn from_str(name: &str) -> Result<Self, CryptoError> {
        Self::ALL.into_iter().find(|suite| suite.name() == name).ok_or(CryptoError::UnknownSuite)
    }
}
