//! Where receipts of destruction are kept, and what a key's record has of those not written yet.

use keyward_crypto::KeyId;
use serde::{Deserialize, Serialize};

use super::TENANTS;
use crate::key::{Stamp, Unreceipted};
use crate::names::{KeyName, TenantName};
use crate::receipt::{Destroyed, Extent, ReceiptKeyId};

/// The longest name of a receipt's record: two numbers, an id and what separates them.
const MAX_NAME: usize = 20 + 1 + 16 + 1 + 10;

pub(crate) fn receipts_path(tenant: &TenantName, key: &KeyName) -> String {
    format!("{TENANTS}/{tenant}/receipts/{key}")
}

pub(crate) fn receipt_path(destroyed: &Destroyed) -> String {
    let folder = receipts_path(&destroyed.tenant, &destroyed.key);
    let Destroyed { at, id, extent, versions, .. } = destroyed;
    format!("{folder}/{}", receipt_name(*at, *id, *extent, versions.first().map(|it| it.version)))
}

/// The name of the record for a destruction: the same for everybody who finishes it, so that one
/// receipt is written however many do. Names are in the order of time. A version is destroyed once
/// and a key once, so no two destructions share a name.
pub(crate) fn receipt_name(at: u64, id: KeyId, extent: Extent, lowest: Option<u32>) -> String {
    match (extent, lowest) {
        (Extent::Versions, Some(lowest)) => format!("{at:020}-{id}-{lowest}"),
        _ => format!("{at:020}-{id}-all"),
    }
}

/// Whether a receipt's record may be called so.
pub(crate) fn is_receipt_name(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= MAX_NAME && text.bytes().all(is_inner)
}

pub(crate) fn receipt_keys_path(tenant: &TenantName) -> String {
    format!("{TENANTS}/{tenant}/receipt-keys")
}

pub(crate) fn receipt_key_path(tenant: &TenantName, id: ReceiptKeyId) -> String {
    format!("{TENANTS}/{tenant}/receipt-keys/{id}")
}

#[derive(Serialize, Deserialize)]
pub(super) struct UnreceiptedRecord {
    at: u64,
    by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    versions: Vec<u32>,
}

impl From<&Unreceipted> for UnreceiptedRecord {
    fn from(owed: &Unreceipted) -> Self {
        let Unreceipted { stamp: Stamp { at, by }, reason, versions } = owed.clone();
        Self { at, by, reason, versions }
    }
}

impl From<UnreceiptedRecord> for Unreceipted {
    fn from(UnreceiptedRecord { at, by, reason, versions }: UnreceiptedRecord) -> Self {
        Self { stamp: Stamp { at, by }, reason, versions }
    }
}
