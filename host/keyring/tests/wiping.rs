//! Looks through the memory of its own process for key material that should be gone: after the
//! cache was cleared, after an entry expired, and after the key was destroyed.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)] // in the helpers of tests

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use keyward_crypto::Algorithm;
use keyward_keyring::embedded::{EmbeddedStore, RootKeySource};
use keyward_keyring::store::{Record, Store, StoreError};
use keyward_keyring::{CacheConfig, Keyring};
use zeroize::Zeroize;

/// What is looked for is never in memory itself.
const MASK: u8 = 0x5a;
const MATERIAL: usize = 32;

/// The embedded store, and what it was given as key material, masked.
struct Watched {
    store: EmbeddedStore,
    materials: Mutex<Vec<[u8; MATERIAL]>>,
}

#[async_trait]
impl Store for Watched {
    async fn get(&self, path: &str) -> Result<Option<Record>, StoreError> {
        self.store.get(path).await
    }

    async fn create(&self, path: &str, value: &[u8]) -> Result<u64, StoreError> {
        if path.contains("/versions/") {
            let secret = value.last_chunk::<MATERIAL>().unwrap();
            let masked = std::array::from_fn(|at| secret[at] ^ MASK);
            self.materials.lock().unwrap().push(masked);
        }
        self.store.create(path, value).await
    }

    async fn replace(&self, path: &str, value: &[u8], revision: u64) -> Result<u64, StoreError> {
        self.store.replace(path, value, revision).await
    }

    async fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.store.delete(path).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.store.list(prefix).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.store.ping().await
    }
}

/// How often `masked` stands, unmasked, in the memory this process may write to.
fn copies(masked: &[u8; MATERIAL]) -> usize {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = File::open("/proc/self/mem").unwrap();
    // Pieces overlap, so that nothing is missed between two.
    let mut piece = vec![0; 1 << 16];
    let mut found = 0;
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        let (range, rights) = (words.next().unwrap(), words.next().unwrap());
        if !rights.starts_with("rw") {
            continue;
        }
        let (from, to) = range.split_once('-').unwrap();
        let mut at = u64::from_str_radix(from, 16).unwrap();
        let end = u64::from_str_radix(to, 16).unwrap();
        while at < end {
            let length = piece.len().min(usize::try_from(end - at).unwrap());
            memory.seek(SeekFrom::Start(at)).unwrap();
            // What was unmapped meanwhile cannot be read, and holds nothing.
            let Ok(read) = memory.read(&mut piece[..length]) else { break };
            found += piece[..read]
                .windows(MATERIAL)
                .filter(|window| window.iter().zip(masked).all(|(byte, m)| byte ^ MASK == *m))
                .count();
            piece.as_mut_slice().zeroize();
            if read < MATERIAL || at + read as u64 >= end {
                break;
            }
            at += (read - MATERIAL + 1) as u64;
        }
    }
    found
}

/// Waits, up to five seconds, until there is no copy left.
async fn gone(masked: &[u8; MATERIAL]) -> bool {
    for _ in 0..50 {
        if copies(masked) == 0 {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn material_leaves_memory_with_its_entry() {
    let dir = tempfile::tempdir().unwrap();
    let source = RootKeySource::File(dir.path().join("root.key"));
    let store = EmbeddedStore::open(dir.path(), &source).unwrap();
    let store = Arc::new(Watched { store, materials: Mutex::new(Vec::new()) });
    let config = CacheConfig {
        ttl: Duration::from_secs(4),
        sweep: Duration::from_millis(100),
        refresh_ahead: false,
        ..CacheConfig::default()
    };
    let keyring = Keyring::new(Arc::clone(&store) as Arc<dyn Store>, config);
    let tenant = "demo".parse().unwrap();
    keyring.create_tenant(&tenant).await.unwrap();
    for name in ["cleared", "expired", "destroyed"] {
        let name = name.parse().unwrap();
        let key = keyring
            .create_key(&tenant, &name, Algorithm::XAes256Gcm, BTreeMap::new(), "test")
            .await
            .unwrap();
        let masked = *store.materials.lock().unwrap().last().unwrap();
        let version = keyring.version(&key, 1).await.unwrap();
        assert!(copies(&masked) > 0, "{name}: the search finds nothing");
        drop((key, version));
        match name.as_str() {
            "cleared" => drop(keyring.clear_cache().await),
            "destroyed" => drop(keyring.destroy_key(&tenant, &name, "test").await.unwrap()),
            _ => tokio::time::sleep(Duration::from_secs(4)).await,
        }
        keyring.sweep().await;
        assert!(gone(&masked).await, "{name}: {} copies", copies(&masked));
    }
}
