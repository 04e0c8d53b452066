//! Why a log cannot be had.

use std::io;
use std::path::{Path, PathBuf};

use keyward_crypto::CryptoError;

/// Why a log cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AuditError {
    /// Another process writes to it.
    #[error(
        "the audit directory {} is in use by another process; give each server its own with \
         `audit.dir`", .0.display()
    )]
    Locked(PathBuf),
    /// A file cannot be read or written.
    #[error("cannot use {} for the audit log: {error}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The signing key cannot be had.
    #[error("the audit log's signing key cannot be derived: {0}")]
    Key(#[from] CryptoError),
}

impl AuditError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Io { path: path.to_owned(), error }
    }
}

/// There was no place for an entry, or it could not be made durable, within the time for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot be written at the moment")]
pub struct Stalled;
