//! Receipts: signed statements that somebody submitted a JSON document, and when.
//!
//! `invoke/attest` signs a document, `invoke/check` tells whether a receipt is genuine, and
//! `invoke/public-key` gives what others need in order to check it themselves. The key signs
//! receipts and nothing else: every other operation is refused, `sign` above all.

mod document;
mod receipt;
#[cfg(test)]
mod tests;

use keyward_policy::{Action, Error, Operation, Payload, Plan, Policy, Request, export_policy};
use serde::Serialize;

/// Roles that may have documents attested.
const MAY_ATTEST: &[&str] = &["application"];
/// Roles that may have receipts checked.
const MAY_CHECK: &[&str] = &["application", "auditor"];

/// The only media type of both operations.
const JSON: &str = "application/json";
/// Largest document, in bytes.
const MAX_DOCUMENT: u32 = 256 << 10;
/// Largest receipt, in bytes: a document may be laid out with more space than it had.
const MAX_RECEIPT: u32 = 2 * MAX_DOCUMENT;

/// Largest request for a public key, in bytes.
const MAX_SELECTION: u32 = 1 << 10;

/// Signed statements on documents.
struct Receipts;

impl Policy for Receipts {
    fn authorize(request: &Request) -> Result<Plan, Error> {
        let (roles, limit) = match request.action() {
            Action::Invoke("attest") => (MAY_ATTEST, MAX_DOCUMENT),
            Action::Invoke("check") => (MAY_CHECK, MAX_RECEIPT),
            Action::Invoke("public-key") => (MAY_CHECK, MAX_SELECTION),
            _ => return Err(Error::unknown_operation(&request.operation)),
        };
        if request.caller.has_any_role(roles) {
            return Ok(Plan::allow().max_bytes(limit));
        }
        let roles = roles.join("`, `");
        Err(Error::denied([&request.operation, " needs one of the roles `", &roles, "`"].concat()))
    }

    fn invoke(request: &Request, payload: Payload) -> Result<Payload, Error> {
        let media_type = payload.content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case(JSON) {
            return Err(Error::invalid("the content type must be application/json"));
        }
        let body = match request.action() {
            Action::Invoke("attest") => canonical(&receipt::attest(request, &payload.body)?)?,
            Action::Invoke("check") => canonical(&receipt::check(&payload.body)?)?,
            Action::Invoke("public-key") => canonical(&receipt::public_key(&payload.body)?)?,
            _ => return Err(Error::unknown_operation(&request.operation)),
        };
        Ok(Payload { content_type: JSON.to_owned(), body })
    }

    fn describe() -> Vec<Operation> {
        vec![
            Operation {
                name: "attest".to_owned(),
                description: "Signs a JSON document, with who submitted it and when.".to_owned(),
                input_schema: include_str!("schemas/document.json").to_owned(),
                output_schema: include_str!("schemas/receipt.json").to_owned(),
            },
            Operation {
                name: "check".to_owned(),
                description: "Tells whether a receipt of `attest` is genuine.".to_owned(),
                input_schema: include_str!("schemas/receipt.json").to_owned(),
                output_schema: include_str!("schemas/verdict.json").to_owned(),
            },
            Operation {
                name: "public-key".to_owned(),
                description: "Gives the public key that verifies receipts elsewhere.".to_owned(),
                input_schema: include_str!("schemas/selection.json").to_owned(),
                output_schema: include_str!("schemas/public-key.json").to_owned(),
            },
        ]
    }
}

export_policy!(Receipts);

/// Canonical JSON (RFC 8785).
fn canonical(value: &impl Serialize) -> Result<Vec<u8>, Error> {
    serde_json_canonicalizer::to_vec(value)
        .map_err(|error| Error::invalid(format!("this has no canonical form: {error}")))
}
