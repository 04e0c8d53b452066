//! The store as backups see it: with the components that are kept elsewhere.
//!
//! Where hosts share components in the key store, it has each in records below
//! `components/<digest>`. Where they are files of this host's or objects of a bucket, they are cut
//! into the same records here, so that a backup is complete wherever it is restored.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use keyward_keyring::store::{Record, Store, StoreError};

use super::ComponentDigest;
use super::components::{ComponentError, Components, Records};

const FOLDER: &str = "components/";

/// A store with all components. What the store has itself comes first.
pub struct BackedUp {
    store: Arc<dyn Store>,
    components: Arc<Components>,
    /// The component read last: its records are asked for one after the other.
    last: Mutex<Option<(String, Bytes)>>,
}

/// A place below `components/`.
struct Place<'a> {
    hex: &'a str,
    /// The record's number; `None`: the one that says how many there are.
    index: Option<usize>,
}

impl<'a> Place<'a> {
    fn of(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(FOLDER)?;
        let (hex, index) = match rest.split_once('/') {
            None => (rest, None),
            Some((hex, index)) => (hex, Some(index.parse().ok()?)),
        };
        let is_digest = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_digest.then_some(Self { hex, index })
    }
}

impl BackedUp {
    pub(super) fn new(store: Arc<dyn Store>, components: Arc<Components>) -> Self {
        Self { store, components, last: Mutex::new(None) }
    }

    /// The component from wherever it is. An error says that the backup goes without it.
    async fn component(&self, hex: &str) -> Result<Bytes, StoreError> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some((_, wasm)) = last.filter(|(last, _)| last == hex) {
            return Ok(wasm);
        }
        let path = PathBuf::from(format!("{FOLDER}{hex}"));
        let corrupted = |reason: String| StoreError::Corrupted { path: path.clone(), reason };
        let digest =
            ComponentDigest::from_hex(hex).map_err(|error| corrupted(error.to_string()))?;
        let wasm = self.components.read(&digest).await.map_err(|error| match error {
            ComponentError::Store(error) => error,
            error => corrupted(error.to_string()),
        })?;
        let read = Some((hex.to_owned(), wasm.clone()));
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(wasm)
    }
}

#[async_trait]
impl Store for BackedUp {
    async fn get(&self, path: &str) -> Result<Option<Record>, StoreError> {
        let found = self.store.get(path).await?;
        let (None, Some(Place { hex, index })) = (&found, Place::of(path)) else {
            return Ok(found);
        };
        let wasm = self.component(hex).await?;
        let records = Records::of(&wasm);
        let value = match index {
            Some(index) => records.chunk(index).map(|chunk| chunk.to_vec()),
            None => records.manifest().ok(),
        };
        Ok(value.map(|value| Record { value: value.into(), revision: 1 }))
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let found = self.store.list(prefix).await?;
        match Place::of(prefix) {
            Some(Place { hex, index: None }) if found.is_empty() => {
                // What cannot be read is named when the record itself is asked for.
                let Ok(wasm) = self.component(hex).await else { return Ok(found) };
                Ok((0..Records::of(&wasm).count()).map(|index| index.to_string()).collect())
            }
            _ => Ok(found),
        }
    }

    async fn create(&self, path: &str, value: &[u8]) -> Result<u64, StoreError> {
        self.store.create(path, value).await
    }

    async fn replace(&self, path: &str, value: &[u8], at: u64) -> Result<u64, StoreError> {
        self.store.replace(path, value, at).await
    }

    async fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.store.delete(path).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}

#[cfg(test)]
mod tests {

    use keyward_keyring::store::memory::MemoryStore;

    use super::super::components::Components;
    use super::*;

    #[tokio::test]
    async fn files_look_like_the_records_of_a_shared_store() {
        let wasm = Bytes::from(vec![3; 600_000]);
        let digest = ComponentDigest::of(&wasm);
        let folder = format!("components/{}", digest.hex());
        let (files, others) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let empty: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let shared: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let components = |dir: &tempfile::TempDir, store: &Arc<dyn Store>, is_shared| {
            Arc::new(Components::new(dir.path().into(), Arc::clone(store), is_shared, None))
        };
        let (here, there) = (components(&files, &empty, false), components(&others, &shared, true));
        here.keep(&digest, &wasm).await.unwrap();
        there.keep(&digest, &wasm).await.unwrap();
        assert!(empty.list("").await.unwrap().is_empty());
        let seen = BackedUp::new(Arc::clone(&empty), Arc::clone(&here));
        let names = seen.list(&folder).await.unwrap();
        assert_eq!(names, shared.list(&folder).await.unwrap());
        assert_eq!(names.len(), 3);
        for path in names.iter().map(|name| format!("{folder}/{name}")).chain([folder.clone()]) {
            let (here, there) = (seen.get(&path).await, shared.get(&path).await);
            assert_eq!(here.unwrap().unwrap().value, there.unwrap().unwrap().value, "{path}");
        }
        assert!(seen.get(&format!("{folder}/3")).await.unwrap().is_none());
        // A component that is gone or changed is no good to a backup.
        let path = files.path().join(format!("{}.wasm", digest.hex()));
        std::fs::write(&path, b"something else").unwrap();
        let seen = BackedUp::new(Arc::clone(&empty), Arc::clone(&here));
        assert!(matches!(seen.get(&folder).await, Err(StoreError::Corrupted { .. })));
    }
}
