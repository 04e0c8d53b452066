//! Reading through the caches. A hit takes no lock, copies no name, and clones only `Arc`s.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use keyward_crypto::{KeyId, KeyVersion};

use super::Inner;
use crate::cache::{ById, ByName, Cached, Keep, Life, Slot, TenantState, count, millis};
use crate::error::KeyringError;
use crate::flight::Loading;
use crate::key::Key;
use crate::names::{KeyName, TenantName};
use crate::record::{self, Material};

/// How often to replace an outdated entry before leaving it out.
const PUBLISH_ATTEMPTS: usize = 8;

/// How long a look-up waits for the store when the entry's time is up but its outage contract
/// would have it served: a store this slow is as good as unavailable.
const PATIENCE: Duration = Duration::from_secs(1);

fn shared(error: Arc<KeyringError>) -> KeyringError {
    Arc::unwrap_or_clone(error)
}

impl Inner {
    /// Succeeds when the tenant exists.
    pub(super) async fn tenant(
        self: &Arc<Self>,
        tenant: &TenantName,
    ) -> Result<Arc<TenantState>, KeyringError> {
        let Some(state) = self.caches.tenants.get(tenant).await else {
            count(&self.caches.counters.misses);
            return self.load_tenant(tenant).await;
        };
        let life = state.life.load_full();
        if self.caches.clock.now() < life.ages {
            self.caches.counters.hits.count();
            return Ok(state);
        }
        let window = state.window(self.caches.config.default_outage);
        Box::pin(self.late(&life, window, state, || self.load_tenant(tenant))).await
    }

    /// Loads the tenant from the store, or joins the load under way.
    pub(super) fn load_tenant(self: &Arc<Self>, tenant: &TenantName) -> Loading<Arc<TenantState>> {
        self.caches.tenant_loads.join(tenant, || {
            let outdated = Arc::new(AtomicBool::new(false));
            let (inner, tenant, under) = (self.clone(), tenant.clone(), outdated.clone());
            let load = async move {
                let caches = &inner.caches;
                let (begun, epoch) = (Instant::now(), caches.epoch());
                let found = inner.read_tenant(&tenant).await;
                inner.loaded(begun, found.as_ref().err());
                let data = match found {
                    Ok(data) => data,
                    Err(error) => {
                        if let Some(state) = caches.tenants.get(&tenant).await {
                            if error.is_unavailable() {
                                state.life.load().failed(caches.clock.now());
                            } else {
                                caches.tenants.invalidate(&tenant).await;
                            }
                        }
                        return Err(error);
                    }
                };
                let state = caches.tenant_state(&tenant);
                if !outdated.load(Ordering::SeqCst) && epoch == caches.epoch() {
                    state.set_outage(data.outage);
                    let life = Life::begin(caches.clock.now(), caches.config.ttl);
                    state.life.store(Arc::new(life));
                    caches.tenants.insert(tenant, state.clone()).await;
                }
                Ok(state)
            };
            (under, load)
        })
    }

    /// Brings what is cached of a tenant up to date with the store.
    pub(super) async fn refresh_tenant(self: &Arc<Self>, tenant: &TenantName) {
        if let Some(outdated) = self.caches.tenant_loads.cancel(tenant) {
            outdated.store(true, Ordering::SeqCst);
        }
        if self.caches.knows_tenant(tenant)
            && let Err(error) = self.load_tenant(tenant).await
        {
            tracing::warn!(%tenant, %error, "a change of a tenant could not be read");
            self.caches.tenants.invalidate(tenant).await;
        }
    }

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
        self.late(&cached.life, window, key, load).await
    }

    /// Answers with something cached that has aged, or whose time is up. `load` starts its load,
    /// or joins it.
    async fn late<T: Clone>(
        &self,
        life: &Life,
        window: Duration,
        value: T,
        load: impl Fn() -> Loading<T>,
    ) -> Result<T, KeyringError> {
        let counters = &self.caches.counters;
        let now = self.caches.clock.now();
        if now < life.expires {
            if self.caches.config.refresh_ahead && life.claims_load(now) {
                drop(load());
            }
            counters.hits.count();
            return Ok(value);
        }
        let stale = |value| {
            counters.hits.count();
            count(&counters.stale_serves);
            Ok(value)
        };
        if now >= life.expires.saturating_add(millis(window)) {
            count(&counters.misses);
            return load().await;
        }
        if life.is_failing() {
            if life.claims_load(now) {
                drop(load());
            }
            return stale(value);
        }
        match tokio::time::timeout(PATIENCE, load()).await {
            Ok(Err(error)) if error.is_unavailable() => stale(value),
            Ok(answer) => {
                count(&counters.misses);
                answer
            }
            Err(_) => {
                life.failed(now);
                stale(value)
            }
        }
    }

    fn loaded(&self, begun: Instant, error: Option<&KeyringError>) {
        let absent = matches!(
            error,
            Some(KeyringError::TenantNotFound { .. } | KeyringError::KeyNotFound { .. })
        );
        self.caches.counters.loaded(begun.elapsed(), error.is_some() && !absent);
    }

    /// Loads the key from the store, or joins the load under way. `old` is the entry it renews.
    fn load_key(
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
                let begun = Instant::now();
                let found = tokio::try_join!(inner.read_key(&tenant, &name), inner.tenant(&tenant));
                inner.loaded(begun, found.as_ref().err());
                let caches = &inner.caches;
                match (found, old) {
                    (Ok((mut key, state)), old) => {
                        if old.is_some_and(|(id, _)| id != key.id) {
                            // Another key under the same name: nothing of the old one is kept.
                            caches.forget_key(&tenant, &name).await;
                            return Ok(Arc::new(key));
                        }
                        keep.retain(|slot| {
                            let info = key.version_info(slot.number);
                            info.is_some_and(|info| info.destroyed.is_none())
                        });
                        let life = Life::begin(caches.clock.now(), caches.config.ttl);
                        key.cached = Some(Cached { life: Arc::new(life), keep, tenant: state });
                        let key = Arc::new(key);
                        caches.put(&key).await;
                        Ok(key)
                    }
                    (Err(error), Some((_, cached))) => {
                        if error.is_unavailable() {
                            cached.life.failed(caches.clock.now());
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

    /// Reads the key's metadata from the store.
    pub(super) async fn read_key(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
    ) -> Result<Key, KeyringError> {
        let path = record::key_path(tenant, name);
        if let Some(found) = self.store.get(&path).await? {
            return record::decode_key(&path, &found, tenant, name);
        }
        self.tenant(tenant).await?;
        Err(KeyringError::KeyNotFound { key: name.to_string() })
    }

    pub(super) async fn key_by_id(
        self: &Arc<Self>,
        tenant: &TenantName,
        id: KeyId,
    ) -> Result<Arc<Key>, KeyringError> {
        let not_found = || KeyringError::KeyNotFound { key: id.to_string() };
        let name = if let Some(name) = self.caches.ids.get(&ById(tenant, id)).await {
            self.caches.counters.hits.count();
            name
        } else {
            count(&self.caches.counters.misses);
            let load = self.read_key_name(tenant, id);
            self.caches.ids.try_get_with((tenant.clone(), id), load).await.map_err(shared)?
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
        let begun = Instant::now();
        let found = self.store.get(&path).await.map_err(KeyringError::from);
        self.loaded(begun, found.as_ref().err());
        let Some(found) = found? else {
            self.tenant(tenant).await?;
            return Err(KeyringError::KeyNotFound { key: id.to_string() });
        };
        std::str::from_utf8(&found.value)
            .ok()
            .and_then(|name| name.parse().ok())
            .ok_or(KeyringError::Corrupt { path })
    }

    pub(super) async fn version(
        self: &Arc<Self>,
        key: &Key,
        version: u32,
    ) -> Result<Arc<KeyVersion>, KeyringError> {
        let caches = &self.caches;
        if let Some(cached) = &key.cached
            && caches.is_valid(&cached.keep)
            && key.enabled()
            && let Some(slot) = cached.keep.slot(version)
            && caches.clock.now() < slot.life.ages
        {
            caches.counters.hits.count();
            return Ok(slot.version);
        }
        Box::pin(self.find_version(key, version)).await
    }

    async fn find_version(
        self: &Arc<Self>,
        key: &Key,
        version: u32,
    ) -> Result<Arc<KeyVersion>, KeyringError> {
        let not_found = || KeyringError::VersionNotFound { key: key.name.to_string(), version };
        // Metadata that is known to be outdated, or that was read past the cache, decides nothing.
        let is_valid = key.cached.as_ref().is_some_and(|cached| self.caches.is_valid(&cached.keep));
        let newer;
        let mut key = key;
        if !is_valid {
            newer = self.key(&key.tenant, &key.name).await?;
            if newer.id != key.id {
                return Err(not_found());
            }
            key = &newer;
        }
        // Material that no metadata lists belongs to an unfinished rotation: it is not a version.
        let newest;
        if !key.has_version(version) {
            let now = self.read_key(&key.tenant, &key.name).await?;
            if now.id != key.id || !now.has_version(version) {
                return Err(not_found());
            }
            self.publish(&now).await;
            newest = self.key(&key.tenant, &key.name).await?;
            key = &newest;
        }
        let destroyed = key.version_info(version).ok_or_else(not_found)?.destroyed.is_some();
        if destroyed {
            let key = key.name.to_string();
            return Err(KeyringError::VersionDestroyed { key, version });
        }
        if !key.enabled() {
            return Err(KeyringError::KeyDisabled { key: key.name.to_string() });
        }
        let Some(cached) = &key.cached else {
            return self.read_version(key, version).await;
        };
        let load = |old| self.load_version(key, cached, version, old);
        let Some(slot) = cached.keep.slot(version) else {
            count(&self.caches.counters.misses);
            return load(None).await;
        };
        if self.caches.clock.now() < slot.life.ages {
            self.caches.counters.hits.count();
            return Ok(slot.version);
        }
        let window = cached.tenant.window(self.caches.config.default_outage);
        let Slot { version, life, .. } = slot;
        self.late(&life, window, version, || load(Some(life.clone()))).await
    }

    /// Loads a version's material, or joins the load under way. `old` is the life it renews.
    fn load_version(
        self: &Arc<Self>,
        key: &Key,
        cached: &Cached,
        number: u32,
        old: Option<Arc<Life>>,
    ) -> Loading<Arc<KeyVersion>> {
        cached.keep.loads.join(&number, || {
            let (inner, key, keep) = (self.clone(), key.clone(), cached.keep.clone());
            let load = async move {
                let caches = &inner.caches;
                let begun = Instant::now();
                let found = inner.read_version(&key, number).await;
                inner.loaded(begun, found.as_ref().err());
                match &found {
                    Ok(version) => {
                        let life = Life::begin(caches.clock.now(), caches.config.ttl);
                        let (version, life) = (version.clone(), Arc::new(life));
                        keep.put(&Slot { number, version, life });
                        caches.weigh_again(&key).await;
                    }
                    Err(error) if error.is_unavailable() => {
                        if let Some(old) = old {
                            old.failed(caches.clock.now());
                        }
                    }
                    Err(_) => keep.retain(|slot| slot.number != number),
                }
                found
            };
            ((), load)
        })
    }

    /// Reads and expands a version that the key lists.
    async fn read_version(
        self: &Arc<Self>,
        key: &Key,
        version: u32,
    ) -> Result<Arc<KeyVersion>, KeyringError> {
        let path = record::version_path(&key.tenant, &key.name, version);
        let corrupt = || KeyringError::Corrupt { path: path.clone() };
        let Some(material) = self.read_material(&path, version).await? else {
            return Err(corrupt());
        };
        let listed = key.version_info(version).and_then(|info| info.fingerprint.as_ref());
        let differs = listed.is_some_and(|listed| *listed != record::fingerprint(&material));
        if material.key_id != key.id || differs {
            return Err(corrupt());
        }
        Ok(Arc::new(KeyVersion::new(key.algorithm, key.id, version, &material.secret)?))
    }

    /// Reads one version's material from the store.
    pub(super) async fn read_material(
        &self,
        path: &str,
        version: u32,
    ) -> Result<Option<Material>, KeyringError> {
        match self.store.get(path).await? {
            Some(found) => record::decode_material(path, &found.value, version).map(Some),
            None => Ok(None),
        }
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
