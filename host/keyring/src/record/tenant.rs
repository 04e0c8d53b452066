//! Tenants' records.

use serde::{Deserialize, Serialize};

use super::corrupt;
use crate::error::KeyringError;
use crate::outage::Outage;
use crate::store::Record;

/// The format number of tenants' records; 1 is only read.
const TENANT_FORMAT: u32 = 2;

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
