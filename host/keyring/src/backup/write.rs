//! Making a backup: what is in scope, in the order in which it is restored.

use std::collections::HashSet;

use futures_util::stream::{self, StreamExt};
use tokio::io::AsyncWrite;

use super::envelope::Recipients;
use super::error::BackupError;
use super::frame::Kind;
use super::gather::{Gathered, gather};
use super::header::Header;
use super::origin::Signer;
use super::report::{Counts, Report, Summary};
use super::scope::{self, Scope};
use super::sink::Sink;
use super::walk::{self, Look};
use crate::names::TenantName;
use crate::record::{self, TENANTS};
use crate::store::Store;

/// Keys read at a time.
const CONCURRENCY: usize = 8;
/// Says that the tokens named in it are operators': after the tokens.
const OPERATORS: &str = "operators";

/// Writes a backup of `store` to `out` while hosts serve, and says what it wrote.
///
/// Each key is in it as it was at one moment between call and return, complete with the material
/// of every version that was not destroyed. Keys and other records are each of their own moment: a
/// key or a token created meanwhile may be in it or not. At most eight keys are in memory at a time,
/// and one other record. The first backup of a store writes the record of its [`Origin`](super::Origin).
///
/// What was written to `out` before an error is not a backup and opens as none. An HTTP response
/// must then be cut off, not ended. Fails with [`BackupError::TenantNotFound`],
/// [`BackupError::Unstable`], [`BackupError::Io`] and [`BackupError::Store`]. See
/// [`Report::damaged`] for what a store that is not in order leads to.
pub async fn write<W: AsyncWrite + Unpin + Send>(
    store: &dyn Store,
    scope: &Scope,
    recipients: &Recipients,
    out: &mut W,
) -> Result<Report, BackupError> {
    let signer = Signer::of(store).await?;
    let created_at = record::now_ms();
    let header = Header { created_at, scope: scope.clone(), origin: signer.origin() };
    let sink = Sink::begin(recipients, &header, out).await?;
    let (counts, damaged, components) = (Counts::default(), Vec::new(), HashSet::new());
    let mut backup = Backup { store, sink, counts, damaged, components };
    match scope {
        Scope::All => backup.all().await?,
        Scope::Tenant(tenant) => backup.one(tenant).await?,
    }
    let Backup { sink, counts, damaged, .. } = backup;
    let (end, bytes) = sink.finish(&signer).await?;
    Ok(Report { summary: Summary::new(header, counts, &end), bytes, damaged })
}

struct Backup<'a, W> {
    store: &'a dyn Store,
    sink: Sink<'a, W>,
    counts: Counts,
    damaged: Vec<String>,
    /// The folders of components written already.
    components: HashSet<String>,
}

impl<W: AsyncWrite + Unpin + Send> Backup<'_, W> {
    async fn all(&mut self) -> Result<(), BackupError> {
        let (mut folders, records) = walk::children(self.store, "").await?;
        let (tenants, bare) = walk::children(self.store, TENANTS).await?;
        let mut tenants: Vec<String> = tenants.into_iter().chain(bare).collect();
        tenants.sort_unstable();
        tenants.dedup();
        for tenant in tenants {
            self.tenant(&tenant).await?;
        }
        folders.sort_by_key(|folder| folder == OPERATORS);
        for folder in folders.iter().filter(|folder| *folder != TENANTS) {
            self.folder(folder).await?;
        }
        for path in records {
            self.record(&path).await?;
        }
        Ok(())
    }

    async fn one(&mut self, tenant: &TenantName) -> Result<(), BackupError> {
        let path = record::tenant_path(tenant);
        if let Look::Absent = walk::look(self.store, &path).await? {
            return Err(BackupError::TenantNotFound(tenant.to_string()));
        }
        self.tenant(&path).await?;
        for path in walk::below(self.store, scope::TOKENS).await? {
            match walk::look(self.store, &path).await? {
                Look::Found(token) if scope::is_token_of(tenant, &token.value) => {
                    self.sink.put(Kind::Record, &path, &token.value).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What belongs to the tenant whose record is at `path`, the record last.
    async fn tenant(&mut self, path: &str) -> Result<(), BackupError> {
        let (folders, records) = walk::children(self.store, path).await?;
        let (keys, ids) = (format!("{path}/keys"), format!("{path}/key-ids"));
        if folders.contains(&keys) {
            self.keys(path, &keys).await?;
        }
        // Ids are written with their keys.
        for folder in folders.iter().filter(|folder| **folder != keys && **folder != ids) {
            self.folder(folder).await?;
        }
        for record in records {
            self.record(&record).await?;
        }
        self.record(path).await
    }

    async fn keys(&mut self, tenant: &str, folder: &str) -> Result<(), BackupError> {
        let (_, keys) = walk::children(self.store, folder).await?;
        let name = tenant.rsplit('/').next().unwrap_or_default();
        let store = self.store;
        let mut gathered = stream::iter(keys)
            .map(|path| async move { (gather(store, name, &path).await, path) })
            .buffered(CONCURRENCY);
        while let Some((key, path)) = gathered.next().await {
            let Some(Gathered { metadata, parts, versions, damaged }) = key? else { continue };
            self.damaged.extend(damaged);
            let Some(metadata) = metadata else { continue };
            self.counts.keys += 1;
            self.counts.versions += versions;
            self.sink.put(Kind::Key, &path, &metadata).await?;
            for (path, value) in parts {
                self.sink.put(Kind::Part, &path, &value).await?;
            }
        }
        Ok(())
    }

    async fn folder(&mut self, folder: &str) -> Result<(), BackupError> {
        for path in walk::below(self.store, folder).await? {
            let is_written = self.components.iter().any(|component| {
                let rest = path.strip_prefix(component.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            });
            if !is_written {
                self.record(&path).await?;
            }
        }
        Ok(())
    }

    /// A record on its own; before a policy's record, the component it names.
    async fn record(&mut self, path: &str) -> Result<(), BackupError> {
        if !scope::is_lasting(path) {
            return Ok(());
        }
        match walk::look(self.store, path).await? {
            Look::Found(found) => {
                if let Some(folder) = scope::component_of(path, &found.value) {
                    self.component(folder).await?;
                }
                self.sink.put(Kind::Record, path, &found.value).await
            }
            Look::Absent => Ok(()),
            Look::Unreadable => {
                self.damaged.push(path.to_owned());
                Ok(())
            }
        }
    }

    /// A component, unless it is written already. Where the store keeps none it is not missed.
    async fn component(&mut self, folder: String) -> Result<(), BackupError> {
        if self.components.contains(&folder) {
            return Ok(());
        }
        let mut paths = walk::below(self.store, &folder).await?;
        paths.push(folder.clone());
        for path in paths {
            match walk::look(self.store, &path).await? {
                Look::Found(found) => self.sink.put(Kind::Record, &path, &found.value).await?,
                Look::Absent => {}
                Look::Unreadable => self.damaged.push(path),
            }
        }
        self.components.insert(folder);
        Ok(())
    }
}
