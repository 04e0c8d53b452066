//! Rewriting key material from one wrap to the other.

use std::fmt;

use futures_util::stream::{self, StreamExt};

use super::VaultStore;
use super::secret::{Found, Payload};
use super::wrap::{Wrap, is_material};
use super::write::Write;
use crate::store::{Store, StoreError};

/// How many records are rewritten at a time.
const CONCURRENCY: usize = 8;
/// How often a record that others change meanwhile is looked at again.
const ATTEMPTS: usize = 8;

/// What a migration did.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Migration {
    /// Records of key material looked at.
    pub examined: u64,
    /// Records rewritten.
    pub rewritten: u64,
    /// Records that had the form wanted already.
    pub unchanged: u64,
    /// Records that went away meanwhile, or whose data was destroyed before.
    pub gone: u64,
    /// Older revisions destroyed, so that none is left in another form.
    pub revisions_destroyed: u64,
    /// Records that were left as they are: each one's path and why.
    pub failed: Vec<(String, StoreError)>,
}

impl Migration {
    /// Whether every record has the form wanted and no revision is left in another.
    pub fn is_complete(&self) -> bool {
        self.failed.is_empty()
    }
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} records of key material: {} rewritten, {} unchanged, {} gone, {} failed; {} older \
             revisions destroyed",
            self.examined,
            self.rewritten,
            self.unchanged,
            self.gone,
            self.failed.len(),
            self.revisions_destroyed
        )
    }
}

enum Outcome {
    Rewritten,
    Unchanged,
    Gone,
}

impl VaultStore {
    /// Brings all key material into one form and destroys the revisions that have another, so that
    /// after a migration to [`Wrap::Transit`] nothing in KV can be read without Transit.
    ///
    /// It may run while hosts serve, any number of times and from several processes at once;
    /// interrupted, it is run again and does what is left. Hosts write new material in the form
    /// they are configured for, so configure them first: with `vault.transit_key` before a
    /// migration to [`Wrap::Transit`], and without it only after one to [`Wrap::Plain`]. This
    /// store needs the Transit key in both directions.
    ///
    /// A record that fails does not stop the others: it is counted in [`Migration::failed`]. Fails
    /// itself with [`StoreError::TransitKeyMissing`], or when Vault stops answering.
    pub async fn migrate(&self, to: Wrap) -> Result<Migration, StoreError> {
        if self.transit_key().is_none() {
            return Err(StoreError::TransitKeyMissing { path: self.data_path("") });
        }
        let mut migration = Migration::default();
        let mut folders = vec![String::new()];
        while let Some(folder) = folders.pop() {
            let mut records = Vec::new();
            for child in self.list(&folder).await? {
                let path = format!("{folder}{child}");
                if child.ends_with('/') {
                    folders.push(path);
                } else if is_material(&path) {
                    records.push(path);
                }
            }
            let mut outcomes = stream::iter(records)
                .map(|path| async move { (self.migrate_one(&path, to).await, path) })
                .buffer_unordered(CONCURRENCY);
            while let Some((outcome, path)) = outcomes.next().await {
                migration.examined += 1;
                match outcome {
                    Ok((Outcome::Rewritten, _)) => migration.rewritten += 1,
                    Ok((Outcome::Unchanged, _)) => migration.unchanged += 1,
                    Ok((Outcome::Gone, _)) => migration.gone += 1,
                    Err(error) if error.is_unavailable() => return Err(error),
                    Err(ref error) => migration.failed.push((path, error.clone())),
                }
                if let Ok((_, destroyed)) = outcome {
                    migration.revisions_destroyed += destroyed;
                }
            }
        }
        Ok(migration)
    }

    /// Rewrites one record, then destroys its older revisions, also those left by a migration that
    /// was interrupted in between. Gives how many it destroyed.
    async fn migrate_one(&self, path: &str, to: Wrap) -> Result<(Outcome, u64), StoreError> {
        for _ in 0..ATTEMPTS {
            let (version, payload) = match self.read(path).await? {
                Found::Nothing => return Ok((Outcome::Gone, 0)),
                Found::Destroyed { version } => {
                    return Ok((Outcome::Gone, self.destroy_older(path, version).await?));
                }
                // Its data is still there, in whichever form, and cannot be looked at.
                Found::Deleted { version } => {
                    return Err(StoreError::Deleted { path: self.data_path(path), version });
                }
                Found::Live { version, secret, .. } => (version, secret.payload),
            };
            let wrapped = matches!(payload, Payload::Wrapped(_));
            if wrapped == (to == Wrap::Transit) {
                return Ok((Outcome::Unchanged, self.destroy_older(path, version).await?));
            }
            let value = self.value(path, payload).await?;
            let payload = match to {
                Wrap::Plain => Payload::Plain(value),
                Wrap::Transit => self.wrap(path, &value).await?,
            };
            if let Write::Done(version) = self.write_over(path, &payload, version).await? {
                return Ok((Outcome::Rewritten, self.destroy_older(path, version).await?));
            }
        }
        let reason = format!("the record at {path:?} keeps changing");
        Err(StoreError::Unavailable { reason })
    }

    /// Destroys the revisions before `version`, once the newest one has been seen to open.
    async fn destroy_older(&self, path: &str, version: u64) -> Result<u64, StoreError> {
        let mut older = self.revisions(path).await?.unwrap_or_default();
        older.retain(|revision| *revision < version);
        if older.is_empty() {
            return Ok(0);
        }
        if let Found::Live { secret, .. } = self.read(path).await? {
            self.value(path, secret.payload).await?;
        }
        self.destroy(path, &older).await?;
        Ok(u64::try_from(older.len()).unwrap_or(u64::MAX))
    }
}
