//! The redb file: opening it, reading it, and committing batches of changes.
//!
//! redb reports most damage as an error but panics on some; nothing of that leaves this module.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use redb::backends::FileBackend;
use redb::{Builder, ReadableDatabase, ReadableTable, TableDefinition};

use super::files::{DataDir, io_error};
use crate::store::StoreError;

/// Path to revision (u64 BE) and sealed value.
const RECORDS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("records");
/// `header` and `sequence`, the revision given last (u64 BE).
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("meta");
const HEADER: &str = "header";
const SEQUENCE: &str = "sequence";

/// Memory for redb's page cache, in bytes. It holds sealed values only.
const PAGE_CACHE: usize = 64 << 20;

/// One step of a batch, decided against what the steps before it left.
pub(super) trait Step {
    /// The record it is about.
    fn path(&self) -> &str;
    /// What to do, given the record's revision, and the next revision to give.
    fn decide(&self, found: Option<u64>, next: u64) -> Result<Effect, StoreError>;
}

/// What a step does to its record.
pub(super) enum Effect {
    /// Store this sealed value under the next revision.
    Put(Vec<u8>),
    /// Remove the record.
    Remove,
    /// Nothing.
    Keep,
}

pub(super) struct Database {
    // `None` only while it is dropped.
    redb: Option<redb::Database>,
    dir: PathBuf,
    file: PathBuf,
}

impl Database {
    /// Opens the directory's database and checks all of it.
    pub(super) fn open(dir: &DataDir) -> Result<Self, StoreError> {
        let mut this =
            Self { redb: None, dir: dir.path().to_owned(), file: dir.database().to_owned() };
        let file = File::options().read(true).write(true).open(&this.file);
        let file = file.map_err(|error| io_error(&this.file, &error))?;
        let length = file.metadata().map_err(|error| io_error(&this.file, &error))?.len();
        if length == 0 {
            return Err(this.corrupted("it is empty"));
        }
        this.redb = Some(this.guarded(|| {
            let backend = FileBackend::new(file)?;
            Ok(Builder::new()
                .set_cache_size(PAGE_CACHE)
                .set_check_integrity_on_open(true)
                .create_with_backend(backend)?)
        })?);
        Ok(this)
    }

    /// Creates a database with this header; it gets its name when it is complete.
    pub(super) fn create(dir: &DataDir, header: &[u8]) -> Result<Self, StoreError> {
        let mut this =
            Self { redb: None, dir: dir.path().to_owned(), file: dir.database().to_owned() };
        let file = dir.start_database()?;
        this.redb = Some(this.guarded(|| {
            let redb = Builder::new()
                .set_cache_size(PAGE_CACHE)
                .create_with_backend(FileBackend::new(file)?)?;
            let transaction = redb.begin_write()?;
            transaction.open_table(RECORDS)?;
            transaction.open_table(META)?.insert(HEADER, header)?;
            transaction.commit()?;
            Ok(redb)
        })?);
        dir.finish_database()?;
        Ok(this)
    }

    pub(super) fn header(&self) -> Result<Vec<u8>, StoreError> {
        let found = self.read(|transaction| {
            let table = transaction.open_table(META)?;
            Ok(table.get(HEADER)?.map(|value| value.value().to_vec()))
        })?;
        found.ok_or_else(|| self.corrupted("it has no header"))
    }

    /// The record's revision and sealed value.
    pub(super) fn get(&self, path: &str) -> Result<Option<(u64, Vec<u8>)>, StoreError> {
        let row = self.read(|transaction| {
            let table = transaction.open_table(RECORDS)?;
            Ok(table.get(path)?.map(|row| row.value().to_vec()))
        })?;
        let Some(row) = row else { return Ok(None) };
        let (revision, sealed) = split(&row).ok_or_else(|| self.corrupted("a record is cut"))?;
        Ok(Some((revision, sealed.to_vec())))
    }

    /// The names right below `folder`, which is empty or ends in `/`.
    pub(super) fn children(&self, folder: &str) -> Result<Vec<String>, StoreError> {
        self.read(|transaction| {
            let table = transaction.open_table(RECORDS)?;
            let mut children = Vec::new();
            let mut from = folder.to_owned();
            'seek: loop {
                for row in table.range::<&str>(from.as_str()..)? {
                    let (path, _) = row?;
                    let Some(below) = path.value().strip_prefix(folder) else {
                        break 'seek;
                    };
                    if let Some((name, _)) = below.split_once('/') {
                        children.push(format!("{name}/"));
                        // '0' is the byte after '/': on to what follows the whole subfolder.
                        from = format!("{folder}{name}0");
                        continue 'seek;
                    }
                    children.push(below.to_owned());
                }
                break;
            }
            Ok(children)
        })
    }

    /// Carries out a batch in one durable transaction. The outer result is the transaction's, the
    /// inner ones are each step's: the revision given, or 0 when none was.
    pub(super) fn commit<S: Step>(
        &self,
        steps: &[S],
    ) -> Result<Vec<Result<u64, StoreError>>, StoreError> {
        self.guarded(|| {
            let transaction = self.redb()?.begin_write()?;
            let mut results = Vec::with_capacity(steps.len());
            let changed = {
                let mut records = transaction.open_table(RECORDS)?;
                let mut meta = transaction.open_table(META)?;
                let before = match meta.get(SEQUENCE)? {
                    Some(value) => {
                        let bytes = value.value().try_into();
                        u64::from_be_bytes(bytes.map_err(|_| cut())?)
                    }
                    None => 0,
                };
                let mut sequence = before;
                let mut changed = false;
                for step in steps {
                    let found = match records.get(step.path())? {
                        Some(row) => Some(split(row.value()).ok_or_else(cut)?.0),
                        None => None,
                    };
                    let next = sequence + 1;
                    results.push(match step.decide(found, next) {
                        Ok(Effect::Put(sealed)) => {
                            let mut row = Vec::with_capacity(8 + sealed.len());
                            row.extend_from_slice(&next.to_be_bytes());
                            row.extend_from_slice(&sealed);
                            records.insert(step.path(), row.as_slice())?;
                            (sequence, changed) = (next, true);
                            Ok(next)
                        }
                        Ok(Effect::Remove) => {
                            records.remove(step.path())?;
                            changed = true;
                            Ok(0)
                        }
                        Ok(Effect::Keep) => Ok(0),
                        Err(error) => Err(error),
                    });
                }
                if sequence != before {
                    meta.insert(SEQUENCE, sequence.to_be_bytes().as_slice())?;
                }
                changed
            };
            if changed {
                transaction.commit()?;
            } else {
                transaction.abort()?;
            }
            Ok(results)
        })
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&redb::ReadTransaction) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        self.guarded(|| read(&self.redb()?.begin_read()?))
    }

    fn redb(&self) -> Result<&redb::Database, redb::Error> {
        self.redb.as_ref().ok_or(redb::Error::DatabaseClosed)
    }

    fn guarded<T>(&self, work: impl FnOnce() -> Result<T, redb::Error>) -> Result<T, StoreError> {
        match catch_unwind(AssertUnwindSafe(work)) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(self.explain(&error)),
            Err(_) => Err(self.corrupted("its structure is inconsistent")),
        }
    }

    fn corrupted(&self, reason: &str) -> StoreError {
        StoreError::Corrupted { path: self.file.clone(), reason: reason.to_owned() }
    }

    fn explain(&self, error: &redb::Error) -> StoreError {
        use redb::Error as E;
        let io = |reason: &str| StoreError::Io { path: self.file.clone(), reason: reason.into() };
        match error {
            E::DatabaseAlreadyOpen | E::LockProtocolMismatch => {
                StoreError::Locked { path: self.dir.clone() }
            }
            E::Io(error) => io_error(&self.file, error),
            E::PreviousIo => io("an earlier write failed; free or repair the disk and restart"),
            E::LockPoisoned(_) => io("an earlier operation stopped unexpectedly; restart"),
            E::DatabaseClosed => {
                StoreError::Unavailable { reason: "the database is closed".to_owned() }
            }
            E::Backend(_) | E::Unsupported => io(&error.to_string()),
            // What is left says that tables or pages are not what they were written as.
            other => self.corrupted(&other.to_string()),
        }
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let redb = self.redb.take();
        if catch_unwind(AssertUnwindSafe(|| drop(redb))).is_err() {
            tracing::error!(file = %self.file.display(), "the database did not close cleanly");
        }
    }
}

fn split(row: &[u8]) -> Option<(u64, &[u8])> {
    let (revision, sealed) = row.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*revision), sealed))
}

fn cut() -> redb::Error {
    redb::Error::Corrupted("a record is cut".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_library_is_an_error_that_names_the_file() {
        let parent = tempfile::tempdir().unwrap();
        let dir = DataDir::acquire(parent.path()).unwrap();
        let database = Database::create(&dir, b"header").unwrap();
        let error = database.guarded::<()>(|| panic!("inconsistent")).unwrap_err();
        assert!(matches!(&error, StoreError::Corrupted { path, .. } if path == dir.database()));
        assert_eq!(database.header().unwrap(), b"header");
    }
}
