//! The keyring: tenants, keys and versions over a store.

mod create;
mod delete;
mod destroy;
mod edit;
mod exchange;
mod generation;
mod late;
mod lifecycle;
mod load;
mod load_version;
mod page;
mod receipts;
mod rotation;
mod rotations;
mod tenants;
#[cfg(test)]
pub(crate) mod tests;
mod trim;
mod upkeep;
mod usage;
mod versions;

use std::collections::BTreeMap;
use std::sync::Arc;

use keyward_crypto::{Algorithm, KeyId, KeyVersion};

pub use self::create::NewKey;
pub use self::delete::DEFAULT_RESTORE_WINDOW;
pub use self::destroy::Purge;
pub use self::exchange::Exported;
use self::generation::Generation;
pub use self::page::{KeyPage, KeyQuery};
pub use self::receipts::ReceiptPage;
pub use self::rotation::{Rotated, Rotations};
use self::rotations::Waiting;
pub use self::trim::Trimmed;
use self::usage::Usage;
pub use self::usage::{Flush, UsageStatistics};
use crate::cache::{CacheConfig, Caches};
use crate::error::KeyringError;
use crate::history::{Author, Cause};
use crate::key::{Key, VersionInfo};
use crate::names::{KeyName, TenantName};
use crate::origin;
use crate::outage::Outage;
use crate::receipt::Receipt;
use crate::record;
use crate::store::{Store, StoreError};

/// How many records a list reads at a time.
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

    /// Creates a key with one version. `attributes` are for policies to read: at most 32, names
    /// of at most 128 bytes, values of at most 1,024. `by` is kept as the creator of the version.
    ///
    /// The name of a purged key may be used again. The versions of the new key are then numbered
    /// on from where the purged one's ended.
    ///
    /// Fails with [`KeyringError::TenantNotFound`], [`KeyringError::KeyExists`] or
    /// [`KeyringError::InvalidName`] (field `attributes`, `actor` or `reason`).
    pub async fn create_key(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        algorithm: Algorithm,
        attributes: BTreeMap<String, String>,
        by: impl Into<Author<'_>>,
    ) -> Result<Arc<Key>, KeyringError> {
        let new = NewKey { algorithm, attributes, ..NewKey::default() };
        self.create_key_as(tenant, name, new, by).await
    }

    /// Creates a key like [`Keyring::create_key`], with what there is to say about it and when it
    /// is rotated by itself.
    ///
    /// Fails like that one, with fields `labels`, `owner`, `description`, `max_messages` and
    /// `reason` too.
    pub async fn create_key_as(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        new: NewKey,
        by: impl Into<Author<'_>>,
    ) -> Result<Arc<Key>, KeyringError> {
        new.check()?;
        let cause = Cause::of(by)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        to_the_end(async move { inner.create_key(&tenant, &name, new, None, &cause).await }).await
    }

    /// Adds a version to the key, makes it the current one and returns its number: a
    /// [`Keyring::create_version`] without a description.
    pub async fn rotate(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        by: impl Into<Author<'_>>,
    ) -> Result<u32, KeyringError> {
        Ok(self.create_version(tenant, name, by, "").await?.version)
    }

    /// Adds a version to the key and makes it the current one. Its number is the first free one
    /// above every version the key ever listed. Concurrent calls each add a version of their own;
    /// the highest becomes current. `description` has at most 1,024 bytes.
    ///
    /// Fails with [`KeyringError::KeyNotFound`], [`KeyringError::InvalidName`] (field `actor`,
    /// `reason` or `description`), or [`KeyringError::Conflict`] when others keep changing the key.
    pub async fn create_version(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        by: impl Into<Author<'_>>,
        description: &str,
    ) -> Result<VersionInfo, KeyringError> {
        create::check_description(description)?;
        let cause = Cause::of(by)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        let description = description.to_owned();
        to_the_end(async move { inner.create_version(&tenant, &name, cause, description).await })
            .await
    }

    /// Makes `target` the current version again; no version is added or removed. Succeeds when it
    /// is current already. Returns the key as it then is.
    ///
    /// Fails with [`KeyringError::KeyNotFound`], [`KeyringError::VersionNotFound`],
    /// [`KeyringError::VersionDestroyed`], [`KeyringError::VersionBelowMinEncrypt`],
    /// [`KeyringError::InvalidName`] (field `actor` or `reason`) or [`KeyringError::Conflict`].
    pub async fn rollback(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        target: u32,
        by: impl Into<Author<'_>>,
    ) -> Result<Arc<Key>, KeyringError> {
        let cause = Cause::of(by)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        to_the_end(async move { inner.rollback(&tenant, &name, target, &cause).await }).await
    }

    /// Destroys a version for good: first nobody may use it any more, then its material is removed
    /// from the store and from the caches. Its number stays listed and is not used again. Nothing
    /// that was encrypted with it can be decrypted any more.
    ///
    /// When the store fails half-way, the same call, or the next [`Keyring::purge_due`], finishes
    /// the destruction later. Fails with
    /// [`KeyringError::KeyNotFound`], [`KeyringError::VersionNotFound`],
    /// [`KeyringError::VersionIsCurrent`], [`KeyringError::VersionDestroyed`] when that was
    /// complete before, [`KeyringError::InvalidName`] (field `actor` or `reason`) or
    /// [`KeyringError::Conflict`].
    pub async fn destroy_version(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        version: u32,
        by: impl Into<Author<'_>>,
    ) -> Result<Receipt, KeyringError> {
        let cause = Cause::of(by)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        to_the_end(async move { inner.destroy_version(&tenant, &name, version, &cause).await })
            .await
    }

    /// Disables the key, so that it neither encrypts nor decrypts, or enables it again. Succeeds
    /// when it is so already. Returns the key as it then is.
    ///
    /// Fails with [`KeyringError::KeyNotFound`], [`KeyringError::InvalidName`] (field `actor` or `reason`) or
    /// [`KeyringError::Conflict`].
    pub async fn set_enabled(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        enabled: bool,
        by: impl Into<Author<'_>>,
    ) -> Result<Arc<Key>, KeyringError> {
        let cause = Cause::of(by)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        to_the_end(async move { inner.set_enabled(&tenant, &name, enabled, &cause).await }).await
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
    /// It is one that decrypts; whether it may encrypt too, [`Key::check_encrypts`] says.
    ///
    /// Fails with [`KeyringError::VersionNotFound`], [`KeyringError::VersionDestroyed`],
    /// [`KeyringError::VersionBelowMinDecrypt`], [`KeyringError::KeyDisabled`],
    /// [`KeyringError::KeyDeleted`] or [`KeyringError::KeyDestroyed`].
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
    tokio::spawn(origin::carried(change)).await.unwrap_or_else(|_| {
        let reason = "the runtime is shutting down".to_owned();
        Err(StoreError::Unavailable { reason }.into())
    })
}
