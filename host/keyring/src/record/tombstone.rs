//! What a purged key leaves under its name.

use keyward_crypto::KeyId;
use serde::{Deserialize, Serialize};

use super::{KEY_FORMAT, corrupt};
use crate::error::KeyringError;
use crate::receipt::Destroyed;
use crate::store::Record;

/// The first format with tombstones.
const FIRST_FORMAT: u32 = 3;

/// What a purged key leaves under its name. What else its record has says who destroyed the key,
/// where there is no receipt of it: older versions of this program wrote none.
pub(crate) struct Tombstone {
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
    destroyed: &Destroyed,
    ceiling: u32,
) -> Result<Vec<u8>, KeyringError> {
    let versions = destroyed.versions.iter().map(|gone| PurgedVersionRecord {
        version: gone.version,
        fingerprint: gone.fingerprint.clone(),
    });
    let purged = PurgedRecord {
        id: destroyed.id.to_string(),
        at: destroyed.at,
        by: destroyed.by.clone(),
        reason: destroyed.reason.clone(),
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
) -> Option<Result<Tombstone, KeyringError>> {
    let TombstoneRecord { format, purged } = serde_json::from_slice(&record.value).ok()?;
    let is_known = (FIRST_FORMAT..=KEY_FORMAT).contains(&format);
    if !is_known || purged.id.parse::<KeyId>().is_err() {
        return Some(Err(corrupt(path)));
    }
    Some(Ok(Tombstone { ceiling: purged.ceiling, revision: record.revision }))
}
