//! Which suites ciphertexts name.

use std::fmt;
use std::str::FromStr;

use crate::provider::{NONCE_LEN, TAG_LEN};
use crate::{CryptoError, Header, recipient, siv, xaes, xchacha};

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
    /// AES-256-GCM-SIV (RFC 8452): 96-bit random nonce whose repetition does little harm.
    Aes256GcmSiv = 0x04,
    /// ChaCha20-Poly1305 (RFC 8439): 96-bit random nonce, at most 2^32 messages per key version.
    ChaCha20Poly1305 = 0x05,
    /// XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha): 192-bit random nonce.
    XChaCha20Poly1305 = 0x06,
    /// HPKE (RFC 9180) to an X25519 key, AES-256-GCM.
    HpkeX25519 = 0x12,
    /// HPKE to an ML-KEM-768 key, AES-256-GCM.
    HpkeMlKem768 = 0x13,
    /// HPKE to an X-Wing key (X25519 and ML-KEM-768), AES-256-GCM.
    HpkeXWing = 0x14,
    /// RSA-OAEP (RFC 8017, SHA-256) to a key of 2048 bits, AES-256-GCM.
    RsaOaep2048 = 0x15,
    /// RSA-OAEP to a key of 3072 bits, AES-256-GCM.
    RsaOaep3072 = 0x16,
    /// RSA-OAEP to a key of 4096 bits, AES-256-GCM.
    RsaOaep4096 = 0x17,
}

impl Suite {
    /// Every suite, in the order of ids.
    pub const ALL: [Self; 12] = [
        Self::XAes256Gcm,
        Self::Aes256Gcm,
        Self::Aes256Siv,
        Self::Aes256GcmSiv,
        Self::ChaCha20Poly1305,
        Self::XChaCha20Poly1305,
        Self::HpkeX25519,
        Self::HpkeMlKem768,
        Self::HpkeXWing,
        Self::RsaOaep2048,
        Self::RsaOaep3072,
        Self::RsaOaep4096,
    ];

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
            0x04 => Some(Self::Aes256GcmSiv),
            0x05 => Some(Self::ChaCha20Poly1305),
            0x06 => Some(Self::XChaCha20Poly1305),
            0x12 => Some(Self::HpkeX25519),
            0x13 => Some(Self::HpkeMlKem768),
            0x14 => Some(Self::HpkeXWing),
            0x15 => Some(Self::RsaOaep2048),
            0x16 => Some(Self::RsaOaep3072),
            0x17 => Some(Self::RsaOaep4096),
            _ => None,
        }
    }

    /// The stable name, for example `xaes-256-gcm`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::XAes256Gcm => "xaes-256-gcm",
            Self::Aes256Gcm => "aes-256-gcm",
            Self::Aes256Siv => "aes-256-siv",
            Self::Aes256GcmSiv => "aes-256-gcm-siv",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::XChaCha20Poly1305 => "xchacha20-poly1305",
            Self::HpkeX25519 => "hpke-x25519",
            Self::HpkeMlKem768 => "hpke-ml-kem-768",
            Self::HpkeXWing => "hpke-x25519-ml-kem-768",
            Self::RsaOaep2048 => "rsa-oaep-2048",
            Self::RsaOaep3072 => "rsa-oaep-3072",
            Self::RsaOaep4096 => "rsa-oaep-4096",
        }
    }

    /// Whether it is one of the randomised AEADs, which form one family.
    pub(crate) const fn is_aead(self) -> bool {
        matches!(
            self,
            Self::XAes256Gcm
                | Self::Aes256Gcm
                | Self::Aes256GcmSiv
                | Self::ChaCha20Poly1305
                | Self::XChaCha20Poly1305
        )
    }

    /// Bytes by which a ciphertext is longer than its plaintext, header included.
    pub const fn overhead(self) -> usize {
        Header::LEN
            + match self {
                Self::XAes256Gcm => xaes::NONCE_LEN + xaes::OVERHEAD,
                Self::Aes256Gcm | Self::Aes256GcmSiv | Self::ChaCha20Poly1305 => {
                    NONCE_LEN + TAG_LEN
                }
                Self::XChaCha20Poly1305 => xchacha::NONCE_LEN + TAG_LEN,
                Self::Aes256Siv => siv::IV_LEN,
                Self::HpkeX25519 => recipient::X25519_ENC_LEN + TAG_LEN,
                Self::HpkeMlKem768 => recipient::ML_KEM_768_ENC_LEN + TAG_LEN,
                Self::HpkeXWing => recipient::X_WING_ENC_LEN + TAG_LEN,
                Self::RsaOaep2048 => 2048 / 8 + TAG_LEN,
                Self::RsaOaep3072 => 3072 / 8 + TAG_LEN,
                Self::RsaOaep4096 => 4096 / 8 + TAG_LEN,
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
