//! Which store a backup comes from: an Ed25519 (RFC 8032) key that the store keeps for itself.
//!
//! Anybody can encrypt to a public key. The signature tells a backup of this store from what
//! somebody else made up. The key is made at the first backup and is itself in none.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use super::error::BackupError;
use crate::store::Store;
pub(super) use crate::store_key::SIGNATURE_LEN;
use crate::store_key::{Purpose, StoreKey, verifies};

pub(super) const PATH: &str = "backup-origin";
static PURPOSE: Purpose =
    Purpose { path: PATH, label: b"keyward backup origin v1\0", name: "a key for signing backups" };
const PREFIX: &str = "ed25519:";

/// A store as the origin of backups: its public key. As text `ed25519:` and 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin([u8; 32]);

impl Origin {
    pub(super) fn verifies(&self, digest: &[u8; 32], signature: &[u8]) -> bool {
        verifies(&PURPOSE, &self.0, digest, signature)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", hex(&self.0))
    }
}

impl FromStr for Origin {
    type Err = BackupError;

    fn from_str(text: &str) -> Result<Self, BackupError> {
        let digits = text.strip_prefix(PREFIX).ok_or(BackupError::Origin)?;
        if digits.len() != 64 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(BackupError::Origin);
        }
        let mut key = [0; 32];
        for (index, byte) in key.iter_mut().enumerate() {
            let pair = &digits[2 * index..2 * index + 2];
            *byte = u8::from_str_radix(pair, 16).map_err(|_| BackupError::Origin)?;
        }
        Ok(Self(key))
    }
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The store's key for signing.
pub(super) struct Signer(StoreKey);

impl Signer {
    /// The store's key, which is made if there is none.
    pub(super) async fn of(store: &dyn Store) -> Result<Self, BackupError> {
        Ok(Self(StoreKey::of(store, &PURPOSE).await?))
    }

    /// The store as an origin, if it has made a backup before.
    pub(super) async fn known(store: &dyn Store) -> Result<Option<Origin>, BackupError> {
        let known = StoreKey::known(store, &PURPOSE).await?;
        Ok(known.map(|key| Self(key).origin()))
    }

    pub(super) fn origin(&self) -> Origin {
        Origin(self.0.public_key())
    }

    pub(super) fn sign(&self, digest: &[u8; 32]) -> [u8; SIGNATURE_LEN] {
        self.0.sign(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    #[tokio::test]
    async fn a_store_keeps_its_origin() {
        let store = MemoryStore::default();
        assert_eq!(Signer::known(&store).await.unwrap(), None);
        let signer = Signer::of(&store).await.unwrap();
        let origin = Signer::of(&store).await.unwrap().origin();
        assert_eq!(signer.origin(), origin);
        assert_eq!(Signer::known(&store).await.unwrap(), Some(origin));
        assert_eq!(origin.to_string().parse::<Origin>().unwrap(), origin);
        let signature = signer.sign(&[7; 32]);
        assert!(origin.verifies(&[7; 32], &signature));
        assert!(!origin.verifies(&[8; 32], &signature));
        let other = Signer::of(&MemoryStore::default()).await.unwrap().origin();
        assert!(other != origin && !other.verifies(&[7; 32], &signature));
    }

    #[test]
    fn only_origins_parse() {
        for bad in ["", "ed25519:", &format!("ed25519:{}", "é".repeat(32)), &"0".repeat(64)] {
            assert_eq!(bad.parse::<Origin>().unwrap_err().code(), "backup-origin-invalid");
        }
    }
}
