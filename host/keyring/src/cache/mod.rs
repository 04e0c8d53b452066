//! What a keyring remembers, and for how long.
//!
//! A key's entry holds its metadata and, once they were used, its
//! expanded versions; each has a life of its own from its own load. An entry leaves when its time
//! is up, when the cache is full, or when it is known to have changed. At that moment its versions
//! are let go of, and each wipes itself with its last user.
//!
//! What does not exist is remembered as absent, for a second at most ([`Absences`]): keys by name
//! and by id, and that the metadata of a key lists no more versions than are known.
//!
//! A change that comes while a load is under way revokes that load's result: it may still reach
//! those who asked before the change, and is never cached.

mod absent;
mod config;
mod entry;
mod life;
mod lookup;
mod snapshot;
mod statistics;
mod tenant;
mod weight;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use moka::future::Cache;
use moka::notification::RemovalCause;
use moka::ops::compute::Op;

pub(crate) use self::absent::Absent;
pub use self::config::CacheConfig;
pub(crate) use self::entry::{Cached, Keep, Slot};
pub(crate) use self::life::{Away, Clock, Life, millis};
pub(crate) use self::lookup::{ById, ByName};
pub use self::statistics::{CacheStatistics, Histogram};
pub(crate) use self::statistics::{Counters, count, read};
pub(crate) use self::tenant::{Outdated, TenantState};
use crate::absence::{Absences, Begun};
use crate::flight::Flights;
use crate::key::Key;
use crate::names::{KeyName, TenantName};

/// The shortest pause between two sweeps.
const SHORTEST_SWEEP: Duration = Duration::from_millis(10);

/// Of the bytes there are, one in this many is for the names of keys by their ids, and one for
/// tenants.
const SHARE_OF_NAMES: u64 = 8;
const SHARE_OF_TENANTS: u64 = 32;

type KeyCacheKey = (TenantName, KeyName);
type IdCacheKey = (TenantName, keyward_crypto::KeyId);

pub(crate) struct Caches {
    pub(crate) config: CacheConfig,
    pub(crate) clock: Clock,
    pub(crate) counters: Arc<Counters>,
    pub(crate) away: Away,
    /// How often everything was forgotten.
    epoch: AtomicU64,
    pub(crate) keys: Cache<KeyCacheKey, Arc<Key>>,
    pub(crate) key_loads: Arc<Flights<KeyCacheKey, Arc<Keep>, Arc<Key>>>,
    /// The name of each key by its id. That the key has this id its metadata confirms, so a name
    /// needs no life of its own.
    pub(crate) ids: Cache<IdCacheKey, KeyName>,
    /// What was not there.
    pub(crate) absences: Absences<Absent>,
    /// Reads of metadata past the cache, for versions it does not list.
    pub(crate) reads: Arc<Flights<KeyCacheKey, (), (Begun, Arc<Key>)>>,
    pub(crate) tenants: Cache<TenantName, Arc<TenantState>>,
    pub(crate) tenant_loads: Arc<Flights<TenantName, Arc<Outdated>, Arc<TenantState>>>,
    /// Every tenant that the cache or one of its keys holds.
    known_tenants: Mutex<HashMap<TenantName, Weak<TenantState>>>,
}

impl Caches {
    /// Makes empty caches. Within a tokio runtime it also starts the task that drops what has
    /// expired; the task ends with them.
    pub(crate) fn new(config: &CacheConfig) -> Arc<Self> {
        let counters = Arc::new(Counters::default());
        let of_names = config.max_bytes / SHARE_OF_NAMES;
        let of_tenants = config.max_bytes / SHARE_OF_TENANTS;
        let evicted = counters.clone();
        let caches = Arc::new(Self {
            config: *config,
            clock: Clock::new(),
            counters,
            away: Away::default(),
            epoch: AtomicU64::new(0),
            keys: Cache::builder()
                .max_capacity(config.max_bytes.saturating_sub(of_names + of_tenants))
                .weigher(|_, key: &Arc<Key>| weight::of_key(key))
                .eviction_listener(move |_, key: Arc<Key>, cause| {
                    if cause == RemovalCause::Size {
                        count(&evicted.evictions);
                    }
                    // A reload replaces the metadata and takes over the versions.
                    if cause != RemovalCause::Replaced
                        && let Some(cached) = &key.cached
                    {
                        cached.keep.close();
                    }
                })
                .build(),
            key_loads: Flights::new(),
            ids: Cache::builder()
                .max_capacity(of_names)
                .weigher(|(tenant, _): &IdCacheKey, name: &KeyName| weight::of_name(tenant, name))
                .build(),
            absences: Absences::default(),
            reads: Flights::new(),
            tenants: Cache::builder()
                .max_capacity(of_tenants)
                .weigher(|name: &TenantName, _| weight::of_tenant(name))
                .build(),
            tenant_loads: Flights::new(),
            known_tenants: Mutex::default(),
        });
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let weak = Arc::downgrade(&caches);
            let longest = config.sweep.min(config.ttl).max(SHORTEST_SWEEP);
            let shortest = (config.sweep / 60).max(SHORTEST_SWEEP).min(longest);
            runtime.spawn(async move {
                let mut pause = longest;
                loop {
                    tokio::time::sleep(pause).await;
                    let Some(caches) = weak.upgrade() else { return };
                    let next = caches.sweep().await.unwrap_or(longest);
                    pause = next.clamp(shortest, longest);
                }
            });
        }
        caches
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::SeqCst)
    }

    /// Whether what `keep` stands for may be used: nothing is known to have changed since.
    pub(crate) fn is_valid(&self, keep: &Keep) -> bool {
        keep.epoch() == self.epoch() && !keep.is_revoked()
    }

    /// Caches a key that was loaded, unless it was revoked meanwhile.
    pub(crate) async fn put(&self, key: &Arc<Key>) {
        let Some(cached) = &key.cached else { return };
        self.keys
            .entry((key.tenant.clone(), key.name.clone()))
            .and_compute_with(|_| {
                let valid = self.is_valid(&cached.keep) && cached.keep.is_open();
                let op = if valid { Op::Put(key.clone()) } else { Op::Nop };
                std::future::ready(op)
            })
            .await;
        if !self.is_valid(&cached.keep) {
            self.remove_if(key, |now| same_keep(now, key)).await;
        }
    }

    /// Tells the cache that the entry has gained a version, and weighs more. A version that the
    /// metadata cached by now no longer lets be used is let go of again.
    pub(crate) async fn gained(&self, key: &Key, version: u32) {
        let entry = self.keys.entry((key.tenant.clone(), key.name.clone()));
        entry
            .and_compute_with(|found| {
                let found = found.map(moka::Entry::into_value);
                let op = match found.filter(|found| same_keep(found, key)) {
                    Some(found) => {
                        if let Some(cached) = &found.cached
                            && !found.is_usable(version)
                        {
                            cached.keep.retain(|slot| slot.number != version);
                        }
                        Op::Put(found)
                    }
                    None => Op::Nop,
                };
                std::future::ready(op)
            })
            .await;
    }

    async fn remove_if(&self, key: &Key, condition: impl Fn(&Key) -> bool) -> bool {
        let entry = self.keys.entry((key.tenant.clone(), key.name.clone()));
        let done = entry
            .and_compute_with(|found| {
                let remove = found.is_some_and(|found| condition(found.value()));
                std::future::ready(if remove { Op::Remove } else { Op::Nop })
            })
            .await;
        matches!(done, moka::ops::compute::CompResult::Removed(_))
    }

    /// Forgets a key that changed. What a load under way finds is not cached.
    pub(crate) async fn forget_key(&self, tenant: &TenantName, name: &KeyName) {
        let entry = (tenant.clone(), name.clone());
        self.reads.cancel(&entry);
        if let Some(keep) = self.key_loads.cancel(&entry) {
            keep.revoke();
        }
        if let Some(key) = self.keys.remove(&entry).await
            && let Some(cached) = &key.cached
        {
            cached.keep.revoke();
        }
        let (tenant, name) = entry;
        self.absences.forget(&Absent::Key(tenant.clone(), name.clone()));
        self.absences.forget(&Absent::MoreVersions(tenant, name));
    }

    /// The one state of this tenant, made if there is none.
    pub(crate) fn tenant_state(&self, tenant: &TenantName) -> Arc<TenantState> {
        let mut known = self.known_tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(state) = known.get(tenant).and_then(Weak::upgrade) {
            return state;
        }
        let life = Life::begin(self.clock.now(), Duration::ZERO);
        let state = TenantState::new(tenant.clone(), life);
        known.insert(tenant.clone(), Arc::downgrade(&state));
        state
    }

    /// What is known of this tenant, if anything of it is cached.
    pub(crate) fn known_tenant(&self, tenant: &TenantName) -> Option<Arc<TenantState>> {
        let known = self.known_tenants.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(tenant).and_then(Weak::upgrade)
    }

    /// Whether anything is cached of this tenant.
    pub(crate) fn knows_tenant(&self, tenant: &TenantName) -> bool {
        self.known_tenant(tenant).is_some()
    }

    /// Drops what has expired. Returns how long from now the next thing expires.
    pub(crate) async fn sweep(&self) -> Option<Duration> {
        let now = self.clock.now();
        let mut next: Option<u64> = None;
        for (_, key) in &self.keys {
            let Some(cached) = &key.cached else { continue };
            let window = cached.tenant.window(self.config.default_outage);
            let end = cached.life.expires.saturating_add(millis(window));
            if now >= end {
                if self.remove_if(&key, |found| std::ptr::eq(found, &raw const *key)).await {
                    count(&self.counters.expirations);
                }
                continue;
            }
            let end = cached.keep.expire(now, window).unwrap_or(end).min(end);
            next = Some(next.map_or(end, |next| next.min(end)));
        }
        self.run_pending_tasks().await;
        self.known_tenants
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|_, state| state.strong_count() > 0);
        next.map(|end| Duration::from_millis(end - now))
    }

    async fn run_pending_tasks(&self) {
        self.keys.run_pending_tasks().await;
        self.ids.run_pending_tasks().await;
        self.tenants.run_pending_tasks().await;
    }

    /// Forgets everything, loads under way included.
    pub(crate) async fn clear(&self) {
        self.epoch.fetch_add(1, Ordering::SeqCst);
        for (_, key) in &self.keys {
            if let Some(cached) = &key.cached {
                cached.keep.revoke();
            }
        }
        self.keys.invalidate_all();
        self.ids.invalidate_all();
        self.tenants.invalidate_all();
        self.absences.forget_all();
        self.run_pending_tasks().await;
    }
}

fn same_keep(one: &Key, other: &Key) -> bool {
    match (&one.cached, &other.cached) {
        (Some(one), Some(other)) => Arc::ptr_eq(&one.keep, &other.keep),
        _ => false,
    }
}
