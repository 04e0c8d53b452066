//! A key as callers see it: its metadata, never its bytes.

use std::collections::BTreeMap;

use keyward_crypto::{Algorithm, KeyId};

use crate::names::{KeyName, TenantName};

/// A key's metadata at one moment. Key bytes are not in it; see
/// [`Keyring::version`](crate::Keyring::version).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    pub(crate) tenant: TenantName,
    pub(crate) name: KeyName,
    pub(crate) id: KeyId,
    pub(crate) algorithm: Algorithm,
    pub(crate) attributes: BTreeMap<String, String>,
    pub(crate) current_version: u32,
    pub(crate) versions: Vec<VersionInfo>,
    pub(crate) created_at: u64,
    /// The store's revision of the metadata record this was read from.
    pub(crate) revision: u64,
}

/// One version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VersionInfo {
    /// The version's number, from 1. Numbers may have gaps.
    pub version: u32,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_at: u64,
}

impl Key {
    /// The tenant the key belongs to.
    pub fn tenant(&self) -> &TenantName {
        &self.tenant
    }

    /// The key's name within the tenant.
    pub fn name(&self) -> &KeyName {
        &self.name
    }

    /// The random id that ciphertext headers carry.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// What the key is for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Attributes given at creation, for policies to read.
    pub fn attributes(&self) -> &BTreeMap<String, String> {
        &self.attributes
    }

    /// The version that new ciphertexts use.
    pub fn current_version(&self) -> u32 {
        self.current_version
    }

    /// Every version, oldest first.
    pub fn versions(&self) -> &[VersionInfo] {
        &self.versions
    }

    /// When the key was created, in milliseconds since the Unix epoch.
    pub fn created_at(&self) -> u64 {
        self.created_at
    }

    /// Whether the key has this version.
    pub fn has_version(&self, version: u32) -> bool {
        self.versions.binary_search_by_key(&version, |info| info.version).is_ok()
    }
}
