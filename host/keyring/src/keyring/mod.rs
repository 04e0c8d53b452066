//! The keyring: tenants, keys and versions over a store.

mod create;
mod load;
mod rotate;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use keyward_crypto::{Algorithm, KeyId, KeyVersion};

use crate::cache::{CacheConfig, Caches};
use crate::error::KeyringError;
use crate::key::Key;
use crate::names::{KeyName, TenantName};
use crate::record;
use crate::store::{Store, StoreError};

/// How many records [`Keyring::list_keys`] reads at a time.
const LIST_CONCURRENCY: usize = 16;

/// Tenants and their keys, with caches in front of the store. Clones share both.
///
/// Any number of keyrings, in any number of processes, may work over one shared store: material
/// is written once and metadata changes by compare-and-set. A change made through this keyring is
/// seen by it at once, one made elsewhere after [`CacheConfig::ttl`] at most, except that a
/// version unknown here is looked up in the store.
///
/// Calls that change something run to their end even when the caller stops waiting.
#[derive(Clone)]
pub struct Keyring {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    caches: Arc<Caches>,
}

impl Keyring {
    /// A keyring over `store`. Call it within a tokio runtime: there it starts the task that
    /// drops expired entries from memory on time; elsewhere, call [`Keyring::sweep`].
    pub fn new(store: Arc<dyn Store>, config: CacheConfig) -> Self {
        Self { inner: Arc::new(Inner { store, caches: Caches::new(&config) }) }
    }

    /// The store below.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Creates a tenant. Fails with [`KeyringError::TenantExists`].
    pub async fn create_tenant(&self, tenant: &TenantName) -> Result<(), KeyringError> {
        let path = record::tenant_path(tenant);
        let value = record::encode_tenant(&path)?;
        match self.store().create(&path, &value).await {
            Ok(_) => Ok(()),
            Err(StoreError::Exists { .. }) => {
                Err(KeyringError::TenantExists { tenant: tenant.to_string() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the tenant exists. A yes is cached, a no is not.
    pub async fn tenant_exists(&self, tenant: &TenantName) -> Result<bool, KeyringError> {
        match self.inner.tenant(tenant).await {
            Ok(()) => Ok(true),
            Err(KeyringError::TenantNotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Every tenant, in byte order of the names.
    pub async fn list_tenants(&self) -> Result<Vec<TenantName>, KeyringError> {
        let children = self.store().list(record::TENANTS).await?;
        Ok(records_in(&children).collect())
    }

    /// Creates a key with one version. `attributes` are for policies to read: at most 32, names
    /// of at most 128 bytes, values of at most 1,024.
    ///
    /// Fails with [`KeyringError::TenantNotFound`], [`KeyringError::KeyExists`] or
    /// [`KeyringError::InvalidName`] (field `attributes`).
    pub async fn create_key(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        algorithm: Algorithm,
        attributes: BTreeMap<String, String>,
    ) -> Result<Arc<Key>, KeyringError> {
        create::check_attributes(&attributes)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        to_the_end(async move { inner.create_key(&tenant, &name, algorithm, attributes).await })
            .await
    }

    /// Adds a version to the key, makes it the current one and returns its number. Concurrent
    /// rotations each add a version of their own; the highest becomes current.
    ///
    /// Fails with [`KeyringError::KeyNotFound`], or [`KeyringError::Conflict`] when others keep
    /// changing the key at the same time.
    pub async fn rotate(&self, tenant: &TenantName, name: &KeyName) -> Result<u32, KeyringError> {
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        to_the_end(async move { inner.rotate(&tenant, &name).await }).await
    }

    /// Every key of the tenant, in byte order of the names.
    pub async fn list_keys(&self, tenant: &TenantName) -> Result<Vec<Arc<Key>>, KeyringError> {
        self.inner.tenant(tenant).await?;
        let children = self.store().list(&record::keys_path(tenant)).await?;
        let names: Vec<KeyName> = records_in(&children).collect();
        stream::iter(names)
            .map(|name| async move {
                match self.key(tenant, &name).await {
                    Ok(key) => Ok(Some(key)),
                    Err(KeyringError::KeyNotFound { .. }) => Ok(None), // removed meanwhile
                    Err(error) => Err(error),
                }
            })
            .buffered(LIST_CONCURRENCY)
            .try_filter_map(|key| async move { Ok(key) })
            .try_collect()
            .await
    }

    /// The key of this name. Fails with [`KeyringError::KeyNotFound`] or
    /// [`KeyringError::TenantNotFound`].
    pub async fn key(&self, tenant: &TenantName, name: &KeyName) -> Result<Arc<Key>, KeyringError> {
        self.inner.key(tenant, name).await
    }

    /// The tenant's key of this id. Fails like [`Keyring::key`].
    pub async fn key_by_id(
        &self,
        tenant: &TenantName,
        id: KeyId,
    ) -> Result<Arc<Key>, KeyringError> {
        self.inner.key_by_id(tenant, id).await
    }

    /// One version of the key, ready to use. A version that `key` does not list is looked up in
    /// the store, because another host may have added it since.
    ///
    /// Fails with [`KeyringError::VersionNotFound`].
    pub async fn version(&self, key: &Key, version: u32) -> Result<Arc<KeyVersion>, KeyringError> {
        self.inner.version(key, version).await
    }

    /// Drops expired entries from the caches now, which wipes expired key versions that are not
    /// in use.
    pub async fn sweep(&self) {
        self.inner.caches.sweep().await;
    }

    /// Drops every entry from the caches.
    pub async fn clear_cache(&self) {
        self.inner.caches.clear().await;
    }
}

/// The children that are records, with valid names.
fn records_in<N: std::str::FromStr>(children: &[String]) -> impl Iterator<Item = N> + '_ {
    children.iter().filter_map(|child| child.parse().ok())
}

/// Runs a change as a task of its own, so that a caller who goes away cannot stop it half-way.
async fn to_the_end<T: Send + 'static>(
    change: impl Future<Output = Result<T, KeyringError>> + Send + 'static,
) -> Result<T, KeyringError> {
    tokio::spawn(change).await.unwrap_or_else(|_| {
        let reason = "the runtime is shutting down".to_owned();
        Err(StoreError::Unavailable { reason }.into())
    })
}
