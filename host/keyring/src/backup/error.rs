//! What can go wrong with a backup or a restore. Each message says what to do about it.

use std::io;

use crate::store::StoreError;

/// Why a backup or a restore failed. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// No recipient was given, or one is not an X25519 recipient of age.
    #[error("{0:?} is not a recipient; give what `age-keygen` prints as public key (age1…)")]
    Recipient(String),
    /// No identity was given, or one is not an X25519 identity of age. It is not shown.
    #[error("line {0} is not an identity; give a file that `age-keygen` wrote (AGE-SECRET-KEY-1…)")]
    Identity(usize),
    /// The passphrase is too short for a new backup.
    #[error("the passphrase must have at least 12 bytes")]
    Passphrase,
    /// The file is not a backup of Keyward.
    #[error("this is not a backup of Keyward: {0}; give the file that `keyward backup` wrote")]
    Foreign(&'static str),
    /// None of the identities opens the backup.
    #[error("the backup is not encrypted to this identity; {0}")]
    WrongIdentity(&'static str),
    /// A newer version of this program wrote the backup.
    #[error(
        "the backup has format {found}, and this version reads up to {known}; restore it with \
         the version that wrote it"
    )]
    NewerFormat {
        /// The backup's format.
        found: u32,
        /// The newest format that is known here.
        known: u32,
    },
    /// The backup is not what was written.
    #[error("the backup is damaged ({0}); use another copy of it, or an older backup")]
    Damaged(&'static str),
    /// The backup ends too early.
    #[error("the backup is cut short; copy it again and compare the sizes, or use an older backup")]
    Truncated,
    /// Another store than the one expected wrote the backup.
    #[error(
        "the backup comes from {found}, not from {expected}; do not restore it unless you know \
         who made it"
    )]
    WrongOrigin {
        /// The origin expected.
        expected: String,
        /// The backup's origin.
        found: String,
    },
    /// The origin given is not one.
    #[error("an origin is `ed25519:` and 64 hexadecimal digits, as `keyward backup` prints it")]
    Origin,
    /// The store holds other things under the same names. Nothing was changed.
    #[error(
        "{count} records of the store differ from the backup, such as {first:?}; see what differs \
         with a dry run, then keep what exists or replace it"
    )]
    Conflicts {
        /// How many.
        count: u64,
        /// The path of one of them.
        first: String,
    },
    /// The store and the backup have different material under the same key and version, and
    /// ciphertexts may exist under both. Nothing was changed.
    #[error(
        "{path:?} of the store is not that of the backup and would be lost; restore into an empty \
         store, or keep what exists"
    )]
    Clash {
        /// The path of one of them.
        path: String,
    },
    /// Somebody changed the store during the restore in a way that leaves no safe decision.
    #[error("{path:?} was changed during the restore; run the restore again")]
    Changed {
        /// The record's path.
        path: String,
    },
    /// There is no such tenant to back up.
    #[error("tenant {0:?} does not exist")]
    TenantNotFound(String),
    /// A key changed so often during the backup that no complete state of it was seen.
    #[error("the key at {path:?} keeps changing; run the backup again")]
    Unstable {
        /// The path of the key's record.
        path: String,
    },
    /// There is a file with the name of the new backup.
    #[error("{0} exists; choose another name, or remove it")]
    FileExists(String),
    /// Reading or writing the backup failed.
    #[error("{action} the backup failed: {reason}")]
    Io {
        /// `reading` or `writing`.
        action: &'static str,
        /// What the operating system said.
        reason: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl BackupError {
    /// A stable, machine-readable name of the error, such as `backup-damaged`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Recipient(_) => "backup-recipient-invalid",
            Self::Identity(_) => "backup-identity-invalid",
            Self::Passphrase => "backup-passphrase-short",
            Self::Foreign(_) => "backup-foreign",
            Self::WrongIdentity(_) => "backup-wrong-identity",
            Self::NewerFormat { .. } => "backup-newer-format",
            Self::Damaged(_) => "backup-damaged",
            Self::Truncated => "backup-truncated",
            Self::WrongOrigin { .. } => "backup-wrong-origin",
            Self::Origin => "backup-origin-invalid",
            Self::Conflicts { .. } => "restore-conflicts",
            Self::Clash { .. } => "restore-clash",
            Self::Changed { .. } => "restore-store-changed",
            Self::TenantNotFound(_) => "tenant-not-found",
            Self::Unstable { .. } => "backup-key-unstable",
            Self::FileExists(_) => "backup-file-exists",
            Self::Io { .. } => "backup-io",
            Self::Store(error) => error.code(),
        }
    }

    pub(super) fn writing(error: &io::Error) -> Self {
        Self::Io { action: "writing", reason: error.to_string() }
    }

    /// What an error of a reader that decrypts means.
    pub(super) fn reading(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Self::Damaged("a block of it does not open, or it is cut short")
            }
            _ => Self::Io { action: "reading", reason: error.to_string() },
        }
    }
}
