//! The records a keyring keeps: their paths and their bytes.
//!
//! | path | content |
//! |---|---|
//! | `tenants/<t>` | JSON: the tenant's outage contract, changed by compare-and-set only |
//! | `tenants/<t>/keys/<k>` | JSON: the key's metadata, changed by compare-and-set only; of a purged key, its tombstone |
//! | `tenants/<t>/keys/<k>/versions/<n>` | binary: one version's material, written once |
//! | `tenants/<t>/keys/<k>/usage` | JSON: how often each version was used; see [`crate::usage`] |
//! | `tenants/<t>/receipts/<k>/<name>` | JSON: what of a key of this name was destroyed, signed; written once, for good; see [`crate::receipt`] |
//! | `tenants/<t>/receipt-keys/<id>` | 32 bytes: a public key with which receipts of the tenant are signed; for good |
//! | `receipt-key` | the store's key for signing receipts; see [`crate::store_key`] |
//! | `tenants/<t>/key-ids/<id>` | the key's name; once the key is purged, `!` and its name, for good |
//! | `changes` | JSON: what changed lately; see [`crate::generation`] |

mod history;
mod material;
mod receipt;
mod rotation;
mod tenant;
mod tombstone;

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use keyward_crypto::{Algorithm, KeyId};
use serde::{Deserialize, Serialize};

use self::history::HistoryRecord;
pub(crate) use self::material::{Material, decode_material, encode_material, fingerprint};
use self::receipt::UnreceiptedRecord;
pub(crate) use self::receipt::{
    is_receipt_name, receipt_key_path, receipt_keys_path, receipt_path, receipts_path,
};
use self::rotation::RotationRecord;
pub(crate) use self::tenant::{TenantData, decode_tenant, encode_tenant};
pub(crate) use self::tombstone::{Tombstone, encode_tombstone};
use crate::about::About;
use crate::bounds::Bounds;
use crate::error::KeyringError;
use crate::history::{Action, HistoryEntry};
use crate::key::{Deletion, Destruction, Key, Stamp, VersionInfo};
use crate::names::{KeyName, TenantName};
use crate::rotation::Rotation;
use crate::store::Record;

/// The format number of keys' records. Whoever writes an older one would lose what it does not
/// know, so older ones are only read: 1 knows neither disabled keys nor destroyed versions, 2
/// knows neither deleted keys nor tombstones, 3 knows no bounds for versions, no labels, owner and
/// description, no history and no rotation policies.
const KEY_FORMAT: u32 = 4;
/// The format number of records that have something format 4 does not know: versions of material
/// that was brought along, and keys that can be or were exported.
const EXCHANGE_FORMAT: u32 = 5;
/// The format number of records of keys that owe a receipt for versions destroyed. It goes when
/// the receipt is written.
const UNRECEIPTED_FORMAT: u32 = 6;

pub(crate) const TENANTS: &str = "tenants";

pub(crate) fn tenant_path(tenant: &TenantName) -> String {
    format!("{TENANTS}/{tenant}")
}

pub(crate) fn keys_path(tenant: &TenantName) -> String {
    format!("{TENANTS}/{tenant}/keys")
}

pub(crate) fn key_path(tenant: &TenantName, key: &KeyName) -> String {
    format!("{TENANTS}/{tenant}/keys/{key}")
}

pub(crate) fn versions_path(tenant: &TenantName, key: &KeyName) -> String {
    format!("{TENANTS}/{tenant}/keys/{key}/versions")
}

pub(crate) fn version_path(tenant: &TenantName, key: &KeyName, version: u32) -> String {
    format!("{TENANTS}/{tenant}/keys/{key}/versions/{version}")
}

pub(crate) fn usage_path(tenant: &TenantName, key: &KeyName) -> String {
    format!("{TENANTS}/{tenant}/keys/{key}/usage")
}

pub(crate) fn key_id_path(tenant: &TenantName, id: KeyId) -> String {
    format!("{TENANTS}/{tenant}/key-ids/{id}")
}

/// Milliseconds since the Unix epoch.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

fn corrupt(path: &str) -> KeyringError {
    KeyringError::Corrupt { path: path.to_owned() }
}

#[derive(Serialize, Deserialize)]
struct KeyRecord {
    format: u32,
    id: String,
    algorithm: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
    created_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_rotation: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rotation: Option<RotationRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    disabled: Option<StampRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deleted: Option<DeletionRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destruction: Option<DestructionRecord>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "is_false")]
    exportable: bool,
    /// Absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_decrypt_version: Option<u32>,
    /// Absent: the same as `min_decrypt_version`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    min_encrypt_version: Option<u32>,
    current_version: u32,
    versions: Vec<VersionRecord>,
    /// Oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    history: Vec<HistoryRecord>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unreceipted: Vec<UnreceiptedRecord>,
}

#[derive(Serialize, Deserialize)]
struct VersionRecord {
    version: u32,
    created_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    destroyed: Option<StampRecord>,
    #[serde(default, skip_serializing_if = "is_false")]
    imported: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct StampRecord {
    at: u64,
    by: String,
}

#[derive(Serialize, Deserialize)]
struct DeletionRecord {
    at: u64,
    by: String,
    purge_at: u64,
}

#[derive(Serialize, Deserialize)]
struct DestructionRecord {
    at: u64,
    by: String,
    ceiling: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl From<Deletion> for DeletionRecord {
    fn from(Deletion { at, by, purge_at }: Deletion) -> Self {
        Self { at, by, purge_at }
    }
}

impl From<DeletionRecord> for Deletion {
    fn from(DeletionRecord { at, by, purge_at }: DeletionRecord) -> Self {
        Self { at, by, purge_at }
    }
}

impl From<Destruction> for DestructionRecord {
    fn from(destruction: Destruction) -> Self {
        let Destruction { stamp: Stamp { at, by }, ceiling, reason } = destruction;
        Self { at, by, ceiling, reason }
    }
}

impl From<DestructionRecord> for Destruction {
    fn from(DestructionRecord { at, by, ceiling, reason }: DestructionRecord) -> Self {
        Self { stamp: Stamp { at, by }, ceiling, reason }
    }
}

impl From<Stamp> for StampRecord {
    fn from(Stamp { at, by }: Stamp) -> Self {
        Self { at, by }
    }
}

impl From<StampRecord> for Stamp {
    fn from(StampRecord { at, by }: StampRecord) -> Self {
        Self { at, by }
    }
}

impl From<&VersionInfo> for VersionRecord {
    fn from(info: &VersionInfo) -> Self {
        let info = info.clone();
        Self {
            version: info.version,
            created_at: info.created_at,
            created_by: info.created_by,
            description: info.description,
            destroyed: info.destroyed.map(Into::into),
            imported: info.imported,
            fingerprint: info.fingerprint,
        }
    }
}

impl From<VersionRecord> for VersionInfo {
    fn from(record: VersionRecord) -> Self {
        Self {
            version: record.version,
            created_at: record.created_at,
            created_by: record.created_by,
            description: record.description,
            destroyed: record.destroyed.map(Into::into),
            imported: record.imported,
            fingerprint: record.fingerprint,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// The lowest format that has all there is to say, so that hosts that know no higher one still
/// read whatever they understand.
fn format_of(key: &Key) -> u32 {
    let exchanged = |entry: &HistoryEntry| {
        matches!(entry.action, Action::Import | Action::Export | Action::NotExportable)
    };
    if !key.unreceipted.is_empty() {
        UNRECEIPTED_FORMAT
    } else if key.exportable || key.is_imported() || key.history.iter().any(exchanged) {
        EXCHANGE_FORMAT
    } else {
        KEY_FORMAT
    }
}

/// The metadata record of a key.
pub(crate) fn encode_key(path: &str, key: &Key) -> Result<Vec<u8>, KeyringError> {
    let record = KeyRecord {
        format: format_of(key),
        id: key.id.to_string(),
        algorithm: key.algorithm.name().to_owned(),
        attributes: key.attributes.clone(),
        created_at: key.created_at,
        last_rotation: key.last_rotation,
        rotation: key.rotation.map(Into::into),
        disabled: key.disabled.clone().map(Into::into),
        deleted: key.deleted.clone().map(Into::into),
        destruction: key.destruction.clone().map(Into::into),
        labels: key.about.labels.clone(),
        owner: key.about.owner.clone(),
        description: key.about.description.clone(),
        exportable: key.exportable,
        min_decrypt_version: Some(key.bounds.min_decrypt).filter(|bound| *bound > 1),
        min_encrypt_version: key.bounds.own_min_encrypt,
        current_version: key.current_version,
        versions: key.versions.iter().map(Into::into).collect(),
        history: key.history.iter().map(Into::into).collect(),
        unreceipted: key.unreceipted.iter().map(Into::into).collect(),
    };
    serde_json::to_vec(&record).map_err(|_| corrupt(path))
}

/// What there is under a key's name.
pub(crate) enum Entry {
    Key(Box<Key>),
    Tombstone(Tombstone),
}

/// Reads what there is under a key's name: its metadata, or its tombstone.
pub(crate) fn decode_entry(
    path: &str,
    record: &Record,
    tenant: &TenantName,
    name: &KeyName,
) -> Result<Entry, KeyringError> {
    match tombstone::decode_tombstone(path, record) {
        Some(tombstone) => tombstone.map(Entry::Tombstone),
        None => decode_key(path, record, tenant, name).map(|key| Entry::Key(Box::new(key))),
    }
}

/// What the index says of an id whose key was purged.
pub(crate) fn retired_id(name: &KeyName) -> Vec<u8> {
    format!("!{name}").into_bytes()
}

/// Whether the index says that the id's key was purged.
pub(crate) fn is_retired(value: &[u8]) -> bool {
    value.first() == Some(&b'!')
}

/// Reads a metadata record and checks that it makes sense.
fn decode_key(
    path: &str,
    record: &Record,
    tenant: &TenantName,
    name: &KeyName,
) -> Result<Key, KeyringError> {
    let parsed: KeyRecord = serde_json::from_slice(&record.value).map_err(|_| corrupt(path))?;
    let versions: Vec<VersionInfo> = parsed.versions.into_iter().map(Into::into).collect();
    let increasing = versions.windows(2).all(|pair| pair[0].version < pair[1].version);
    let history: Option<_> = parsed.history.into_iter().map(HistoryRecord::decode).collect();
    let bounds = Bounds {
        min_decrypt: parsed.min_decrypt_version.unwrap_or(1),
        own_min_encrypt: parsed.min_encrypt_version,
    };
    let rotation = parsed.rotation.map(Rotation::try_from).transpose();
    let key = Key {
        tenant: tenant.clone(),
        name: name.clone(),
        id: parsed.id.parse().map_err(|_| corrupt(path))?,
        algorithm: parsed.algorithm.parse::<Algorithm>().map_err(|_| corrupt(path))?,
        attributes: parsed.attributes,
        current_version: parsed.current_version,
        versions,
        created_at: parsed.created_at,
        last_rotation: parsed.last_rotation,
        rotation: rotation.map_err(|_| corrupt(path))?,
        disabled: parsed.disabled.map(Into::into),
        deleted: parsed.deleted.map(Into::into),
        destruction: parsed.destruction.map(Into::into),
        about: About {
            labels: parsed.labels,
            owner: parsed.owner,
            description: parsed.description,
        },
        bounds,
        exportable: parsed.exportable,
        history: history.ok_or_else(|| corrupt(path))?,
        unreceipted: parsed.unreceipted.into_iter().map(Into::into).collect(),
        revision: record.revision,
        cached: None,
    };
    let current = key.version_info(key.current_version);
    let is_destroying = key.destruction.is_some();
    let usable = current.is_some_and(|info| info.destroyed.is_none() != is_destroying);
    let bounded = bounds.are_sound(key.current_version);
    let is_gone = |number: &u32| key.version_info(*number).is_some_and(|it| it.destroyed.is_some());
    let is_due = |numbers: &[u32]| !numbers.is_empty() && numbers.iter().all(is_gone);
    let due = key.unreceipted.iter().all(|owed| is_due(&owed.versions));
    let known = (1..=UNRECEIPTED_FORMAT).contains(&parsed.format);
    if !known || !increasing || !usable || !bounded || !due {
        return Err(corrupt(path));
    }
    Ok(key)
}
