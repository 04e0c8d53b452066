//! What a receipt says, how it is signed, and how it is checked.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_policy::{Error, Key, Request, SignatureForm};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical;
use crate::document::{self, Document, MAX_DEPTH};

/// The key that signs receipts.
pub const KEY: &str = "receipts";

/// Tells a receipt from anything else the key might ever sign.
const TYPE: &str = "keyward-receipt-v1";

/// What is signed, as canonical JSON.
#[derive(Serialize)]
struct Statement<'a> {
    r#type: &'a str,
    document: &'a Value,
    tenant: &'a str,
    subject: &'a str,
    /// Milliseconds since 1970-01-01T00:00:00Z, by the host's clock.
    time: u64,
    key: &'a str,
    key_version: u32,
}

/// A statement and its signature, one object.
#[derive(Serialize)]
pub struct Receipt<'a> {
    #[serde(flatten)]
    statement: Statement<'a>,
    /// Standard base64.
    signature: String,
}

/// A receipt as it was sent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Submitted {
    r#type: String,
    document: Document,
    tenant: String,
    subject: String,
    time: u64,
    key: String,
    key_version: u32,
    signature: String,
}

/// What a check found.
#[derive(Serialize)]
pub struct Verdict {
    valid: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_version: Option<u32>,
}

/// Which public key is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Selection {
    /// Absent: the version that signs now.
    key_version: Option<u32>,
}

/// What verifies receipts of one version.
#[derive(Serialize)]
pub struct Verification {
    key: &'static str,
    key_version: u32,
    /// Standard base64 of the DER of an X.509 SubjectPublicKeyInfo.
    public_key: String,
}

/// Signs the document in `body`. What comes back is the whole receipt, as canonical JSON.
pub fn attest(request: &Request, body: &[u8]) -> Result<Value, Error> {
    let Document(document) = document::read(body, MAX_DEPTH)?;
    let key = Key::open(KEY)?;
    let statement = Statement {
        r#type: TYPE,
        document: &document,
        tenant: &request.tenant,
        subject: &request.caller.subject,
        time: request.time,
        key: KEY,
        key_version: key.version(),
    };
    let signature = key.sign(&canonical(&statement)?, SignatureForm::Standard)?;
    let signature = STANDARD.encode(signature);
    serde_json::to_value(Receipt { statement, signature })
        .map_err(|error| Error::invalid(error.to_string()))
}

/// Tells whether `body` is a receipt of this tenant's.
pub fn check(body: &[u8]) -> Result<Verdict, Error> {
    // One deeper than a document: it is a member of the receipt.
    let receipt: Submitted = document::read(body, MAX_DEPTH + 1)?;
    if receipt.r#type != TYPE {
        return Err(Error::invalid(["`type` must be ", TYPE].concat()));
    }
    let signature = STANDARD.decode(&receipt.signature);
    let signature = signature.map_err(|_| Error::invalid("`signature` must be standard base64"))?;
    let statement = Statement {
        r#type: TYPE,
        document: &receipt.document.0,
        tenant: &receipt.tenant,
        subject: &receipt.subject,
        time: receipt.time,
        key: &receipt.key,
        key_version: receipt.key_version,
    };
    let signed = canonical(&statement)?;
    let by = Key::open(KEY)?.verify_signature(&signed, &signature, SignatureForm::Standard)?;
    let valid = by == Some(receipt.key_version);
    Ok(Verdict { valid, key_version: by.filter(|_| valid) })
}

/// The public key that `body` selects.
pub fn public_key(body: &[u8]) -> Result<Verification, Error> {
    let Selection { key_version } = document::read(body, 1)?;
    let key = match key_version {
        Some(version) => Key::open_version(KEY, version)?,
        None => Key::open(KEY)?,
    };
    let public_key = STANDARD.encode(key.public_key()?);
    Ok(Verification { key: KEY, key_version: key.version(), public_key })
}
