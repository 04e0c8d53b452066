//! A backup in a file, which is there whole or not at all.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::envelope::Recipients;
use super::error::BackupError;
use super::origin::hex;
use super::report::Report;
use super::scope::Scope;
use super::write::write;
use crate::store::{Store, StoreError};

/// Writes a backup to a new file at `path`, of mode 0600. Until it is complete and on disk it has
/// the name `<path>.<8 digits>.partial`, and that goes away when the backup fails or its future is
/// dropped; a process that is killed leaves it, and it can be removed.
///
/// Fails like [`write()`], and with [`BackupError::FileExists`].
pub async fn to_file(
    store: &dyn Store,
    scope: &Scope,
    recipients: &Recipients,
    path: &Path,
) -> Result<Report, BackupError> {
    if path.try_exists().map_err(|error| BackupError::writing(&error))? {
        return Err(BackupError::FileExists(path.display().to_string()));
    }
    let partial = Partial::beside(path)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let file = options.open(&partial.path).map_err(|error| BackupError::writing(&error))?;
    let mut file = tokio::fs::File::from_std(file);
    let report = write(store, scope, recipients, &mut file).await?;
    file.sync_all().await.map_err(|error| BackupError::writing(&error))?;
    drop(file);
    partial.becomes(path)?;
    Ok(report)
}

/// The unfinished file, removed when dropped.
struct Partial {
    path: PathBuf,
}

impl Partial {
    fn beside(path: &Path) -> Result<Self, BackupError> {
        let mut random = [0; 4];
        keyward_crypto::random_bytes(&mut random).map_err(|_| StoreError::Random)?;
        let mut name = OsString::from(path);
        name.push(format!(".{}.partial", hex(&random)));
        Ok(Self { path: name.into() })
    }

    fn becomes(self, path: &Path) -> Result<(), BackupError> {
        let fail = |error: std::io::Error| BackupError::writing(&error);
        // Somebody may have made a file of that name meanwhile; it is not replaced.
        if path.try_exists().map_err(fail)? {
            return Err(BackupError::FileExists(path.display().to_string()));
        }
        fs::rename(&self.path, path).map_err(fail)?;
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
        let dir = fs::File::open(dir.unwrap_or(Path::new("."))).map_err(fail)?;
        dir.sync_all().map_err(fail)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone already once it has its name.
        let _ = fs::remove_file(&self.path);
    }
}
