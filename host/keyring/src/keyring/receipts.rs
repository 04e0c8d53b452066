//! Receipts of destruction: writing them, finishing those that are owed, and giving them out.
//!
//! The metadata that says versions are destroyed says in the same write that a receipt is owed for
//! them; that of a key under destruction says so by its state. Then the material is removed, then
//! the receipt written under a name that follows from the destruction, and only then is it no
//! longer owed. So whatever stops in between is finished by whoever comes next, several may finish
//! it at once, and there is one receipt. Where there is a receipt, there is no material.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::lifecycle::Step;
use super::{Inner, Keyring, LIST_CONCURRENCY};
use crate::error::KeyringError;
use crate::key::{Key, Stamp, Unreceipted};
use crate::names::{KeyName, TenantName};
use crate::receipt::{
    Destroyed, DestroyedVersion, Extent, PURPOSE, Receipt, ReceiptKey, ReceiptKeyId,
};
use crate::record;
use crate::store::StoreError;
use crate::store_key::StoreKey;

/// Some of the receipts there are of the keys of one name.
#[derive(Clone, Debug)]
pub struct ReceiptPage {
    /// The receipts, oldest first.
    pub receipts: Vec<Receipt>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
}

impl Keyring {
    /// What was destroyed of the tenant's keys of this name, oldest first, also of keys that are
    /// gone: at most `limit` receipts, of those after `after`, which is the
    /// [`next`](ReceiptPage::next) of a page before.
    ///
    /// Fails with [`KeyringError::TenantNotFound`], with [`KeyringError::InvalidName`] (field
    /// `after`), and with [`KeyringError::KeyNotFound`] when there is neither a receipt nor a key.
    pub async fn receipts(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ReceiptPage, KeyringError> {
        if !after.is_none_or(record::is_receipt_name) {
            let reason = "must be the `next` of a page of receipts";
            return Err(KeyringError::InvalidName { field: "after", reason });
        }
        self.inner.tenant(tenant).await?;
        let folder = record::receipts_path(tenant, name);
        let names = self.store().list(&folder).await?;
        if names.is_empty() {
            self.inner.read_key(tenant, name).await?;
        }
        let names = names.into_iter().filter(|name| {
            record::is_receipt_name(name) && after.is_none_or(|after| name.as_str() > after)
        });
        let mut names = names.peekable();
        let page: Vec<String> = names.by_ref().take(limit).collect();
        let next = page.last().filter(|_| names.peek().is_some()).cloned();
        let receipts = stream::iter(page)
            .map(|name| self.inner.read_receipt(format!("{folder}/{name}")))
            .buffered(LIST_CONCURRENCY)
            .try_collect()
            .await?;
        Ok(ReceiptPage { receipts, next })
    }

    /// The public key that the store's receipts are checked with. The key is made if there is
    /// none.
    pub async fn receipt_key(&self) -> Result<ReceiptKey, KeyringError> {
        Ok(ReceiptKey::of(&StoreKey::of(&**self.store(), &PURPOSE).await?))
    }

    /// Every public key that signed a receipt of the tenant, also those of stores whose backups
    /// were restored, in the order of their ids. Whether to trust them follows from whether the
    /// backups were.
    ///
    /// Fails with [`KeyringError::TenantNotFound`].
    pub async fn receipt_keys(&self, tenant: &TenantName) -> Result<Vec<ReceiptKey>, KeyringError> {
        self.inner.tenant(tenant).await?;
        let names = self.store().list(&record::receipt_keys_path(tenant)).await?;
        let ids = names.iter().filter_map(|name| name.parse::<ReceiptKeyId>().ok());
        stream::iter(ids.collect::<Vec<_>>())
            .map(|id| async move {
                let path = record::receipt_key_path(tenant, id);
                let found = self.store().get(&path).await?;
                let key = found.and_then(|found| ReceiptKey::from_bytes(&found.value));
                key.filter(|key| key.id() == id).ok_or(KeyringError::Corrupt { path })
            })
            .buffered(LIST_CONCURRENCY)
            .try_collect()
            .await
    }
}

impl Key {
    /// Notes that a receipt is owed for versions that are destroyed.
    pub(super) fn owe(&mut self, stamp: Stamp, reason: Option<String>, versions: Vec<u32>) {
        self.unreceipted.push(Unreceipted { stamp, reason, versions });
    }

    /// Whether a receipt is owed for this version.
    pub(super) fn owes(&self, version: u32) -> bool {
        self.unreceipted.iter().any(|owed| owed.versions.contains(&version))
    }

    /// What is signed for: all versions, or those named.
    fn destroyed(
        &self,
        named: Option<&[u32]>,
        Stamp { at, by }: Stamp,
        reason: Option<String>,
    ) -> Destroyed {
        let is_named = |version| named.is_none_or(|named| named.contains(&version));
        let versions = self.versions.iter().filter(|info| is_named(info.version));
        Destroyed {
            extent: if named.is_some() { Extent::Versions } else { Extent::Key },
            tenant: self.tenant.clone(),
            key: self.name.clone(),
            id: self.id,
            algorithm: self.algorithm.name().to_owned(),
            versions: versions
                .map(|info| DestroyedVersion {
                    version: info.version,
                    fingerprint: info.fingerprint.clone(),
                })
                .collect(),
            at,
            by,
            reason,
        }
    }
}

impl Inner {
    /// Notes that receipts are owed for versions destroyed by a version of this program that wrote
    /// none, each for itself: when and by whom, the metadata says. For material that is still
    /// there.
    pub(super) async fn owe(
        self: &Arc<Self>,
        key: Key,
        versions: &[u32],
    ) -> Result<Key, KeyringError> {
        if versions.is_empty() {
            return Ok(key);
        }
        let owing = self.change_key(key, |key| {
            let mut step = Step::Nothing;
            for version in versions {
                let info = key.version_info(*version).filter(|_| !key.owes(*version));
                if let Some(stamp) = info.and_then(|info| info.destroyed.clone()) {
                    key.owe(stamp, None, vec![*version]);
                    step = Step::Write;
                }
            }
            Ok(step)
        });
        Ok(owing.await?.0)
    }

    /// Finishes the destruction of versions: removes the material of those for which a receipt is
    /// owed and writes the receipts. Gives the metadata as it then is.
    pub(super) async fn settle(
        self: &Arc<Self>,
        key: Key,
    ) -> Result<(Key, Vec<Receipt>), KeyringError> {
        if key.unreceipted.is_empty() {
            return Ok((key, Vec::new()));
        }
        let owed = key.unreceipted.clone();
        self.remove(&key, owed.iter().flat_map(|owed| owed.versions.iter().copied())).await?;
        let signer = self.signer(&key.tenant).await?;
        let mut receipts = Vec::with_capacity(owed.len());
        for Unreceipted { stamp, reason, versions } in owed.clone() {
            let destroyed = key.destroyed(Some(&versions), stamp, reason);
            receipts.push(self.write_receipt(destroyed, &signer).await?);
        }
        let settled = self.change_key(key.clone(), |key| {
            let before = key.unreceipted.len();
            key.unreceipted.retain(|one| !owed.contains(one));
            Ok(if key.unreceipted.len() < before { Step::Write } else { Step::Nothing })
        });
        match settled.await {
            Ok((key, _)) => {
                self.changed(&key).await;
                Ok((key, receipts))
            }
            // The whole key was destroyed meanwhile.
            Err(KeyringError::KeyNotFound { .. }) => Ok((key, receipts)),
            Err(error) => Err(error),
        }
    }

    /// Removes the material of these versions. What is not there is no error.
    pub(super) async fn remove(
        &self,
        key: &Key,
        versions: impl IntoIterator<Item = u32>,
    ) -> Result<(), KeyringError> {
        let versions: Vec<u32> = versions.into_iter().collect();
        stream::iter(versions.into_iter().map(Ok::<u32, KeyringError>))
            .try_for_each_concurrent(LIST_CONCURRENCY, |version| {
                let path = record::version_path(&key.tenant, &key.name, version);
                async move { Ok(self.store.delete(&path).await?) }
            })
            .await
    }

    /// Writes the receipt of a whole key whose material is gone.
    pub(super) async fn write_key_receipt(
        &self,
        key: &Key,
        stamp: Stamp,
        reason: Option<String>,
    ) -> Result<Receipt, KeyringError> {
        let signer = self.signer(&key.tenant).await?;
        self.write_receipt(key.destroyed(None, stamp, reason), &signer).await
    }

    /// The store's key, whose public half the tenant is known to have receipts of from now on.
    async fn signer(&self, tenant: &TenantName) -> Result<StoreKey, KeyringError> {
        let signer = StoreKey::of(&*self.store, &PURPOSE).await?;
        let public = ReceiptKey::of(&signer);
        let path = record::receipt_key_path(tenant, public.id());
        match self.store.create(&path, public.as_bytes()).await {
            Ok(_) | Err(StoreError::Exists { .. }) => Ok(signer),
            Err(error) => Err(error.into()),
        }
    }

    /// Writes a receipt, or gives the one that somebody else wrote for the same destruction.
    async fn write_receipt(
        &self,
        destroyed: Destroyed,
        signer: &StoreKey,
    ) -> Result<Receipt, KeyringError> {
        let path = record::receipt_path(&destroyed);
        let receipt = Receipt::sign(destroyed, signer);
        let corrupt = |_| KeyringError::Corrupt { path: path.clone() };
        let value = serde_json::to_vec(&receipt).map_err(corrupt)?;
        match self.store.create(&path, &value).await {
            Ok(_) => Ok(receipt),
            Err(StoreError::Exists { .. }) => self.read_receipt(path).await,
            Err(error) => Err(error.into()),
        }
    }

    async fn read_receipt(&self, path: String) -> Result<Receipt, KeyringError> {
        let found = self.store.get(&path).await?;
        let receipt = found.and_then(|found| Receipt::from_json(&found.value).ok());
        receipt.ok_or(KeyringError::Corrupt { path })
    }
}
