//! Components as files of the data directory, named by their digests: what this host was given, and
//! what it has fetched before.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{ComponentError, unusable};
use crate::files;
use crate::policies::ComponentDigest;

/// The directory, which exists.
pub struct Files(pub PathBuf);

impl Files {
    /// The bytes with this digest. An error says what is wrong with the file, or that there is none.
    pub async fn get(&self, digest: &ComponentDigest) -> Result<Bytes, ComponentError> {
        let path = self.path(digest);
        let file = path.clone();
        let read = tokio::task::spawn_blocking(move || std::fs::read(&file)).await;
        let read = read.map_err(|error| unusable(&error))?;
        let wasm = read.map(Bytes::from).map_err(|error| {
            ComponentError::Unusable(format!("cannot read {}: {error}", path.display()))
        })?;
        if ComponentDigest::of(&wasm) == *digest {
            return Ok(wasm);
        }
        let shown = path.display();
        Err(ComponentError::Unusable(format!("{shown} was changed: its digest is another")))
    }

    /// Writes the bytes, which have this digest, unless they are there.
    pub async fn put(&self, digest: &ComponentDigest, wasm: Bytes) -> Result<(), ComponentError> {
        let path = self.path(digest);
        let written = tokio::task::spawn_blocking(move || write_unless_kept(&path, &wasm)).await;
        written.map_err(|error| unusable(&error))?.map_err(|error| unusable(&error))
    }

    /// Removes the bytes. None to remove is no error.
    pub async fn delete(&self, digest: &ComponentDigest) -> Result<(), ComponentError> {
        let path = self.path(digest);
        let removed = tokio::task::spawn_blocking(move || std::fs::remove_file(path)).await;
        match removed.map_err(|error| unusable(&error))? {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(unusable(&error)),
            _ => Ok(()),
        }
    }

    /// Where these bytes are, or would be.
    pub fn path(&self, digest: &ComponentDigest) -> PathBuf {
        self.0.join(format!("{}.wasm", digest.hex()))
    }
}

fn write_unless_kept(path: &Path, wasm: &[u8]) -> std::io::Result<()> {
    if std::fs::read(path).is_ok_and(|kept| kept == wasm) {
        return Ok(());
    }
    files::write_atomic(path, wasm, 0o600)
}
