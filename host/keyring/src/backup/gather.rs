//! Reading one key whole, while others may change it.
//!
//! Metadata is read first and again after the material it lists. When it has not moved in between,
//! what was read is the key at that moment. When it has, material that was read is kept — it is
//! written once — but for versions destroyed meanwhile, and the rest is read again. A key that
//! never rests is taken as of the last metadata whose material was all there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use zeroize::Zeroizing;

use super::document::{Document, Outline};
use super::error::BackupError;
use super::walk::{self, Look};
use crate::record;
use crate::store::{Record, Store};

/// Versions read at a time.
const CONCURRENCY: usize = 8;
/// How often to look at a key that changes.
const ATTEMPTS: usize = 64;
/// How often to look for material that metadata at rest lists, and how long to wait in between:
/// a shared store may show writes late.
const LATE_ATTEMPTS: usize = 3;
const LATE: Duration = Duration::from_millis(50);

type Value = Zeroizing<Vec<u8>>;

/// A key with all that belongs to it.
pub(super) struct Gathered {
    /// `None` when it is damaged in the store.
    pub(super) metadata: Option<Value>,
    /// The other records in the order to write them in.
    pub(super) parts: Vec<(String, Value)>,
    pub(super) versions: u64,
    /// Paths of records that are missing or damaged in the store.
    pub(super) damaged: Vec<String>,
}

impl Gathered {
    fn unreadable(path: &str) -> Self {
        Self { metadata: None, parts: Vec::new(), versions: 0, damaged: vec![path.to_owned()] }
    }
}

/// Reads the key at `path`, `tenants/<tenant>/keys/<name>`. `None` when there is none any more.
pub(super) async fn gather(
    store: &dyn Store,
    tenant: &str,
    path: &str,
) -> Result<Option<Gathered>, BackupError> {
    let first = match walk::look(store, path).await? {
        Look::Found(record) => record,
        Look::Absent => return Ok(None),
        Look::Unreadable => {
            return Ok(Some(Gathered::unreadable(path)));
        }
    };
    let Some((record, document, found)) = settle(store, path, first).await? else {
        return Ok(None);
    };
    let Some(document) = document else {
        return Ok(Some(Gathered::unreadable(path)));
    };
    let mut parts = Vec::new();
    let mut damaged = Vec::new();
    for version in document.alive() {
        if !found.contains_key(&version) {
            damaged.push(version_path(path, version));
        }
    }
    for (version, value) in found {
        let at = version_path(path, version);
        if !is_sound(&at, &value, &document, version) {
            damaged.push(at.clone());
        }
        parts.push((at, value));
    }
    for at in walk::below(store, path).await? {
        let is_material = at.strip_prefix(path).is_some_and(|rest| rest.starts_with("/versions/"));
        if is_material {
            continue;
        }
        match walk::look(store, &at).await? {
            Look::Found(found) => parts.push((at, found.value)),
            Look::Absent => {}
            Look::Unreadable => damaged.push(at),
        }
    }
    let id = id_path(tenant, &document);
    match walk::look(store, &id).await? {
        Look::Found(found) => parts.push((id, found.value)),
        Look::Absent | Look::Unreadable => damaged.push(id),
    }
    let versions = document.count();
    Ok(Some(Gathered { metadata: Some(record.value), parts, versions, damaged }))
}

pub(super) fn version_path(key: &str, version: u32) -> String {
    format!("{key}/versions/{version}")
}

/// The version whose material is at `path`, if that is so.
pub(super) fn version_of(key: &str, path: &str) -> Option<u32> {
    let number = path.strip_prefix(key)?.strip_prefix("/versions/")?;
    number.parse().ok().filter(|version: &u32| version.to_string() == number)
}

pub(super) fn id_path(tenant: &str, document: &Document) -> String {
    format!("{}/{tenant}/key-ids/{}", record::TENANTS, document.id())
}

type Settled = (Record, Option<Document>, BTreeMap<u32, Value>);

async fn settle(
    store: &dyn Store,
    path: &str,
    mut record: Record,
) -> Result<Option<Settled>, BackupError> {
    let mut found: BTreeMap<u32, Value> = BTreeMap::new();
    let mut id = None;
    let mut late = 0;
    for attempt in 1.. {
        let Some(outline) = Outline::parse(&record.value) else {
            return Ok(Some((record, None, BTreeMap::new())));
        };
        let alive: BTreeSet<u32> = outline.alive().collect();
        if id.as_ref() != Some(&outline.id) {
            // Another key under the same name.
            found.clear();
            id = Some(outline.id);
        }
        found.retain(|version, _| alive.contains(version));
        let missing: Vec<u32> =
            alive.iter().copied().filter(|version| !found.contains_key(version)).collect();
        let mut reading = stream::iter(missing)
            .map(|version| async move {
                let look = walk::look(store, &version_path(path, version)).await;
                look.map(|look| (version, look))
            })
            .buffer_unordered(CONCURRENCY);
        while let Some((version, look)) = reading.try_next().await? {
            if let Look::Found(record) = look {
                found.insert(version, record.value);
            }
        }
        drop(reading);
        let is_complete = found.len() == alive.len();
        let Some(again) = store.get(path).await? else { return Ok(None) };
        if again.revision == record.revision {
            if is_complete || late == LATE_ATTEMPTS {
                return Ok(Some(settled(record, found)));
            }
            late += 1;
            tokio::time::sleep(LATE).await;
        } else if attempt >= ATTEMPTS && is_complete {
            return Ok(Some(settled(record, found)));
        } else if attempt >= 2 * ATTEMPTS {
            break;
        }
        record = again;
    }
    Err(BackupError::Unstable { path: path.to_owned() })
}

fn settled(record: Record, found: BTreeMap<u32, Value>) -> Settled {
    match Document::parse(&record.value) {
        Some(document) => (record, Some(document), found),
        None => (record, None, BTreeMap::new()),
    }
}

/// Whether the material is that of the version, as far as the metadata tells.
fn is_sound(path: &str, value: &[u8], document: &Document, version: u32) -> bool {
    let Some(algorithm) = document.algorithm() else { return false };
    let Ok(material) = record::decode_material(path, value, algorithm, version) else {
        return false;
    };
    let fingerprint = record::fingerprint(&material);
    material.key_id.to_string() == document.id()
        && document.fingerprint(version).is_none_or(|listed| listed == fingerprint)
}
