//! The files of a log: `NUMBER.jsonl`, named by the first entry in it, `checkpoint`, `key.vkey` and
//! `lock`.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::AuditError;

/// The file of the log's public key.
pub const KEY_FILE: &str = "key.vkey";
/// The last checkpoint.
pub(crate) const CHECKPOINT_FILE: &str = "checkpoint";
const LOCK_FILE: &str = "lock";
const EXTENSION: &str = ".jsonl";
/// Readable by the owner alone: who did what is nobody else's business.
const FILE_MODE: u32 = 0o600;

/// A file of entries.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Part {
    /// The sequence number of its first entry.
    pub first: u64,
    /// Where it is.
    pub path: PathBuf,
}

impl Part {
    pub(crate) fn of(dir: &Path, first: u64) -> Self {
        Self { first, path: dir.join(format!("{first:020}{EXTENSION}")) }
    }

    /// Its name, for messages.
    pub(crate) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// A new file; the error is that of a file that exists, too.
    pub(crate) fn create(&self) -> io::Result<File> {
        OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&self.path)
    }
}

/// The files of entries, in order.
pub(crate) fn parts(dir: &Path) -> io::Result<Vec<Part>> {
    let mut parts = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let digits = name.strip_suffix(EXTENSION).filter(|digits| digits.len() == 20);
        if let Some(first) = digits.and_then(|digits| digits.parse().ok()) {
            parts.push(Part { first, path });
        }
    }
    parts.sort();
    Ok(parts)
}

/// How long another server, which may be about to end, is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// Creates the directory and takes its lock, which is held as long as the file is open.
pub(crate) fn acquire(dir: &Path) -> Result<File, AuditError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(AuditError::io(dir))?;
    let path = dir.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(FILE_MODE);
    let lock = options.open(&path).map_err(AuditError::io(&path))?;
    let begun = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if begun.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => return Err(AuditError::Locked(dir.to_owned())),
            Err(TryLockError::Error(error)) => return Err(AuditError::Io { path, error }),
        }
    }
}

/// Replaces a small file: after a crash it is the old one or the new one.
pub(crate) fn replace(path: &Path, text: &str) -> io::Result<()> {
    let new = path.with_extension("new");
    let written = write(&new, text).and_then(|()| fs::rename(&new, path));
    if let Err(error) = written {
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    sync_dir(path.parent().unwrap_or(Path::new(".")))
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(FILE_MODE).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// A small file's text; none if it does not exist.
pub(crate) fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
