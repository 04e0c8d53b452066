//! Creating a key: material, then the id index, then the metadata that makes the key exist.
//!
//! The material carries the key's id, so whoever finds the material of an unfinished creation —
//! after a crash, or of a creation going on elsewhere — continues with the same id and material.
//! The metadata is written once, so exactly one of them creates the key.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyward_crypto::{Algorithm, KeyId, KeyMaterial};

use super::Inner;
use crate::about::About;
use crate::bounds::Bounds;
use crate::cache::Absent;
use crate::error::KeyringError;
use crate::generate::generate;
use crate::history::{Action, Cause};
use crate::key::{Key, VersionInfo};
use crate::names::{KeyName, TenantName};
use crate::record::{self, Entry, Material};
use crate::rotation::Rotation;
use crate::store::StoreError;

/// How many taken numbers to step over.
const ATTEMPTS: usize = 1000;
const MAX_ATTRIBUTES: usize = 32;
const MAX_ATTRIBUTE_NAME: usize = 128;
const MAX_ATTRIBUTE_VALUE: usize = 1024;
const MAX_DESCRIPTION: usize = 1024;

/// What a key is to be.
#[derive(Clone, Debug, Default)]
pub struct NewKey {
    /// What it is for.
    pub algorithm: Algorithm,
    /// For policies to read: at most 32, names of at most 128 bytes, values of at most 1,024.
    pub attributes: BTreeMap<String, String>,
    /// What there is to say about it.
    pub about: About,
    /// When it is rotated by itself; `None` leaves it to calls.
    pub rotation: Option<Rotation>,
    /// Whether its material may be had wrapped to a public key. It can be forbidden later, and
    /// never allowed.
    pub exportable: bool,
}

impl NewKey {
    /// Fails with [`KeyringError::InvalidName`].
    pub(super) fn check(&self) -> Result<(), KeyringError> {
        let invalid = |reason| Err(KeyringError::InvalidName { field: "attributes", reason });
        let attributes = &self.attributes;
        if attributes.len() > MAX_ATTRIBUTES {
            return invalid("there may be at most 32 attributes");
        }
        if attributes.keys().any(|name| name.is_empty() || name.len() > MAX_ATTRIBUTE_NAME) {
            return invalid("an attribute's name must have 1 to 128 bytes");
        }
        if attributes.values().any(|value| value.len() > MAX_ATTRIBUTE_VALUE) {
            return invalid("an attribute's value must have at most 1024 bytes");
        }
        self.rotation.map_or(Ok(()), |rotation| rotation.check_for(self.algorithm))?;
        self.about.check()
    }
}

/// Of a version.
pub(super) fn check_description(description: &str) -> Result<(), KeyringError> {
    if description.len() > MAX_DESCRIPTION {
        let reason = "must have at most 1024 bytes";
        return Err(KeyringError::InvalidName { field: "description", reason });
    }
    Ok(())
}

/// Whether both hold the same secret.
fn is_same(one: &Material, other: &Material) -> bool {
    one.secret.is_same(&other.secret)
}

impl Inner {
    pub(super) async fn create_key(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        new: NewKey,
        imported: Option<KeyMaterial>,
        cause: &Cause,
    ) -> Result<Arc<Key>, KeyringError> {
        let NewKey { algorithm, attributes, about, rotation, exportable } = new;
        self.tenant(tenant).await?;
        let exists = || {
            // It is found at once by who is told that it exists.
            self.caches.absences.forget(&Absent::Key(tenant.clone(), name.clone()));
            KeyringError::KeyExists { key: name.to_string() }
        };
        let path = record::key_path(tenant, name);
        let tombstone = match self.read_entry(tenant, name).await? {
            None => None,
            Some(Entry::Tombstone(tombstone)) => Some(tombstone),
            Some(Entry::Key(_)) => return Err(exists()),
        };

        // No number that an earlier key of this name used is taken again, so whoever is late with
        // destroying that one cannot hit this one.
        let ceiling = tombstone.as_ref().map_or(0, |tombstone| tombstone.ceiling);
        let action = if imported.is_some() { Action::Import } else { Action::Create };
        let material = self.first_material(tenant, name, algorithm, ceiling, imported).await?;
        self.index_id(tenant, name, material.key_id).await?;
        let created_at = record::now_ms();
        let mut key = Key {
            tenant: tenant.clone(),
            name: name.clone(),
            id: material.key_id,
            algorithm,
            attributes,
            current_version: material.version,
            versions: vec![VersionInfo {
                version: material.version,
                created_at,
                created_by: Some(cause.actor.clone()),
                description: String::new(),
                destroyed: None,
                imported: material.imported,
                fingerprint: Some(record::fingerprint(&material)),
            }],
            created_at,
            last_rotation: None,
            rotation,
            disabled: None,
            deleted: None,
            destruction: None,
            about,
            bounds: Bounds::default(),
            exportable,
            history: Vec::new(),
            unreceipted: Vec::new(),
            revision: 0,
            cached: None,
        };
        key.note(cause, action, Some(material.version));
        let value = record::encode_key(&path, &key)?;
        let written = match tombstone {
            None => self.store.create(&path, &value).await,
            Some(tombstone) => self.store.replace(&path, &value, tombstone.revision).await,
        };
        match written {
            Ok(_) => {
                // A load that began before may be about to say that there is no such key.
                self.caches.forget_key(tenant, name).await;
                self.caches.absences.forget(&Absent::Id(tenant.clone(), key.id));
                self.key(tenant, name).await
            }
            Err(StoreError::Exists { .. } | StoreError::RevisionMismatch { .. }) => Err(exists()),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes material for the first version, `imported` or new, which is the first above
    /// `ceiling`, or finds that of an unfinished creation or of an unfinished import of the same.
    /// Steps over other imports' and what a rotation of a purged key left behind.
    async fn first_material(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        algorithm: Algorithm,
        ceiling: u32,
        imported: Option<KeyMaterial>,
    ) -> Result<Material, KeyringError> {
        let conflict = || KeyringError::Conflict { key: name.to_string() };
        let is_import = imported.is_some();
        let mut material = Material {
            key_id: self.unused_id(tenant).await?,
            version: ceiling,
            created_at: record::now_ms(),
            imported: is_import,
            secret: match imported {
                Some(material) => material,
                None => generate(algorithm).await?,
            },
        };
        for _ in 0..ATTEMPTS {
            let version = material.version.checked_add(1).ok_or_else(conflict)?;
            material.version = version;
            let path = record::version_path(tenant, name, version);
            match self.store.create(&path, &record::encode_material(&material)).await {
                Ok(_) => return Ok(material),
                Err(StoreError::Exists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            let found = match self.read_material(&path, algorithm, version).await {
                Ok(found) => found.ok_or_else(conflict)?,
                // Of a creation with an algorithm of another kind, or nothing that makes sense: no
                // metadata lists it, so it stays where it is.
                Err(KeyringError::Corrupt { .. }) => continue,
                Err(error) => return Err(error),
            };
            // What one caller brought is no other's, and no key's that nobody imported.
            if found.imported != is_import || is_import && !is_same(&found, &material) {
                continue;
            }
            let index = self.store.get(&record::key_id_path(tenant, found.key_id)).await?;
            if !index.is_some_and(|index| record::is_retired(&index.value)) {
                return Ok(found);
            }
        }
        Err(conflict())
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
