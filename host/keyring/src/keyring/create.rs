//! Creating a key: material, then the id index, then the metadata that makes the key exist.
//!
//! The material carries the key's id, so whoever finds the material of an unfinished creation —
//! after a crash, or of a creation going on elsewhere — continues with the same id and material.
//! The metadata is written once, so exactly one of them creates the key.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyward_crypto::{Algorithm, KeyId, KeyMaterial};

use super::Inner;
use crate::cache::Absent;
use crate::error::KeyringError;
use crate::key::{Key, VersionInfo};
use crate::names::{KeyName, TenantName};
use crate::record::{self, Material};
use crate::store::StoreError;

const FIRST_VERSION: u32 = 1;
const MAX_ATTRIBUTES: usize = 32;
const MAX_ATTRIBUTE_NAME: usize = 128;
const MAX_ATTRIBUTE_VALUE: usize = 1024;
const MAX_ACTOR: usize = 256;
const MAX_DESCRIPTION: usize = 1024;

pub(super) fn check_attributes(attributes: &BTreeMap<String, String>) -> Result<(), KeyringError> {
    let invalid = |reason| Err(KeyringError::InvalidName { field: "attributes", reason });
    if attributes.len() > MAX_ATTRIBUTES {
        return invalid("there may be at most 32 attributes");
    }
    if attributes.keys().any(|name| name.is_empty() || name.len() > MAX_ATTRIBUTE_NAME) {
        return invalid("an attribute's name must have 1 to 128 bytes");
    }
    if attributes.values().any(|value| value.len() > MAX_ATTRIBUTE_VALUE) {
        return invalid("an attribute's value must have at most 1024 bytes");
    }
    Ok(())
}

/// An actor's name is kept with what it did.
pub(super) fn check_actor(actor: &str) -> Result<(), KeyringError> {
    if actor.is_empty() || actor.len() > MAX_ACTOR {
        let reason = "must have 1 to 256 bytes";
        return Err(KeyringError::InvalidName { field: "actor", reason });
    }
    Ok(())
}

pub(super) fn check_description(description: &str) -> Result<(), KeyringError> {
    if description.len() > MAX_DESCRIPTION {
        let reason = "must have at most 1024 bytes";
        return Err(KeyringError::InvalidName { field: "description", reason });
    }
    Ok(())
}

impl Inner {
    pub(super) async fn create_key(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        algorithm: Algorithm,
        attributes: BTreeMap<String, String>,
        actor: &str,
    ) -> Result<Arc<Key>, KeyringError> {
        self.tenant(tenant).await?;
        let exists = || {
            // It is found at once by who is told that it exists.
            self.caches.absences.forget(&Absent::Key(tenant.clone(), name.clone()));
            KeyringError::KeyExists { key: name.to_string() }
        };
        let path = record::key_path(tenant, name);
        if self.store.get(&path).await?.is_some() {
            return Err(exists());
        }

        let material = self.first_material(tenant, name, algorithm).await?;
        self.index_id(tenant, name, material.key_id).await?;
        let created_at = record::now_ms();
        let key = Key {
            tenant: tenant.clone(),
            name: name.clone(),
            id: material.key_id,
            algorithm,
            attributes,
            current_version: FIRST_VERSION,
            versions: vec![VersionInfo {
                version: FIRST_VERSION,
                created_at,
                created_by: Some(actor.to_owned()),
                description: String::new(),
                destroyed: None,
                fingerprint: Some(record::fingerprint(&material)),
            }],
            created_at,
            last_rotation: None,
            disabled: None,
            revision: 0,
            cached: None,
        };
        match self.store.create(&path, &record::encode_key(&path, &key)?).await {
            Ok(_) => {
                // A load that began before may be about to say that there is no such key.
                self.caches.forget_key(tenant, name).await;
                self.caches.absences.forget(&Absent::Id(tenant.clone(), key.id));
                self.key(tenant, name).await
            }
            Err(StoreError::Exists { .. }) => Err(exists()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes new material for the first version, or finds that of an unfinished creation.
    async fn first_material(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        algorithm: Algorithm,
    ) -> Result<Material, KeyringError> {
        let path = record::version_path(tenant, name, FIRST_VERSION);
        let material = Material {
            key_id: self.unused_id(tenant).await?,
            version: FIRST_VERSION,
            created_at: record::now_ms(),
            secret: KeyMaterial::generate(algorithm)?,
        };
        match self.store.create(&path, &record::encode_material(&material)).await {
            Ok(_) => Ok(material),
            Err(StoreError::Exists { .. }) => self
                .read_material(&path, algorithm, FIRST_VERSION)
                .await?
                .ok_or_else(|| KeyringError::Conflict { key: name.to_string() }),
            Err(error) => Err(error.into()),
        }
    }

    async fn unused_id(&self, tenant: &TenantName) -> Result<KeyId, KeyringError> {
        loop {
            let id = KeyId::random()?;
            if self.store.get(&record::key_id_path(tenant, id)).await?.is_none() {
                return Ok(id);
            }
        }
    }

    /// Points the id to the name, unless it does already.
    async fn index_id(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        id: KeyId,
    ) -> Result<(), KeyringError> {
        let path = record::key_id_path(tenant, id);
        match self.store.create(&path, name.as_str().as_bytes()).await {
            Ok(_) => Ok(()),
            Err(StoreError::Exists { .. }) => match self.store.get(&path).await? {
                Some(found) if found.value.as_slice() == name.as_str().as_bytes() => Ok(()),
                _ => Err(KeyringError::Corrupt { path }),
            },
            Err(error) => Err(error.into()),
        }
    }
}
