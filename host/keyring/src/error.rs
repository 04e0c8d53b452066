//! What can go wrong with a keyring.

use keyward_crypto::CryptoError;

use crate::store::StoreError;

/// Why a keyring call failed. Nothing in it is secret.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// No tenant has this name.
    #[error("tenant {tenant:?} does not exist")]
    TenantNotFound {
        /// The name asked for.
        tenant: String,
    },
    /// The tenant has no such key.
    #[error("key {key:?} does not exist")]
    KeyNotFound {
        /// The name, or the id in 16 hex digits, asked for.
        key: String,
    },
    /// The key has no such version.
    #[error("key {key:?} has no version {version}")]
    VersionNotFound {
        /// The key's name.
        key: String,
        /// The version asked for.
        version: u32,
    },
    /// The version was destroyed: its material is gone for good.
    #[error("version {version} of key {key:?} was destroyed")]
    VersionDestroyed {
        /// The key's name.
        key: String,
        /// The version asked for.
        version: u32,
    },
    /// The current version cannot be destroyed; rotate or roll back first.
    #[error(
        "version {version} of key {key:?} is the current one; rotate the key or roll it back first"
    )]
    VersionIsCurrent {
        /// The key's name.
        key: String,
        /// The version asked for.
        version: u32,
    },
    /// The version is below the lowest that decrypts, unwraps and verifies.
    #[error(
        "version {version} of key {key:?} is below min_decrypt_version, which is {min_decrypt}; \
         lower that to use the version again"
    )]
    VersionBelowMinDecrypt {
        /// The key's name.
        key: String,
        /// The version asked for.
        version: u32,
        /// The lowest version that decrypts.
        min_decrypt: u32,
    },
    /// The version is below the lowest that encrypts, signs and makes MACs.
    #[error(
        "version {version} of key {key:?} is below min_encrypt_version, which is {min_encrypt}; \
         lower that first, or use a later version"
    )]
    VersionBelowMinEncrypt {
        /// The key's name.
        key: String,
        /// The version asked for.
        version: u32,
        /// The lowest version that encrypts.
        min_encrypt: u32,
    },
    /// A version that is to be destroyed is still in use.
    #[error("version {version} of key {key:?} is still in use")]
    VersionInUse {
        /// The key's name.
        key: String,
        /// The first such version.
        version: u32,
    },
    /// Only versions that no longer decrypt can be trimmed.
    #[error(
        "versions below {min_available} of key {key:?} still decrypt from {min_decrypt} on; raise \
         min_decrypt_version to {min_available} first"
    )]
    TrimTooHigh {
        /// The key's name.
        key: String,
        /// The lowest version that was to stay.
        min_available: u32,
        /// The lowest version that decrypts.
        min_decrypt: u32,
    },
    /// The key's material is not given out.
    #[error(
        "key {key:?} is not exportable; that is chosen when a key is created, and cannot be \
         allowed later"
    )]
    KeyNotExportable {
        /// The key's name.
        key: String,
    },
    /// Versions are imported only into keys that were imported.
    #[error("key {key:?} was not imported; rotate it, or import a key of another name")]
    KeyNotImported {
        /// The key's name.
        key: String,
    },
    /// The key is disabled: it neither encrypts nor decrypts.
    #[error("key {key:?} is disabled")]
    KeyDisabled {
        /// The key's name.
        key: String,
    },
    /// The key is deleted: until it is restored or destroyed, nothing else can be done with it.
    #[error("key {key:?} is deleted; restore it before its window is over, or destroy it")]
    KeyDeleted {
        /// The key's name.
        key: String,
    },
    /// Only a deleted key can be restored.
    #[error("key {key:?} is not deleted, so there is nothing to restore")]
    KeyNotDeleted {
        /// The key's name.
        key: String,
    },
    /// The deleted key could be restored until a moment that has passed.
    #[error("key {key:?} could be restored until {purge_at} (Unix ms), which has passed")]
    RestoreWindowOver {
        /// The key's name.
        key: String,
        /// When the window ended, in milliseconds since the Unix epoch.
        purge_at: u64,
    },
    /// The key's destruction has begun and cannot be undone; what remains of it is its end.
    #[error("key {key:?} is being destroyed, which cannot be undone; destroy it again to finish")]
    KeyDestroyed {
        /// The key's name.
        key: String,
    },
    /// A tenant with this name exists already.
    #[error("tenant {tenant:?} exists already")]
    TenantExists {
        /// The name asked for.
        tenant: String,
    },
    /// A key with this name exists already in the tenant.
    #[error("key {key:?} exists already")]
    KeyExists {
        /// The name asked for.
        key: String,
    },
    /// A name or another input breaks the rules.
    #[error("{field}: {reason}")]
    InvalidName {
        /// Which input: `tenant`, `key`, `attributes`, `labels`, `owner`, `description`, `actor`,
        /// `reason`, `outage`, or of a rotation policy `rotation`, `every`, `max_messages` or
        /// `max_bytes`.
        field: &'static str,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// A number is not in the range that it has to be in now.
    #[error("{field}: must be {min} to {max}")]
    OutOfRange {
        /// Which input: `min_decrypt_version`, `min_encrypt_version` or `min_available_version`.
        field: &'static str,
        /// The lowest number that would do.
        min: u32,
        /// The highest number that would do.
        max: u32,
    },
    /// Too many writers changed the same key or tenant at once; the call may be repeated.
    #[error("{key:?} is being changed by others; try again")]
    Conflict {
        /// The key's name, or the tenant's.
        key: String,
    },
    /// A record was read but does not make sense.
    #[error("the record at {path:?} is damaged; restore it from a backup")]
    Corrupt {
        /// The record's path in the store.
        path: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A cryptographic operation failed.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

impl KeyringError {
    /// Whether the store cannot answer now; see [`StoreError::is_unavailable`].
    pub fn is_unavailable(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_unavailable())
    }

    /// A stable, machine-readable name of the error, such as `key-not-found`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TenantNotFound { .. } => "tenant-not-found",
            Self::KeyNotFound { .. } => "key-not-found",
            Self::VersionNotFound { .. } => "key-version-not-found",
            Self::VersionDestroyed { .. } => "key-version-destroyed",
            Self::VersionIsCurrent { .. } => "key-version-is-current",
            Self::VersionBelowMinDecrypt { .. } => "key-version-below-min-decrypt",
            Self::VersionBelowMinEncrypt { .. } => "key-version-below-min-encrypt",
            Self::VersionInUse { .. } => "key-version-in-use",
            Self::TrimTooHigh { .. } => "key-trim-too-high",
            Self::KeyNotExportable { .. } => "key-not-exportable",
            Self::KeyNotImported { .. } => "key-not-imported",
            Self::KeyDisabled { .. } => "key-disabled",
            Self::KeyDeleted { .. } => "key-deleted",
            Self::KeyNotDeleted { .. } => "key-not-deleted",
            Self::RestoreWindowOver { .. } => "key-restore-window-over",
            Self::KeyDestroyed { .. } => "key-destroyed",
            Self::TenantExists { .. } => "tenant-exists",
            Self::KeyExists { .. } => "key-exists",
            Self::InvalidName { .. } => "invalid-name",
            Self::OutOfRange { .. } => "out-of-range",
            Self::Conflict { .. } => "conflict",
            Self::Corrupt { .. } => "record-corrupt",
            Self::Store(error) => error.code(),
            Self::Crypto(_) => "crypto-error",
        }
    }
}
