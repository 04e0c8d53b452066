//! `tenants/<tenant>/policies/<digest>`: the components a tenant keeps, one record each.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use keyward_keyring::TenantName;
use keyward_keyring::store::{Store, StoreError};
use keyward_policy_host::Policy;
use serde::{Deserialize, Serialize};

use super::digest::ComponentDigest;
use super::signature::Signature;

/// Records read at a time.
const CONCURRENCY: usize = 8;

/// A component that was admitted for a tenant, and who brought it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Kept {
    /// `sha256:` and the component's digest in hexadecimal.
    pub digest: String,
    /// In bytes.
    pub size: usize,
    /// The version of the contract it was built for.
    pub contract: String,
    /// What it imports: its permissions.
    pub imports: Vec<String>,
    /// Names of what `invoke` offers.
    pub operations: Vec<String>,
    /// Unix time in ms.
    pub pushed_at: u64,
    /// Subject of the credential that pushed it.
    pub pushed_by: String,
    /// The artefact it was pulled from, with its digest, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Who signed it. Checked whenever it is activated or loaded, never taken from here on trust.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signature>,
}

impl Kept {
    /// The record of a component that is admitted.
    pub(super) fn of(policy: &Policy, pushed_at: u64, pushed_by: &str) -> Self {
        let names = policy.operations().iter().map(|operation| operation.name.clone());
        Self {
            digest: policy.digest().to_owned(),
            size: policy.size(),
            contract: policy.contract().to_owned(),
            imports: policy.imports().to_vec(),
            operations: names.collect(),
            pushed_at,
            pushed_by: pushed_by.to_owned(),
            source: None,
            signatures: Vec::new(),
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers alone: cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// The records of kept components.
#[derive(Clone)]
pub(super) struct KeptStore(Arc<dyn Store>);

fn folder(tenant: &TenantName) -> String {
    format!("tenants/{tenant}/policies")
}

fn path(tenant: &TenantName, digest: &ComponentDigest) -> String {
    format!("{}/{}", folder(tenant), digest.hex())
}

impl KeptStore {
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    /// The record, if there is one that can be read.
    pub async fn get(
        &self,
        tenant: &TenantName,
        digest: &ComponentDigest,
    ) -> Result<Option<Kept>, StoreError> {
        let path = path(tenant, digest);
        let Some(found) = self.0.get(&path).await? else { return Ok(None) };
        let kept = serde_json::from_slice::<Kept>(&found.value).ok();
        let kept = kept.filter(|kept| kept.digest == digest.as_str());
        if kept.is_none() {
            tracing::error!(path, "the record of a kept policy is damaged; push it again");
        }
        Ok(kept)
    }

    /// Whether there is a record, readable or not.
    pub async fn has(
        &self,
        tenant: &TenantName,
        digest: &ComponentDigest,
    ) -> Result<bool, StoreError> {
        Ok(self.0.get(&path(tenant, digest)).await?.is_some())
    }

    /// Writes the record, whatever was there.
    pub async fn put(
        &self,
        tenant: &TenantName,
        digest: &ComponentDigest,
        kept: &Kept,
    ) -> Result<(), StoreError> {
        let (path, bytes) = (path(tenant, digest), kept.to_bytes());
        loop {
            let written = match self.0.get(&path).await? {
                Some(old) if *old.value == bytes => return Ok(()),
                Some(old) => self.0.replace(&path, &bytes, old.revision).await,
                None => self.0.create(&path, &bytes).await,
            };
            match written {
                Err(StoreError::Exists { .. } | StoreError::RevisionMismatch { .. }) => {}
                other => return other.map(drop),
            }
        }
    }

    pub async fn delete(
        &self,
        tenant: &TenantName,
        digest: &ComponentDigest,
    ) -> Result<(), StoreError> {
        self.0.delete(&path(tenant, digest)).await
    }

    /// The digests of all, in order.
    pub async fn digests(&self, tenant: &TenantName) -> Result<Vec<ComponentDigest>, StoreError> {
        let names = self.0.list(&folder(tenant)).await?;
        Ok(names.iter().filter_map(|name| ComponentDigest::from_hex(name).ok()).collect())
    }

    /// The records of these, but for those that are gone meanwhile or damaged.
    pub async fn all(
        &self,
        tenant: &TenantName,
        digests: &[ComponentDigest],
    ) -> Result<Vec<Kept>, StoreError> {
        let (store, tenant) = (self.clone(), tenant.clone());
        let reading = stream::iter(digests.to_vec()).map(move |digest| {
            let (store, tenant) = (store.clone(), tenant.clone());
            async move { store.get(&tenant, &digest).await }
        });
        let kept = reading.buffered(CONCURRENCY);
        kept.try_filter_map(|kept| async move { Ok(kept) }).try_collect().await
    }
}
