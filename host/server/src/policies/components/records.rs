//! Components as records of the key store, below `components/<digest>`.
//!
//! A component is cut into records, written before the record that names their number. Hosts that
//! share a key store find there what another host was given, unless they share a bucket. Elsewhere
//! the store has components only once a backup with them was restored into it
//! ([`backed_up`](super::super::backed_up) gives them to backups).

use std::sync::Arc;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use keyward_keyring::store::{Store, StoreError};
use serde::{Deserialize, Serialize};

use super::{ComponentError, Place, unusable};
use crate::policies::ComponentDigest;

/// Bytes of one record: in base64 it stays below what the smallest storage of a Vault accepts.
pub const CHUNK: usize = 256 << 10;
/// Records read or written at a time.
const CONCURRENCY: usize = 4;
/// More than any component has.
const MAX_CHUNKS: u32 = 4096;

/// The record that says in how many others a component is.
#[derive(Deserialize, Serialize)]
struct Manifest {
    chunks: u32,
}

/// The records that a component is cut into, and the one that says how many they are.
pub struct Records<'a> {
    wasm: &'a Bytes,
}

impl<'a> Records<'a> {
    pub fn of(wasm: &'a Bytes) -> Self {
        Self { wasm }
    }

    pub fn count(&self) -> usize {
        self.wasm.len().div_ceil(CHUNK)
    }

    /// The record of this number, if there are so many.
    pub fn chunk(&self, index: usize) -> Option<Bytes> {
        let start = index.checked_mul(CHUNK).filter(|start| *start < self.wasm.len())?;
        Some(self.wasm.slice(start..self.wasm.len().min(start + CHUNK)))
    }

    pub fn manifest(&self) -> Result<Vec<u8>, serde_json::Error> {
        let chunks = u32::try_from(self.count()).unwrap_or(u32::MAX);
        serde_json::to_vec(&Manifest { chunks })
    }
}

/// The key store, as a place of components.
#[derive(Clone)]
pub struct InStore(pub Arc<dyn Store>);

#[async_trait]
impl Place for InStore {
    async fn get(&self, digest: &ComponentDigest) -> Result<Option<Bytes>, ComponentError> {
        let (store, folder) = (&self.0, folder(digest));
        let Some(manifest) = store.get(&folder).await? else { return Ok(None) };
        let damaged = || ComponentError::Unusable("its record is damaged".into());
        let Manifest { chunks } = serde_json::from_slice(&manifest.value).map_err(|_| damaged())?;
        if chunks > MAX_CHUNKS {
            return Err(damaged());
        }
        let missing =
            || ComponentError::Unusable("a part of its component is not in the store".into());
        let mut wasm = BytesMut::new();
        let folder = folder.as_str();
        let mut parts = stream::iter(0..chunks)
            .map(|index| async move { store.get(&format!("{folder}/{index}")).await })
            .buffered(CONCURRENCY);
        while let Some(part) = parts.try_next().await? {
            wasm.extend_from_slice(&part.ok_or_else(missing)?.value);
        }
        Ok(Some(wasm.freeze()))
    }

    async fn put(&self, digest: &ComponentDigest, wasm: &Bytes) -> Result<(), ComponentError> {
        let (store, folder, records) = (&self.0, folder(digest), Records::of(wasm));
        let chunks = (0..records.count()).filter_map(|index| Some((index, records.chunk(index)?)));
        let base = folder.as_str();
        stream::iter(chunks)
            .map(|(index, chunk)| async move { put(store, &format!("{base}/{index}"), &chunk).await })
            .buffer_unordered(CONCURRENCY)
            .try_collect::<()>()
            .await?;
        let manifest = records.manifest().map_err(|error| unusable(&error))?;
        Ok(put(store, &folder, &manifest).await?)
    }

    /// The record that names how many others there are goes first, so that nobody finds half a
    /// component.
    async fn delete(&self, digest: &ComponentDigest) -> Result<(), ComponentError> {
        let folder = folder(digest);
        self.0.delete(&folder).await?;
        for name in self.0.list(&folder).await? {
            self.0.delete(&format!("{folder}/{name}")).await?;
        }
        Ok(())
    }
}

pub fn folder(digest: &ComponentDigest) -> String {
    format!("components/{}", digest.hex())
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
