//! Which store a backup comes from: an Ed25519 (RFC 8032) key that the store keeps for itself.
//!
//! Anybody can encrypt to a public key. The signature tells a backup of this store from what
//! somebody else made up. The key's record is `backup-origin`: format `0x01`, then the 32 bytes of
//! the seed. It is made at the first backup and is itself in none.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use super::error::BackupError;
use crate::store::{Store, StoreError};

pub(super) const PATH: &str = "backup-origin";
const FORMAT: u8 = 1;
const SEED_LEN: usize = 32;
pub(super) const SIGNATURE_LEN: usize = 64;
const LABEL: &[u8] = b"keyward backup origin v1\0";
const PREFIX: &str = "ed25519:";

/// A store as the origin of backups: its public key. As text `ed25519:` and 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin([u8; 32]);

impl Origin {
    pub(super) fn verifies(&self, digest: &[u8; 32], signature: &[u8]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        key.verify(&[LABEL, digest].concat(), signature).is_ok()
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
pub(super) struct Signer(Ed25519KeyPair);

impl Signer {
    /// The store's key, which is made if there is none.
    pub(super) async fn of(store: &dyn Store) -> Result<Self, BackupError> {
        if let Some(found) = store.get(PATH).await? {
            return Self::read(&found.value);
        }
        let mut value = Zeroizing::new([0; 1 + SEED_LEN]);
        keyward_crypto::random_bytes(&mut value[1..]).map_err(|_| StoreError::Random)?;
        value[0] = FORMAT;
        match store.create(PATH, value.as_slice()).await {
            Ok(_) => Self::read(value.as_slice()),
            // Another backup was faster.
            Err(StoreError::Exists { path }) => {
                let found = store.get(&path).await?;
                Self::read(&found.ok_or(BackupError::Changed { path })?.value)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The store as an origin, if it has made a backup before.
    pub(super) async fn known(store: &dyn Store) -> Result<Option<Origin>, BackupError> {
        let found = store.get(PATH).await?;
        found.map(|found| Self::read(&found.value).map(|signer| signer.origin())).transpose()
    }

    fn read(value: &[u8]) -> Result<Self, BackupError> {
        let damaged = || StoreError::Corrupted {
            path: PATH.into(),
            reason: "it is not a key for signing backups".to_owned(),
        };
        match value.split_first() {
            Some((&FORMAT, seed)) => {
                Ok(Self(Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| damaged())?))
            }
            _ => Err(damaged().into()),
        }
    }

    pub(super) fn origin(&self) -> Origin {
        let mut key = [0; 32];
        key.copy_from_slice(self.0.public_key().as_ref());
        Origin(key)
    }

    pub(super) fn sign(&self, digest: &[u8; 32]) -> [u8; SIGNATURE_LEN] {
        let mut signature = [0; SIGNATURE_LEN];
        signature.copy_from_slice(self.0.sign(&[LABEL, digest].concat()).as_ref());
        signature
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
