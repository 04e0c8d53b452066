//! Reading versions through the cache: a key that the cache gave leads to its versions without
//! another look-up.

use std::sync::Arc;
use std::time::Instant;

use keyward_crypto::{Algorithm, KeyVersion};

use super::Inner;
use crate::cache::{Absent, Cached, Life, Slot, count};
use crate::error::KeyringError;
use crate::flight::Loading;
use crate::key::Key;
use crate::record::{self, Material};

impl Inner {
    pub(super) async fn version(
        self: &Arc<Self>,
        key: &Key,
        version: u32,
    ) -> Result<Arc<KeyVersion>, KeyringError> {
        let caches = &self.caches;
        if let Some(cached) = &key.cached
            && caches.is_valid(&cached.keep)
            && key.is_usable(version)
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
        // Metadata that is known to be outdated, or that was read past the cache, decides nothing;
        // what others learned meanwhile may know the version.
        let is_valid = key.cached.as_ref().is_some_and(|cached| self.caches.is_valid(&cached.keep));
        let newer;
        let mut key = key;
        if !is_valid || !key.has_version(version) {
            newer = self.key(&key.tenant, &key.name).await?;
            if newer.id != key.id {
                return Err(not_found());
            }
            key = &newer;
        }
        // Material that no metadata lists belongs to an unfinished rotation: it is not a version.
        let newest;
        if !key.has_version(version) {
            let (tenant, name) = (&key.tenant, &key.name);
            let others = Absent::MoreVersions(tenant.clone(), name.clone());
            if self.caches.absences.has(&others) {
                self.caches.counters.hits.count();
                return Err(not_found());
            }
            let (asked, now) = self.newest_key(tenant, name).await?;
            if now.revision != key.revision || now.id != key.id {
                self.publish(&now).await;
            }
            if now.id != key.id || !now.has_version(version) {
                self.caches.absences.note(others, asked);
                return Err(not_found());
            }
            newest = self.key(&key.tenant, &key.name).await?;
            key = &newest;
        }
        key.check_kept()?;
        let destroyed = key.version_info(version).ok_or_else(not_found)?.destroyed.is_some();
        if destroyed {
            let key = key.name.to_string();
            return Err(KeyringError::VersionDestroyed { key, version });
        }
        if !key.enabled() {
            return Err(KeyringError::KeyDisabled { key: key.name.to_string() });
        }
        key.check_decrypts(version)?;
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
        let (served, answer) = self.late(&life, window, version, || load(Some(life.clone()))).await;
        self.tally(served);
        answer
    }

    /// Loads a version's material, or joins the load under way. `old` is the life it renews.
    pub(super) fn load_version(
        self: &Arc<Self>,
        key: &Key,
        cached: &Cached,
        number: u32,
        old: Option<Arc<Life>>,
    ) -> Loading<Arc<KeyVersion>> {
        cached.keep.loads.join(&number, || {
            let (inner, key, keep) = (self.clone(), key.clone(), cached.keep.clone());
            let load = async move {
                // A load that ended since the caller looked has kept what is wanted.
                if let Some(slot) = keep.slot(number)
                    && inner.caches.clock.now() < slot.life.ages
                {
                    return Ok(slot.version);
                }
                let begun = Instant::now();
                let found = inner.read_version(&key, number).await;
                inner.loaded(begun, found.as_ref().err());
                match &found {
                    Ok(version) => {
                        let life = Life::begin(inner.caches.clock.now(), inner.caches.config.ttl);
                        let (version, life) = (version.clone(), Arc::new(life));
                        keep.put(&Slot { number, version, life });
                        inner.caches.gained(&key, number).await;
                    }
                    Err(error) if error.is_unavailable() => {
                        if let Some(old) = old {
                            old.failed(inner.caches.clock.now());
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
        let Some(material) = self.read_material(&path, key.algorithm, version).await? else {
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
        algorithm: Algorithm,
        version: u32,
    ) -> Result<Option<Material>, KeyringError> {
        match self.store.get(path).await? {
            Some(found) => {
                record::decode_material(path, &found.value, algorithm, version).map(Some)
            }
            None => Ok(None),
        }
    }
}
