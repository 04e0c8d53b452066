//! Where the bytes of components are kept: the content store.
//!
//! Each is a file in the data directory, named by its digest; what this host was given or has fetched
//! before is there, whatever becomes of the rest. Hosts that share a key store share a place beside
//! it, where they find what another host was given: a bucket if the settings name one, else the key
//! store itself. Whatever is read is held against its digest, so nobody need trust a place.

pub mod bucket;
mod files;
mod records;
mod transport;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use keyward_keyring::store::{Store, StoreError};

use self::bucket::Bucket;
use self::files::Files;
use self::records::InStore;
pub(super) use self::records::Records;
use super::ComponentDigest;

/// Keeps components.
pub(super) struct Components {
    files: Files,
    bucket: Option<Arc<dyn Place>>,
    /// Also asked where there is a bucket, or no other host: backups are restored into it.
    records: InStore,
    /// Whether that is where hosts share components.
    in_records: bool,
}

/// Why a component cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// The key store does not answer; the call may be repeated.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The bucket does not answer, or not this server; the call may be repeated.
    #[error("the bucket of components: {0}")]
    Away(String),
    /// It is not there, or not what it was.
    #[error("{0}")]
    Unusable(String),
}

/// Where hosts find each other's components. What it gives is not to be believed.
#[async_trait]
trait Place: Send + Sync {
    /// The bytes that are kept under this digest; `None` if there are none.
    async fn get(&self, digest: &ComponentDigest) -> Result<Option<Bytes>, ComponentError>;
    /// Keeps the bytes, whatever was there.
    async fn put(&self, digest: &ComponentDigest, wasm: &Bytes) -> Result<(), ComponentError>;
    /// Removes the bytes. None to remove is no error.
    async fn delete(&self, digest: &ComponentDigest) -> Result<(), ComponentError>;
}

impl Components {
    /// Keeps them in `dir`, which exists, and in the bucket; without one in the store, if that is
    /// `shared` with other hosts.
    pub(super) fn new(
        dir: PathBuf,
        store: Arc<dyn Store>,
        shared: bool,
        bucket: Option<Bucket>,
    ) -> Self {
        let in_records = shared && bucket.is_none();
        let bucket = bucket.map(|bucket| Arc::new(bucket) as Arc<dyn Place>);
        Self { files: Files(dir), bucket, records: InStore(store), in_records }
    }

    /// Keeps `wasm`, which has this digest, before any record names it.
    pub(super) async fn keep(
        &self,
        digest: &ComponentDigest,
        wasm: &Bytes,
    ) -> Result<(), ComponentError> {
        self.files.put(digest, wasm.clone()).await?;
        let place: &dyn Place = match &self.bucket {
            Some(bucket) => &**bucket,
            None if self.in_records => &self.records,
            None => return Ok(()),
        };
        match place.get(digest).await {
            Ok(Some(kept)) if kept == *wasm => Ok(()),
            Ok(_) | Err(ComponentError::Unusable(_)) => place.put(digest, wasm).await,
            Err(error) => Err(error),
        }
    }

    /// The bytes with this digest. Nobody else is asked for what is here.
    pub(super) async fn read(&self, digest: &ComponentDigest) -> Result<Bytes, ComponentError> {
        let missing = match self.files.get(digest).await {
            Ok(wasm) => return Ok(wasm),
            Err(missing) => missing,
        };
        let shared = match &self.bucket {
            Some(bucket) => found(bucket.get(digest).await, digest),
            None => Err(missing),
        };
        let wasm = match shared {
            Ok(wasm) => wasm,
            // Beside a bucket: what a backup brought, and what was kept before there was one.
            Err(missing) => match found(self.records.get(digest).await, digest) {
                Err(ComponentError::Unusable(_)) if !self.in_records => return Err(missing),
                found => found?,
            },
        };
        if let Err(error) = self.files.put(digest, wasm.clone()).await {
            tracing::warn!(%error, "a shared component is not kept here");
        }
        Ok(wasm)
    }

    /// Removes the bytes, here and wherever hosts share them.
    pub(super) async fn remove(&self, digest: &ComponentDigest) -> Result<(), ComponentError> {
        if let Some(bucket) = &self.bucket {
            bucket.delete(digest).await?;
        }
        self.records.delete(digest).await?;
        self.files.delete(digest).await
    }
}

/// What a place gave, if it is what was asked for.
fn found(
    given: Result<Option<Bytes>, ComponentError>,
    digest: &ComponentDigest,
) -> Result<Bytes, ComponentError> {
    let unusable = |reason: &str| ComponentError::Unusable(reason.into());
    let wasm = given?.ok_or_else(|| unusable("its component is not where hosts share them"))?;
    if ComponentDigest::of(&wasm) != *digest {
        return Err(unusable("the shared component was changed: push it again"));
    }
    Ok(wasm)
}

fn unusable(error: &dyn std::fmt::Display) -> ComponentError {
    ComponentError::Unusable(format!("a component cannot be kept: {error}"))
}

#[cfg(test)]
mod tests;
