use keyward_keyring::store::memory::MemoryStore;

use super::records::{CHUNK, folder};
use super::*;

fn components(dir: &tempfile::TempDir, store: &Arc<dyn Store>, shared: bool) -> Components {
    Components::new(dir.path().into(), Arc::clone(store), shared, None)
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::default())
}

#[tokio::test]
async fn another_host_finds_it_in_the_shared_store() {
    let store = memory();
    let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [here, there] = [0, 1].map(|n| components(&dirs[n], &store, true));
    let wasm = Bytes::from(vec![7; CHUNK * 2 + 1]);
    let digest = ComponentDigest::of(&wasm);
    assert!(matches!(there.read(&digest).await, Err(ComponentError::Unusable(_))));
    here.keep(&digest, &wasm).await.unwrap();
    assert_eq!(there.read(&digest).await.unwrap(), wasm);
    // From now on it has a file of its own.
    let alone = components(&dirs[1], &memory(), false);
    assert_eq!(alone.read(&digest).await.unwrap(), wasm);
}

#[tokio::test]
async fn what_was_changed_is_refused_and_repaired_by_keeping_it_again() {
    let (store, dir) = (memory(), tempfile::tempdir().unwrap());
    let components = components(&dir, &store, true);
    let wasm = Bytes::from_static(b"component");
    let digest = ComponentDigest::of(&wasm);
    components.keep(&digest, &wasm).await.unwrap();
    let chunk = format!("{}/0", folder(&digest));
    let revision = store.get(&chunk).await.unwrap().unwrap().revision;
    store.replace(&chunk, b"something else", revision).await.unwrap();
    std::fs::remove_file(components.files.path(&digest)).unwrap();
    assert!(matches!(components.read(&digest).await, Err(ComponentError::Unusable(_))));
    components.keep(&digest, &wasm).await.unwrap();
    std::fs::remove_file(components.files.path(&digest)).unwrap();
    assert_eq!(components.read(&digest).await.unwrap(), wasm);
}

#[tokio::test]
async fn what_is_removed_is_gone_here_and_there() {
    let (store, dir) = (memory(), tempfile::tempdir().unwrap());
    let components = components(&dir, &store, true);
    let wasm = Bytes::from(vec![7; CHUNK + 1]);
    let digest = ComponentDigest::of(&wasm);
    components.keep(&digest, &wasm).await.unwrap();
    for _ in 0..2 {
        components.remove(&digest).await.unwrap();
        assert!(matches!(components.read(&digest).await, Err(ComponentError::Unusable(_))));
        assert!(store.list("components").await.unwrap().is_empty());
        assert!(!components.files.path(&digest).exists());
    }
}

/// A bucket that can be taken away.
#[derive(Default)]
struct Shelf {
    kept: std::sync::Mutex<std::collections::HashMap<String, Bytes>>,
    away: std::sync::atomic::AtomicBool,
}

impl Shelf {
    fn open(
        &self,
    ) -> Result<std::sync::MutexGuard<'_, std::collections::HashMap<String, Bytes>>, ComponentError>
    {
        if self.away.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(ComponentError::Away("it does not answer".into()));
        }
        Ok(self.kept.lock().unwrap())
    }

    fn set_away(&self, away: bool) {
        self.away.store(away, std::sync::atomic::Ordering::Relaxed);
    }
}

#[async_trait]
impl Place for Shelf {
    async fn get(&self, digest: &ComponentDigest) -> Result<Option<Bytes>, ComponentError> {
        Ok(self.open()?.get(digest.hex()).cloned())
    }

    async fn put(&self, digest: &ComponentDigest, wasm: &Bytes) -> Result<(), ComponentError> {
        self.open()?.insert(digest.hex().to_owned(), wasm.clone());
        Ok(())
    }

    async fn delete(&self, digest: &ComponentDigest) -> Result<(), ComponentError> {
        self.open()?.remove(digest.hex());
        Ok(())
    }
}

#[tokio::test]
async fn a_bucket_is_asked_for_what_is_not_here_alone() {
    let (store, dir, shelf) = (memory(), tempfile::tempdir().unwrap(), Arc::new(Shelf::default()));
    let place: Arc<dyn Place> = shelf.clone();
    let components =
        Components { bucket: Some(place), in_records: false, ..components(&dir, &store, true) };
    let (wasm, other) = (Bytes::from_static(b"component"), Bytes::from_static(b"another"));
    let (digest, another) = (ComponentDigest::of(&wasm), ComponentDigest::of(&other));
    components.keep(&digest, &wasm).await.unwrap();
    assert!(store.list("components").await.unwrap().is_empty(), "it is in the bucket");
    shelf.put(&another, &other).await.unwrap();

    shelf.set_away(true);
    assert_eq!(components.read(&digest).await.unwrap(), wasm);
    assert!(matches!(components.read(&another).await, Err(ComponentError::Away(_))));
    assert!(matches!(components.keep(&another, &other).await, Err(ComponentError::Away(_))));
    // A backup brought it into the key store.
    components.records.put(&another, &other).await.unwrap();
    std::fs::remove_file(components.files.path(&another)).unwrap();
    assert_eq!(components.read(&another).await.unwrap(), other);

    shelf.set_away(false);
    shelf.put(&digest, &other).await.unwrap();
    assert_eq!(components.read(&digest).await.unwrap(), wasm, "what is here is what it was");
    std::fs::remove_file(components.files.path(&digest)).unwrap();
    let changed = components.read(&digest).await;
    assert!(matches!(changed, Err(ComponentError::Unusable(reason)) if reason.contains("changed")));
    components.keep(&digest, &wasm).await.unwrap();
    assert_eq!(shelf.get(&digest).await.unwrap(), Some(wasm), "repaired");
    components.remove(&another).await.unwrap();
    assert_eq!(shelf.get(&another).await.unwrap(), None);
    assert!(matches!(components.read(&another).await, Err(ComponentError::Unusable(_))));
}
