//! What can go wrong with a store. Each message says what to do about it.

use std::path::PathBuf;

use crate::vault::VaultError;

/// Why a store call failed. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// [`create`](super::Store::create) found a record.
    #[error("a record exists already at {path:?}")]
    Exists {
        /// The record's path.
        path: String,
    },
    /// [`replace`](super::Store::replace) found another revision, or no record.
    #[error("the record at {path:?} was changed by another writer")]
    RevisionMismatch {
        /// The record's path.
        path: String,
        /// The revision the caller expected.
        expected: u64,
        /// The revision found; `None` when there is no record.
        found: Option<u64>,
    },
    /// The path breaks the rules of [`check_path`](super::check_path).
    #[error("{path:?} is not a record path: {reason}")]
    InvalidPath {
        /// The path, shortened.
        path: String,
        /// The rule it breaks.
        reason: &'static str,
    },
    /// The value is larger than [`MAX_VALUE`](super::MAX_VALUE).
    #[error("a record of {size} bytes is over the limit of {limit} bytes")]
    ValueTooLarge {
        /// The value's length in bytes.
        size: usize,
        /// The longest value in bytes.
        limit: usize,
    },
    /// Another process holds the data directory.
    #[error(
        "the data directory {} is in use by another process; stop that process, or choose \
         another data directory", path.display()
    )]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// The process may not write where it has to.
    #[error(
        "{} cannot be written ({reason}); give the user that runs this process read and write \
         access to the data directory and the files in it, or choose another data directory",
        path.display()
    )]
    ReadOnly {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// The embedded database, or a record in it, is not what was written.
    #[error(
        "{} is damaged ({reason}); stop the process and restore the data directory from a backup",
        path.display()
    )]
    Corrupted {
        /// The database file, or the record's path.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// A record in Vault is not what was written there.
    #[error(
        "the record at {path:?} in Vault is damaged ({reason}); restore its newest revision that is \
         whole (`vault kv get -version=<n>` shows one, `vault kv rollback -version=<n>` restores \
         it), or take the record from a snapshot of Vault"
    )]
    CorruptedInVault {
        /// The secret's path in Vault, or the record's.
        path: String,
        /// What was found.
        reason: String,
    },
    /// The database was sealed under another root key than the one given.
    #[error(
        "the store at {} was sealed under another root key ({reason}); start with the root key it \
         was created with, or choose another data directory", path.display()
    )]
    WrongRootKey {
        /// The database file.
        path: PathBuf,
        /// What does not fit.
        reason: &'static str,
    },
    /// The database exists, but the file that holds its root key does not.
    #[error(
        "the root key file {} is missing, but the store at {} was sealed under it; put the file \
         back from a backup (a new key cannot open the store)", key_file.display(), store.display()
    )]
    RootKeyMissing {
        /// Where the key file was expected.
        key_file: PathBuf,
        /// The database file.
        store: PathBuf,
    },
    /// The root key file can be read by other users.
    #[error(
        "the root key file {} has mode {mode:04o}, so that other users may read it; run \
         `chmod 600` on it", path.display()
    )]
    RootKeyExposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The root key given is not one.
    #[error("the root key from {source_name} cannot be used: {reason}")]
    RootKeyInvalid {
        /// Where it came from.
        source_name: String,
        /// What is wrong, and what is expected.
        reason: &'static str,
    },
    /// The operating system reported a failure, such as a full disk.
    #[error("{} failed: {reason}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the operating system said.
        reason: String,
    },
    /// The store cannot answer now; the call may be repeated later.
    #[error("the store is unavailable: {reason}")]
    Unavailable {
        /// Why.
        reason: String,
    },
    /// The call to Vault failed.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// Somebody deleted the record with Vault's own tools, in the way that can be undone, so
    /// nothing is written in its place.
    #[error(
        "the secret {path:?} was deleted in Vault but can be restored; restore it (`vault kv \
         undelete -versions={version}`), or give it up for good (`vault kv metadata delete`)"
    )]
    Deleted {
        /// The secret's path in Vault.
        path: String,
        /// The revision to restore.
        version: u64,
    },
    /// Vault is set up to delete what was written after some time, so the write does not count.
    #[error(
        "Vault is going to delete {path:?} at {at}; set delete_version_after of the mount and of \
         the secret to 0, and restore what was written meanwhile (`vault kv undelete`)"
    )]
    Expires {
        /// The record's path.
        path: String,
        /// When, as Vault says it.
        at: String,
    },
    /// The record is wrapped by Vault Transit, and no key is configured for that.
    #[error(
        "the record at {path:?} is wrapped by Vault Transit; set vault.transit_key to the key it \
         was wrapped with"
    )]
    TransitKeyMissing {
        /// The record's path.
        path: String,
    },
    /// Vault Transit refused to wrap a record, or to unwrap what was stored.
    #[error(
        "Vault Transit refuses to wrap or unwrap the record at {path:?} with the key {key:?}; see \
         that it is the key the record was wrapped with, that it exists, encrypts and decrypts, \
         and that its min_decryption_version is not above the version used"
    )]
    TransitRefused {
        /// The record's path.
        path: String,
        /// The Transit key, as `<mount>/keys/<key>`.
        key: String,
    },
    /// The store cannot be used as it is set up.
    #[error("{0}")]
    Setup(String),
    /// The operating system's source of randomness failed.
    #[error("the operating system gave no random bytes")]
    Random,
}

impl StoreError {
    /// Whether the store cannot answer now, as opposed to having answered something unwelcome.
    /// Only then may an outage contract serve what is cached beyond its time.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Vault(error) => error.is_unavailable(),
            _ => false,
        }
    }

    /// A stable, machine-readable name of the error, such as `store-locked`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "record-exists",
            Self::RevisionMismatch { .. } => "revision-mismatch",
            Self::InvalidPath { .. } => "invalid-path",
            Self::ValueTooLarge { .. } => "value-too-large",
            Self::Locked { .. } => "store-locked",
            Self::ReadOnly { .. } => "store-read-only",
            Self::Corrupted { .. } | Self::CorruptedInVault { .. } => "store-corrupted",
            Self::WrongRootKey { .. } => "wrong-root-key",
            Self::RootKeyMissing { .. } => "root-key-missing",
            Self::RootKeyExposed { .. } => "root-key-exposed",
            Self::RootKeyInvalid { .. } => "root-key-invalid",
            Self::Io { .. } => "store-io",
            Self::Unavailable { .. } => "store-unavailable",
            Self::Vault(error) => error.code(),
            Self::Deleted { .. } => "record-deleted",
            Self::Expires { .. } => "record-expires",
            Self::TransitKeyMissing { .. } => "transit-key-missing",
            Self::TransitRefused { .. } => "transit-refused",
            Self::Setup(_) => "store-setup",
            Self::Random => "random-unavailable",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_is_restored_where_it_is() {
        let (path, reason) = ("tenants/demo", "it is short".to_owned());
        let file = StoreError::Corrupted { path: path.into(), reason: reason.clone() };
        let secret = StoreError::CorruptedInVault { path: path.into(), reason };
        let (in_file, in_vault) = (file.to_string(), secret.to_string());
        for text in [&in_file, &in_vault] {
            assert!(text.contains(path) && text.contains("it is short"), "{text}");
        }
        assert!(in_file.contains("data directory") && !in_file.contains("Vault"), "{in_file}");
        for part in ["vault kv get -version=", "vault kv rollback", "snapshot of Vault"] {
            assert!(in_vault.contains(part), "{part} is not in {in_vault}");
        }
        assert!(!in_vault.contains("data directory"), "{in_vault}");
        assert_eq!(file.code(), secret.code());
        assert!(!file.is_unavailable() && !secret.is_unavailable());
    }
}
