//! Lists of a tenant's keys, whole or page by page.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::{Keyring, LIST_CONCURRENCY, records_in};
use crate::error::KeyringError;
use crate::key::Key;
use crate::names::{KeyName, TenantName};
use crate::record;

/// How many records the search for the keys of one page may read beyond the page's limit, such as
/// those of deleted keys.
const MAX_SKIPPED: usize = 1000;

/// Which keys to list.
#[derive(Clone, Debug)]
pub struct KeyQuery<'a> {
    /// Deleted keys, also those whose destruction is not complete, instead of the others.
    pub deleted: bool,
    /// Only names that begin so; all of them begin with the empty prefix.
    pub prefix: &'a str,
    /// Only names that come after this one, in byte order.
    pub after: Option<&'a KeyName>,
    /// The most keys to give.
    pub limit: usize,
}

/// Some of a tenant's keys.
#[derive(Clone, Debug)]
pub struct KeyPage {
    /// The keys, in byte order of the names.
    pub keys: Vec<Arc<Key>>,
    /// Where the next page begins ([`KeyQuery::after`]), if there may be one. The page before it
    /// may have fewer keys than its limit, and the last page none at all.
    pub next: Option<KeyName>,
}

impl Keyring {
    /// Every key of the tenant that is not deleted, in byte order of the names.
    pub async fn list_keys(&self, tenant: &TenantName) -> Result<Vec<Arc<Key>>, KeyringError> {
        self.list(tenant, false).await
    }

    /// Every deleted key of the tenant, also those whose destruction is not complete, in byte
    /// order of the names.
    pub async fn list_deleted_keys(
        &self,
        tenant: &TenantName,
    ) -> Result<Vec<Arc<Key>>, KeyringError> {
        self.list(tenant, true).await
    }

    /// One page of the tenant's keys. Reads the names of all, and the metadata of those alone that
    /// the page may need. A key that is created meanwhile may be missing; none is given twice when
    /// the pages follow each other.
    ///
    /// Fails with [`KeyringError::TenantNotFound`].
    pub async fn page_of_keys(
        &self,
        tenant: &TenantName,
        query: &KeyQuery<'_>,
    ) -> Result<KeyPage, KeyringError> {
        let names = self.key_names(tenant).await?.into_iter().filter(|name| {
            name.as_str().starts_with(query.prefix) && query.after.is_none_or(|after| name > after)
        });
        let (mut names, mut keys) = (names.peekable(), Vec::new());
        let (mut last, mut read) = (query.after.cloned(), 0);
        let budget = query.limit.saturating_add(MAX_SKIPPED);
        while keys.len() < query.limit && read < budget {
            // As many as the page lacks: each may turn out to be one it does not want.
            let lacking = (query.limit - keys.len()).min(LIST_CONCURRENCY).min(budget - read);
            let batch: Vec<KeyName> = names.by_ref().take(lacking).collect();
            let Some(end) = batch.last() else { break };
            last = Some(end.clone());
            read += batch.len();
            keys.extend(self.those(tenant, batch, query.deleted).await?);
        }
        let next = last.filter(|_| names.peek().is_some());
        Ok(KeyPage { keys, next })
    }

    async fn list(
        &self,
        tenant: &TenantName,
        deleted: bool,
    ) -> Result<Vec<Arc<Key>>, KeyringError> {
        let names = self.key_names(tenant).await?;
        self.those(tenant, names, deleted).await
    }

    /// Every name under which there is a key or a tombstone, in byte order.
    async fn key_names(&self, tenant: &TenantName) -> Result<Vec<KeyName>, KeyringError> {
        self.inner.tenant(tenant).await?;
        let children = self.store().list(&record::keys_path(tenant)).await?;
        Ok(records_in(&children).collect())
    }

    /// The keys of these names, in their order, that are deleted or that are not.
    async fn those(
        &self,
        tenant: &TenantName,
        names: Vec<KeyName>,
        deleted: bool,
    ) -> Result<Vec<Arc<Key>>, KeyringError> {
        stream::iter(names)
            .map(|name| async move {
                match self.key(tenant, &name).await {
                    Ok(key) => Ok(Some(key)),
                    Err(KeyringError::KeyNotFound { .. }) => Ok(None), // purged
                    Err(error) => Err(error),
                }
            })
            .buffered(LIST_CONCURRENCY)
            .try_filter_map(|key| {
                let wanted = key.filter(|key| key.check_kept().is_err() == deleted);
                std::future::ready(Ok(wanted))
            })
            .try_collect()
            .await
    }
}
