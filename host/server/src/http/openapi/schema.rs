//! The forms of values that have no type of their own in a body: `#[schemars(with = "…")]`.
//!
//! JSON Schema counts characters and the server counts bytes, so a text beyond ASCII may be refused
//! though the schema allows it. What a schema refuses, the server refuses.

use std::borrow::Cow;

use keyward_crypto::Algorithm as KeyAlgorithm;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::SchemaOf;
use crate::errors::Code;
use crate::http::json::{Object, Text};

macro_rules! forms {
    ($($name:ident $schema:tt)*) => {
        $(
            #[doc = concat!("The form `", stringify!($name), "`.")]
            pub struct $name;

            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!($schema)
                }
            }
        )*
    };
}

/// Standard base64 that has one reading (RFC 4648 section 4, padding, no stray bits).
const BASE64: &str =
    "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$";
/// No control characters.
const LINE: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";

forms! {
    AnyObject { "type": "object" }
    Base64 {
        "type": "string", "contentEncoding": "base64", "pattern": BASE64, "examples": ["aGVsbG8="],
        "description": "Standard base64 with padding (RFC 4648 section 4)."
    }
    Context {
        "type": "string", "contentEncoding": "base64", "pattern": BASE64, "maxLength": 87384,
        "examples": ["cm93IDE3"],
        "description": "Standard base64 of at most 64 KiB."
    }
    Base64Url {
        "type": "string", "contentEncoding": "base64url", "pattern": "^[A-Za-z0-9_-]*={0,2}$",
        "examples": ["cm93IDE3"],
        "description": "base64url (RFC 4648 section 5), with padding or without; as long as the URI \
                        may be."
    }
    ByteCount { "type": "integer", "minimum": 0 }
    ByteRange {
        "type": "string", "pattern": "^bytes=([0-9]+-[0-9]*|-[0-9]+)$", "examples": ["bytes=0-99"]
    }
    Ciphertext {
        "type": "string", "pattern": r"^kw1\.[A-Za-z0-9_-]+$",
        "description": "A ciphertext: `kw1.` and base64url (docs/ciphertext.md)."
    }
    LogLevel {
        "type": "string", "maxLength": 1000,
        "pattern": "^(([A-Za-z0-9_:]+=)?(off|error|warn|info|debug|trace))(,([A-Za-z0-9_:]+=)?(off|error|warn|info|debug|trace))*$",
        "examples": ["info,keyward=debug"],
        "description": "Levels, for all that is logged or for a target: `info,keyward=debug`."
    }
    TenantName {
        "type": "string", "pattern": "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$", "maxLength": 63,
        "examples": ["demo"],
        "description": "A tenant's name: a DNS label in lower case."
    }
    KeyName {
        "type": "string", "pattern": "^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$",
        "maxLength": 128, "examples": ["demo"],
        "description": "A key's name within its tenant."
    }
    KeyNamePrefix {
        "type": "string", "pattern": "^([A-Za-z0-9][A-Za-z0-9._-]{0,127})?$", "maxLength": 128,
        "description": "What keys' names may begin with."
    }
    RequestedKey {
        "type": "string", "examples": ["demo"],
        "description": "A key's name. The policy sees it, and may choose another key."
    }
    Purpose {
        "type": "string", "maxLength": 1024,
        "description": "What it is for: the policy sees it. At most 1 KiB."
    }
    Reference {
        "type": "string", "maxLength": 1024,
        "description": "The caller's own mark, given back as it is. At most 1 KiB."
    }
    Version {
        "type": "integer", "minimum": 1, "maximum": u32::MAX, "examples": [1],
        "description": "The number of a key's version."
    }
    Timestamp {
        "type": "string", "format": "date-time", "examples": ["2026-11-27T04:03:12.345Z"],
        "description": "A time, RFC 3339 in UTC."
    }
    UnixSeconds {
        "type": "integer", "minimum": 0, "description": "Seconds since 1970-01-01T00:00:00Z."
    }
    KeyId {
        "type": "string", "pattern": "^[0-9a-f]{16}$",
        "description": "A key's random id, as ciphertexts carry it."
    }
    Reason {
        "type": "string", "minLength": 1, "maxLength": 512, "pattern": LINE,
        "description": "Why: kept in the key's history, in the clear. At most 512 bytes."
    }
    Labels {
        "type": "object", "maxProperties": 32,
        "propertyNames": { "minLength": 1, "maxLength": 63, "pattern": LINE },
        "additionalProperties": { "type": "string", "maxLength": 256, "pattern": LINE },
        "description": "For people and their tools. Names of 1 to 63 bytes, values of at most 256."
    }
    LabelEdits {
        "type": "object",
        "propertyNames": { "maxLength": 63, "pattern": LINE },
        "additionalProperties": { "type": ["string", "null"], "maxLength": 256, "pattern": LINE },
        "description": "A label that is `null` is removed, others are set."
    }
    Attributes {
        "type": "object", "maxProperties": 32,
        "propertyNames": { "minLength": 1, "maxLength": 128 },
        "additionalProperties": { "type": "string", "maxLength": 1024 },
        "description": "Names and values that policies read; they stay as they are."
    }
    Owner {
        "type": "string", "minLength": 1, "maxLength": 256, "pattern": LINE,
        "description": "Whom to ask about the key. At most 256 bytes."
    }
    Description {
        "type": "string", "minLength": 1, "maxLength": 1024, "pattern": LINE,
        "description": "What the key is for. At most 1,024 bytes."
    }
    Every {
        "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "examples": ["30d"],
        "description": "A whole number and a unit; at least `rotation.min_every`, at most 3650d."
    }
    MaxMessages { "type": "integer", "minimum": 1000, "maximum": 9_007_199_254_740_992_u64 }
    MaxBytes { "type": "integer", "minimum": 1_048_576, "maximum": 9_007_199_254_740_992_u64 }
    SignatureForm {
        "type": "string", "enum": ["standard", "fixed", "pkcs1"],
        "description": "`standard` (DER for ECDSA, PSS for RSA), `fixed` (ECDSA: r and s) or \
                        `pkcs1` (RSA)."
    }
    DigestName { "type": "string", "enum": ["sha-256", "sha-384", "sha-512"] }
    Bits { "type": "integer", "enum": [128, 256, 512] }
    PublicKey {
        "type": "string", "pattern": "^-----BEGIN PUBLIC KEY-----",
        "description": "SubjectPublicKeyInfo, PEM."
    }
    WrapTo {
        "type": "string",
        "description": "A public key (PEM) of RSA of 2048 to 8192 bits, X25519, ML-KEM-768 or \
                        X-Wing, or the name of a key of the tenant."
    }
    OutageText {
        "type": "string", "pattern": "^(fail-closed|serve-stale=[0-9]+(ms|s|m|h|d))$",
        "examples": ["serve-stale=1h"],
        "description": "`fail-closed`, or `serve-stale=` and a duration of at most 30 days."
    }
    Ttl {
        "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$", "examples": ["720h"],
        "description": "A whole number and a unit; from 1s to 3650d."
    }
    TokenId {
        "type": "string", "pattern": "^[0-9a-f]{32}$",
        "examples": ["0f1e2d3c4b5a69788796a5b4c3d2e1f0"],
        "description": "Names a token without giving it away."
    }
    TokenName {
        "type": "string", "minLength": 1, "maxLength": 128, "pattern": LINE,
        "description": "For people. At most 128 bytes."
    }
    OperationPattern {
        "type": "string", "pattern": r"^[A-Za-z0-9._/*-]{1,128}$", "examples": ["encrypt", "key.*"],
        "description": "An operation, by the name it has in the audit log; `*` is any text."
    }
    KeyPattern {
        "type": "string", "pattern": r"^[A-Za-z0-9._*-]{1,128}$", "examples": ["orders-*"],
        "description": "A key's name; `*` is any text."
    }
    TenantPattern {
        "type": "string", "pattern": r"^[A-Za-z0-9*-]{1,128}$", "examples": ["shop-*"],
        "description": "A tenant's name; `*` is any text."
    }
    Subject {
        "type": "string", "minLength": 1, "maxLength": 256, "pattern": LINE,
        "description": "Whom the token speaks for. At most 256 bytes."
    }
    Role {
        "type": "string", "pattern": "^[a-z0-9-]{1,64}$", "not": { "const": "operator" },
        "description": "`tenant-admin`, or one of the policy's."
    }
    Claims {
        "type": "object", "maxProperties": 32,
        "propertyNames": { "minLength": 1, "maxLength": 256, "pattern": LINE },
        "additionalProperties": { "type": "string", "maxLength": 256 },
        "description": "What else the policy is told. With subject and roles at most 4,096 bytes."
    }
    AgeRecipient {
        "type": "string", "pattern": "^[Aa][Gg][Ee]1",
        "description": "An X25519 recipient of age."
    }
    Origin {
        "type": "string", "pattern": "^ed25519:[0-9A-Fa-f]{64}$",
        "description": "Which store a backup comes from."
    }
    Fingerprint {
        "type": "string", "pattern": "^sha256:",
        "description": "Names the material without revealing it."
    }
    Receipt {
        "type": "object",
        "properties": {
            "format": { "const": 1 },
            "extent": { "enum": ["key", "versions"] },
            "tenant": { "type": "string" },
            "key": { "type": "string" },
            "key_id": { "type": "string", "pattern": "^[0-9a-f]{16}$" },
            "algorithm": { "type": "string" },
            "versions": {
                "type": "array", "minItems": 1,
                "items": {
                    "type": "object",
                    "properties": {
                        "version": { "type": "integer", "minimum": 1 },
                        "fingerprint": { "type": "string" },
                    },
                    "required": ["version"],
                },
            },
            "destroyed_at_ms": { "type": "integer", "minimum": 0 },
            "destroyed_by": { "type": "string" },
            "reason": { "type": "string" },
            "receipt_key": { "type": "string", "pattern": "^[0-9a-f]{32}$" },
            "signature": { "type": "string", "contentEncoding": "base64", "pattern": BASE64 },
        },
        "required": [
            "format", "extent", "tenant", "key", "key_id", "algorithm", "versions",
            "destroyed_at_ms", "destroyed_by", "receipt_key", "signature",
        ],
        "description": "A signed receipt of destruction; docs/keys.md says how to check it."
    }
    ReceiptPlace {
        "type": "string", "pattern": "^[a-z0-9-]{1,48}$",
        "description": "Where a page of receipts goes on."
    }
    AuditText { "type": "string", "minLength": 1, "maxLength": 256 }
    AuditTime {
        "type": "string",
        "anyOf": [{ "format": "date-time" }, { "pattern": "^[0-9]{1,15}$" }],
        "examples": ["2026-11-27T00:00:00Z"],
        "description": "RFC 3339, or milliseconds since 1970-01-01T00:00:00Z."
    }
    ReceiptKeyId {
        "type": "string", "pattern": "^[0-9a-f]{32}$",
        "description": "Names a public key that receipts are checked with."
    }
    ComponentDigest {
        "type": "string", "pattern": "^sha256:[0-9a-f]{64}$",
        "description": "The SHA-256 of a component."
    }
    ArtefactLocation {
        "type": "string", "pattern": "^oci://[^/]+/.+$", "maxLength": 1024,
        "description": "An artefact: `oci://`, a registry, a repository, and a tag or digest."
    }
    SignerKeyId {
        "type": "string", "pattern": "^[0-9a-f]{32}$",
        "description": "Names a public key that signatures of policies are checked with."
    }
    SignerName {
        "type": "string", "minLength": 1, "maxLength": 128, "pattern": LINE,
        "description": "Whose key it is, for people. At most 128 bytes."
    }
    SignerPublicKey {
        "type": "string", "maxLength": 1024,
        "description": "An Ed25519 public key: SubjectPublicKeyInfo (RFC 8410), PEM."
    }
    PolicySignatureHeader {
        "type": "string", "pattern": "^[0-9a-f]{32}:[A-Za-z0-9+/]{86}==$",
        "description": "A key's id and a signature: docs/policies.md."
    }
    QuotaRate {
        "type": "string", "maxLength": 32,
        "pattern": "^(off|[1-9][0-9]{0,5}/[smh]( burst [1-9][0-9]{0,5})?)$",
        "description": "A rate such as `100/s` or `100/s burst 200`, up to 1000000 each, or `off`."
    }
    QuotaKeys {
        "type": "array", "maxItems": 64,
        "items": { "type": "string", "minLength": 1, "maxLength": 256, "pattern": "^[\\x00-\\x7f]+$" },
        "description": "Patterns of names; `*` is any text."
    }
    MaxPolicySize { "type": "integer", "minimum": 1, "maximum": 9_007_199_254_740_992_u64 }
    TrialPercent { "type": "integer", "minimum": 1, "maximum": 100 }
    FailedPercent { "type": "integer", "minimum": 0, "maximum": 99 }
    MinRuns { "type": "integer", "minimum": 1, "maximum": 1_000_000 }
    OperationName { "type": "string", "minLength": 1, "maxLength": 128, "examples": ["encrypt"] }
    CallerText { "type": "string", "minLength": 1, "maxLength": 256 }
    CallerClaims {
        "type": "object", "maxProperties": 64,
        "propertyNames": { "minLength": 1, "maxLength": 256 },
        "additionalProperties": { "type": "string", "maxLength": 256 },
        "description": "Statements by name."
    }
    RestoreWindow {
        "type": "integer", "minimum": 0, "maximum": 31_536_000, "description": "Seconds."
    }
    PageLimit { "type": "integer", "minimum": 1, "maximum": 1000, "default": 100 }
    OnlyDeleted { "type": "string", "enum": ["deleted"] }
    Switch { "type": "string", "enum": ["true", "false"], "default": "false" }
    OnConflict { "type": "string", "enum": ["refuse", "keep", "replace"], "default": "refuse" }
    Lines {
        "type": "string", "contentMediaType": "application/x-ndjson",
        "description": "Any number of items or answers, one to a line."
    }
}

macro_rules! lists {
    ($($name:ident $about:literal $list:expr)*) => {
        $(
            #[doc = $about]
            pub struct $name;

            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    let names: Vec<&str> = $list;
                    json_schema!({ "type": "string", "enum": names, "description": $about })
                }
            }
        )*
    };
}

lists! {
    Algorithm "What a key is of." KeyAlgorithm::ALL.iter().map(|it| it.name()).collect()
    PairAlgorithm "An algorithm that has key pairs."
        KeyAlgorithm::ALL.iter().filter(|it| it.is_asymmetric()).map(|it| it.name()).collect()
    ErrorCode "A stable error code (docs/errors.md)."
        Code::ALL.iter().map(|code| code.as_str()).collect()
    KeyState "What state a key is in." vec!["enabled", "disabled", "deleted", "destroying"]
    PolicyInterface "An interface of the contract that a policy may import."
        keyward_policy_host::Ceiling::interfaces().collect()
    ActivationCause "How a policy became active." vec!["upload", "activate", "rollback", "failures"]
    TrialDifference "In what a policy on trial differs." vec!["decision", "plan", "error"]
    HistoryAction "What was done to a key."
        keyward_keyring::Action::ALL.iter().map(|action| action.name()).collect()
}

impl JsonSchema for Text<'_> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

impl<T: JsonSchema> JsonSchema for Object<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

/// Fields of an answer that is written by hand, each with whether it is always there.
pub type Fields = &'static [(&'static str, bool, SchemaOf)];

/// An object with these fields.
pub fn object(generator: &mut SchemaGenerator, fields: Fields) -> Schema {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for (name, is_required, schema) in fields {
        properties.insert((*name).to_owned(), schema(generator).to_value());
        if *is_required {
            required.push(Value::from(*name));
        }
    }
    json_schema!({ "type": "object", "properties": properties, "required": required })
}

/// Gives a schema a name that clients can be generated with.
pub fn define(generator: &mut SchemaGenerator, name: &str, schema: Schema) -> Schema {
    generator.definitions_mut().insert(name.to_owned(), schema.to_value());
    json_schema!({ "$ref": format!("#/components/schemas/{name}") })
}

/// `any` of these.
pub fn any_of(schemas: Vec<Schema>) -> Schema {
    json_schema!({ "anyOf": schemas.into_iter().map(Schema::to_value).collect::<Vec<_>>() })
}

/// A list of these.
pub fn list_of(items: &Schema, min_items: u64) -> Value {
    json!({ "type": "array", "items": items, "minItems": min_items })
}
