//! The keyring: tenants, keys and versions over a store.

mod create;
mod delete;
mod destroy;
mod generation;
mod late;
mod lifecycle;
mod load;
mod load_version;
mod rotation;
mod rotations;
mod tenants;
#[cfg(test)]
mod tests;
mod upkeep;
mod usage;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use keyward_crypto::{Algorithm, KeyId, KeyVersion};

pub use self::delete::DEFAULT_RESTORE_WINDOW;
pub use self::destroy::Purge;
use self::generation::Generation;
pub use self::rotation::{Rotated, Rotations};
use self::rotations::Waiting;
use self::usage::Usage;
pub use self::usage::{Flush, UsageStatistics};
use crate::cache::{CacheConfig, Caches};
use crate::error::KeyringError;
use crate::key::{Key, VersionInfo};
use crate::names::{KeyName, TenantName};
use crate::outage::Outage;
use crate::record;
use crate::rotation::Rotation;
use crate::store::{Store, StoreError};

/// How many records [`Keyring::list_keys`] reads at a time.
const LIST_CONCURRENCY: usize = 16;

/// Tenants and their keys, with caches in front of the store. Clones share both.
///
/// Any number of keyrings, in any number of processes, may work over one shared store: material
/// is written once and metadata changes by compare-and-set. A change made through this keyring is
/// seen by it at once, one made elsewhere after [`CacheConfig::ttl`] at most, except that a key or
/// a version unknown here is looked up in the store, unless it was not there within the last
/// second.
///
/// Calls that change something run to their end even when the caller stops waiting.
#[derive(Clone)]
pub struct Keyring {
    inner: Arc<Inner>,
}

struct Inner {
    store: Arc<dyn Store>,
    caches: Arc<Caches>,
    generation: Arc<Generation>,
    rotations: Waiting,
    usage: Usage,
}

impl Keyring {
    /// A keyring over `store`. Call it within a tokio runtime: there it starts the task that
    /// drops expired entries from memory on time; elsewhere, call [`Keyring::sweep`].
    pub fn new(store: Arc<dyn Store>, config: CacheConfig) -> Self {
        let generation = Generation::new(store.clone(), config.shared);
        let caches = Caches::new(&config);
        let (rotations, usage) = (Waiting::default(), Usage::new());
        Self { inner: Arc::new(Inner { store, caches, generation, rotations, usage }) }
    }

    /// The store below.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// Creates a tenant. Fails with [`KeyringError::TenantExists`].
    pub async fn create_tenant(&self, tenant: &TenantName) -> Result<(), KeyringError> {
        self.inner.create_tenant(tenant).await
    }

    /// Whether the tenant exists. A yes is cached, a no is not.
    pub async fn tenant_exists(&self, tenant: &TenantName) -> Result<bool, KeyringError> {
        match self.inner.tenant(tenant).await {
            Ok(_) => Ok(true),
            Err(KeyringError::TenantNotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Every tenant, in byte order of the names.
    pub async fn list_tenants(&self) -> Result<Vec<TenantName>, KeyringError> {
        let children = self.store().list(record::TENANTS).await?;
        Ok(records_in(&children).collect())
    }

    /// Sets the tenant's outage contract; with `None` the [default](CacheConfig::default_outage)
    /// applies.
    ///
    /// Fails with [`KeyringError::TenantNotFound`] or [`KeyringError::Conflict`].
    pub async fn set_outage(
        &self,
        tenant: &TenantName,
        outage: Option<Outage>,
    ) -> Result<(), KeyringError> {
        let (inner, tenant) = (self.inner.clone(), tenant.clone());
        to_the_end(async move { inner.set_outage(&tenant, outage).await }).await
    }

    /// The outage contract the tenant has of its own, read from the store. Fails with
    /// [`KeyringError::TenantNotFound`].
    pub async fn outage(&self, tenant: &TenantName) -> Result<Option<Outage>, KeyringError> {
        Ok(self.inner.read_tenant(tenant).await?.outage)
    }

    /// Creates a key that is rotated only by call: [`Keyring::create_key_with`] without a policy.
    pub async fn create_key(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        algorithm: Algorithm,
        attributes: BTreeMap<String, String>,
        actor: &str,
    ) -> Result<Arc<Key>, KeyringError> {
        self.create_key_with(tenant, name, algorithm, attributes, None, actor).await
    }

    /// Creates a key with one version. `attributes` are for policies to read: at most 32, names
    /// of at most 128 bytes, values of at most 1,024. `actor`, 1 to 256 bytes, is kept as the
    /// creator of the version.
    ///
    /// The name of a purged key may be used again. The versions of the new key are then numbered
    /// on from where the purged one's ended.
    ///
    /// Fails with [`KeyringError::TenantNotFound`], [`KeyringError::KeyExists`] or
    /// [`KeyringError::InvalidName`] (field `attributes`, `max_messages` or `actor`).
    pub async fn create_key_with(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        algorithm: Algorithm,
        attributes: BTreeMap<String, String>,
        rotation: Option<Rotation>,
        actor: &str,
    ) -> Result<Arc<Key>, KeyringError> {
        create::check_attributes(&attributes)?;
        create::check_actor(actor)?;
        rotation.map_or(Ok(()), |rotation| rotation.check_for(algorithm))?;
        let new = create::New { algorithm, attributes, rotation };
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        let actor = actor.to_owned();
        to_the_end(async move { inner.create_key(&tenant, &name, new, &actor).await }).await
    }

    /// Adds a version to the key, makes it the current one and returns its number: a
    /// [`Keyring::create_version`] without a description.
    pub async fn rotate(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        actor: &str,
    ) -> Result<u32, KeyringError> {
        Ok(self.create_version(tenant, name, actor, "").await?.version)
    }

    /// Adds a version to the key and makes it the current one. Its number is the first free one
    /// above every version the key ever listed. Concurrent calls each add a version of their own;
    /// the highest becomes current. `actor` has 1 to 256 bytes, `description` at most 1,024.
    ///
    /// Fails with [`KeyringError::KeyNotFound`], [`KeyringError::InvalidName`] (field `actor` or
    /// `description`), or [`KeyringError::Conflict`] when others keep changing the key.
    pub async fn create_version(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        actor: &str,
        description: &str,
    ) -> Result<VersionInfo, KeyringError> {
        create::check_actor(actor)?;
        create::check_description(description)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        let (actor, description) = (actor.to_owned(), description.to_owned());
        to_the_end(async move { inner.create_version(&tenant, &name, &actor, &description).await })
            .await
    }

    /// Makes `target` the current version again; no version is added or removed. Succeeds when it
    /// is current already. Returns the key as it then is.
    ///
    /// Fails with [`KeyringError::KeyNotFound`], [`KeyringError::VersionNotFound`],
    /// [`KeyringError::VersionDestroyed`], [`KeyringError::InvalidName`] (field `actor`) or
    /// [`KeyringError::Conflict`].
    pub async fn rollback(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        target: u32,
        actor: &str,
    ) -> Result<Arc<Key>, KeyringError> {
        create::check_actor(actor)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        let actor = actor.to_owned();
        to_the_end(async move { inner.rollback(&tenant, &name, target, &actor).await }).await
    }

    /// Destroys a version for good: first nobody may use it any more, then its material is removed
    /// from the store and from the caches. Its number stays listed and is not used again. Nothing
    /// that was encrypted with it can be decrypted any more.
    ///
    /// When the store fails half-way, the same call finishes the destruction later. Fails with
    /// [`KeyringError::KeyNotFound`], [`KeyringError::VersionNotFound`],
    /// [`KeyringError::VersionIsCurrent`], [`KeyringError::VersionDestroyed`] when that was
    /// complete before, [`KeyringError::InvalidName`] (field `actor`) or
    /// [`KeyringError::Conflict`].
    pub async fn destroy_version(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        version: u32,
        actor: &str,
    ) -> Result<(), KeyringError> {
        create::check_actor(actor)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        let actor = actor.to_owned();
        to_the_end(async move { inner.destroy_version(&tenant, &name, version, &actor).await })
            .await
    }

    /// Disables the key, so that it neither encrypts nor decrypts, or enables it again. Succeeds
    /// when it is so already. Returns the key as it then is.
    ///
    /// Fails with [`KeyringError::KeyNotFound`], [`KeyringError::InvalidName`] (field `actor`) or
    /// [`KeyringError::Conflict`].
    pub async fn set_enabled(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        enabled: bool,
        actor: &str,
    ) -> Result<Arc<Key>, KeyringError> {
        create::check_actor(actor)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        let actor = actor.to_owned();
        to_the_end(async move { inner.set_enabled(&tenant, &name, enabled, &actor).await }).await
    }

    /// The key with all its versions, read from the store whatever is cached. Fails like
    /// [`Keyring::key`].
    pub async fn history(
        &self,
        tenant: &TenantName,
        name: &KeyName,
    ) -> Result<Arc<Key>, KeyringError> {
        self.inner.read_key(tenant, name).await.map(Arc::new)
    }

    /// Every key of the tenant that is not deleted, in byte order of the names.
    pub async fn list_keys(&self, tenant: &TenantName) -> Result<Vec<Arc<Key>>, KeyringError> {
        self.list(tenant, |key| key.check_kept().is_ok()).await
    }

    /// Every deleted key of the tenant, also those whose destruction is not complete, in byte
    /// order of the names.
    pub async fn list_deleted_keys(
        &self,
        tenant: &TenantName,
    ) -> Result<Vec<Arc<Key>>, KeyringError> {
        self.list(tenant, |key| key.check_kept().is_err()).await
    }

    async fn list(
        &self,
        tenant: &TenantName,
        wanted: impl Fn(&Key) -> bool,
    ) -> Result<Vec<Arc<Key>>, KeyringError> {
        self.inner.tenant(tenant).await?;
        let children = self.store().list(&record::keys_path(tenant)).await?;
        let names: Vec<KeyName> = records_in(&children).collect();
        stream::iter(names)
            .map(|name| async move {
                match self.key(tenant, &name).await {
                    Ok(key) => Ok(Some(key)),
                    Err(KeyringError::KeyNotFound { .. }) => Ok(None), // purged
                    Err(error) => Err(error),
                }
            })
            .buffered(LIST_CONCURRENCY)
            .try_filter_map(|key| std::future::ready(Ok(key.filter(|key| wanted(key)))))
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
    /// the store, because another host may have added it since; once a second for each key.
    ///
    /// Fails with [`KeyringError::VersionNotFound`], [`KeyringError::VersionDestroyed`],
    /// [`KeyringError::KeyDisabled`], [`KeyringError::KeyDeleted`] or
    /// [`KeyringError::KeyDestroyed`].
    pub async fn version(&self, key: &Key, version: u32) -> Result<Arc<KeyVersion>, KeyringError> {
        self.inner.version(key, version).await
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
