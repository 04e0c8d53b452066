//! Rotating a key: material first, written once, then the metadata by compare-and-set.
//!
//! Whoever writes the material of a number owns that number, so two rotations never share one. A
//! rotation that stops in between leaves material that no metadata lists: later ones step over
//! its number, and it is never used.

use keyward_crypto::KeyMaterial;

use super::Inner;
use crate::error::KeyringError;
use crate::key::{Key, VersionInfo};
use crate::names::{KeyName, TenantName};
use crate::record::{self, Material};
use crate::store::StoreError;

/// How many taken numbers to step over, and how many lost races for the metadata to accept.
const ATTEMPTS: usize = 1000;

impl Inner {
    pub(super) async fn rotate(
        &self,
        tenant: &TenantName,
        name: &KeyName,
    ) -> Result<u32, KeyringError> {
        let key = self.read_key(tenant, name).await?;
        let created = self.next_material(&key).await?;
        let newest = self.list_version(key, created).await?;
        self.publish(&newest).await;
        Ok(created.version)
    }

    /// Writes new material under the first free number above the current version.
    async fn next_material(&self, key: &Key) -> Result<VersionInfo, KeyringError> {
        let conflict = || KeyringError::Conflict { key: key.name.to_string() };
        let mut version = key.current_version;
        for _ in 0..ATTEMPTS {
            version = version.checked_add(1).ok_or_else(conflict)?;
            let created_at = record::now_ms();
            let material =
                Material { key_id: key.id, version, created_at, secret: KeyMaterial::generate()? };
            let path = record::version_path(&key.tenant, &key.name, version);
            match self.store.create(&path, &record::encode_material(&material)).await {
                Ok(_) => {
                    return Ok(VersionInfo { version, created_at });
                }
                Err(StoreError::Exists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(conflict())
    }

    /// Adds the version to the metadata; the highest version listed becomes the current one.
    async fn list_version(&self, mut key: Key, created: VersionInfo) -> Result<Key, KeyringError> {
        let path = record::key_path(&key.tenant, &key.name);
        for _ in 0..ATTEMPTS {
            let place = key.versions.partition_point(|info| info.version < created.version);
            key.versions.insert(place, created);
            key.current_version = key.current_version.max(created.version);
            let value = record::encode_key(&path, &key)?;
            match self.store.replace(&path, &value, key.revision).await {
                Ok(revision) => {
                    key.revision = revision;
                    return Ok(key);
                }
                Err(StoreError::RevisionMismatch { .. }) => {
                    let now = self.read_key(&key.tenant, &key.name).await?;
                    if now.id != key.id {
                        return Err(KeyringError::KeyNotFound { key: key.name.to_string() });
                    }
                    key = now;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeyringError::Conflict { key: key.name.to_string() })
    }
}
