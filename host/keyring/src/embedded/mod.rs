//! A store in one directory of this machine, every value sealed under a root key.
//!
//! The directory holds `keyward.redb`, the database, and `keyward.lock`, which one process holds
//! at a time; both have mode 0600 in a directory of mode 0700. What is written has reached the
//! disk when the call returns, and a process killed at any point finds it again.
//!
//! Each value is sealed (XAES-256-GCM with key commitment) with its path and revision as
//! authenticated data, so a value moved to another path, or an older one put back under a newer
//! revision, does not open. Paths are not sealed: the names of tenants and keys are readable in
//! the file. Putting back the whole of an older file is not detected, and what was deleted or
//! replaced may stay in free pages of the file, sealed, until they are used again.

mod database;
mod files;
mod header;
mod local;
mod root_key;
mod sealing;
#[cfg(test)]
mod tests;
mod writer;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use keyward_crypto::at_rest::RootKey;
use zeroize::Zeroizing;

use crate::store::{Record, Store, StoreError, check_path, check_prefix, check_value};
use database::Database;
use files::DataDir;
pub use local::LocalDir;
pub use root_key::RootKeySource;
use writer::{Change, Writer};

/// The embedded store.
pub struct EmbeddedStore {
    // Dropped first: it finishes what was accepted.
    writer: Writer,
    shared: Arc<Shared>,
}

/// What readers and the writer share.
struct Shared {
    // Dropped before the lock is released.
    database: Database,
    root_key: RootKey,
    _dir: DataDir,
}

impl EmbeddedStore {
    /// Opens the store in `dir`, or creates it there when the directory has none. Blocks: it
    /// reads and checks the whole database, and a passphrase takes about a tenth of a second.
    ///
    /// Fails with [`StoreError::Locked`] when another process has it open,
    /// [`StoreError::ReadOnly`], [`StoreError::Corrupted`], [`StoreError::WrongRootKey`], and
    /// [`StoreError::RootKeyMissing`], [`StoreError::RootKeyExposed`] or
    /// [`StoreError::RootKeyInvalid`] when the source yields no root key. None of these changes
    /// anything in an existing store.
    pub fn open(dir: &Path, source: &RootKeySource) -> Result<Self, StoreError> {
        let dir = DataDir::acquire(dir)?;
        let (database, root_key) = if dir.has_database()? {
            let database = Database::open(&dir)?;
            let header = header::decode(&database.header()?, dir.database())?;
            let root_key = root_key::unlock(source, &header, dir.database())?;
            (database, root_key)
        } else {
            let (root_key, origin) = root_key::establish(source)?;
            let header = header::encode(&root_key, origin, dir.database())?;
            (Database::create(&dir, &header)?, root_key)
        };
        let shared = Arc::new(Shared { database, root_key, _dir: dir });
        let writer = Writer::start(shared.clone())?;
        Ok(Self { writer, shared })
    }

    /// The root key, to derive the host's other keys from ([`RootKey::derive`]).
    pub fn root_key(&self) -> &RootKey {
        &self.shared.root_key
    }

    /// Runs a read on the blocking pool.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = self.shared.clone();
        tokio::task::spawn_blocking(move || read(&shared)).await.unwrap_or_else(|_| {
            Err(StoreError::Unavailable { reason: "the runtime is shutting down".to_owned() })
        })
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    async fn get(&self, path: &str) -> Result<Option<Record>, StoreError> {
        check_path(path)?;
        let path = path.to_owned();
        self.read(move |shared| {
            let Some((revision, sealed)) = shared.database.get(&path)? else {
                return Ok(None);
            };
            let value = sealing::open(&shared.root_key, &path, revision, &sealed)?;
            Ok(Some(Record { value, revision }))
        })
        .await
    }

    async fn create(&self, path: &str, value: &[u8]) -> Result<u64, StoreError> {
        check_path(path)?;
        check_value(value)?;
        let value = Zeroizing::new(value.to_vec());
        self.writer.apply(Change::Create { path: path.to_owned(), value }).await
    }

    async fn replace(
        &self,
        path: &str,
        value: &[u8],
        expected_revision: u64,
    ) -> Result<u64, StoreError> {
        check_path(path)?;
        check_value(value)?;
        let value = Zeroizing::new(value.to_vec());
        let path = path.to_owned();
        self.writer.apply(Change::Replace { path, value, expected: expected_revision }).await
    }

    async fn delete(&self, path: &str) -> Result<(), StoreError> {
        check_path(path)?;
        self.writer.apply(Change::Delete { path: path.to_owned() }).await.map(drop)
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        let folder = check_prefix(prefix)?;
        self.read(move |shared| shared.database.children(&folder)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.read(|shared| shared.database.header().map(drop)).await
    }
}
