//! Key material that callers bring, and that they take away.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use keyward_crypto::KeyMaterial;

use super::create::NewKey;
use super::lifecycle::Step;
use super::versions::Brought;
use super::{Inner, Keyring, to_the_end};
use crate::error::KeyringError;
use crate::history::{Action, Author, Cause};
use crate::key::{Key, VersionInfo};
use crate::names::{KeyName, TenantName};
use crate::record;

impl Keyring {
    /// Creates a key whose version is `material`, which has to be of the key's algorithm. A call
    /// that failed half-way may be repeated with the same material.
    ///
    /// Fails like [`Keyring::create_key_as`].
    pub async fn import_key(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        new: NewKey,
        material: KeyMaterial,
        by: impl Into<Author<'_>>,
    ) -> Result<Arc<Key>, KeyringError> {
        new.check()?;
        let cause = Cause::of(by)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        let import =
            async move { inner.create_key(&tenant, &name, new, Some(material), &cause).await };
        to_the_end(import).await
    }

    /// Adds a version of `material`, which has to be of the key's algorithm, to a key that was
    /// imported, and makes it the current one.
    ///
    /// Fails like [`Keyring::create_version`], and with [`KeyringError::KeyNotImported`].
    pub async fn import_version(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        material: KeyMaterial,
        by: impl Into<Author<'_>>,
    ) -> Result<VersionInfo, KeyringError> {
        let cause = Cause::of(by)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        to_the_end(async move { inner.import_version(&tenant, &name, material, cause).await }).await
    }

    /// The material of a version, the current one unless another is named, for whoever may have
    /// it. The key's history says so; nothing else of the key changes.
    ///
    /// Fails with [`KeyringError::KeyNotFound`], [`KeyringError::KeyNotExportable`],
    /// [`KeyringError::KeyDisabled`], [`KeyringError::KeyDeleted`],
    /// [`KeyringError::KeyDestroyed`], [`KeyringError::VersionNotFound`],
    /// [`KeyringError::VersionDestroyed`], [`KeyringError::VersionBelowMinDecrypt`],
    /// [`KeyringError::InvalidName`] (field `actor` or `reason`) or [`KeyringError::Conflict`].
    pub async fn export(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        version: Option<u32>,
        by: impl Into<Author<'_>>,
    ) -> Result<Exported, KeyringError> {
        let cause = Cause::of(by)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        to_the_end(async move { inner.export(&tenant, &name, version, &cause).await }).await
    }
}

/// Material that a key gave out.
pub struct Exported {
    /// The key as it was then.
    pub key: Key,
    /// Which version it is of.
    pub version: u32,
    /// The material.
    pub material: KeyMaterial,
}

impl Inner {
    async fn import_version(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        secret: KeyMaterial,
        cause: Cause,
    ) -> Result<VersionInfo, KeyringError> {
        let key = self.read_key(tenant, name).await?;
        key.check_kept()?;
        if !key.is_imported() {
            return Err(KeyringError::KeyNotImported { key: name.to_string() });
        }
        // Of the right kind, as every record is when it is read.
        KeyMaterial::from_bytes(key.algorithm, secret.expose())?;
        let highest = AtomicU32::new(key.highest_version());
        let brought = Brought { secret, imported: true };
        let made = self.next_material(&key, &highest, brought, &cause.actor, "").await?;
        let created = [(made.clone(), cause)];
        let newest = self.list_versions(key, &created, Action::Import).await?;
        self.changed(&newest).await;
        Ok(made)
    }

    async fn export(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        version: Option<u32>,
        cause: &Cause,
    ) -> Result<Exported, KeyringError> {
        let key = self.read_key(tenant, name).await?;
        let version = version.unwrap_or(key.current_version);
        check_export(&key, version)?;
        let path = record::version_path(tenant, name, version);
        let corrupt = || KeyringError::Corrupt { path: path.clone() };
        let found = self.read_material(&path, key.algorithm, version).await?;
        // Gone: whoever destroyed it was faster, which the next look at the metadata says.
        let noted = self.change_key(key, |key| {
            check_export(key, version)?;
            key.note(cause, Action::Export, Some(version));
            Ok(Step::Write)
        });
        let (key, _) = noted.await?;
        self.changed(&key).await;
        let material = found.ok_or_else(corrupt)?;
        let listed = key.version_info(version).and_then(|info| info.fingerprint.as_ref());
        let differs = listed.is_some_and(|listed| *listed != record::fingerprint(&material));
        if material.key_id != key.id || differs {
            return Err(corrupt());
        }
        Ok(Exported { key, version, material: material.secret })
    }
}

/// Whether this version may be given out.
fn check_export(key: &Key, version: u32) -> Result<(), KeyringError> {
    let name = || key.name.to_string();
    key.check_kept()?;
    if !key.exportable {
        return Err(KeyringError::KeyNotExportable { key: name() });
    }
    if !key.enabled() {
        return Err(KeyringError::KeyDisabled { key: name() });
    }
    let info = key.version_info(version);
    let info = info.ok_or_else(|| KeyringError::VersionNotFound { key: name(), version })?;
    if info.destroyed.is_some() {
        return Err(KeyringError::VersionDestroyed { key: name(), version });
    }
    key.check_decrypts(version)
}
