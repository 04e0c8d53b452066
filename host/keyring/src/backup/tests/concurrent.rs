use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::*;
use crate::backup::Conflict;
use crate::store::{Record, StoreError};

/// A store that lets others run between any two calls.
struct Yielding(Arc<MemoryStore>);

#[async_trait]
impl Store for Yielding {
    async fn get(&self, path: &str) -> Result<Option<Record>, StoreError> {
        tokio::task::yield_now().await;
        self.0.get(path).await
    }

    async fn create(&self, path: &str, value: &[u8]) -> Result<u64, StoreError> {
        tokio::task::yield_now().await;
        self.0.create(path, value).await
    }

    async fn replace(&self, path: &str, value: &[u8], at: u64) -> Result<u64, StoreError> {
        tokio::task::yield_now().await;
        self.0.replace(path, value, at).await
    }

    async fn delete(&self, path: &str) -> Result<(), StoreError> {
        tokio::task::yield_now().await;
        self.0.delete(path).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        tokio::task::yield_now().await;
        self.0.list(prefix).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[tokio::test]
async fn keys_that_change_all_the_time_are_saved_whole() {
    let (owner, store) = (Owner::new(), populated().await);
    let done = Arc::new(AtomicBool::new(false));
    let changing = ["orders", "mail"].map(|name| {
        let (ring, done) = (ring(&store), done.clone());
        tokio::spawn(async move {
            let mut last = rotate(&ring, "demo", name).await;
            // Metadata that has grown large takes longer to read here than a rotation does.
            while !done.load(Ordering::SeqCst) && last < 100 {
                let next = rotate(&ring, "demo", name).await;
                destroy(&ring, "demo", name, last).await;
                last = next;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            last
        })
    });
    let slow = Arc::new(Yielding(store.clone()));
    for _ in 0..10 {
        let (bytes, report) = owner.back_up(&*slow, &Scope::All).await;
        assert!(report.damaged.is_empty(), "{:?}", report.damaged);
        let target = Arc::new(MemoryStore::default());
        let restore = owner.open(&bytes).await.unwrap();
        restore.apply(&*target, Conflict::Refuse).await.unwrap();
        let restored = ring(&target);
        for key in restored.list_keys(&tenant("demo")).await.unwrap() {
            for info in key.versions() {
                let version = restored.version(&key, info.version).await;
                assert_eq!(version.is_err(), info.destroyed.is_some());
            }
            // Of a destroyed version nothing is in the backup.
            let kept = target.list(&format!("tenants/demo/keys/{}/versions", key.name())).await;
            let alive = key.versions().iter().filter(|info| info.destroyed.is_none());
            assert_eq!(kept.unwrap().len(), alive.count());
        }
    }
    done.store(true, Ordering::SeqCst);
    for task in changing {
        assert!(task.await.unwrap() > 5);
    }
}

#[tokio::test]
async fn nobody_finds_a_key_half_restored() {
    let (owner, source) = (Owner::new(), populated().await);
    let there = ring(&source);
    let old = owner.all_of(&*source).await;
    for _ in 0..30 {
        rotate(&there, "demo", "mail").await;
        create(&there, "demo", &format!("k{}", rotate(&there, "demo", "orders").await)).await;
    }
    let bytes = owner.all_of(&*source).await;
    for start in [None, Some(&old)] {
        let target = Arc::new(MemoryStore::default());
        if let Some(old) = start {
            let restore = owner.open(old).await.unwrap();
            restore.apply(&*target, Conflict::Refuse).await.unwrap();
        }
        let done = Arc::new(AtomicBool::new(false));
        let reading = {
            let (target, done) = (target.clone(), done.clone());
            tokio::spawn(async move {
                let mut seen = std::collections::BTreeSet::new();
                while !done.load(Ordering::SeqCst) {
                    // Nothing is cached in a new one.
                    let ring = ring(&target);
                    for name in target.list("tenants/demo/keys").await.unwrap() {
                        let Ok(name) = name.parse::<KeyName>() else { continue };
                        let Ok(key) = ring.history(&tenant("demo"), &name).await else { continue };
                        for info in key.versions().iter().filter(|info| info.destroyed.is_none()) {
                            let path =
                                format!("tenants/demo/keys/{name}/versions/{}", info.version);
                            assert!(target.get(&path).await.unwrap().is_some(), "{path}");
                        }
                        let id = format!("tenants/demo/key-ids/{}", key.id());
                        assert!(target.get(&id).await.unwrap().is_some(), "{id}");
                        seen.insert((name, key.versions().len()));
                    }
                    tokio::task::yield_now().await;
                }
                seen.len()
            })
        };
        let restore = owner.open(&bytes).await.unwrap();
        restore.apply(&Yielding(target.clone()), Conflict::Refuse).await.unwrap();
        done.store(true, Ordering::SeqCst);
        assert!(reading.await.unwrap() > 2);
        assert!(restore.plan(&*target).await.unwrap().is_empty());
    }
}
