//! A key that is changed at a given moment while it is being read.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;

use super::*;
use crate::backup::Conflict;
use crate::store::{Record, StoreError};

const KEY: &str = "tenants/demo/keys/mail";

/// Rotates the key `mail` and destroys the version before, just before the given read of a path.
struct Meddling {
    below: Arc<MemoryStore>,
    /// The path, and how many reads of it come before.
    before: (&'static str, usize),
    reads: AtomicUsize,
    key_reads: AtomicUsize,
}

impl Meddling {
    async fn meddle(&self) {
        let ring = ring(&self.below);
        let last = rotate(&ring, "demo", "mail").await - 1;
        destroy(&ring, "demo", "mail", last).await;
    }
}

#[async_trait]
impl Store for Meddling {
    async fn get(&self, path: &str) -> Result<Option<Record>, StoreError> {
        let (watched, reads) = self.before;
        if path == watched && self.reads.fetch_add(1, Ordering::SeqCst) == reads {
            self.meddle().await;
        }
        if path == KEY {
            self.key_reads.fetch_add(1, Ordering::SeqCst);
        }
        self.below.get(path).await
    }

    async fn create(&self, path: &str, value: &[u8]) -> Result<u64, StoreError> {
        self.below.create(path, value).await
    }

    async fn replace(&self, path: &str, value: &[u8], at: u64) -> Result<u64, StoreError> {
        self.below.replace(path, value, at).await
    }

    async fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.below.delete(path).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.below.list(prefix).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Backs a store up that changes before this read. Gives how often the metadata was read, and
/// whether the backup has the key as it was after the change, with nothing of what was destroyed.
async fn back_up(before: (&'static str, usize)) -> (usize, bool) {
    let (owner, below) = (Owner::new(), populated().await);
    let (reads, key_reads) = Default::default();
    let store = Meddling { below: below.clone(), before, reads, key_reads };
    let (bytes, report) = owner.back_up(&store, &Scope::All).await;
    assert!(report.damaged.is_empty(), "{:?}", report.damaged);
    let target = Arc::new(MemoryStore::default());
    owner.open(&bytes).await.unwrap().apply(&*target, Conflict::Refuse).await.unwrap();
    let material = |version| format!("{KEY}/versions/{version}");
    let saved = target.get(KEY).await.unwrap().unwrap().value;
    let is_new = saved == below.get(KEY).await.unwrap().unwrap().value
        && target.get(&material(1)).await.unwrap().is_none()
        && target.get(&material(2)).await.unwrap().is_some();
    (store.key_reads.into_inner(), is_new)
}

/// The metadata is looked at again after the material; what moved in between is read anew, and the
/// last look finds it at rest.
#[tokio::test]
async fn a_key_that_moved_while_it_was_read_is_read_again() {
    let material = "tenants/demo/keys/mail/versions/1";
    for before in [(KEY, 1), (material, 0)] {
        assert_eq!(back_up(before).await, (3, true), "{before:?}");
    }
    // At rest, two looks are enough.
    assert_eq!(back_up(("nothing", 0)).await.0, 2);
}
