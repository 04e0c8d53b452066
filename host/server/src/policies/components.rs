//! Where the bytes of components are kept.
//!
//! Each is a file in the data directory, named by its digest. Hosts that share a key store find
//! there what another host was given: a component is cut into records below `components/<digest>`,
//! written before the record that names their number, and checked against the digest when they are
//! put together again. Elsewhere the store has components only once a backup with them was restored
//! into it ([`backed_up`](super::backed_up) gives them to backups).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use keyward_keyring::store::{Store, StoreError};
use serde::{Deserialize, Serialize};

use super::ComponentDigest;
use crate::files;

/// Bytes of one record: in base64 it stays below what the smallest storage of a Vault accepts.
const CHUNK: usize = 256 << 10;
/// Records read or written at a time.
const CONCURRENCY: usize = 4;
/// More than any component has.
const MAX_CHUNKS: u32 = 4096;

/// Keeps components.
pub(super) struct Components {
    dir: PathBuf,
    store: Arc<dyn Store>,
    /// Whether other hosts are to find components in the store.
    shared: bool,
}

/// Why a component cannot be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum ComponentError {
    /// The key store does not answer; the call may be repeated.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// It is not there, or not what it was.
    #[error("{0}")]
    Unusable(String),
}

/// The record that says in how many others a component is.
#[derive(Deserialize, Serialize)]
struct Manifest {
    chunks: u32,
}

/// The records that a component is cut into, and the one that says how many they are.
pub(super) struct Records<'a> {
    wasm: &'a Bytes,
}

impl<'a> Records<'a> {
    pub(super) fn of(wasm: &'a Bytes) -> Self {
        Self { wasm }
    }

    pub(super) fn count(&self) -> usize {
        self.wasm.len().div_ceil(CHUNK)
    }

    /// The record of this number, if there are so many.
    pub(super) fn chunk(&self, index: usize) -> Option<Bytes> {
        let start = index.checked_mul(CHUNK).filter(|start| *start < self.wasm.len())?;
        Some(self.wasm.slice(start..self.wasm.len().min(start + CHUNK)))
    }

    pub(super) fn manifest(&self) -> Result<Vec<u8>, serde_json::Error> {
        let chunks = u32::try_from(self.count()).unwrap_or(u32::MAX);
        serde_json::to_vec(&Manifest { chunks })
    }
}

impl Components {
    pub(super) fn new(dir: PathBuf, store: Arc<dyn Store>, shared: bool) -> Self {
        Self { dir, store, shared }
    }

    /// Where the files are.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps `wasm`, which has this digest, before any record names it.
    pub(super) async fn keep(
        &self,
        digest: &ComponentDigest,
        wasm: &Bytes,
    ) -> Result<(), ComponentError> {
        self.keep_file(digest, wasm.clone()).await?;
        if !self.shared {
            return Ok(());
        }
        let folder = folder(digest);
        match fetch(&self.store, &folder).await {
            Ok(Some(kept)) if kept == *wasm => Ok(()),
            Ok(_) | Err(ComponentError::Unusable(_)) => share(&self.store, &folder, wasm).await,
            Err(error) => Err(error),
        }
    }

    /// The bytes with this digest.
    pub(super) async fn read(&self, digest: &ComponentDigest) -> Result<Bytes, ComponentError> {
        let path = self.path(digest);
        let file = path.clone();
        let read = tokio::task::spawn_blocking(move || std::fs::read(&file)).await;
        let read = read.map_err(|error| unusable(&error))?;
        let local = read.map(Bytes::from).map_err(|error| {
            ComponentError::Unusable(format!("cannot read {}: {error}", path.display()))
        });
        let local = local.and_then(|wasm| {
            if ComponentDigest::of(&wasm) == *digest {
                return Ok(wasm);
            }
            let shown = path.display();
            Err(ComponentError::Unusable(format!("{shown} was changed: its digest is another")))
        });
        if local.is_ok() {
            return local;
        }
        let Some(wasm) = fetch(&self.store, &folder(digest)).await? else {
            let missing = "its component is not in the shared store";
            return if self.shared { Err(ComponentError::Unusable(missing.into())) } else { local };
        };
        if ComponentDigest::of(&wasm) != *digest {
            return Err(ComponentError::Unusable("the shared component was changed".into()));
        }
        if let Err(error) = self.keep_file(digest, wasm.clone()).await {
            tracing::warn!(%error, "a shared component is not kept here");
        }
        Ok(wasm)
    }

    /// Removes the bytes, here and from the store. The record that names how many others there are
    /// goes first, so that nobody finds half a component.
    pub(super) async fn remove(&self, digest: &ComponentDigest) -> Result<(), ComponentError> {
        let folder = folder(digest);
        self.store.delete(&folder).await?;
        for name in self.store.list(&folder).await? {
            self.store.delete(&format!("{folder}/{name}")).await?;
        }
        let path = self.path(digest);
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_file(path)).await;
        match removed.map_err(|error| unusable(&error))? {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unusable(&error)),
            _ => Ok(()),
        }
    }

    fn path(&self, digest: &ComponentDigest) -> PathBuf {
        self.dir.join(format!("{}.wasm", digest.hex()))
    }

    async fn keep_file(&self, digest: &ComponentDigest, wasm: Bytes) -> Result<(), ComponentError> {
        let path = self.path(digest);
        let written = tokio::task::spawn_blocking(move || write_unless_kept(&path, &wasm)).await;
        written.map_err(|error| unusable(&error))?.map_err(|error| unusable(&error))
    }
}

fn write_unless_kept(path: &Path, wasm: &[u8]) -> std::io::Result<()> {
    if std::fs::read(path).is_ok_and(|kept| kept == wasm) {
        return Ok(());
    }
    files::write_atomic(path, wasm, 0o600)
}

fn folder(digest: &ComponentDigest) -> String {
    format!("components/{}", digest.hex())
}

fn damaged() -> ComponentError {
    ComponentError::Unusable("its record is damaged".into())
}

fn unusable(error: &dyn std::fmt::Display) -> ComponentError {
    ComponentError::Unusable(format!("a component cannot be kept: {error}"))
}

async fn share(store: &Arc<dyn Store>, folder: &str, wasm: &Bytes) -> Result<(), ComponentError> {
    let records = Records::of(wasm);
    let chunks = (0..records.count()).filter_map(|index| Some((index, records.chunk(index)?)));
    stream::iter(chunks)
        .map(|(index, chunk)| async move { put(store, &format!("{folder}/{index}"), &chunk).await })
        .buffer_unordered(CONCURRENCY)
        .try_collect::<()>()
        .await?;
    let manifest = records.manifest().map_err(|error| unusable(&error))?;
    Ok(put(store, folder, &manifest).await?)
}

/// Writes once; what is there already and differs is replaced.
async fn put(store: &Arc<dyn Store>, path: &str, value: &[u8]) -> Result<(), StoreError> {
    match store.create(path, value).await {
        Ok(_) => Ok(()),
        Err(StoreError::Exists { .. }) => match store.get(path).await? {
            Some(found) if found.value.as_slice() == value => Ok(()),
            Some(found) => store.replace(path, value, found.revision).await.map(drop),
            None => store.create(path, value).await.map(drop),
        },
        Err(error) => Err(error),
    }
}

/// The component in this folder of the store; `None` if there is none.
async fn fetch(store: &Arc<dyn Store>, folder: &str) -> Result<Option<Bytes>, ComponentError> {
    let missing = || ComponentError::Unusable("a part of its component is not in the store".into());
    let Some(manifest) = store.get(folder).await? else { return Ok(None) };
    let Manifest { chunks } = serde_json::from_slice(&manifest.value).map_err(|_| damaged())?;
    if chunks > MAX_CHUNKS {
        return Err(damaged());
    }
    let mut wasm = BytesMut::new();
    let mut parts = stream::iter(0..chunks)
        .map(|index| async move { store.get(&format!("{folder}/{index}")).await })
        .buffered(CONCURRENCY);
    while let Some(part) = parts.try_next().await? {
        wasm.extend_from_slice(&part.ok_or_else(missing)?.value);
    }
    Ok(Some(wasm.freeze()))
}

#[cfg(test)]
mod tests {
    use keyward_keyring::store::memory::MemoryStore;

    use super::*;

    #[tokio::test]
    async fn another_host_finds_it_in_the_shared_store() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let dirs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [here, there] =
            [0, 1].map(|n| Components::new(dirs[n].path().into(), Arc::clone(&store), true));
        let wasm = Bytes::from(vec![7; CHUNK * 2 + 1]);
        let digest = ComponentDigest::of(&wasm);
        assert!(matches!(there.read(&digest).await, Err(ComponentError::Unusable(_))));
        here.keep(&digest, &wasm).await.unwrap();
        assert_eq!(there.read(&digest).await.unwrap(), wasm);
        // From now on it has a file of its own.
        let empty = Arc::new(MemoryStore::default());
        let alone = Components::new(dirs[1].path().into(), empty, false);
        assert_eq!(alone.read(&digest).await.unwrap(), wasm);
    }

    #[tokio::test]
    async fn what_was_changed_is_refused_and_repaired_by_keeping_it_again() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let dir = tempfile::tempdir().unwrap();
        let components = Components::new(dir.path().into(), Arc::clone(&store), true);
        let wasm = Bytes::from_static(b"component");
        let digest = ComponentDigest::of(&wasm);
        components.keep(&digest, &wasm).await.unwrap();
        let chunk = format!("{}/0", folder(&digest));
        let revision = store.get(&chunk).await.unwrap().unwrap().revision;
        store.replace(&chunk, b"something else", revision).await.unwrap();
        std::fs::remove_file(components.path(&digest)).unwrap();
        assert!(matches!(components.read(&digest).await, Err(ComponentError::Unusable(_))));
        components.keep(&digest, &wasm).await.unwrap();
        std::fs::remove_file(components.path(&digest)).unwrap();
        assert_eq!(components.read(&digest).await.unwrap(), wasm);
    }

    #[tokio::test]
    async fn what_is_removed_is_gone_here_and_there() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let dir = tempfile::tempdir().unwrap();
        let components = Components::new(dir.path().into(), Arc::clone(&store), true);
        let wasm = Bytes::from(vec![7; CHUNK + 1]);
        let digest = ComponentDigest::of(&wasm);
        components.keep(&digest, &wasm).await.unwrap();
        for _ in 0..2 {
            components.remove(&digest).await.unwrap();
            assert!(matches!(components.read(&digest).await, Err(ComponentError::Unusable(_))));
            assert!(store.list("components").await.unwrap().is_empty());
            assert!(!components.path(&digest).exists());
        }
    }
}
