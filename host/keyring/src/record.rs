//! The records a keyring keeps: their paths and their bytes.
//!
//! | path | content |
//! |---|---|
//! | `tenants/<t>` | JSON: the tenant's outage contract, changed by compare-and-set only |
//! | `tenants/<t>/keys/<k>` | JSON: the key's metadata, changed by compare-and-set only |
//! | `tenants/<t>/keys/<k>/versions/<n>` | binary: one version's material, written once |
//! | `tenants/<t>/key-ids/<id>` | the key's name, written once |
//! | `changes` | JSON: what changed lately; see [`crate::generation`] |

use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use keyward_crypto::{Algorithm, KeyId, KeyMaterial};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::KeyringError;
use crate::key::{Key, Stamp, VersionInfo};
use crate::names::{KeyName, TenantName};
use crate::outage::Outage;
use crate::store::Record;

/// The format number of JSON records. Format 1 knows neither disabled keys nor destroyed versions,
/// so whoever writes it would lose them; it is only read.
const FORMAT: u32 = 2;

fn known(format: u32) -> bool {
    matches!(format, 1 | FORMAT)
}

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

pub(crate) fn version_path(tenant: &TenantName, key: &KeyName, version: u32) -> String {
    format!("{TENANTS}/{tenant}/keys/{key}/versions/{version}")
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
    let record = TenantRecord { format: FORMAT, created_at: tenant.created_at, outage };
    serde_json::to_vec(&record).map_err(|_| corrupt(path))
}

/// Reads a tenant's record.
pub(crate) fn decode_tenant(path: &str, record: &Record) -> Result<TenantData, KeyringError> {
    let parsed: TenantRecord = serde_json::from_slice(&record.value).map_err(|_| corrupt(path))?;
    if !known(parsed.format) {
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
    disabled: Option<StampRecord>,
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
        format: FORMAT,
        id: key.id.to_string(),
        algorithm: key.algorithm.name().to_owned(),
        attributes: key.attributes.clone(),
        created_at: key.created_at,
        last_rotation: key.last_rotation,
        disabled: key.disabled.clone().map(Into::into),
        current_version: key.current_version,
        versions: key.versions.iter().map(Into::into).collect(),
    };
    serde_json::to_vec(&record).map_err(|_| corrupt(path))
}

/// Reads a metadata record and checks that it makes sense.
pub(crate) fn decode_key(
    path: &str,
    record: &Record,
    tenant: &TenantName,
    name: &KeyName,
) -> Result<Key, KeyringError> {
    let parsed: KeyRecord = serde_json::from_slice(&record.value).map_err(|_| corrupt(path))?;
    let versions: Vec<VersionInfo> = parsed.versions.into_iter().map(Into::into).collect();
    let increasing = versions.windows(2).all(|pair| pair[0].version < pair[1].version);
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
        disabled: parsed.disabled.map(Into::into),
        revision: record.revision,
        cached: None,
    };
    let current = key.version_info(key.current_version);
    let usable = current.is_some_and(|info| info.destroyed.is_none());
    if !known(parsed.format) || !increasing || !usable {
        return Err(corrupt(path));
    }
    Ok(key)
}

/// The [fingerprint](VersionInfo::fingerprint) of a version's material.
pub(crate) fn fingerprint(material: &Material) -> String {
    const LABEL: &[u8] = b"keyward key material fingerprint v1\0";
    let mut input = Zeroizing::new(Vec::with_capacity(LABEL.len() + 8 + 4 + KeyMaterial::LEN));
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

/// Format byte, key id, version, creation time, material.
const MATERIAL_LEN: usize = 1 + 8 + 4 + 8 + 32;
const MATERIAL_FORMAT: u8 = 1;

/// The material record: format `0x01`, key id u64, version u32, creation time u64 (Unix ms), all
/// big-endian, then the 32 bytes of material.
pub(crate) fn encode_material(material: &Material) -> Zeroizing<Vec<u8>> {
    let mut out = Zeroizing::new(Vec::with_capacity(MATERIAL_LEN));
    out.push(MATERIAL_FORMAT);
    out.extend_from_slice(&material.key_id.0.to_be_bytes());
    out.extend_from_slice(&material.version.to_be_bytes());
    out.extend_from_slice(&material.created_at.to_be_bytes());
    out.extend_from_slice(material.secret.expose());
    out
}

/// Reads a material record and checks that it is of the version asked for.
pub(crate) fn decode_material(
    path: &str,
    value: &[u8],
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
            secret: KeyMaterial::from_bytes(secret).ok()?,
        })
    };
    read().ok_or_else(|| corrupt(path))
}
