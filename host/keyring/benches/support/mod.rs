//! A store in memory that counts its reads.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use keyward_keyring::store::{Record, Store, StoreError};
use zeroize::Zeroizing;

/// The store. It checks no paths and is for measurements only.
#[derive(Default)]
pub struct CountingStore {
    records: Mutex<BTreeMap<String, (u64, Vec<u8>)>>,
    reads: AtomicU64,
}

impl CountingStore {
    /// How many reads there were so far.
    pub fn reads(&self) -> u64 {
        self.reads.load(Ordering::Relaxed)
    }

    fn records(&self) -> MutexGuard<'_, BTreeMap<String, (u64, Vec<u8>)>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Store for CountingStore {
    async fn get(&self, path: &str) -> Result<Option<Record>, StoreError> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        let records = self.records();
        let record = records.get(path).map(|(revision, value)| Record {
            value: Zeroizing::new(value.clone()),
            revision: *revision,
        });
        Ok(record)
    }

    async fn create(&self, path: &str, value: &[u8]) -> Result<u64, StoreError> {
        let mut records = self.records();
        if records.contains_key(path) {
            return Err(StoreError::Exists { path: path.to_owned() });
        }
        records.insert(path.to_owned(), (1, value.to_vec()));
        Ok(1)
    }

    async fn replace(&self, path: &str, value: &[u8], expected: u64) -> Result<u64, StoreError> {
        let mut records = self.records();
        let found = records.get(path).map(|(revision, _)| *revision);
        if found != Some(expected) {
            let path = path.to_owned();
            return Err(StoreError::RevisionMismatch { path, expected, found });
        }
        records.insert(path.to_owned(), (expected + 1, value.to_vec()));
        Ok(expected + 1)
    }

    async fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.records().remove(path);
        Ok(())
    }

    async fn list(&self, _: &str) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
