//! Destroying a key for good.
//!
//! First the metadata says so, by compare-and-set: from then on nobody uses or restores the key.
//! Then the material of every version and the record of their use are removed, the key's id is
//! retired, the [receipt](super::receipts) written, and last the metadata gives way to a
//! tombstone, which frees the name. Every step may be
//! repeated, so whoever finds a destruction that stopped half-way finishes it, and several may do
//! so at once: material is removed only up to a number above which every later key of the same
//! name begins.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt};

use super::lifecycle::Step;
use super::{Inner, Keyring, LIST_CONCURRENCY, records_in, to_the_end};
use crate::error::KeyringError;
use crate::history::{Action, Author, Cause};
use crate::key::{Destruction, Key};
use crate::names::{KeyName, TenantName};
use crate::receipt::Receipt;
use crate::record::{self, Entry};
use crate::store::StoreError;

/// How many lost races for an id's record to accept.
const ATTEMPTS: usize = 100;

/// What [`Keyring::purge_due`] did.
#[derive(Debug, Default)]
pub struct Purge {
    /// The receipts of the keys destroyed, and of versions whose destruction had stopped half-way.
    pub receipts: Vec<Receipt>,
    /// The keys for which that was due and could not be done; the next call tries again.
    pub failures: Vec<(TenantName, KeyName, KeyringError)>,
}

impl Keyring {
    /// Destroys the key for good, whatever its state, without a restore window: when this returns,
    /// the store has its material no more, nothing encrypted with it can be decrypted, its id is
    /// never used again and its name is free.
    ///
    /// When the store fails half-way, the same call, or the next [`Keyring::purge_due`], finishes
    /// the destruction later. Fails with [`KeyringError::KeyNotFound`],
    /// [`KeyringError::InvalidName`] (field `actor` or `reason`) or [`KeyringError::Conflict`].
    pub async fn destroy_key(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        by: impl Into<Author<'_>>,
    ) -> Result<Receipt, KeyringError> {
        let cause = Cause::of(by)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        to_the_end(async move {
            let key = inner.read_key(&tenant, &name).await?;
            inner.destroy_key(key, |_| Some(cause.clone())).await
        })
        .await
    }

    /// Destroys every key whose restore window is over at `now` (milliseconds since the Unix
    /// epoch), and finishes the destructions that stopped half-way, those of versions too. It reads every key's metadata
    /// from the store, so call it each hour rather than each second. Several hosts may call it at
    /// once; a key that two of them destroy has the same receipt twice.
    ///
    /// Fails when tenants or keys cannot be listed.
    pub async fn purge_due(&self, now: u64) -> Result<Purge, KeyringError> {
        let inner = self.inner.clone();
        let tenants = self.list_tenants().await?;
        to_the_end(async move {
            let mut purge = Purge::default();
            for tenant in tenants {
                inner.purge_tenant(&tenant, now, &mut purge).await?;
            }
            Ok(purge)
        })
        .await
    }
}

/// Who destroys the key now that its window is over, if it is: who deleted it, and why.
fn due(key: &Key, now: u64) -> Option<Cause> {
    let deletion = key.deleted.as_ref().filter(|deletion| deletion.purge_at <= now)?;
    let deleted = key.history.iter().rev().find(|entry| entry.action == Action::Delete);
    let reason = deleted.and_then(|entry| entry.reason.clone());
    Some(Cause { at: record::now_ms(), actor: deletion.by.clone(), reason })
}

impl Inner {
    async fn purge_tenant(
        self: &Arc<Self>,
        tenant: &TenantName,
        now: u64,
        purge: &mut Purge,
    ) -> Result<(), KeyringError> {
        let children = self.store.list(&record::keys_path(tenant)).await?;
        let names: Vec<KeyName> = records_in(&children).collect();
        let mut found = stream::iter(names)
            .map(|name| async move { (self.read_key(tenant, &name).await, name) })
            .buffered(LIST_CONCURRENCY);
        while let Some((key, name)) = found.next().await {
            let done = match key {
                Ok(key) if key.destruction.is_some() || due(&key, now).is_some() => {
                    self.destroy_key(key, |key| due(key, now)).await.map(|receipt| vec![receipt])
                }
                Ok(key) if !key.unreceipted.is_empty() => {
                    self.settle(key).await.map(|(_, receipts)| receipts)
                }
                Ok(_) | Err(KeyringError::KeyNotFound { .. }) => continue,
                Err(error) => Err(error),
            };
            match done {
                Ok(receipts) => purge.receipts.extend(receipts),
                // Another host was faster, or the key was restored or destroyed meanwhile.
                Err(KeyringError::KeyNotFound { .. } | KeyringError::KeyNotDeleted { .. }) => {}
                Err(error) => {
                    tracing::warn!(%tenant, key = %name, %error, "a key could not be purged");
                    purge.failures.push((tenant.clone(), name, error));
                }
            }
        }
        Ok(())
    }

    /// Destroys the key if, when its metadata is changed, `by` still names who destroys it.
    async fn destroy_key(
        self: &Arc<Self>,
        key: Key,
        by: impl Fn(&Key) -> Option<Cause>,
    ) -> Result<Receipt, KeyringError> {
        let (mut key, _) = self
            .change_key(key, |key| {
                if key.destruction.is_some() {
                    return Ok(Step::Nothing);
                }
                let not_due = || KeyringError::KeyNotDeleted { key: key.name.to_string() };
                let cause = by(key).ok_or_else(not_due)?;
                let stamp = cause.stamp();
                for info in &mut key.versions {
                    info.destroyed.get_or_insert_with(|| stamp.clone());
                }
                let (ceiling, reason) = (key.highest_version(), cause.reason.clone());
                key.destruction = Some(Destruction { stamp, ceiling, reason });
                key.note(&cause, Action::Destroy, None);
                Ok(Step::Write)
            })
            .await?;
        // From here on nobody uses it, even if its material stays for a while.
        self.changed(&key).await;

        let numbers = self.stored_versions(&key).await?;
        let highest = numbers.iter().copied().max().unwrap_or(0);
        // Material above: of a rotation that no metadata lists. To have it removed is safe once
        // the metadata says that this key goes up to there, for only a later key could go higher.
        (key, _) = self
            .change_key(key, |key| match &mut key.destruction {
                Some(destruction) if destruction.ceiling < highest => {
                    destruction.ceiling = highest;
                    Ok(Step::Write)
                }
                _ => Ok(Step::Nothing),
            })
            .await?;
        self.remove(&key, numbers).await?;
        self.forget_usage(&key).await?;
        self.retire_id(&key).await?;
        // Versions destroyed before have receipts of their own, one of which may be owed.
        (key, _) = self.settle(key).await?;
        let conflict = || KeyringError::Conflict { key: key.name.to_string() };
        let Destruction { stamp, reason, .. } = key.destruction.clone().ok_or_else(conflict)?;
        let receipt = self.write_key_receipt(&key, stamp, reason).await?;
        self.bury(&key, &receipt).await?;
        let by = &receipt.destroyed.by;
        tracing::info!(tenant = %key.tenant, key = %key.name, id = %key.id, by, "key destroyed");
        self.changed(&key).await;
        Ok(receipt)
    }

    /// The numbers of all versions whose material is in the store, listed or not.
    pub(super) async fn stored_versions(&self, key: &Key) -> Result<Vec<u32>, KeyringError> {
        let children = self.store.list(&record::versions_path(&key.tenant, &key.name)).await?;
        Ok(children.iter().filter_map(|child| child.parse().ok()).collect())
    }

    /// Makes the index say that the key of this id was purged.
    async fn retire_id(&self, key: &Key) -> Result<(), KeyringError> {
        let path = record::key_id_path(&key.tenant, key.id);
        let retired = record::retired_id(&key.name);
        for _ in 0..ATTEMPTS {
            let written = match self.store.get(&path).await? {
                Some(found) if record::is_retired(&found.value) => return Ok(()),
                Some(found) => self.store.replace(&path, &retired, found.revision).await,
                None => self.store.create(&path, &retired).await,
            };
            match written {
                Ok(_) => return Ok(()),
                Err(StoreError::Exists { .. } | StoreError::RevisionMismatch { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeyringError::Conflict { key: key.name.to_string() })
    }

    /// Puts the tombstone in the place of the metadata, which frees the name.
    async fn bury(&self, key: &Key, receipt: &Receipt) -> Result<(), KeyringError> {
        let path = record::key_path(&key.tenant, &key.name);
        let conflict = || KeyringError::Conflict { key: key.name.to_string() };
        let ceiling = key.destruction.as_ref().map(|destruction| destruction.ceiling);
        let ceiling = ceiling.ok_or_else(conflict)?;
        let value = record::encode_tombstone(&path, &receipt.destroyed, ceiling)?;
        match self.store.replace(&path, &value, key.revision).await {
            Ok(_) => Ok(()),
            Err(StoreError::RevisionMismatch { .. }) => {
                match self.read_entry(&key.tenant, &key.name).await? {
                    // Raised by another host, which found more to remove: it finishes this.
                    Some(Entry::Key(now)) if now.id == key.id => Err(conflict()),
                    // Another host was faster with the same.
                    _ => Ok(()),
                }
            }
            Err(error) => Err(error.into()),
        }
    }
}
