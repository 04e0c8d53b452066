//! The routes of work on data, and what they say of themselves.

use schemars::{JsonSchema as _, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

use super::operation::Operation;
use super::{
    Datakey, Decrypt, Derive, Encrypt, Hash, Mac, Random, Rewrap, Sign, Verify, VerifyMac, run,
    stream,
};
use crate::errors::Code;
use crate::http::openapi::problems::{ITEMS, KEY_USE, POLICY};
use crate::http::openapi::{Endpoint, Tag, Who, schema, schema_of};
use crate::http::problem::ItemError;
use crate::http::routes::Routes;

/// For the tenant's own tokens, as its policy decides.
fn decided(id: &'static str, summary: &'static str) -> Endpoint {
    Endpoint::new(Tag::Data, Who::TenantOnly, id, summary).fails(POLICY)
}

/// One operation in all its forms: one item, a batch, lines.
fn operation<O: Operation>(summary: &'static str, id: &'static str, example: Value) -> Endpoint {
    decided(id, summary)
        .about(
            "One item, or `items`: what is wrong with one of those is its own `error`. As lines \
             (`application/x-ndjson`) each line is an item, and each line of the answer the answer \
             to one.",
        )
        .body(true, "application/json", Some(asked::<O>), Some(example))
        .body(true, "application/x-ndjson", None, None)
        .answers_with(200, "What was asked for", "application/json", Some(answered::<O>))
        .answers_with(200, "", "application/x-ndjson", Some(schema_of::<schema::Lines>))
        .fails(&[Code::InvalidJson, Code::InvalidField, Code::UnsupportedMediaType])
        .fails(ITEMS)
        .fails(KEY_USE)
}

/// An item, or a batch of them.
fn asked<O: Operation>(generator: &mut SchemaGenerator) -> Schema {
    let item = schema_of::<O::Fields<'static>>(generator);
    let batch = json_schema!({
        "type": "object",
        "properties": { "items": schema::list_of(&item, 1) },
        "required": ["items"],
        "additionalProperties": false,
    });
    let name = O::Fields::schema_name().replace("Item", "Batch");
    let batch = schema::define(generator, &name, batch);
    schema::any_of(vec![item, batch])
}

/// The answer to an item, or to each of a batch.
fn answered<O: Operation>(generator: &mut SchemaGenerator) -> Schema {
    let answer = O::answer(generator);
    let answer = with_reference(generator, answer);
    let answer = schema::define(generator, O::ANSWER, answer);
    let failed = schema::object(generator, &[("error", true, schema_of::<ItemError<'_>>)]);
    let failed = with_reference(generator, failed);
    let failed = schema::define(generator, "FailedItem", failed);
    let each = schema::any_of(vec![answer.clone(), failed]);
    let batch = json_schema!({
        "type": "object",
        "properties": { "items": schema::list_of(&each, 1) },
        "required": ["items"],
    });
    let batch = schema::define(generator, &format!("{}Items", O::ANSWER), batch);
    schema::any_of(vec![answer, batch])
}

/// What every answer to an item gives back.
fn with_reference(generator: &mut SchemaGenerator, mut answer: Schema) -> Schema {
    let reference = schema_of::<schema::Reference>(generator).to_value();
    let branches = answer.get_mut("anyOf").and_then(Value::as_array_mut);
    if let Some(branches) = branches {
        for branch in branches {
            branch["properties"]["reference"] = reference.clone();
        }
    } else if let Some(properties) = answer.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("reference".into(), reference);
    }
    answer
}

/// Adds them.
pub fn routes(routes: &mut Routes) {
    sealed(routes);
    signed(routes);
    made(routes);
    streams(routes);
}

/// A ciphertext of the right form.
const CIPHERTEXT: &str = "kw1.AQGat4li9q9dxgAAAAGLFYPIDqsz-_4LFpBZN1zfg5saJUEcAGVUf2dMEwgjp4Hjqr_tv5_\
                          jNFg0bIKWmDJVT_yI0baQSh-Gcmt595FhFrfImaGBJz9e1Cj_kQ";

fn sealed(routes: &mut Routes) {
    let example = json!({ "key": "demo", "plaintext": "aGVsbG8=", "context": "cm93IDE3" });
    let opened = json!({ "ciphertext": "$response.body#/ciphertext" });
    let endpoint = operation::<Encrypt>("Encrypt", "encrypt", example)
        .then("decrypt", opened.clone())
        .then("rewrap", opened.clone());
    routes.post("/api/v1/tenants/{tenant}/encrypt", run::<Encrypt>, endpoint);
    let example = json!({ "ciphertext": CIPHERTEXT, "context": "cm93IDE3" });
    let endpoint = operation::<Decrypt>("Decrypt", "decrypt", example.clone())
        .fails(&[Code::CiphertextInvalid]);
    routes.post("/api/v1/tenants/{tenant}/decrypt", run::<Decrypt>, endpoint);
    let endpoint = operation::<Rewrap>(
        "Move a ciphertext to the newest version, another key or another context",
        "rewrap",
        example,
    )
    .fails(&[Code::CiphertextInvalid]);
    routes.post("/api/v1/tenants/{tenant}/rewrap", run::<Rewrap>, endpoint);
    let endpoint = operation::<Datakey>(
        "Make keys for the caller, sealed under a key of the tenant",
        "datakey",
        json!({ "key": "demo", "bits": 256 }),
    )
    .then("decrypt", opened);
    routes.post("/api/v1/tenants/{tenant}/datakey", run::<Datakey>, endpoint);
}

fn signed(routes: &mut Routes) {
    let example = json!({ "key": "signing", "input": "aGVsbG8=" });
    let endpoint = operation::<Sign>("Sign", "sign", example);
    routes.post("/api/v1/tenants/{tenant}/sign", run::<Sign>, endpoint);
    let example = json!({ "key": "signing", "input": "aGVsbG8=", "signature": "AAAA" });
    let endpoint = operation::<Verify>("Verify a signature", "verify", example);
    routes.post("/api/v1/tenants/{tenant}/verify", run::<Verify>, endpoint);
    let example = json!({ "key": "tags", "input": "aGVsbG8=" });
    let endpoint = operation::<Mac>("Make a message authentication code", "mac", example);
    routes.post("/api/v1/tenants/{tenant}/mac", run::<Mac>, endpoint);
    let example = json!({ "key": "tags", "input": "aGVsbG8=", "mac": "AAAA" });
    let endpoint =
        operation::<VerifyMac>("Verify a message authentication code", "verifyMac", example);
    routes.post("/api/v1/tenants/{tenant}/mac/verify", run::<VerifyMac>, endpoint);
}

fn made(routes: &mut Routes) {
    let example = json!({ "key": "demo", "info": "c2Vzc2lvbg==", "bytes": 32 });
    let endpoint = operation::<Derive>("Derive secret bytes from a key", "derive", example);
    routes.post("/api/v1/tenants/{tenant}/derive", run::<Derive>, endpoint);
    let endpoint = operation::<Random>("Random bytes", "random", json!({ "bytes": 16 }));
    routes.post("/api/v1/tenants/{tenant}/random", run::<Random>, endpoint);
    let endpoint = operation::<Hash>("A digest", "hash", json!({ "input": "aGVsbG8=" }));
    routes.post("/api/v1/tenants/{tenant}/hash", run::<Hash>, endpoint);
}

/// Raw bytes to raw bytes.
fn streamed(id: &'static str, summary: &'static str, about: &'static str) -> Endpoint {
    decided(id, summary)
        .about(about)
        .query::<schema::RequestedKey>("key", "The key's name.")
        .query::<schema::Base64Url>("context", "Bound into the stream.")
        .query::<schema::Purpose>("purpose", "What it is for: the policy sees it.")
        .answers_with(200, "The bytes, as they are ready", "application/octet-stream", None)
        .with_header("X-Keyward-Key-Version", "The version that seals or opens.")
        .with_long_query()
        .fails(&[Code::InvalidField])
        .fails(KEY_USE)
}

fn streams(routes: &mut Routes) {
    let endpoint = streamed(
        "encryptStream",
        "Encrypt bytes of any length",
        "In constant memory. Any Content-Type is taken. No bytes are bytes, too.",
    )
    .body(false, "application/octet-stream", None, None);
    routes.post("/api/v1/tenants/{tenant}/stream/encrypt", stream::encrypt, endpoint);
    let endpoint = streamed(
        "decryptStream",
        "Decrypt a stream",
        "In constant memory. Any Content-Type is taken. What is wrong before the first chunk is an \
         error; later the connection is broken off.",
    )
    .body(true, "application/octet-stream", None, None)
    .header::<schema::ByteRange>("Range", "Asks for a part of the plaintext: one range.")
    .query::<schema::ByteCount>(
        "sealed_length",
        "The whole stream's length in bytes, if only the header and the chunks of a range are sent.",
    )
    .answers_with(206, "A part of the plaintext", "application/octet-stream", None)
    .with_header("Content-Range", "Which part.")
    .with_header("X-Keyward-Key-Version", "The version that opens.")
    .fails(&[Code::CiphertextInvalid, Code::RangeNotSatisfiable]);
    routes.post("/api/v1/tenants/{tenant}/stream/decrypt", stream::decrypt, endpoint);
}
