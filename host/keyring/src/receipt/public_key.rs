//! The public half of a store's key for receipts.

use std::fmt;
use std::str::FromStr;

use keyward_crypto::{Algorithm, PublicKey};

use super::{PURPOSE, ReceiptError};
use crate::store_key::{StoreKey, verifies};

/// What comes before the 32 bytes of the key in SubjectPublicKeyInfo (RFC 8410), DER.
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A public key that receipts are checked with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ReceiptKey([u8; 32]);

/// Names a public key: the first 16 bytes of the SHA-256 of its SubjectPublicKeyInfo, as text 32
/// hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReceiptKeyId(pub(super) [u8; 16]);

impl ReceiptKey {
    pub(crate) fn of(key: &StoreKey) -> Self {
        Self(key.public_key())
    }

    /// The key of these 32 bytes (RFC 8032).
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads a SubjectPublicKeyInfo in text form (RFC 7468), label `PUBLIC KEY`, one document and
    /// no more. Fails with [`ReceiptError::PublicKey`].
    pub fn from_pem(pem: &str) -> Result<Self, ReceiptError> {
        let read = || {
            let key = PublicKey::from_pem(Algorithm::Ed25519, pem).ok()?;
            Self::from_bytes(key.der().strip_prefix(&SPKI)?)
        };
        read().ok_or(ReceiptError::PublicKey)
    }

    /// Its name.
    pub fn id(&self) -> ReceiptKeyId {
        let digest = keyward_crypto::sha256(&self.der());
        let mut id = [0; 16];
        id.copy_from_slice(&digest[..16]);
        ReceiptKeyId(id)
    }

    /// SubjectPublicKeyInfo (RFC 8410), DER.
    pub fn der(&self) -> [u8; 44] {
        let mut der = [0; 44];
        der[..12].copy_from_slice(&SPKI);
        der[12..].copy_from_slice(&self.0);
        der
    }

    /// The same in text form (RFC 7468), label `PUBLIC KEY`.
    pub fn pem(&self) -> String {
        keyward_crypto::pem("PUBLIC KEY", &self.der())
    }

    pub(super) fn verifies(&self, statement: &[u8], signature: &[u8]) -> bool {
        verifies(&PURPOSE, &self.0, statement, signature)
    }
}

impl fmt::Display for ReceiptKeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Exactly what [`Display`](fmt::Display) writes.
impl FromStr for ReceiptKeyId {
    type Err = ReceiptError;

    fn from_str(text: &str) -> Result<Self, ReceiptError> {
        let number = u128::from_str_radix(text, 16).map(|number| Self(number.to_be_bytes()));
        let id = number.ok().filter(|id| id.to_string() == text);
        id.ok_or_else(|| {
            ReceiptError::Malformed("receipt_key has not 32 hexadecimal digits".into())
        })
    }
}
