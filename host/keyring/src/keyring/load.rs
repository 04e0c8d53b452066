//! Reading keys through the cache. A hit takes no lock, copies no name, and clones one `Arc`.

use std::sync::Arc;
use std::time::Instant;

use keyward_crypto::KeyId;

use super::Inner;
use crate::absence::Begun;
use crate::cache::{Absent, ById, ByName, Cached, Keep, Life, count};
use crate::change::Change;
use crate::error::KeyringError;
use crate::flight::Loading;
use crate::key::Key;
use crate::names::{KeyName, TenantName};
use crate::record::{self, Entry};

/// How often to replace an outdated entry before leaving it out.
const PUBLISH_ATTEMPTS: usize = 8;

impl Inner {
    pub(super) async fn key(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
    ) -> Result<Arc<Key>, KeyringError> {
        let caches = &self.caches;
        if let Some(key) = caches.keys.get(&ByName(tenant, name)).await
            && let Some(cached) = &key.cached
            && caches.is_valid(&cached.keep)
        {
            let now = caches.clock.now();
            cached.keep.touch(now);
            count(&cached.tenant.accesses);
            if now < cached.life.ages {
                caches.counters.hits.count();
                return Ok(key);
            }
            return Box::pin(self.late_key(key.clone(), cached)).await;
        }
        if caches.absences.has(&Absent::Key(tenant.clone(), name.clone())) {
            caches.counters.hits.count();
            return Err(KeyringError::KeyNotFound { key: name.to_string() });
        }
        count(&caches.counters.misses);
        let key = self.load_key(tenant, name, None).await?;
        if let Some(cached) = &key.cached {
            cached.keep.touch(caches.clock.now());
            count(&cached.tenant.accesses);
        }
        Ok(key)
    }

    async fn late_key(
        self: &Arc<Self>,
        key: Arc<Key>,
        cached: &Cached,
    ) -> Result<Arc<Key>, KeyringError> {
        let window = cached.tenant.window(self.caches.config.default_outage);
        let old = key.clone();
        let load = || self.load_key(&old.tenant, &old.name, Some(old.clone()));
        let (served, answer) = self.late(&cached.life, window, key, load).await;
        self.tally(served);
        answer
    }

    /// Loads the key from the store, or joins the load under way. `old` is the entry it renews.
    pub(super) fn load_key(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        old: Option<Arc<Key>>,
    ) -> Loading<Arc<Key>> {
        let entry = (tenant.clone(), name.clone());
        self.caches.key_loads.join(&entry, || {
            let old = old.and_then(|key| key.cached.clone().map(|cached| (key.id, cached)));
            let keep = match &old {
                Some((_, cached)) => cached.keep.clone(),
                None => Keep::new(self.caches.epoch()),
            };
            let (inner, under) = (self.clone(), keep.clone());
            let (tenant, name) = entry.clone();
            let load = async move {
                // A load that ended since the caller looked has cached what is wanted.
                if let Some(key) = inner.young_key(&tenant, &name).await {
                    return Ok(key);
                }
                let (begun, asked) = (Instant::now(), inner.caches.absences.begin());
                let found = tokio::try_join!(inner.read_key(&tenant, &name), inner.tenant(&tenant));
                inner.loaded(begun, found.as_ref().err());
                let caches = &inner.caches;
                if let Err(KeyringError::KeyNotFound { .. }) = found {
                    caches.absences.note(Absent::Key(tenant.clone(), name.clone()), asked);
                }
                match (found, old) {
                    (Ok((mut key, state)), old) => {
                        if old.is_some_and(|(id, _)| id != key.id) {
                            // Another key under the same name: nothing of the old one is kept.
                            caches.forget_key(&tenant, &name).await;
                            return Ok(Arc::new(key));
                        }
                        keep.retain(|slot| key.check_kept().is_ok() && key.is_in_use(slot.number));
                        let life = Life::begin(caches.clock.now(), caches.config.ttl);
                        key.cached = Some(Cached { life: Arc::new(life), keep, tenant: state });
                        let key = Arc::new(key);
                        caches.put(&key).await;
                        Ok(key)
                    }
                    (Err(error), Some((_, old))) => {
                        if error.is_unavailable() {
                            old.life.failed(caches.clock.now());
                        } else if matches!(error, KeyringError::KeyNotFound { .. }) {
                            caches.forget_key(&tenant, &name).await;
                        }
                        Err(error)
                    }
                    (Err(error), None) => Err(error),
                }
            };
            (under, load)
        })
    }

    /// The key, if it is cached and has not aged.
    async fn young_key(&self, tenant: &TenantName, name: &KeyName) -> Option<Arc<Key>> {
        let key = self.caches.keys.get(&ByName(tenant, name)).await?;
        let cached = key.cached.as_ref()?;
        let is_young = self.caches.clock.now() < cached.life.ages;
        (is_young && self.caches.is_valid(&cached.keep)).then(|| key.clone())
    }

    /// Reads what there is under the key's name from the store, if anything.
    pub(super) async fn read_entry(
        &self,
        tenant: &TenantName,
        name: &KeyName,
    ) -> Result<Option<Entry>, KeyringError> {
        let path = record::key_path(tenant, name);
        match self.store.get(&path).await? {
            Some(found) => record::decode_entry(&path, &found, tenant, name).map(Some),
            None => Ok(None),
        }
    }

    /// Reads the key's metadata from the store.
    pub(super) async fn read_key(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
    ) -> Result<Key, KeyringError> {
        if let Some(Entry::Key(key)) = self.read_entry(tenant, name).await? {
            return Ok(*key);
        }
        self.tenant(tenant).await?;
        Err(KeyringError::KeyNotFound { key: name.to_string() })
    }

    /// Reads the key's metadata past the cache, or joins who does so already, and says when the
    /// store was asked.
    pub(super) fn newest_key(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
    ) -> Loading<(Begun, Arc<Key>)> {
        let entry = (tenant.clone(), name.clone());
        self.caches.reads.join(&entry, || {
            let (inner, (tenant, name)) = (self.clone(), entry.clone());
            let read = async move {
                let asked = inner.caches.absences.begin();
                let begun = Instant::now();
                let found = inner.read_key(&tenant, &name).await;
                inner.loaded(begun, found.as_ref().err());
                Ok((asked, Arc::new(found?)))
            };
            ((), read)
        })
    }

    pub(super) async fn key_by_id(
        self: &Arc<Self>,
        tenant: &TenantName,
        id: KeyId,
    ) -> Result<Arc<Key>, KeyringError> {
        let not_found = || KeyringError::KeyNotFound { key: id.to_string() };
        let absent = Absent::Id(tenant.clone(), id);
        let name = if let Some(name) = self.caches.ids.get(&ById(tenant, id)).await {
            self.caches.counters.hits.count();
            name
        } else if self.caches.absences.has(&absent) {
            self.caches.counters.hits.count();
            return Err(not_found());
        } else {
            count(&self.caches.counters.misses);
            let load = self.read_key_name(tenant, id);
            self.caches
                .ids
                .try_get_with((tenant.clone(), id), load)
                .await
                .map_err(Arc::unwrap_or_clone)?
        };
        // The index entry of an unfinished creation may point to a key that is not there.
        match self.key(tenant, &name).await {
            Ok(key) if key.id == id => Ok(key),
            Ok(_) | Err(KeyringError::KeyNotFound { .. }) => Err(not_found()),
            Err(error) => Err(error),
        }
    }

    async fn read_key_name(
        self: &Arc<Self>,
        tenant: &TenantName,
        id: KeyId,
    ) -> Result<KeyName, KeyringError> {
        let path = record::key_id_path(tenant, id);
        let (begun, asked) = (Instant::now(), self.caches.absences.begin());
        let found = self.store.get(&path).await.map_err(KeyringError::from);
        self.loaded(begun, found.as_ref().err());
        let Some(found) = found?.filter(|found| !record::is_retired(&found.value)) else {
            self.tenant(tenant).await?;
            self.caches.absences.note(Absent::Id(tenant.clone(), id), asked);
            return Err(KeyringError::KeyNotFound { key: id.to_string() });
        };
        std::str::from_utf8(&found.value)
            .ok()
            .and_then(|name| name.parse().ok())
            .ok_or(KeyringError::Corrupt { path })
    }

    /// Makes a change of a key effective here, and known elsewhere.
    pub(super) async fn changed(self: &Arc<Self>, newest: &Key) {
        self.publish(newest).await;
        let (tenant, key) = (newest.tenant.clone(), newest.name.clone());
        self.generation.announce(Change::Key { tenant, key }).await;
    }

    /// Makes the cache hold `newest` or something newer.
    pub(super) async fn publish(self: &Arc<Self>, newest: &Key) {
        let (tenant, name) = (&newest.tenant, &newest.name);
        // A store whose reads lag behind its writes is asked again at the next use.
        for _ in 0..PUBLISH_ATTEMPTS {
            self.caches.forget_key(tenant, name).await;
            match self.load_key(tenant, name, None).await {
                Ok(cached) if cached.revision >= newest.revision => return,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        self.caches.forget_key(tenant, name).await;
    }
}
