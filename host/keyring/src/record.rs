//! The records a keyring keeps: their paths and their bytes.
//!
//! | path | content |
//! |---|---|
//! | `tenants/<t>` | JSON, written once |
//! | `tenants/<t>/keys/<k>` | JSON: the key's metadata, changed by compare-and-set only |
//! | `tenants/<t>/keys/<k>/versions/<n>` | binary: one version's material, written once |
//! | `tenants/<t>/key-ids/<id>` | the key's name, written once |

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use keyward_crypto::{Algorithm, KeyId, KeyMaterial};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::KeyringError;
use crate::key::{Key, VersionInfo};
use crate::names::{KeyName, TenantName};
use crate::store::Record;

/// The format number of JSON records.
const FORMAT: u32 = 1;

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

#[derive(Serialize, Deserialize)]
struct TenantRecord {
    format: u32,
    created_at: u64,
}

/// A new tenant's record.
pub(crate) fn encode_tenant(path: &str) -> Result<Vec<u8>, KeyringError> {
    let record = TenantRecord { format: FORMAT, created_at: now_ms() };
    serde_json::to_vec(&record).map_err(|_| corrupt(path))
}

#[derive(Serialize, Deserialize)]
struct KeyRecord {
    format: u32,
    id: String,
    algorithm: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    attributes: BTreeMap<String, String>,
    created_at: u64,
    current_version: u32,
    versions: Vec<VersionRecord>,
}

#[derive(Serialize, Deserialize)]
struct VersionRecord {
    version: u32,
    created_at: u64,
}

/// The metadata record of a key.
pub(crate) fn encode_key(path: &str, key: &Key) -> Result<Vec<u8>, KeyringError> {
    let record = KeyRecord {
        format: FORMAT,
        id: key.id.to_string(),
        algorithm: key.algorithm.name().to_owned(),
        attributes: key.attributes.clone(),
        created_at: key.created_at,
        current_version: key.current_version,
        versions: key
            .versions
            .iter()
            .map(|info| VersionRecord { version: info.version, created_at: info.created_at })
            .collect(),
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
    let versions: Vec<VersionInfo> = parsed
        .versions
        .iter()
        .map(|v| VersionInfo { version: v.version, created_at: v.created_at })
        .collect();
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
        revision: record.revision,
    };
    if parsed.format != FORMAT || !increasing || !key.has_version(key.current_version) {
        return Err(corrupt(path));
    }
    Ok(key)
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
