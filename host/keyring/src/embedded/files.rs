//! The data directory: its files, their modes, and the lock that one process holds.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::store::StoreError;

const DATABASE: &str = "keyward.redb";
const UNFINISHED: &str = "keyward.redb.new";
const LOCK: &str = "keyward.lock";
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Turns the operating system's error into one that says what to do.
pub(super) fn io_error(path: &Path, error: &io::Error) -> StoreError {
    let (path, reason) = (path.to_owned(), error.to_string());
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            StoreError::ReadOnly { path, reason }
        }
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            StoreError::Corrupted { path, reason }
        }
        _ => StoreError::Io { path, reason },
    }
}

/// The data directory, held by this process until dropped.
pub(super) struct DataDir {
    dir: PathBuf,
    database: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the directory if it is missing and takes its lock.
    pub(super) fn acquire(dir: &Path) -> Result<Self, StoreError> {
        DirBuilder::new()
            .recursive(true)
            .mode(DIR_MODE)
            .create(dir)
            .map_err(|error| io_error(dir, &error))?;
        let path = dir.join(LOCK);
        let lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&path)
            .map_err(|error| io_error(&path, &error))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::Locked { path: dir.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(io_error(&path, &error)),
        }
        let this = Self { dir: dir.to_owned(), database: dir.join(DATABASE), _lock: lock };
        this.restrict()?;
        Ok(this)
    }

    /// Takes the rights of other users from a directory that holds nothing but a new store, and
    /// from the database file. A directory that holds other things keeps its mode.
    fn restrict(&self) -> Result<(), StoreError> {
        let fail = |error: io::Error| io_error(&self.dir, &error);
        let loose = |path: &Path| -> io::Result<bool> {
            Ok(fs::metadata(path)?.permissions().mode() & 0o077 != 0)
        };
        if self.has_database()? {
            if loose(&self.database).map_err(fail)? {
                fs::set_permissions(&self.database, Permissions::from_mode(FILE_MODE))
                    .map_err(|error| io_error(&self.database, &error))?;
            }
        } else if loose(&self.dir).map_err(fail)?
            && fs::read_dir(&self.dir).map_err(fail)?.count() == 1
        {
            fs::set_permissions(&self.dir, Permissions::from_mode(DIR_MODE)).map_err(fail)?;
        }
        if loose(&self.dir).map_err(fail)? {
            tracing::warn!(
                directory = %self.dir.display(),
                "other users may enter the data directory; run `chmod 700` on it"
            );
        }
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.dir
    }

    /// The database file.
    pub(super) fn database(&self) -> &Path {
        &self.database
    }

    pub(super) fn has_database(&self) -> Result<bool, StoreError> {
        self.database.try_exists().map_err(|error| io_error(&self.database, &error))
    }

    /// An empty file for a database that is not complete yet, in place of one left by a crash.
    pub(super) fn start_database(&self) -> Result<File, StoreError> {
        let path = self.dir.join(UNFINISHED);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(io_error(&path, &error));
            }
            _ => {}
        }
        create_private(&path)
    }

    /// Gives the new database its name, for good.
    pub(super) fn finish_database(&self) -> Result<(), StoreError> {
        fs::rename(self.dir.join(UNFINISHED), &self.database)
            .and_then(|()| File::open(&self.dir)?.sync_all())
            .map_err(|error| io_error(&self.database, &error))
    }
}

/// A new file that only its owner may read; fails when there is one.
pub(super) fn create_private(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(FILE_MODE)
        .open(path)
        .map_err(|error| io_error(path, &error))
}
