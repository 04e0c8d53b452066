//! Adding a version: material first, written once, then the metadata by compare-and-set.
//!
//! Whoever writes the material of a number owns that number, so two rotations never share one. A
//! rotation that stops in between leaves material that no metadata lists: later ones step over
//! its number, and it is never used. Numbers start above the highest ever listed, so that one whose
//! material was destroyed is not taken again.

use std::sync::Arc;

use keyward_crypto::KeyMaterial;

use super::Inner;
use super::lifecycle::Step;
use crate::error::KeyringError;
use crate::key::{Key, VersionInfo};
use crate::names::{KeyName, TenantName};
use crate::record::{self, Material};
use crate::store::StoreError;

/// How many taken numbers to step over.
const ATTEMPTS: usize = 1000;

impl Inner {
    pub(super) async fn create_version(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        actor: &str,
        description: &str,
    ) -> Result<VersionInfo, KeyringError> {
        let key = self.read_key(tenant, name).await?;
        let created = self.next_material(&key, actor, description).await?;
        let (newest, _) = self.list_version(key, &created).await?;
        self.changed(&newest).await;
        Ok(created)
    }

    /// Writes new material under the first free number.
    async fn next_material(
        &self,
        key: &Key,
        actor: &str,
        description: &str,
    ) -> Result<VersionInfo, KeyringError> {
        let conflict = || KeyringError::Conflict { key: key.name.to_string() };
        let mut version = key.highest_version();
        for _ in 0..ATTEMPTS {
            version = version.checked_add(1).ok_or_else(conflict)?;
            let created_at = record::now_ms();
            let material =
                Material { key_id: key.id, version, created_at, secret: KeyMaterial::generate()? };
            let path = record::version_path(&key.tenant, &key.name, version);
            match self.store.create(&path, &record::encode_material(&material)).await {
                Ok(_) => {
                    return Ok(VersionInfo {
                        version,
                        created_at,
                        created_by: Some(actor.to_owned()),
                        description: description.to_owned(),
                        destroyed: None,
                        fingerprint: Some(record::fingerprint(&material)),
                    });
                }
                Err(StoreError::Exists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(conflict())
    }

    /// Adds the version to the metadata. It becomes the current one unless a higher is already.
    async fn list_version(
        self: &Arc<Self>,
        key: Key,
        created: &VersionInfo,
    ) -> Result<(Key, Step), KeyringError> {
        self.change_key(key, |key| {
            let place = key.versions.partition_point(|info| info.version < created.version);
            key.versions.insert(place, created.clone());
            key.current_version = key.current_version.max(created.version);
            key.last_rotation = key.last_rotation.max(Some(created.created_at));
            Ok(Step::Write)
        })
        .await
    }
}
