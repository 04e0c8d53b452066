//! Protects the fields of JSON documents, each by its rule, and reveals them again.
//!
//! `invoke/protect` takes a JSON document and returns it with every field encrypted, masked,
//! dropped or left clear as the table in `rules.rs` says; `invoke/reveal` reverses it as far as
//! the caller's roles allow. A protected field is a string, `kw1.` and base64url, that carries the
//! field's JSON value: numbers, booleans, nulls, objects and arrays come back as what they were.
//! Nothing else in the document changes. Each value is bound to its place (its JSON Pointer, with
//! `*` for array indices) and to the request's context.

mod document;
mod json;
mod mask;
mod protection;
mod rules;
#[cfg(test)]
mod tests;

use keyward_policy::{Action, Error, Operation, Payload, Plan, Policy, Request, export_policy};

use rules::{MAY_ENCRYPT, MAY_PROTECT, MAY_REVEAL, RULES};

/// The only media type of both operations.
const JSON: &str = "application/json";

/// Per-field protection of JSON documents.
struct Fields;

impl Policy for Fields {
    fn authorize(request: &Request) -> Result<Plan, Error> {
        let roles = match request.action() {
            Action::Invoke("protect") => MAY_PROTECT,
            Action::Invoke("reveal") => MAY_REVEAL,
            Action::Encrypt
            | Action::Decrypt
            | Action::Rewrap
            | Action::Datakey
            | Action::Mac
            | Action::VerifyMac
            | Action::Sign
            | Action::Verify
            | Action::Derive
            | Action::Random
            | Action::Hash => MAY_ENCRYPT,
            _ => return Err(Error::unknown_operation(&request.operation)),
        };
        if request.caller.has_any_role(roles) {
            return Ok(Plan::allow());
        }
        let roles = roles.join("`, `");
        Err(Error::denied([&request.operation, " needs one of the roles `", &roles, "`"].concat()))
    }

    fn invoke(request: &Request, payload: Payload) -> Result<Payload, Error> {
        let media_type = payload.content_type.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case(JSON) {
            return Err(Error::invalid("the content type must be application/json"));
        }
        let text = std::str::from_utf8(&payload.body).map_err(|error| {
            let byte = error.valid_up_to().to_string();
            Error::invalid(["not JSON: not UTF-8 at byte ", &byte].concat())
        })?;
        let document = match request.action() {
            Action::Invoke("protect") => protection::protect(&RULES, request, text)?,
            Action::Invoke("reveal") => protection::reveal(&RULES, request, text)?,
            _ => return Err(Error::unknown_operation(&request.operation)),
        };
        Ok(Payload { content_type: JSON.to_owned(), body: document.into_bytes() })
    }

    fn describe() -> Vec<Operation> {
        let operation = |name: &str, description: &str, input: &str, output: &str| Operation {
            name: name.to_owned(),
            description: description.to_owned(),
            input_schema: schema(input),
            output_schema: schema(output),
        };
        vec![
            operation(
                "protect",
                "Protects the fields of a JSON document by the tenant's rules.",
                "A JSON document in clear",
                "The same document, its protected fields replaced by strings that start with kw1.",
            ),
            operation(
                "reveal",
                "Reveals the fields of a protected JSON document, as far as the caller's roles \
                 allow.",
                "A document that `protect` returned",
                "The same document, with the fields the caller may see in clear",
            ),
        ]
    }
}

export_policy!(Fields);

/// A JSON Schema that admits any document.
fn schema(description: &str) -> String {
    const DIALECT: &str = "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",";
    [DIALECT, "\"description\":", &json::quote(description), "}"].concat()
}
