//! A key as callers see it: its metadata, never its bytes.

use std::collections::BTreeMap;

use keyward_crypto::{Algorithm, KeyId};

use crate::about::About;
use crate::bounds::Bounds;
use crate::cache::Cached;
use crate::error::KeyringError;
use crate::history::{Action, Cause, HISTORY_LIMIT, HistoryEntry};
use crate::names::{KeyName, TenantName};
use crate::rotation::Rotation;

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
    pub(crate) last_rotation: Option<u64>,
    pub(crate) rotation: Option<Rotation>,
    pub(crate) disabled: Option<Stamp>,
    pub(crate) deleted: Option<Deletion>,
    pub(crate) destruction: Option<Destruction>,
    pub(crate) about: About,
    pub(crate) bounds: Bounds,
    pub(crate) exportable: bool,
    pub(crate) history: Vec<HistoryEntry>,
    pub(crate) unreceipted: Vec<Unreceipted>,
    /// The store's revision of the metadata record this was read from.
    pub(crate) revision: u64,
    /// How the cache knows it; `None` when it was read past the cache.
    pub(crate) cached: Option<Cached>,
}

/// One version of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionInfo {
    /// The version's number, from 1. Numbers may have gaps and are never used twice.
    pub version: u32,
    /// When it was created, in milliseconds since the Unix epoch.
    pub created_at: u64,
    /// Who created it; `None` in records that do not say.
    pub created_by: Option<String>,
    /// What its creator wrote about it; may be empty.
    pub description: String,
    /// When and by whom it was destroyed. Its material is then gone for good.
    pub destroyed: Option<Stamp>,
    /// Whether a caller brought the material: it was made elsewhere, and may be known there.
    pub imported: bool,
    /// Names the material without revealing it: `sha256:` and the 64 hexadecimal digits of the
    /// SHA-256 of a label, the key's id, the version and the material. Checked whenever the
    /// material is loaded; `None` in records that do not have it.
    pub fingerprint: Option<String>,
}

/// What may be done with a key; see `docs/keys.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyState {
    /// It encrypts and decrypts.
    Enabled,
    /// It neither encrypts nor decrypts until it is enabled again.
    Disabled,
    /// It neither encrypts nor decrypts, and is destroyed when its window is over unless it is
    /// restored before.
    Deleted,
    /// Its destruction has begun and is not complete yet. It cannot be undone.
    Destroying,
}

impl KeyState {
    /// The state's name: `enabled`, `disabled`, `deleted` or `destroying`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enabled => "enabled",
            Self::Disabled => "disabled",
            Self::Deleted => "deleted",
            Self::Destroying => "destroying",
        }
    }
}

/// That a key was deleted, in the way that can be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deletion {
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// The actor, as the caller of the deletion named it.
    pub by: String,
    /// Until when the key can be restored, and from when on it is destroyed, in milliseconds since
    /// the Unix epoch.
    pub purge_at: u64,
}

/// That a key's destruction has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Destruction {
    pub(crate) stamp: Stamp,
    /// The highest number whose material this key may have. A later key of the same name has
    /// higher ones only, so whoever removes material up to here removes none of that key's.
    pub(crate) ceiling: u32,
    pub(crate) reason: Option<String>,
}

/// That versions were destroyed, and no receipt was written yet: the intent to write one. It is
/// recorded together with the destruction, so that whoever comes next finishes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreceipted {
    pub(crate) stamp: Stamp,
    pub(crate) reason: Option<String>,
    /// In increasing order, at least one.
    pub(crate) versions: Vec<u32>,
}

/// When something was done, and by whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// In milliseconds since the Unix epoch.
    pub at: u64,
    /// The actor, as the caller of the change named it.
    pub by: String,
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

    /// Every version, oldest first, destroyed ones included.
    pub fn versions(&self) -> &[VersionInfo] {
        &self.versions
    }

    /// Labels, owner and description.
    pub fn about(&self) -> &About {
        &self.about
    }

    /// The lowest version that decrypts, unwraps and verifies.
    pub fn min_decrypt_version(&self) -> u32 {
        self.bounds.min_decrypt
    }

    /// The lowest version that encrypts, signs and makes MACs: never below
    /// [`Key::min_decrypt_version`].
    pub fn min_encrypt_version(&self) -> u32 {
        self.bounds.min_encrypt()
    }

    /// The lowest version that was not destroyed; `None` once the key itself is being destroyed.
    pub fn min_available_version(&self) -> Option<u32> {
        let first = self.versions.iter().find(|info| info.destroyed.is_none());
        first.map(|info| info.version)
    }

    /// What was done to the key, oldest first: the last [`HISTORY_LIMIT`] changes.
    pub fn history(&self) -> &[HistoryEntry] {
        &self.history
    }

    /// Whether its material may be had wrapped to a public key. Once it may not, it never may.
    pub fn exportable(&self) -> bool {
        self.exportable
    }

    /// Whether a caller brought the material of one of its versions.
    pub fn is_imported(&self) -> bool {
        self.versions.iter().any(|info| info.imported)
    }

    /// When the key was created, in milliseconds since the Unix epoch.
    pub fn created_at(&self) -> u64 {
        self.created_at
    }

    /// When a version was last added after the first, in milliseconds since the Unix epoch.
    pub fn last_rotation(&self) -> Option<u64> {
        self.last_rotation
    }

    /// When the key is rotated by itself, if it has a policy of its own.
    pub fn rotation(&self) -> Option<&Rotation> {
        self.rotation.as_ref()
    }

    /// What may be done with the key.
    pub fn state(&self) -> KeyState {
        if self.destruction.is_some() {
            KeyState::Destroying
        } else if self.deleted.is_some() {
            KeyState::Deleted
        } else if self.disabled.is_some() {
            KeyState::Disabled
        } else {
            KeyState::Enabled
        }
    }

    /// Whether the key may be used. A disabled or deleted key neither encrypts nor decrypts.
    pub fn enabled(&self) -> bool {
        self.state() == KeyState::Enabled
    }

    /// When and by whom the key was deleted, and until when it can be restored, if it is deleted.
    pub fn deleted(&self) -> Option<&Deletion> {
        self.deleted.as_ref()
    }

    /// When and by whom the key was disabled, if it is.
    pub fn disabled(&self) -> Option<&Stamp> {
        self.disabled.as_ref()
    }

    /// Whether the key lists this version, destroyed or not.
    pub fn has_version(&self, version: u32) -> bool {
        self.version_info(version).is_some()
    }

    /// What is known of this version.
    pub fn version_info(&self, version: u32) -> Option<&VersionInfo> {
        let place = self.versions.binary_search_by_key(&version, |info| info.version).ok()?;
        self.versions.get(place)
    }

    /// Whether the key lists this version as one that was not destroyed and, as far as the bounds
    /// go, may decrypt.
    pub fn is_in_use(&self, version: u32) -> bool {
        let info = self.version_info(version);
        version >= self.bounds.min_decrypt && info.is_some_and(|info| info.destroyed.is_none())
    }

    /// Whether the key is enabled and this version [in use](Key::is_in_use).
    pub(crate) fn is_usable(&self, version: u32) -> bool {
        self.enabled() && self.is_in_use(version)
    }

    /// Succeeds unless the bounds keep this version from decrypting, unwrapping and verifying.
    /// Fails with [`KeyringError::VersionBelowMinDecrypt`].
    pub fn check_decrypts(&self, version: u32) -> Result<(), KeyringError> {
        let min_decrypt = self.bounds.min_decrypt;
        if version >= min_decrypt {
            return Ok(());
        }
        let key = self.name.to_string();
        Err(KeyringError::VersionBelowMinDecrypt { key, version, min_decrypt })
    }

    /// Succeeds unless the bounds keep this version from encrypting, signing and making MACs.
    /// Fails with [`KeyringError::VersionBelowMinEncrypt`].
    pub fn check_encrypts(&self, version: u32) -> Result<(), KeyringError> {
        let min_encrypt = self.bounds.min_encrypt();
        if version >= min_encrypt {
            return Ok(());
        }
        let key = self.name.to_string();
        Err(KeyringError::VersionBelowMinEncrypt { key, version, min_encrypt })
    }

    /// Adds an entry to the history, and drops the oldest where there are too many.
    pub(crate) fn note(&mut self, cause: &Cause, action: Action, version: Option<u32>) {
        self.history.push(cause.entry(action, version));
        let excess = self.history.len().saturating_sub(HISTORY_LIMIT);
        self.history.drain(..excess);
    }

    /// Succeeds unless the key is deleted or being destroyed.
    pub(crate) fn check_kept(&self) -> Result<(), KeyringError> {
        let key = self.name.to_string();
        match self.state() {
            KeyState::Enabled | KeyState::Disabled => Ok(()),
            KeyState::Deleted => Err(KeyringError::KeyDeleted { key }),
            KeyState::Destroying => Err(KeyringError::KeyDestroyed { key }),
        }
    }

    pub(crate) fn version_info_mut(&mut self, version: u32) -> Option<&mut VersionInfo> {
        let place = self.versions.binary_search_by_key(&version, |info| info.version).ok()?;
        self.versions.get_mut(place)
    }

    /// Lists a new version. The highest becomes the current one.
    pub(crate) fn add_version(&mut self, created: VersionInfo) {
        self.current_version = self.current_version.max(created.version);
        self.last_rotation = self.last_rotation.max(Some(created.created_at));
        let place = self.versions.partition_point(|info| info.version < created.version);
        self.versions.insert(place, created);
    }

    /// The highest number any version ever had.
    pub(crate) fn highest_version(&self) -> u32 {
        self.versions.last().map_or(0, |info| info.version)
    }
}
