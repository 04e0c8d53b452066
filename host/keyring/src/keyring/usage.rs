//! Counting the uses of versions, and bringing the counts to the store.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures_util::stream::{self, StreamExt};

use super::{Inner, Keyring, to_the_end};
use crate::cache::{count, read};
use crate::error::KeyringError;
use crate::key::Key;
use crate::names::{KeyName, TenantName};
use crate::record::{self, Entry};
use crate::store::StoreError;
use crate::usage::{KeyUsage, Meter, Meters, Owner, UsageRecord};

/// How many records are written at a time.
const CONCURRENCY: usize = 16;

/// How many lost races for a record to accept.
const ATTEMPTS: usize = 100;

/// How often to read a record that is older than what this host has written.
const READS: usize = 8;

/// What a keyring counts with.
pub(super) struct Usage {
    pub(super) meters: Meters,
    flushes: AtomicU64,
    failures: AtomicU64,
}

impl Usage {
    pub(super) fn new() -> Self {
        let (flushes, failures) = Default::default();
        Self { meters: Meters::new(), flushes, failures }
    }
}

/// What [`Keyring::flush_usage`] did.
#[derive(Debug, Default)]
pub struct Flush {
    /// The keys whose records were written, with what the store now has of all hosts.
    pub keys: Vec<(TenantName, KeyName, KeyUsage)>,
    /// The keys whose records could not be written; the next flush tries again.
    pub failures: Vec<(TenantName, KeyName, KeyringError)>,
}

/// What a keyring counted and flushed since it was made. Nothing in it is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageStatistics {
    /// Records written.
    pub flushes: u64,
    /// Records that could not be written at a flush.
    pub failures: u64,
    /// Messages counted in memory and not in the store yet, as far as is known.
    pub unflushed_messages: u64,
    /// The keys these are of.
    pub unflushed_keys: u64,
    /// Messages given up, because too many keys waited for the store.
    pub lost_messages: u64,
}

impl Keyring {
    /// What counts the uses of this version of the key. Whoever uses
    /// [`Keyring::version`] has to count on it. For a cached key this takes no lock.
    pub fn meter(&self, key: &Key, version: u32) -> Meter {
        let inner = &self.inner;
        match &key.cached {
            Some(cached) => {
                let meter = cached.keep.meter.get_or_init(|| inner.usage.meters.of(owner(key)));
                meter.version(version)
            }
            None => inner.usage.meters.of(owner(key)).version(version),
        }
    }

    /// Adds what was counted here since the last flush to the store: one read and one write for
    /// each key that was used. What cannot be written is kept for the next flush. A key whose flush
    /// is under way already is left out.
    pub async fn flush_usage(&self) -> Flush {
        let inner = self.inner.clone();
        let flushed = to_the_end(async move { Ok(inner.flush_usage().await) }).await;
        flushed.unwrap_or_default() // only if the runtime is shutting down
    }

    /// How often each version of the key was used: what the store has of all hosts, and what this
    /// one has not flushed. Of others, what they counted since their last flush is missing.
    ///
    /// Fails with [`KeyringError::KeyNotFound`] or [`KeyringError::TenantNotFound`].
    pub async fn usage(
        &self,
        tenant: &TenantName,
        name: &KeyName,
    ) -> Result<KeyUsage, KeyringError> {
        let key = self.inner.read_key(tenant, name).await?;
        self.inner.usage_of(&key).await
    }

    /// What was counted and flushed.
    pub fn usage_statistics(&self) -> UsageStatistics {
        let usage = &self.inner.usage;
        let (unflushed_messages, unflushed_keys) = usage.meters.unwritten();
        UsageStatistics {
            flushes: read(&usage.flushes),
            failures: read(&usage.failures),
            unflushed_messages,
            unflushed_keys,
            lost_messages: usage.meters.lost(),
        }
    }
}

fn owner(key: &Key) -> Owner {
    Owner { tenant: key.tenant.clone(), name: key.name.clone(), id: key.id }
}

/// What a flush of one key came to.
enum Flushed {
    /// The store has this of all hosts.
    Sum(KeyUsage),
    /// There is no such key any more.
    Gone,
}

impl Inner {
    async fn flush_usage(self: &Arc<Self>) -> Flush {
        let meters = &self.usage.meters;
        let mut flush = Flush::default();
        let mut flushing = stream::iter(meters.waiting())
            .filter(|owner| std::future::ready(meters.begin(owner)))
            .map(|owner| async move {
                let flushed = self.flush_key(&owner).await;
                meters.end(&owner);
                (owner, flushed)
            })
            .buffer_unordered(CONCURRENCY);
        while let Some((owner, flushed)) = flushing.next().await {
            let Owner { tenant, name, .. } = &owner;
            match flushed {
                Ok(Flushed::Sum(sum)) => {
                    count(&self.usage.flushes);
                    flush.keys.push((tenant.clone(), name.clone(), sum));
                }
                Ok(Flushed::Gone) => meters.discard(&owner),
                Err(error) => {
                    count(&self.usage.failures);
                    flush.failures.push((tenant.clone(), name.clone(), error));
                }
            }
        }
        drop(flushing);
        meters.tidy();
        flush
    }

    async fn flush_key(self: &Arc<Self>, owner: &Owner) -> Result<Flushed, KeyringError> {
        let meters = &self.usage.meters;
        let path = record::usage_path(&owner.tenant, &owner.name);
        for _ in 0..ATTEMPTS {
            let found = self.store.get(&path).await?;
            let decoded = found.map(|found| {
                UsageRecord::decode(&path, &found.value).map(|usage| (usage, found.revision))
            });
            let mine = match decoded.transpose()? {
                Some((usage, revision)) if usage.id == owner.id => Ok((usage, revision)),
                Some((_, revision)) => Err(Some(revision)),
                None => Err(None),
            };
            // No record, or one of another key of the name: this key may be no more.
            let is_first = mine.is_err();
            if is_first && !self.is_there(owner).await? {
                return Ok(Flushed::Gone);
            }
            let (mut record, revision) = match mine {
                Ok((usage, revision)) => (usage, Some(revision)),
                Err(revision) => (UsageRecord::new(owner.id), revision),
            };
            let Some(batch) = meters.next(owner, record.applied(&meters.host)) else {
                return Ok(Flushed::Sum(record.usage));
            };
            record.apply(&meters.host, batch.number, &batch.usage, record::now_ms());
            let value = record.encode(&path)?;
            let written = match revision {
                Some(revision) => self.store.replace(&path, &value, revision).await,
                None => self.store.create(&path, &value).await,
            };
            match written {
                Ok(_) => {
                    meters.written(owner);
                    // Whoever destroyed the key meanwhile may have looked for the record before
                    // it was there.
                    if is_first && !self.is_there(owner).await? {
                        self.remove_usage(owner).await?;
                        return Ok(Flushed::Gone);
                    }
                    return Ok(Flushed::Sum(record.usage));
                }
                // The next read tells whether the batch is in the record all the same.
                Err(StoreError::Exists { .. } | StoreError::RevisionMismatch { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeyringError::Conflict { key: owner.name.to_string() })
    }

    /// Whether the store has this very key, and not on its way out.
    async fn is_there(&self, owner: &Owner) -> Result<bool, KeyringError> {
        let found = self.read_entry(&owner.tenant, &owner.name).await?;
        Ok(match found {
            Some(Entry::Key(key)) => key.id == owner.id && key.destruction.is_none(),
            _ => false,
        })
    }

    async fn remove_usage(&self, owner: &Owner) -> Result<(), KeyringError> {
        let path = record::usage_path(&owner.tenant, &owner.name);
        match self.store.get(&path).await {
            Ok(None) => return Ok(()),
            Ok(Some(found)) => {
                let decoded = UsageRecord::decode(&path, &found.value);
                if decoded.is_ok_and(|usage| usage.id != owner.id) {
                    return Ok(());
                }
            }
            Err(error) if error.is_unavailable() => return Err(error.into()),
            // What cannot be read is removed like the rest.
            Err(_) => {}
        }
        Ok(self.store.delete(&path).await?)
    }

    /// Removes what is known of the uses of a key that is being destroyed.
    pub(super) async fn forget_usage(&self, key: &Key) -> Result<(), KeyringError> {
        let owner = owner(key);
        self.usage.meters.discard(&owner);
        self.remove_usage(&owner).await
    }

    pub(super) async fn usage_of(&self, key: &Key) -> Result<KeyUsage, KeyringError> {
        let (meters, owner) = (&self.usage.meters, owner(key));
        let path = record::usage_path(&key.tenant, &key.name);
        for attempt in 1.. {
            let record = match self.store.get(&path).await? {
                Some(found) => Some(UsageRecord::decode(&path, &found.value)?),
                None => None,
            };
            let record = record.filter(|record| record.id == key.id);
            let record = record.unwrap_or_else(|| UsageRecord::new(key.id));
            let applied = record.applied(&meters.host);
            // A flush may have ended since the record was read. If the record has forgotten this
            // host, it is long ago that anything was written.
            let applied = if attempt < READS { applied } else { u64::MAX };
            if let Some(beyond) = meters.beyond(&owner, applied) {
                let mut sum = record.usage;
                sum.merge(&beyond);
                return Ok(sum);
            }
        }
        Err(KeyringError::Conflict { key: key.name.to_string() })
    }
}
