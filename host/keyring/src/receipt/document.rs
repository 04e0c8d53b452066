//! A receipt as JSON: as the store keeps it and as callers get it.
//!
//! Every field is signed, so one that is not known, is there twice or is spelt in another way is an
//! error: what verifies says nothing that was not signed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize, Serializer};

use super::{Destroyed, DestroyedVersion, Extent, Receipt, ReceiptError};
use crate::store_key::SIGNATURE_LEN;

const FORMAT: u32 = 1;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    format: u32,
    extent: String,
    tenant: String,
    key: String,
    key_id: String,
    algorithm: String,
    versions: Vec<Version>,
    destroyed_at_ms: u64,
    destroyed_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    receipt_key: String,
    signature: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Version {
    version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
}

impl From<&Receipt> for Document {
    fn from(Receipt { destroyed, signed_by, signature }: &Receipt) -> Self {
        let versions = destroyed
            .versions
            .iter()
            .map(|gone| Version { version: gone.version, fingerprint: gone.fingerprint.clone() });
        Self {
            format: FORMAT,
            extent: destroyed.extent.name().to_owned(),
            tenant: destroyed.tenant.to_string(),
            key: destroyed.key.to_string(),
            key_id: destroyed.id.to_string(),
            algorithm: destroyed.algorithm.clone(),
            versions: versions.collect(),
            destroyed_at_ms: destroyed.at,
            destroyed_by: destroyed.by.clone(),
            reason: destroyed.reason.clone(),
            receipt_key: signed_by.to_string(),
            signature: STANDARD.encode(signature),
        }
    }
}

impl Serialize for Receipt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Document::from(self).serialize(serializer)
    }
}

impl Receipt {
    /// Reads a receipt. That it is one in form says nothing of who made it: see
    /// [`Receipt::verify`].
    ///
    /// Fails with [`ReceiptError::Malformed`] and [`ReceiptError::NewerFormat`].
    pub fn from_json(json: &[u8]) -> Result<Self, ReceiptError> {
        #[derive(Deserialize)]
        struct Outline {
            format: u32,
        }
        let malformed = |what: String| ReceiptError::Malformed(what);
        let parsing = |error: serde_json::Error| malformed(error.to_string());
        // First: a newer format may have other fields.
        let Outline { format } = serde_json::from_slice(json).map_err(parsing)?;
        if format > FORMAT {
            return Err(ReceiptError::NewerFormat { found: format });
        }
        let document: Document = serde_json::from_slice(json).map_err(parsing)?;
        let field = |name: &str| malformed(format!("{name} is not one"));
        let extent = match document.extent.as_str() {
            "key" => Extent::Key,
            "versions" => Extent::Versions,
            _ => return Err(field("extent")),
        };
        let signature = STANDARD.decode(&document.signature).ok();
        let signature: Option<[u8; SIGNATURE_LEN]> = signature.and_then(|it| it.try_into().ok());
        // Empty is how a statement says that there is none.
        let texts = document.versions.iter().map(|gone| &gone.fingerprint);
        if format != FORMAT {
            return Err(field("format"));
        }
        if texts.chain([&document.reason]).flatten().any(String::is_empty) {
            return Err(malformed("an empty text".to_owned()));
        }
        let versions = document
            .versions
            .into_iter()
            .map(|gone| DestroyedVersion { version: gone.version, fingerprint: gone.fingerprint });
        let destroyed = Destroyed {
            extent,
            tenant: document.tenant.parse().map_err(|_| field("tenant"))?,
            key: document.key.parse().map_err(|_| field("key"))?,
            id: document.key_id.parse().map_err(|_| field("key_id"))?,
            algorithm: document.algorithm,
            versions: versions.collect(),
            at: document.destroyed_at_ms,
            by: document.destroyed_by,
            reason: document.reason,
        };
        Ok(Self {
            destroyed,
            signed_by: document.receipt_key.parse()?,
            signature: signature.ok_or_else(|| field("signature"))?,
        })
    }
}
