//! Sealing of single values.

use std::path::PathBuf;

use keyward_crypto::at_rest::{self, RootKey};
use zeroize::Zeroizing;

use crate::store::StoreError;

/// `"keyward record v1\0"`, revision u64 BE, path.
fn authenticated_data(path: &str, revision: u64) -> Vec<u8> {
    const LABEL: &[u8] = b"keyward record v1\0";
    let mut data = Vec::with_capacity(LABEL.len() + 8 + path.len());
    data.extend_from_slice(LABEL);
    data.extend_from_slice(&revision.to_be_bytes());
    data.extend_from_slice(path.as_bytes());
    data
}

pub(super) fn seal(
    root_key: &RootKey,
    path: &str,
    revision: u64,
    value: &[u8],
) -> Result<Vec<u8>, StoreError> {
    at_rest::seal(root_key, &authenticated_data(path, revision), value)
        .map_err(|_| StoreError::Random)
}

pub(super) fn open(
    root_key: &RootKey,
    path: &str,
    revision: u64,
    sealed: &[u8],
) -> Result<Zeroizing<Vec<u8>>, StoreError> {
    at_rest::open(root_key, &authenticated_data(path, revision), sealed).map_err(|_| {
        StoreError::Corrupted {
            path: PathBuf::from(path),
            reason: "the record does not open under the root key".to_owned(),
        }
    })
}
