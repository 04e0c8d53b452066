//! Signed receipts of destruction: what was destroyed, when, by whom and why, provable later.
//!
//! A receipt is signed with an Ed25519 key of the store that destroyed. What is signed is a
//! statement in bytes ([`statement`]), not the JSON that carries it ([`document`]);
//! `docs/keys.md` describes both byte by byte. Whoever has the store's public key
//! ([`ReceiptKey`]) checks a receipt without a server.

mod document;
mod error;
mod public_key;
mod statement;

use std::fmt;

use keyward_crypto::KeyId;

pub use self::error::ReceiptError;
pub use self::public_key::{ReceiptKey, ReceiptKeyId};
use crate::names::{KeyName, TenantName};
use crate::store_key::{Purpose, SIGNATURE_LEN, StoreKey};

/// The store's key for signing receipts.
pub(crate) static PURPOSE: Purpose = Purpose {
    path: "receipt-key",
    label: b"keyward destruction receipt v1\0",
    name: "a key for signing receipts",
};

/// That something was destroyed: its material is gone from the store for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// What was destroyed, and signed for.
    pub destroyed: Destroyed,
    /// The key that signed.
    pub signed_by: ReceiptKeyId,
    signature: [u8; SIGNATURE_LEN],
}

/// What was destroyed, when, by whom and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destroyed {
    /// Whether the whole key was, or some of its versions.
    pub extent: Extent,
    /// The tenant it belonged to.
    pub tenant: TenantName,
    /// The key's name. Once the whole key is destroyed it is free again.
    pub key: KeyName,
    /// The key's id, which no key gets again.
    pub id: KeyId,
    /// The algorithm's name, such as `xaes-256-gcm`.
    pub algorithm: String,
    /// The versions destroyed, oldest first. Of a whole key every one it ever listed, also those
    /// destroyed one by one before.
    pub versions: Vec<DestroyedVersion>,
    /// When the destruction became irrevocable, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Who destroyed it or, when the restore window of a key ran out, who had deleted it.
    pub by: String,
    /// Why, if they said so.
    pub reason: Option<String>,
}

/// How much of a key was destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Extent {
    /// All of it.
    Key,
    /// Some versions.
    Versions,
}

/// One version that was destroyed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DestroyedVersion {
    /// Its number.
    pub version: u32,
    /// See [`VersionInfo::fingerprint`](crate::VersionInfo::fingerprint).
    pub fingerprint: Option<String>,
}

impl Extent {
    /// The stable name: `key` or `versions`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Versions => "versions",
        }
    }
}

impl fmt::Display for Extent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Receipt {
    /// Signs for what was destroyed. Equal for equal destructions.
    pub(crate) fn sign(destroyed: Destroyed, key: &StoreKey) -> Self {
        let signed_by = ReceiptKey::of(key).id();
        let signature = key.sign(&statement::encode(&destroyed, signed_by));
        Self { destroyed, signed_by, signature }
    }

    /// Succeeds when the receipt is what the owner of `key` signed.
    ///
    /// Fails with [`ReceiptError::OtherKey`] when it says that another key signed it, and with
    /// [`ReceiptError::Forged`].
    pub fn verify(&self, key: &ReceiptKey) -> Result<(), ReceiptError> {
        if self.signed_by != key.id() {
            let (found, given) = (self.signed_by, key.id());
            return Err(ReceiptError::OtherKey { found, given });
        }
        let statement = statement::encode(&self.destroyed, self.signed_by);
        if key.verifies(&statement, &self.signature) { Ok(()) } else { Err(ReceiptError::Forged) }
    }

    /// Whether it is for this version.
    pub(crate) fn names(&self, version: u32) -> bool {
        self.destroyed.versions.iter().any(|gone| gone.version == version)
    }
}

#[cfg(test)]
mod tests;
