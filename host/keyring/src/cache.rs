//! What a keyring remembers, and for how long.
//!
//! Every entry comes from a single-flight load, and only successes are kept. Entries leave when
//! their time is up, when the cache is full, or when this keyring changes what they stand for.
//! An expanded version leaves memory, and wipes itself, with its entry or its last user.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use keyward_crypto::{KeyId, KeyVersion};
use moka::future::{Cache, CacheBuilder};

use crate::key::Key;
use crate::names::{KeyName, TenantName};

/// How much a keyring caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// How long an entry may be used after it was loaded. Another host's change is seen after at
    /// most this long.
    pub ttl: Duration,
    /// The most keys, and the most expanded key versions (about 2 KiB each), kept at a time.
    pub max_entries: u64,
}

impl Default for CacheConfig {
    /// 15 minutes, 10,000 entries.
    fn default() -> Self {
        Self { ttl: Duration::from_mins(15), max_entries: 10_000 }
    }
}

/// The shortest and the longest pause between two sweeps of expired entries.
const SWEEP: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(30));

pub(crate) type KeyCacheKey = (TenantName, KeyName);
pub(crate) type IdCacheKey = (TenantName, KeyId);
pub(crate) type VersionCacheKey = (TenantName, KeyId, u32);

/// Holds an expanded version for as long as its entry is in the cache. The cache itself frees
/// entries some time after it removed them; the slot is emptied at removal.
pub(crate) struct Slot(ArcSwapOption<KeyVersion>);

impl Slot {
    pub(crate) fn new(version: Arc<KeyVersion>) -> Arc<Self> {
        Arc::new(Self(ArcSwapOption::new(Some(version))))
    }

    /// The version, unless the entry was removed in this moment.
    pub(crate) fn version(&self) -> Option<Arc<KeyVersion>> {
        self.0.load_full()
    }
}

pub(crate) struct Caches {
    pub(crate) tenants: Cache<TenantName, ()>,
    pub(crate) keys: Cache<KeyCacheKey, Arc<Key>>,
    pub(crate) ids: Cache<IdCacheKey, KeyName>,
    pub(crate) versions: Cache<VersionCacheKey, Arc<Slot>>,
}

fn build<K, V>(config: &CacheConfig) -> CacheBuilder<K, V, Cache<K, V>>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder().time_to_live(config.ttl).max_capacity(config.max_entries)
}

impl Caches {
    /// Makes empty caches. Within a tokio runtime it also starts the task that drops expired
    /// entries when nothing else touches the caches; the task ends with them.
    pub(crate) fn new(config: &CacheConfig) -> Arc<Self> {
        let caches = Arc::new(Self {
            tenants: build(config).build(),
            keys: build(config).build(),
            ids: build(config).build(),
            versions: build(config)
                .eviction_listener(|_, slot: Arc<Slot>, _| slot.0.store(None))
                .build(),
        });
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let weak = Arc::downgrade(&caches);
            let pause = (config.ttl / 2).clamp(SWEEP.0, SWEEP.1);
            runtime.spawn(async move {
                loop {
                    tokio::time::sleep(pause).await;
                    let Some(caches) = weak.upgrade() else { return };
                    caches.sweep().await;
                }
            });
        }
        caches
    }

    /// Drops what has expired.
    pub(crate) async fn sweep(&self) {
        self.tenants.run_pending_tasks().await;
        self.keys.run_pending_tasks().await;
        self.ids.run_pending_tasks().await;
        self.versions.run_pending_tasks().await;
    }

    /// Forgets everything.
    pub(crate) async fn clear(&self) {
        self.tenants.invalidate_all();
        self.keys.invalidate_all();
        self.ids.invalidate_all();
        self.versions.invalidate_all();
        self.sweep().await;
    }
}
