//! Reading through the caches. A hit takes no lock across an await and clones only `Arc`s.

use std::sync::Arc;

use keyward_crypto::{KeyId, KeyVersion};

use super::Inner;
use crate::cache::Slot;
use crate::error::KeyringError;
use crate::key::Key;
use crate::names::{KeyName, TenantName};
use crate::record::{self, Material};

/// How often to replace an outdated entry before leaving it out.
const PUBLISH_ATTEMPTS: usize = 8;

fn shared(error: Arc<KeyringError>) -> KeyringError {
    Arc::unwrap_or_clone(error)
}

impl Inner {
    /// Succeeds when the tenant exists.
    pub(super) async fn tenant(&self, tenant: &TenantName) -> Result<(), KeyringError> {
        if self.caches.tenants.get(tenant).await.is_some() {
            return Ok(());
        }
        let load = async {
            match self.store.get(&record::tenant_path(tenant)).await? {
                Some(_) => Ok(()),
                None => Err(KeyringError::TenantNotFound { tenant: tenant.to_string() }),
            }
        };
        self.caches.tenants.try_get_with_by_ref(tenant, load).await.map_err(shared)
    }

    pub(super) async fn key(
        &self,
        tenant: &TenantName,
        name: &KeyName,
    ) -> Result<Arc<Key>, KeyringError> {
        let entry = (tenant.clone(), name.clone());
        if let Some(key) = self.caches.keys.get(&entry).await {
            return Ok(key);
        }
        let load = async { self.read_key(tenant, name).await.map(Arc::new) };
        self.caches.keys.try_get_with(entry, load).await.map_err(shared)
    }

    /// Reads the key's metadata from the store.
    pub(super) async fn read_key(
        &self,
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
        &self,
        tenant: &TenantName,
        id: KeyId,
    ) -> Result<Arc<Key>, KeyringError> {
        let not_found = || KeyringError::KeyNotFound { key: id.to_string() };
        let entry = (tenant.clone(), id);
        let name = if let Some(name) = self.caches.ids.get(&entry).await {
            name
        } else {
            let load = self.read_key_name(tenant, id);
            self.caches.ids.try_get_with(entry, load).await.map_err(shared)?
        };
        // The index entry of an unfinished creation may point to a key that is not there.
        match self.key(tenant, &name).await {
            Ok(key) if key.id == id => Ok(key),
            Ok(_) | Err(KeyringError::KeyNotFound { .. }) => Err(not_found()),
            Err(error) => Err(error),
        }
    }

    async fn read_key_name(&self, tenant: &TenantName, id: KeyId) -> Result<KeyName, KeyringError> {
        let path = record::key_id_path(tenant, id);
        let Some(found) = self.store.get(&path).await? else {
            self.tenant(tenant).await?;
            return Err(KeyringError::KeyNotFound { key: id.to_string() });
        };
        std::str::from_utf8(&found.value)
            .ok()
            .and_then(|name| name.parse().ok())
            .ok_or(KeyringError::Corrupt { path })
    }

    pub(super) async fn version(
        &self,
        key: &Key,
        version: u32,
    ) -> Result<Arc<KeyVersion>, KeyringError> {
        let entry = (key.tenant.clone(), key.id, version);
        if let Some(slot) = self.caches.versions.get(&entry).await
            && let Some(found) = slot.version()
        {
            return Ok(found);
        }
        let load = async { self.read_version(key, version).await.map(Slot::new) };
        let slot = self.caches.versions.try_get_with(entry, load).await.map_err(shared)?;
        match slot.version() {
            Some(found) => Ok(found),
            None => self.read_version(key, version).await, // removed in this moment
        }
    }

    async fn read_version(&self, key: &Key, version: u32) -> Result<Arc<KeyVersion>, KeyringError> {
        let not_found = || KeyringError::VersionNotFound { key: key.name.to_string(), version };
        // Material that no metadata lists belongs to an unfinished rotation: it is not a version.
        if !key.has_version(version) {
            let now = self.read_key(&key.tenant, &key.name).await?;
            if now.id != key.id || !now.has_version(version) {
                return Err(not_found());
            }
            self.publish(&now).await;
        }
        let path = record::version_path(&key.tenant, &key.name, version);
        let Some(material) = self.read_material(&path, version).await? else {
            return Err(KeyringError::Corrupt { path });
        };
        if material.key_id != key.id {
            return Err(KeyringError::Corrupt { path });
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

    /// Makes the cache hold `newest` or something newer. A load that began before the change may
    /// still be under way and about to cache what it read; loads of one key are single-flight, so
    /// going through one more of them leaves no such load behind.
    pub(super) async fn publish(&self, newest: &Key) {
        let entry = (newest.tenant.clone(), newest.name.clone());
        // A store whose reads lag behind its writes is asked again at the next use.
        for _ in 0..PUBLISH_ATTEMPTS {
            match self.key(&newest.tenant, &newest.name).await {
                Ok(cached) if cached.revision >= newest.revision => return,
                Ok(_) => self.caches.keys.invalidate(&entry).await,
                Err(_) => break,
            }
        }
        self.caches.keys.invalidate(&entry).await;
    }
}
