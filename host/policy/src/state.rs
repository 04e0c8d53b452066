//! What the sandbox needs from whoever keeps what policies remember.

use async_trait::async_trait;

use crate::error::HostError;

/// Longest name of an entry, in bytes.
pub const MAX_STATE_NAME: usize = 256;
/// Longest value of an entry, in bytes.
pub const MAX_STATE_VALUE: usize = 4 << 10;

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEntry {
    /// What was put there.
    pub value: Vec<u8>,
    /// Changes with every write; never 0, and not used again for the entry's name.
    pub revision: u64,
}

/// Keeps each tenant's entries apart from every other's. Names and values are within
/// [`MAX_STATE_NAME`] and [`MAX_STATE_VALUE`]: the sandbox checks them. A `ttl` is in seconds; an
/// entry whose time is over is not there.
#[async_trait]
pub trait StateService: Send + Sync + 'static {
    /// The entry of this name.
    async fn get(&self, tenant: &str, name: &str) -> Result<Option<StateEntry>, HostError>;

    /// Writes an entry and gives its revision. With `expected`: only if the entry is at that
    /// revision, or, with 0, if there is none; else [`HostError::Conflict`].
    async fn put(
        &self,
        tenant: &str,
        name: &str,
        value: &[u8],
        ttl: Option<u64>,
        expected: Option<u64>,
    ) -> Result<u64, HostError>;

    /// Adds to a counter, which begins at 0 and lives `ttl` seconds from its first addition.
    async fn add(
        &self,
        tenant: &str,
        name: &str,
        amount: i64,
        ttl: Option<u64>,
    ) -> Result<i64, HostError>;

    /// Removes an entry; with `expected`, only at that revision.
    async fn remove(
        &self,
        tenant: &str,
        name: &str,
        expected: Option<u64>,
    ) -> Result<(), HostError>;
}
