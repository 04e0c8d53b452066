//! What a purged key leaves under its name.

use serde::{Deserialize, Serialize};

use super::{KEY_FORMAT, corrupt};
use crate::error::KeyringError;
use crate::key::{DestroyedVersion, DestructionReceipt};
use crate::names::{KeyName, TenantName};
use crate::store::Record;

/// The first format with tombstones.
const FIRST_FORMAT: u32 = 3;

/// What a purged key leaves under its name.
pub(crate) struct Tombstone {
    pub(crate) receipt: DestructionReceipt,
    /// The next key of the name has only versions above this.
    pub(crate) ceiling: u32,
    pub(crate) revision: u64,
}

#[derive(Serialize, Deserialize)]
struct TombstoneRecord {
    format: u32,
    purged: PurgedRecord,
}

#[derive(Serialize, Deserialize)]
struct PurgedRecord {
    id: String,
    at: u64,
    by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    ceiling: u32,
    versions: Vec<PurgedVersionRecord>,
}

#[derive(Serialize, Deserialize)]
struct PurgedVersionRecord {
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

/// The tombstone of a key.
pub(crate) fn encode_tombstone(
    path: &str,
    receipt: &DestructionReceipt,
    ceiling: u32,
) -> Result<Vec<u8>, KeyringError> {
    let versions = receipt.versions.iter().map(|gone| PurgedVersionRecord {
        version: gone.version,
        fingerprint: gone.fingerprint.clone(),
    });
    let purged = PurgedRecord {
        id: receipt.id.to_string(),
        at: receipt.at,
        by: receipt.by.clone(),
        reason: receipt.reason.clone(),
        ceiling,
        versions: versions.collect(),
    };
    let record = TombstoneRecord { format: KEY_FORMAT, purged };
    serde_json::to_vec(&record).map_err(|_| corrupt(path))
}

/// Reads a tombstone; `None` when the record is none.
pub(super) fn decode_tombstone(
    path: &str,
    record: &Record,
    tenant: &TenantName,
    name: &KeyName,
) -> Option<Result<Tombstone, KeyringError>> {
    let TombstoneRecord { format, purged } = serde_json::from_slice(&record.value).ok()?;
    let id = purged.id.parse().ok().filter(|_| (FIRST_FORMAT..=KEY_FORMAT).contains(&format));
    let Some(id) = id else { return Some(Err(corrupt(path))) };
    let versions = purged
        .versions
        .into_iter()
        .map(|gone| DestroyedVersion { version: gone.version, fingerprint: gone.fingerprint });
    let receipt = DestructionReceipt {
        tenant: tenant.clone(),
        key: name.clone(),
        id,
        versions: versions.collect(),
        at: purged.at,
        by: purged.by,
        reason: purged.reason,
    };
    Some(Ok(Tombstone { receipt, ceiling: purged.ceiling, revision: record.revision }))
}
