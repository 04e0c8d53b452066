//! Where records live: a small, path-addressed store of values with revisions, shaped so that
//! Vault's KV v2 and an embedded database can both be one.
//!
//! A path may hold a record and be a folder at the same time (`tenants/demo` and
//! `tenants/demo/keys/orders`).

mod error;
mod path;
mod vault_kv;

#[cfg(any(test, feature = "testing"))]
pub mod conformance;
pub mod memory;

use async_trait::async_trait;
use zeroize::Zeroizing;

pub use error::StoreError;
pub use path::{MAX_PATH, MAX_VALUE, check_path, check_prefix, check_value};
pub use vault_kv::{Migration, VaultStore, Wrap};

/// One value and its revision.
pub struct Record {
    /// The bytes as they were written; wiped from memory when dropped.
    pub value: Zeroizing<Vec<u8>>,
    /// The revision to name in [`Store::replace`]. It grows with every write of the path.
    pub revision: u64,
}

/// A store of records. Every method validates its path ([`check_path`]) and is safe to call from
/// any number of tasks and, where the store is shared, processes.
///
/// A write has reached stable storage when its future resolves with `Ok`. A future dropped
/// earlier leaves the write either done or not done, never half done.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// The record at `path`, or `None`.
    async fn get(&self, path: &str) -> Result<Option<Record>, StoreError>;

    /// Writes a record where there is none and returns its revision. Fails with
    /// [`StoreError::Exists`] otherwise (KV v2: `cas=0`).
    async fn create(&self, path: &str, value: &[u8]) -> Result<u64, StoreError>;

    /// Replaces the record if its revision is still `expected_revision`, and returns the new
    /// revision, which is greater. Fails with [`StoreError::RevisionMismatch`] otherwise, also
    /// when there is no record (KV v2: `cas=n`).
    async fn replace(
        &self,
        path: &str,
        value: &[u8],
        expected_revision: u64,
    ) -> Result<u64, StoreError>;

    /// Removes the record with all its revisions. A path without a record is no error. Records
    /// below the path stay.
    async fn delete(&self, path: &str) -> Result<(), StoreError>;

    /// The immediate children below the folder `prefix`, in byte order: `name` for a record,
    /// `name/` for a folder, both when it is both. The empty prefix is the root; an unknown
    /// folder has no children.
    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError>;

    /// Succeeds when the store can answer reads now.
    async fn ping(&self) -> Result<(), StoreError>;
}
