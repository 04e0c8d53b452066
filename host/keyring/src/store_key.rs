//! Ed25519 (RFC 8032) keys that a store keeps for itself, each for one purpose.
//!
//! A key's record is format `0x01`, then the 32 bytes of the seed. It is made when it is first
//! needed, by whoever is first, and is in no backup: a restored store is another store. What is
//! signed begins with the purpose's label, so that no signature of one purpose is one of another.

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use zeroize::Zeroizing;

use crate::store::{Store, StoreError};

const FORMAT: u8 = 1;
const SEED_LEN: usize = 32;
/// The length of a signature in bytes.
pub(crate) const SIGNATURE_LEN: usize = 64;

/// What a key of the store is for.
#[derive(Debug)]
pub(crate) struct Purpose {
    /// Where its record is.
    pub(crate) path: &'static str,
    /// What every message begins with; ends with NUL.
    pub(crate) label: &'static [u8],
    /// What its damaged record should have been, for people.
    pub(crate) name: &'static str,
}

/// A key of the store. AWS-LC wipes the private half when it is freed.
pub(crate) struct StoreKey {
    purpose: &'static Purpose,
    pair: Ed25519KeyPair,
}

impl StoreKey {
    /// The store's key, which is made if there is none.
    pub(crate) async fn of(
        store: &dyn Store,
        purpose: &'static Purpose,
    ) -> Result<Self, StoreError> {
        if let Some(known) = Self::known(store, purpose).await? {
            return Ok(known);
        }
        let mut value = Zeroizing::new([0; 1 + SEED_LEN]);
        keyward_crypto::random_bytes(&mut value[1..]).map_err(|_| StoreError::Random)?;
        value[0] = FORMAT;
        match store.create(purpose.path, value.as_slice()).await {
            Ok(_) => Self::read(purpose, value.as_slice()),
            // Somebody else was faster.
            Err(error @ StoreError::Exists { .. }) => {
                Self::known(store, purpose).await?.ok_or(error)
            }
            Err(error) => Err(error),
        }
    }

    /// The store's key, if there is one.
    pub(crate) async fn known(
        store: &dyn Store,
        purpose: &'static Purpose,
    ) -> Result<Option<Self>, StoreError> {
        let found = store.get(purpose.path).await?;
        found.map(|found| Self::read(purpose, &found.value)).transpose()
    }

    fn read(purpose: &'static Purpose, value: &[u8]) -> Result<Self, StoreError> {
        let seed = value.split_first().filter(|(format, _)| **format == FORMAT);
        let pair = seed.and_then(|(_, seed)| Ed25519KeyPair::from_seed_unchecked(seed).ok());
        let pair = pair.ok_or_else(|| StoreError::Corrupted {
            path: purpose.path.into(),
            reason: format!("it is not {}", purpose.name),
        })?;
        Ok(Self { purpose, pair })
    }

    pub(crate) fn public_key(&self) -> [u8; 32] {
        let mut key = [0; 32];
        key.copy_from_slice(self.pair.public_key().as_ref());
        key
    }

    /// The signature of the purpose's label and `message`. Equal for equal messages.
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; SIGNATURE_LEN] {
        let mut signature = [0; SIGNATURE_LEN];
        let made = self.pair.sign(&[self.purpose.label, message].concat());
        signature.copy_from_slice(made.as_ref());
        signature
    }
}

/// Whether `signature` is one of the purpose's label and `message` by the owner of `public_key`.
pub(crate) fn verifies(
    purpose: &Purpose,
    public_key: &[u8; 32],
    message: &[u8],
    signature: &[u8],
) -> bool {
    let key = UnparsedPublicKey::new(&ED25519, public_key);
    key.verify(&[purpose.label, message].concat(), signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::memory::MemoryStore;

    const ONE: Purpose = Purpose { path: "one", label: b"one\0", name: "the first" };
    const OTHER: Purpose = Purpose { path: "other", label: b"other\0", name: "the second" };

    #[tokio::test]
    async fn a_store_keeps_a_key_for_each_purpose() {
        let store = MemoryStore::default();
        assert!(StoreKey::known(&store, &ONE).await.unwrap().is_none());
        let key = StoreKey::of(&store, &ONE).await.unwrap();
        let public = key.public_key();
        assert_eq!(StoreKey::of(&store, &ONE).await.unwrap().public_key(), public);
        let known = StoreKey::known(&store, &ONE).await.unwrap();
        assert_eq!(known.map(|key| key.public_key()), Some(public));
        let other = StoreKey::of(&store, &OTHER).await.unwrap().public_key();
        let elsewhere = StoreKey::of(&MemoryStore::default(), &ONE).await.unwrap().public_key();
        assert!(public != other && public != elsewhere);

        let signature = key.sign(b"text");
        assert_eq!(key.sign(b"text"), signature);
        assert!(verifies(&ONE, &public, b"text", &signature));
        assert!(!verifies(&ONE, &public, b"Text", &signature));
        assert!(!verifies(&OTHER, &public, b"text", &signature));
        assert!(!verifies(&ONE, &elsewhere, b"text", &signature));
        assert!(!verifies(&ONE, &public, b"text", &signature[..63]));
    }

    /// Of several that make the key at once all get the same.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_key_is_made_once() {
        for _ in 0..20 {
            let store = std::sync::Arc::new(MemoryStore::default());
            let made = (0..8).map(|_| {
                let store = store.clone();
                tokio::spawn(async move { StoreKey::of(&*store, &ONE).await.unwrap().public_key() })
            });
            let mut keys = std::collections::HashSet::new();
            for key in made.collect::<Vec<_>>() {
                keys.insert(key.await.unwrap());
            }
            assert_eq!(keys.len(), 1);
        }
    }

    #[tokio::test]
    async fn a_damaged_key_is_said_and_not_replaced() {
        for damaged in [&[][..], &[1; 32], &[1; 34], &[2; 33]] {
            let store = MemoryStore::default();
            store.create("one", damaged).await.unwrap();
            let error = StoreKey::of(&store, &ONE).await.err().unwrap();
            assert!(error.to_string().contains("one is damaged (it is not the first)"), "{error}");
            assert_eq!(store.get("one").await.unwrap().unwrap().value.as_slice(), damaged);
        }
    }
}
