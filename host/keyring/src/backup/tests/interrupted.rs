use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use super::*;
use crate::backup::Conflict;
use crate::store::{Record, StoreError};

/// A store that stops taking writes after some, or stops answering after some reads.
pub(super) struct Faulty {
    below: Arc<MemoryStore>,
    writes: AtomicU64,
    reads: AtomicU64,
}

impl Faulty {
    fn after(below: Arc<MemoryStore>, writes: u64) -> Self {
        Self { below, writes: writes.into(), reads: u64::MAX.into() }
    }

    pub(super) fn stuck_at(below: Arc<MemoryStore>, reads: u64) -> Self {
        Self { below, writes: u64::MAX.into(), reads: reads.into() }
    }

    fn write(&self) -> Result<(), StoreError> {
        let step = |left: u64| left.checked_sub(1);
        let left = self.writes.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step);
        left.map(drop).map_err(|_| StoreError::Unavailable { reason: "a test".to_owned() })
    }
}

#[async_trait]
impl Store for Faulty {
    async fn get(&self, path: &str) -> Result<Option<Record>, StoreError> {
        let step = |left: u64| left.checked_sub(1);
        if self.reads.fetch_update(Ordering::SeqCst, Ordering::SeqCst, step).is_err() {
            std::future::pending::<()>().await;
        }
        self.below.get(path).await
    }

    async fn create(&self, path: &str, value: &[u8]) -> Result<u64, StoreError> {
        self.write()?;
        self.below.create(path, value).await
    }

    async fn replace(&self, path: &str, value: &[u8], at: u64) -> Result<u64, StoreError> {
        self.write()?;
        self.below.replace(path, value, at).await
    }

    async fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.write()?;
        self.below.delete(path).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.below.list(prefix).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Every key that is there can be used in every version that it lists.
async fn is_whole(store: &Arc<MemoryStore>) {
    let ring = ring(store);
    for tenant in ring.list_tenants().await.unwrap() {
        for key in ring.list_keys(&tenant).await.unwrap() {
            for info in key.versions().iter().filter(|info| info.destroyed.is_none()) {
                ring.version(&key, info.version).await.unwrap();
            }
            ring.key_by_id(&tenant, key.id()).await.unwrap();
        }
    }
}

/// Applies with a failure after each number of writes, and then again without.
async fn at_every_write(
    owner: &Owner,
    bytes: &[u8],
    conflict: Conflict,
    target: impl AsyncFn() -> Arc<MemoryStore>,
    expected: &BTreeMap<String, Vec<u8>>,
) {
    let restore = owner.open(bytes).await.unwrap();
    for writes in 0.. {
        let store = target().await;
        let faulty = Faulty::after(store.clone(), writes);
        let done = restore.apply(&faulty, conflict).await;
        is_whole(&store).await;
        if done.is_ok() {
            assert!(writes > 0 && contents(&*store).await == *expected);
            return;
        }
        assert_eq!(done.unwrap_err().code(), "store-unavailable");
        restore.apply(&*store, conflict).await.unwrap();
        is_whole(&store).await;
        // An index entry that leads to no key of that id may be left; it is found by nobody.
        let mut left = contents(&*store).await;
        left.retain(|path, _| expected.contains_key(path) || !path.contains("/key-ids/"));
        assert!(left == *expected, "after {writes} writes");
    }
}

#[tokio::test]
async fn a_restore_stopped_at_any_write_is_finished_by_the_next() {
    let (owner, source) = (Owner::new(), populated().await);
    let bytes = owner.all_of(&*source).await;
    let expected = contents(&*source).await;
    let empty = async || Arc::new(MemoryStore::default());
    at_every_write(&owner, &bytes, Conflict::Refuse, empty, &expected).await;
}

#[tokio::test]
async fn so_is_one_that_extends_keys() {
    let (owner, source) = (Owner::new(), populated().await);
    let old = owner.all_of(&*source).await;
    let before = ring(&source);
    rotate(&before, "demo", "orders").await;
    rotate(&before, "demo", "mail").await;
    let bytes = owner.all_of(&*source).await;
    // What the older store says is current stays.
    let tenant = tenant("demo");
    before.rollback(&tenant, &key("orders"), 3, "tests").await.unwrap();
    before.rollback(&tenant, &key("mail"), 1, "tests").await.unwrap();
    let same = |mut contents: BTreeMap<String, Vec<u8>>| {
        for value in contents.values_mut() {
            // Fields in one order, and without what only the source has seen: its own rotation.
            if let Ok(mut json) = serde_json::from_slice::<serde_json::Value>(value)
                && let Some(fields) = json.as_object_mut()
            {
                fields.remove("last_rotation");
                fields.remove("history");
                *value = serde_json::to_vec(&json).unwrap();
            }
        }
        contents
    };
    let restored = owner.open(&old).await.unwrap();
    let target = async || {
        let store = Arc::new(MemoryStore::default());
        restored.apply(&*store, Conflict::Refuse).await.unwrap();
        store
    };
    let store = target().await;
    owner.open(&bytes).await.unwrap().apply(&*store, Conflict::Refuse).await.unwrap();
    let expected = contents(&*store).await;
    assert_eq!(same(expected.clone()), same(contents(&*source).await));
    at_every_write(&owner, &bytes, Conflict::Refuse, target, &expected).await;
}

#[tokio::test]
async fn so_is_one_that_replaces_another_key() {
    let (owner, source) = (Owner::new(), populated().await);
    let bytes = owner.all_of(&*source).await;
    let expected = contents(&*source).await;
    let other = async || {
        let store = Arc::new(MemoryStore::default());
        let ring = ring(&store);
        ring.create_tenant(&tenant("demo")).await.unwrap();
        create(&ring, "demo", "orders").await;
        rotate(&ring, "demo", "orders").await;
        store
    };
    at_every_write(&owner, &bytes, Conflict::Replace, other, &expected).await;
}
