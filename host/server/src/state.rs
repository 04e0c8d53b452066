//! What policies remember: small entries of a tenant's own, kept in the key store.
//!
//! A tenant's entries are spread over a fixed number of records, `tenants/<t>/state/<n>`, each
//! changed by compare-and-set alone. Records that hold many entries, and stay when these are gone,
//! because a store cannot delete a record on a condition: an entry in a record of its own could be
//! deleted, when its time is over, a moment after another host gave it a new one. So an expired
//! entry leaves with the next write of its record, and how much a tenant may keep is the sum of
//! what its records may hold.

mod bucket;
mod rehearsal;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use keyward_keyring::store::{Store, StoreError};
use keyward_policy_host::{HostError, StateEntry, StateService};
use tokio::sync::Mutex;

use self::bucket::Bucket;
pub use self::rehearsal::Rehearsal;
use crate::clock;

/// Records a tenant's entries are spread over. Never changed: where an entry is depends on it.
const BUCKETS: u8 = 16;
/// How often a write is tried again when another host was faster.
const ATTEMPTS: usize = 16;
/// Writers of this host wait for each other by record, in so many lines.
const QUEUES: usize = 64;

/// All tenants' entries.
pub struct States {
    store: Arc<dyn Store>,
    /// Most bytes of one record.
    bucket_bytes: usize,
    /// Two writers of one record on this host would only refuse each other: they queue instead.
    /// Held while the store works, on purpose; nothing else waits for it.
    queues: Vec<Mutex<()>>,
}

impl States {
    /// Entries of at most `tenant_bytes` for each tenant.
    pub fn new(store: Arc<dyn Store>, tenant_bytes: usize) -> Self {
        let queues = (0..QUEUES).map(|_| Mutex::new(())).collect();
        Self { store, bucket_bytes: tenant_bytes / usize::from(BUCKETS), queues }
    }

    /// The record at `path` as it is.
    async fn read(&self, path: &str) -> Result<Bucket, HostError> {
        match self.store.get(path).await.map_err(|error| unavailable(&error))? {
            Some(stored) => parse(path, &stored.value),
            None => Ok(Bucket::default()),
        }
    }

    /// Whether a record that was changed is not too large to be written.
    fn check_room(&self, bucket: &Bucket) -> Result<(), HostError> {
        let bytes = bucket.to_bytes_if_changed().map_or(0, |bytes| bytes.len());
        if bytes > self.bucket_bytes { Err(full()) } else { Ok(()) }
    }

    /// Makes `change` of the record that has the entry: anew on what the record has become when
    /// another host was faster.
    async fn change<T: Send>(
        &self,
        tenant: &str,
        name: &str,
        change: impl Fn(&mut Bucket, u64) -> Result<T, HostError> + Send + Sync,
    ) -> Result<T, HostError> {
        let (path, queue) = place(tenant, name);
        let _turn = self.queues[queue % QUEUES].lock().await;
        for attempt in 0..ATTEMPTS {
            let stored = self.store.get(&path).await.map_err(|error| unavailable(&error))?;
            let mut bucket = match &stored {
                Some(stored) => parse(&path, &stored.value)?,
                None => Bucket::default(),
            };
            let answer = change(&mut bucket, clock::unix_ms())?;
            let Some(bytes) = bucket.to_bytes_if_changed() else { return Ok(answer) };
            let before = stored.as_ref().map_or(0, |stored| stored.value.len());
            if bytes.len() > self.bucket_bytes.max(before) {
                return Err(full());
            }
            let written = match &stored {
                Some(stored) => self.store.replace(&path, &bytes, stored.revision).await,
                None => self.store.create(&path, &bytes).await,
            };
            match written {
                Ok(_) => return Ok(answer),
                Err(StoreError::Exists { .. } | StoreError::RevisionMismatch { .. }) => {
                    let pause = fastrand::u64(1..=5 << attempt.min(5));
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                }
                Err(error) => return Err(unavailable(&error)),
            }
        }
        Err(HostError::Unavailable("other hosts are changing the same entries; retry".into()))
    }
}

#[async_trait]
impl StateService for States {
    async fn get(&self, tenant: &str, name: &str) -> Result<Option<StateEntry>, HostError> {
        let (path, _) = place(tenant, name);
        self.read(&path).await?.get(name, clock::unix_ms())
    }

    async fn put(
        &self,
        tenant: &str,
        name: &str,
        value: &[u8],
        ttl: Option<u64>,
        expected: Option<u64>,
    ) -> Result<u64, HostError> {
        self.change(tenant, name, |bucket, now| bucket.put(name, value, ttl, expected, now)).await
    }

    async fn add(
        &self,
        tenant: &str,
        name: &str,
        amount: i64,
        ttl: Option<u64>,
    ) -> Result<i64, HostError> {
        self.change(tenant, name, |bucket, now| bucket.add(name, amount, ttl, now)).await
    }

    async fn remove(
        &self,
        tenant: &str,
        name: &str,
        expected: Option<u64>,
    ) -> Result<(), HostError> {
        self.change(tenant, name, |bucket, now| bucket.remove(name, expected, now)).await
    }
}

/// The record that has the entry, and a number that writers of the same record share.
fn place(tenant: &str, name: &str) -> (String, usize) {
    let [bucket, ..] = keyward_crypto::sha256(name.as_bytes());
    let path = format!("tenants/{tenant}/state/{}", bucket % BUCKETS);
    let [high, low, ..] = keyward_crypto::sha256(path.as_bytes());
    (path, usize::from(high) << 8 | usize::from(low))
}

fn full() -> HostError {
    let detail = "this tenant's policy remembers as much as it may (`policy.state_bytes`): remove \
                  entries, or give them a shorter life";
    HostError::Denied(detail.into())
}

fn parse(path: &str, bytes: &[u8]) -> Result<Bucket, HostError> {
    Bucket::from_bytes(bytes).map_err(|error| {
        tracing::error!(path, %error, "what policies remember is damaged");
        HostError::Unavailable("what the policy remembers is damaged".into())
    })
}

/// The policy is told no more than that: the path and the cause are the operator's.
fn unavailable(error: &StoreError) -> HostError {
    tracing::warn!(%error, "what policies remember could not be read or written");
    HostError::Unavailable("the key store did not answer".into())
}

#[cfg(test)]
mod tests;
