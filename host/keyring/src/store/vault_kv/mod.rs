//! A store over Vault's KV version 2 engine.
//!
//! One record is one secret, at `<mount>/data/<prefix>/<path>`; a record's revision is the secret's
//! version, and every write names the version it replaces (`cas`), so that no write is lost and
//! none is done twice. The module owns the form of the secrets ([`secret`]), the second wrap by
//! Vault Transit ([`wrap`]), the check of the mount and the token's capabilities at start
//! ([`check`]) and the migration between wraps ([`migrate`]). It never logs in, never retries by
//! itself what the client below has given up, and caches nothing.
//!
//! # Deletion
//!
//! [`Store::delete`] destroys every revision and then removes the secret with its metadata, after
//! which the path is as if it had never been written: the next [`Store::create`] begins with
//! revision 1 again.
//!
//! What others do with Vault's own tools has these effects. A secret whose newest revision was
//! *deleted* (`vault kv delete`, which can be undone) reads as no record, but nothing is created
//! over it ([`StoreError::Deleted`]): somebody may still restore it, and then there would be two of
//! what must be written once. One whose newest revision was *destroyed* reads as no record, and a
//! creation continues after its number. Both are still listed, until the metadata is removed. A
//! replacement that read a revision before it was deleted restores the record.

mod check;
mod frame;
mod migrate;
mod secret;
#[cfg(test)]
mod tests;
mod wire;
mod wrap;
mod write;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use rustify::Endpoint;
use serde::Deserialize;
use zeroize::Zeroizing;

use self::secret::Found;
use self::wire::{Answer, Request};
use self::write::Write;
use super::{Record, Store, StoreError, check_path, check_prefix, check_value};
use crate::vault::{Call, Connection, Operation, Vault, VaultError};

pub use self::migrate::Migration;
pub use self::wrap::Wrap;

/// A folder that is always there once anything is; never a record.
const PING: &str = "tenants";

/// How often a creation starts again because the secret changed between two calls.
const ATTEMPTS: usize = 8;

/// Records in Vault's KV version 2 engine, at the mount and prefix the client was configured with.
/// Clones share the client.
#[derive(Clone)]
pub struct VaultStore {
    vault: Vault,
}

impl VaultStore {
    /// A store over the client's mount and prefix. It does not go to the network; see
    /// [`VaultStore::check`].
    pub fn new(vault: Vault) -> Self {
        Self { vault }
    }

    /// The client below.
    pub fn vault(&self) -> &Vault {
        &self.vault
    }

    /// `<mount>/<kind>/<prefix>/<path>`.
    fn kv_path(&self, kind: &str, path: &str) -> String {
        let location = &self.vault.config().secret_path;
        format!("{}/{kind}/{}/{path}", location.mount(), location.prefix())
    }

    fn data_path(&self, path: &str) -> String {
        self.kv_path("data", path)
    }

    fn metadata_path(&self, path: &str) -> String {
        self.kv_path("metadata", path)
    }

    /// What the newest revision at `path` is.
    async fn read(&self, path: &str) -> Result<Found, StoreError> {
        self.read_by(path, Request::get(self.data_path(path))).await
    }

    /// What one revision at `path` is.
    async fn read_revision(&self, path: &str, revision: u64) -> Result<Found, StoreError> {
        self.read_by(
            path,
            Request::get(self.data_path(path)).with_query(format!("version={revision}")),
        )
        .await
    }

    async fn read_by(&self, path: &str, request: Request) -> Result<Found, StoreError> {
        match self.send(Operation::KvRead, &request).await? {
            Answer::Ok(body) | Answer::NotFound(body) => {
                secret::read_answer(&body).map_err(|reason| StoreError::CorruptedInVault {
                    path: self.data_path(path),
                    reason: reason.to_owned(),
                })
            }
            Answer::Refused => Err(refused(&request)),
        }
    }

    /// The numbers of the revisions whose data is still there, oldest first; `None` when there is
    /// no secret.
    async fn revisions(&self, path: &str) -> Result<Option<Vec<u64>>, StoreError> {
        #[derive(Deserialize)]
        struct Metadata {
            versions: BTreeMap<String, Revision>,
        }
        #[derive(Deserialize)]
        struct Revision {
            destroyed: bool,
        }
        let request = Request::get(self.metadata_path(path));
        let body = match self.send(Operation::KvMetadata, &request).await? {
            Answer::Ok(body) => body,
            Answer::NotFound(_) => return Ok(None),
            Answer::Refused => return Err(refused(&request)),
        };
        let metadata: Metadata = wire::data(&body).ok_or_else(|| malformed(&request))?;
        let kept = metadata.versions.iter().filter(|(_, revision)| !revision.destroyed);
        let numbers: Result<Vec<u64>, _> = kept.map(|(number, _)| number.parse()).collect();
        let mut numbers = numbers.map_err(|_| malformed(&request))?;
        numbers.sort_unstable();
        Ok(Some(numbers))
    }

    /// Removes the data of these revisions for good.
    async fn destroy(&self, path: &str, revisions: &[u64]) -> Result<(), StoreError> {
        let body = serde_json::json!({ "versions": revisions }).to_string().into_bytes();
        let request = Request::post_json(self.kv_path("destroy", path), Zeroizing::new(body));
        match self.send(Operation::KvDestroy, &request).await? {
            Answer::Ok(_) | Answer::NotFound(_) => Ok(()),
            Answer::Refused => Err(refused(&request)),
        }
    }

    async fn send(&self, operation: Operation, request: &Request) -> Result<Answer, StoreError> {
        Ok(self.send_counted(operation, request).await?.0)
    }

    /// Sends the request, and tells how often it took to get an answer.
    async fn send_counted(
        &self,
        operation: Operation,
        request: &Request,
    ) -> Result<(Answer, u32), StoreError> {
        let tries = AtomicU32::new(0);
        // All of them may be repeated: reads, writes over a named revision, and removals.
        let path = request.path();
        let call = Call { operation, path: &path };
        let attempt = |connection: Arc<Connection>| {
            tries.fetch_add(1, Ordering::Relaxed);
            let request = request.clone();
            async move { wire::send(&connection, request).await }
        };
        let answer = self.vault.call(call, attempt).await?;
        Ok((answer, tries.load(Ordering::Relaxed)))
    }

    fn not_kv2(&self) -> StoreError {
        let mount = self.vault.config().secret_path.mount().to_owned();
        VaultError::MountNotKv2 { mount, found: "another".to_owned() }.into()
    }
}

/// Vault understood the request and refused it.
fn refused(request: &Request) -> StoreError {
    VaultError::Rejected { path: request.path(), status: 400 }.into()
}

/// Vault's answer to the request has not the fields it should have.
fn malformed(request: &Request) -> StoreError {
    let reason = "the answer has not the fields expected";
    VaultError::NotVault { path: request.path(), reason }.into()
}

#[async_trait]
impl Store for VaultStore {
    async fn get(&self, path: &str) -> Result<Option<Record>, StoreError> {
        check_path(path)?;
        match self.read(path).await? {
            Found::Nothing | Found::Destroyed { .. } => Ok(None),
            Found::Deleted { version } => {
                let path = self.data_path(path);
                tracing::warn!(path, version, "a record is deleted but can be restored in Vault");
                Ok(None)
            }
            Found::Live { version, deletes_at, secret } => {
                if let Some(at) = deletes_at {
                    let path = self.data_path(path);
                    tracing::warn!(path, version, at, "Vault is going to delete a record");
                }
                let value = self.value(path, secret.payload).await?;
                Ok(Some(Record { value, revision: version }))
            }
        }
    }

    async fn create(&self, path: &str, value: &[u8]) -> Result<u64, StoreError> {
        check_path(path)?;
        check_value(value)?;
        let payload = self.payload(path, value).await?;
        let mut cas = 0;
        for _ in 0..ATTEMPTS {
            match self.write_over(path, &payload, cas).await? {
                Write::Done(revision) => return Ok(revision),
                Write::Other(Found::Live { .. }) => {
                    return Err(StoreError::Exists { path: path.to_owned() });
                }
                Write::Other(Found::Deleted { version }) => {
                    return Err(StoreError::Deleted { path: self.data_path(path), version });
                }
                Write::Other(Found::Destroyed { version }) => cas = version,
                Write::Other(Found::Nothing) => cas = 0,
            }
        }
        let reason = format!("the secret for {path:?} keeps changing");
        Err(StoreError::Unavailable { reason })
    }

    async fn replace(
        &self,
        path: &str,
        value: &[u8],
        expected_revision: u64,
    ) -> Result<u64, StoreError> {
        check_path(path)?;
        check_value(value)?;
        let found = if expected_revision == 0 {
            self.read(path).await? // `cas=0` would create
        } else {
            let payload = self.payload(path, value).await?;
            match self.write_over(path, &payload, expected_revision).await? {
                Write::Done(revision) => return Ok(revision),
                Write::Other(found) => found,
            }
        };
        let found = match found {
            Found::Live { version, .. } => Some(version),
            Found::Nothing | Found::Deleted { .. } | Found::Destroyed { .. } => None,
        };
        let path = path.to_owned();
        Err(StoreError::RevisionMismatch { path, expected: expected_revision, found })
    }

    async fn delete(&self, path: &str) -> Result<(), StoreError> {
        check_path(path)?;
        let Some(revisions) = self.revisions(path).await? else { return Ok(()) };
        if !revisions.is_empty() {
            self.destroy(path, &revisions).await?;
        }
        let request = Request::delete(self.metadata_path(path));
        match self.send(Operation::KvDelete, &request).await? {
            Answer::Ok(_) | Answer::NotFound(_) => Ok(()),
            Answer::Refused => Err(refused(&request)),
        }
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        #[derive(Deserialize)]
        struct Keys {
            keys: Vec<String>,
        }
        let folder = check_prefix(prefix)?;
        let request = Request::list(self.metadata_path(&folder));
        let body = match self.send(Operation::KvList, &request).await? {
            Answer::Ok(body) => body,
            Answer::NotFound(_) => return Ok(Vec::new()),
            Answer::Refused => return Err(refused(&request)),
        };
        let Keys { mut keys } = wire::data(&body).ok_or_else(|| malformed(&request))?;
        // Others may keep secrets here whose names are not ours.
        keys.retain(|name| !name.is_empty() && check_prefix(name).is_ok());
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        // A folder, never a record: what matters is that the engine answers.
        self.read(PING).await.map(|_| ())
    }
}
