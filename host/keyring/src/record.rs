//! The records a keyring keeps: their paths and their bytes.
//!
//! | path | content |
//! |---|---|
//! | `tenants/<t>` | JSON: the tenant's outage contract, changed by compare-and-set only |
//! | `tenants/<t>/keys/<k>` | JSON: the key's metadata, changed by compare-and-set only; of a purged key, its tombstone |
//! | `tenants/<t>/keys/<k>/versions/<n>` | binary: one version's material, written once |
//! | `tenants/<t>/keys/<k>/usage` | JSON: how often each version was used; see [`crate::usage`] |
//! | `tenants/<t>/key-ids/<id>` | the key's name; once the key is purged, `!` and its name, for good |
//! | `changes` | JSON: what changed lately; see [`crate::generation`] |

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keyward_crypto::{Algorithm, KeyId, KeyMaterial};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cache::millis;
use crate::error::KeyringError;
use crate::key::{
    Deletion, DestroyedVersion, Destruction, DestructionReceipt, Key, Stamp, VersionInfo,
};
use crate::names::{KeyName, TenantName};
use crate::outage::Outage;
use crate::rotation::Rotation;
use crate::store::Record;

/// The format number of tenants' records; 1 is only read.
const TENANT_FORMAT: u32 = 2;

/// The format number of keys' records. Whoever writes an older one would lose what it does not
/// know, so older ones are only read: 1 knows neither disabled keys nor destroyed versions, 2
/// knows neither deleted keys nor tombstones, 3 knows no rotation policies.
const KEY_FORMAT: u32 = 4;

/// The format number of tombstones, which are the same since there are any.
const TOMBSTONE_FORMAT: u32 = 3;

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

/// A tenant as its record has it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TenantData {
    pub(crate) created_at: u64,
    pub(crate) outage: Option<Outage>,
    pub(crate) revision: u64,
}

#[derive(Serialize, Deserialize)]
struct TenantRecord {
    format: u32,
    created_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outage: Option<String>,
}

/// A tenant's record.
pub(crate) fn encode_tenant(path: &str, tenant: &TenantData) -> Result<Vec<u8>, KeyringError> {
    let outage = tenant.outage.map(|outage| outage.to_string());
    let record = TenantRecord { format: TENANT_FORMAT, created_at: tenant.created_at, outage };
    serde_json::to_vec(&record).map_err(|_| corrupt(path))
}

/// Reads a tenant's record.
pub(crate) fn decode_tenant(path: &str, record: &Record) -> Result<TenantData, KeyringError> {
    let parsed: TenantRecord = serde_json::from_slice(&record.value).map_err(|_| corrupt(path))?;
    if !(1..=TENANT_FORMAT).contains(&parsed.format) {
        return Err(corrupt(path));
    }
    let outage = match parsed.outage {
        Some(text) => Some(text.parse().map_err(|_| corrupt(path))?),
        None => None,
    };
    Ok(TenantData { created_at: parsed.created_at, outage, revision: record.revision })
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
    current_version: u32,
    versions: Vec<VersionRecord>,
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
}

/// A rotation policy; `every` in milliseconds.
#[derive(Serialize, Deserialize)]
struct RotationRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_messages: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
}

impl From<Rotation> for RotationRecord {
    fn from(rotation: Rotation) -> Self {
        Self {
            every: rotation.every().map(millis),
            max_messages: rotation.max_messages(),
            max_bytes: rotation.max_bytes(),
        }
    }
}

impl TryFrom<RotationRecord> for Rotation {
    type Error = KeyringError;

    fn try_from(record: RotationRecord) -> Result<Self, KeyringError> {
        let every = record.every.map(Duration::from_millis);
        Self::new(every, record.max_messages, record.max_bytes)
    }
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
    fn from(Destruction { stamp: Stamp { at, by }, ceiling }: Destruction) -> Self {
        Self { at, by, ceiling }
    }
}

impl From<DestructionRecord> for Destruction {
    fn from(DestructionRecord { at, by, ceiling }: DestructionRecord) -> Self {
        Self { stamp: Stamp { at, by }, ceiling }
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
            fingerprint: record.fingerprint,
        }
    }
}

/// The metadata record of a key.
pub(crate) fn encode_key(path: &str, key: &Key) -> Result<Vec<u8>, KeyringError> {
    let record = KeyRecord {
        format: KEY_FORMAT,
        id: key.id.to_string(),
        algorithm: key.algorithm.name().to_owned(),
        attributes: key.attributes.clone(),
        created_at: key.created_at,
        last_rotation: key.last_rotation,
        rotation: key.rotation.map(Into::into),
        disabled: key.disabled.clone().map(Into::into),
        deleted: key.deleted.clone().map(Into::into),
        destruction: key.destruction.clone().map(Into::into),
        current_version: key.current_version,
        versions: key.versions.iter().map(Into::into).collect(),
    };
    serde_json::to_vec(&record).map_err(|_| corrupt(path))
}

/// What there is under a key's name.
pub(crate) enum Entry {
    Key(Box<Key>),
    Tombstone(Tombstone),
}

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
        ceiling,
        versions: versions.collect(),
    };
    let record = TombstoneRecord { format: TOMBSTONE_FORMAT, purged };
    serde_json::to_vec(&record).map_err(|_| corrupt(path))
}

/// Reads what there is under a key's name: its metadata, or its tombstone.
pub(crate) fn decode_entry(
    path: &str,
    record: &Record,
    tenant: &TenantName,
    name: &KeyName,
) -> Result<Entry, KeyringError> {
    let Ok(TombstoneRecord { format, purged }) = serde_json::from_slice(&record.value) else {
        return decode_key(path, record, tenant, name).map(|key| Entry::Key(Box::new(key)));
    };
    if !(TOMBSTONE_FORMAT..=KEY_FORMAT).contains(&format) {
        return Err(corrupt(path));
    }
    let versions = purged
        .versions
        .into_iter()
        .map(|gone| DestroyedVersion { version: gone.version, fingerprint: gone.fingerprint });
    let receipt = DestructionReceipt {
        tenant: tenant.clone(),
        key: name.clone(),
        id: purged.id.parse().map_err(|_| corrupt(path))?,
        versions: versions.collect(),
        at: purged.at,
        by: purged.by,
    };
    Ok(Entry::Tombstone(Tombstone { receipt, ceiling: purged.ceiling, revision: record.revision }))
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
        revision: record.revision,
        cached: None,
    };
    let current = key.version_info(key.current_version);
    let is_destroying = key.destruction.is_some();
    let usable = current.is_some_and(|info| info.destroyed.is_none() != is_destroying);
    if !(1..=KEY_FORMAT).contains(&parsed.format) || !increasing || !usable {
        return Err(corrupt(path));
    }
    Ok(key)
}

/// The [fingerprint](VersionInfo::fingerprint) of a version's material.
pub(crate) fn fingerprint(material: &Material) -> String {
    const LABEL: &[u8] = b"keyward key material fingerprint v1\0";
    let mut input =
        Zeroizing::new(Vec::with_capacity(LABEL.len() + 8 + 4 + material.secret.expose().len()));
    input.extend_from_slice(LABEL);
    input.extend_from_slice(&material.key_id.0.to_be_bytes());
    input.extend_from_slice(&material.version.to_be_bytes());
    input.extend_from_slice(material.secret.expose());
    keyward_crypto::sha256(&input).iter().fold("sha256:".to_owned(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// One version's material with what it belongs to.
pub(crate) struct Material {
    pub(crate) key_id: KeyId,
    pub(crate) version: u32,
    pub(crate) created_at: u64,
    pub(crate) secret: KeyMaterial,
}

/// Format byte, key id, version, creation time; the material follows.
const MATERIAL_HEAD_LEN: usize = 1 + 8 + 4 + 8;
const MATERIAL_FORMAT: u8 = 1;

/// The material record: format `0x01`, key id u64, version u32, creation time u64 (Unix ms), all
/// big-endian, then the material, whose length the key's algorithm determines.
pub(crate) fn encode_material(material: &Material) -> Zeroizing<Vec<u8>> {
    let mut out =
        Zeroizing::new(Vec::with_capacity(MATERIAL_HEAD_LEN + material.secret.expose().len()));
    out.push(MATERIAL_FORMAT);
    out.extend_from_slice(&material.key_id.0.to_be_bytes());
    out.extend_from_slice(&material.version.to_be_bytes());
    out.extend_from_slice(&material.created_at.to_be_bytes());
    out.extend_from_slice(material.secret.expose());
    out
}

/// Reads a material record and checks that it is of the version asked for and holds material of
/// the key's algorithm.
pub(crate) fn decode_material(
    path: &str,
    value: &[u8],
    algorithm: Algorithm,
    version: u32,
) -> Result<Material, KeyringError> {
    let read = || {
        let (format, rest) = value.split_first()?;
        let (key_id, rest) = rest.split_first_chunk::<8>()?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let (created_at, secret) = rest.split_first_chunk::<8>()?;
        let number = u32::from_be_bytes(*number);
        if *format != MATERIAL_FORMAT || number != version {
            return None;
        }
        Some(Material {
            key_id: KeyId(u64::from_be_bytes(*key_id)),
            version: number,
            created_at: u64::from_be_bytes(*created_at),
            secret: KeyMaterial::from_bytes(algorithm, secret).ok()?,
        })
    };
    read().ok_or_else(|| corrupt(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn material(algorithm: Algorithm) -> Material {
        let secret = KeyMaterial::generate(algorithm).unwrap();
        Material { key_id: KeyId(0x0123_4567_89ab_cdef), version: 7, created_at: 11, secret }
    }

    #[test]
    fn material_of_any_length_reads_back() {
        for algorithm in [
            Algorithm::XAes256Gcm,
            Algorithm::Ed25519,
            Algorithm::EcdsaP256,
            Algorithm::EcdsaP384,
            Algorithm::Rsa2048,
            Algorithm::MlKem768,
        ] {
            let material = material(algorithm);
            let bytes = encode_material(&material);
            let read = decode_material("p", &bytes, algorithm, 7).unwrap();
            assert_eq!(read.secret.expose(), material.secret.expose());
            assert_eq!((read.key_id, read.version, read.created_at), (material.key_id, 7, 11));
            assert_eq!(fingerprint(&read), fingerprint(&material));
            assert!(decode_material("p", &bytes, algorithm, 8).is_err());
            assert!(decode_material("p", &bytes[..bytes.len() - 1], algorithm, 7).is_err());
            assert!(decode_material("p", &[&bytes[..], &[0]].concat(), algorithm, 7).is_err());
        }
    }

    #[test]
    fn material_is_read_only_for_its_kind_of_key() {
        let bytes = encode_material(&material(Algorithm::EcdsaP256));
        for other in [Algorithm::EcdsaP384, Algorithm::Rsa2048, Algorithm::XAes256Gcm] {
            assert!(decode_material("p", &bytes, other, 7).is_err());
        }
    }

    /// What the first release wrote.
    #[test]
    fn the_layout_does_not_change() {
        let secret = KeyMaterial::from_bytes(Algorithm::XAes256Gcm, &[0xaa; 32]).unwrap();
        let material = Material { key_id: KeyId(1), version: 2, created_at: 3, secret };
        let mut expected = vec![1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3];
        expected.extend([0xaa; 32]);
        assert_eq!(*encode_material(&material), expected);
    }
}
