//! The document, put together of the routes' descriptions.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::endpoint::{Answer, Content, Endpoint, RequestBody, Tag, Who, schema_of};
use super::{problems, schema};
use crate::errors::Code;
use crate::http::problem::ProblemBody;
use crate::http::routes::Described;

const ABOUT: &str =
    "An encryption service that each tenant programs: the tenant's policy decides, \
the server does. Every route but the health checks, `/metrics` and this description takes \
`Authorization: Bearer` and a token (`kw_…`), or, where that is set up, a JWT of an identity \
provider or a client certificate. Unknown fields are refused. Errors are problem+json (RFC 9457) with \
a stable `code`. Every response has `X-Request-Id`, the caller's own if it sent a usable one (1 to \
64 of `A-Z a-z 0-9 . _ -`).

The examples are for `keyward dev`, which has the tenant `demo` with the key `demo`; those that \
sign, make MACs or take keys in use the keys `signing` (ed25519), `tags` (hmac-sha-256) and \
`transport` (x25519). Ciphertexts, signatures, MACs and wrapped keys in them are of the right form \
and open nowhere: take your own.

docs/api.md tells the whole story.";

const SCHEMAS: &str = "/components/schemas";

/// The schemas of what is read and of what is written: the same type may differ in the two, for
/// what may be left out of a request is always there in an answer.
struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

/// The document for these routes.
pub fn of(routes: &[Described]) -> Value {
    let settings =
        || SchemaSettings::draft2020_12().with(|it| it.definitions_path = SCHEMAS.into());
    let mut schemas = Schemas {
        read: settings().for_deserialize().into_generator(),
        written: settings().for_serialize().into_generator(),
    };
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for Described { method, path, endpoint } in routes {
        let operation = operation(&mut schemas, path, endpoint);
        paths.entry(path).or_default().insert((*method).to_owned(), operation);
    }
    schema_of::<ProblemBody<'_>>(&mut schemas.written);
    let mut definitions = schemas.read.take_definitions(true);
    for (name, mut schema) in schemas.written.take_definitions(true) {
        never_null(&mut schema);
        let read = definitions.insert(name, schema.clone());
        debug_assert!(read.is_none_or(|read| read == schema), "one name for two: {schema}");
    }
    let tags = Tag::ALL.map(|(_, name, about)| json!({ "name": name, "description": about }));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Keyward",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The server that serves this document." }],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": { "token": {
                "type": "http",
                "scheme": "bearer",
                "bearerFormat": "kw_… or JWT",
                "description": "A token of one tenant, with roles, or an operator's. Operators \
                                manage every tenant and encrypt or decrypt for none.",
            } },
            "headers": headers(),
            "responses": shared(),
            "schemas": definitions,
        },
    })
}

/// Fields that may be absent of an answer are never `null`: they are left out.
fn never_null(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            members.values_mut().for_each(never_null);
            let required = members.get("required").cloned().unwrap_or_default();
            let is_required =
                |name: &str| required.as_array().is_some_and(|all| all.iter().any(|it| it == name));
            let properties = members.get_mut("properties").and_then(Value::as_object_mut);
            for (name, property) in properties.into_iter().flatten() {
                if !is_required(name) {
                    drop_null(property);
                }
            }
        }
        Value::Array(schemas) => schemas.iter_mut().for_each(never_null),
        _ => {}
    }
}

/// The schema without the possibility of `null`.
fn drop_null(schema: &mut Value) {
    if let Some(types) = schema.get_mut("type").and_then(Value::as_array_mut) {
        types.retain(|it| it != "null");
        if let [one] = types.as_slice() {
            schema["type"] = one.clone();
        }
    }
    if let Some(branches) = schema.get_mut("anyOf").and_then(Value::as_array_mut) {
        branches.retain(|branch| branch["type"] != "null");
        if let [one] = branches.as_slice() {
            *schema = one.clone();
        }
    }
}

/// Failures that many routes share: their name, and what they follow from.
const SHARED: &[(&str, StatusCode, &[&[Code]])] = &[
    ("Unauthenticated", StatusCode::UNAUTHORIZED, &[problems::CREDENTIAL]),
    ("Forbidden", StatusCode::FORBIDDEN, &[problems::CREDENTIAL]),
    (
        "PolicyForbids",
        StatusCode::FORBIDDEN,
        &[problems::CREDENTIAL, problems::POLICY, problems::KEY_USE],
    ),
    ("TooMany", StatusCode::TOO_MANY_REQUESTS, &[problems::CREDENTIAL]),
    ("PolicyTooMany", StatusCode::TOO_MANY_REQUESTS, &[problems::CREDENTIAL, problems::POLICY]),
    ("BodyTimeout", StatusCode::REQUEST_TIMEOUT, &[problems::BODY]),
    ("PayloadTooLarge", StatusCode::PAYLOAD_TOO_LARGE, &[problems::BODY]),
    ("UnsupportedMediaType", StatusCode::UNSUPPORTED_MEDIA_TYPE, &[problems::JSON]),
    ("ServerFault", StatusCode::INTERNAL_SERVER_ERROR, &[problems::ALWAYS]),
    ("StoreFault", StatusCode::INTERNAL_SERVER_ERROR, &[problems::ALWAYS, problems::STORE]),
    ("PolicyBroken", StatusCode::BAD_GATEWAY, &[problems::POLICY]),
    ("TooSlow", StatusCode::SERVICE_UNAVAILABLE, &[problems::ALWAYS]),
    (
        "StoreAway",
        StatusCode::SERVICE_UNAVAILABLE,
        &[problems::ALWAYS, problems::CREDENTIAL, problems::STORE],
    ),
    (
        "CannotDecide",
        StatusCode::SERVICE_UNAVAILABLE,
        &[problems::ALWAYS, problems::CREDENTIAL, problems::STORE, problems::POLICY],
    ),
];

/// The codes of a shared failure.
fn codes_of(status: StatusCode, groups: &[&'static [Code]]) -> BTreeSet<&'static str> {
    let codes = groups.iter().copied().flatten().filter(|code| code.status() == status);
    codes.map(|code| code.as_str()).collect()
}

fn shared() -> Value {
    let all = SHARED.iter().map(|(name, status, groups)| {
        ((*name).to_owned(), problem(*status, &codes_of(*status, groups)))
    });
    Value::Object(all.collect())
}

/// A failure, or a reference to one that is shared.
fn failure(status: StatusCode, codes: &BTreeSet<&'static str>) -> Value {
    let same =
        SHARED.iter().find(|(_, of, groups)| *of == status && codes_of(*of, groups) == *codes);
    same.map_or_else(
        || problem(status, codes),
        |(name, ..)| json!({ "$ref": format!("#/components/responses/{name}") }),
    )
}

fn headers() -> Value {
    let header = |about: &str, schema: Value| json!({ "description": about, "schema": schema });
    json!({
        "RequestId": header(
            "Names the request in the log.",
            json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" }),
        ),
        "RetryAfter": header(
            "Seconds after which to try again.",
            json!({ "type": "integer", "minimum": 1 }),
        ),
        "RateLimit": header(
            "What is left of each rate (`r`), and the seconds until it is full again (`t`): \
             draft-ietf-httpapi-ratelimit-headers. Any other answer may have it, too.",
            json!({ "type": "string" }),
        ),
        "RateLimitPolicy": header(
            "The rates that hold: so many at once (`q`), made good in so many seconds (`w`).",
            json!({ "type": "string" }),
        ),
        "Challenge": header("How to authenticate.", json!({ "type": "string" })),
    })
}

fn operation(schemas: &mut Schemas, path: &str, endpoint: &Endpoint) -> Value {
    let Endpoint { tag, id, summary, about, who, body, .. } = endpoint;
    let mut operation = json!({
        "operationId": id,
        "summary": summary,
        "tags": [tag.name()],
        "security": security(*who),
        "responses": responses(schemas, path, endpoint),
    });
    let parameters = parameters(schemas, path, endpoint);
    let mut set = |name: &str, value: Value| operation[name] = value;
    if !about.is_empty() {
        set("description", json!(about));
    }
    if !parameters.is_empty() {
        set("parameters", json!(parameters));
    }
    if let Some(RequestBody { required, contents }) = body {
        let content = media_types(&mut schemas.read, contents);
        set("requestBody", json!({ "required": required, "content": content }));
    }
    operation
}

/// What passes. The names are roles; a tenant's policy may ask for others yet.
fn security(who: Who) -> Value {
    match who {
        Who::Anybody => json!([]),
        Who::TenantOnly => json!([{ "token": [] }]),
        Who::Authenticated | Who::Readers => json!([{ "token": [] }, { "token": ["operator"] }]),
        Who::TenantAdmins => json!([{ "token": ["tenant-admin"] }]),
        Who::Managers => json!([{ "token": ["tenant-admin"] }, { "token": ["operator"] }]),
        Who::Operators => json!([{ "token": ["operator"] }]),
    }
}

/// The names in braces of a path.
fn names_in(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// A parameter of a path by its name: its form and an example.
fn path_parameter(generator: &mut SchemaGenerator, name: &str) -> Value {
    let (schema, example) = match name {
        "tenant" => (schema_of::<schema::TenantName>(generator), json!("demo")),
        "name" | "key" => (schema_of::<schema::KeyName>(generator), json!("demo")),
        "id" => {
            let example = json!("0f1e2d3c4b5a69788796a5b4c3d2e1f0");
            (schema_of::<schema::TokenId>(generator), example)
        }
        "version" => (schema_of::<schema::Version>(generator), json!(1)),
        "digest" => {
            let example = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
            (schema_of::<schema::ComponentDigest>(generator), json!(example))
        }
        // Whatever the policy offers.
        _ => (schema_of::<String>(generator), json!("protect")),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": schema, "example": example })
}

fn parameters(schemas: &mut Schemas, path: &str, endpoint: &Endpoint) -> Vec<Value> {
    let generator = &mut schemas.read;
    let mut all: Vec<Value> = names_in(path).map(|it| path_parameter(generator, it)).collect();
    for parameter in &endpoint.parameters {
        let (place, name, about) = (parameter.place, parameter.name, parameter.about);
        let schema = (parameter.schema)(generator);
        all.push(json!({ "name": name, "in": place, "description": about, "schema": schema }));
    }
    all
}

fn media_types(generator: &mut SchemaGenerator, contents: &[Content]) -> Value {
    let media_types = contents.iter().map(|content| {
        let mut media_type = Map::new();
        if let Some(schema) = content.schema {
            media_type.insert("schema".into(), schema(generator).to_value());
        }
        if let Some(example) = &content.example {
            media_type.insert("example".into(), example.clone());
        }
        (content.media_type.to_owned(), Value::from(media_type))
    });
    Value::Object(media_types.collect())
}

fn responses(schemas: &mut Schemas, path: &str, endpoint: &Endpoint) -> Value {
    let mut all = BTreeMap::new();
    let mut failures = failures(path, endpoint);
    for answer in &endpoint.answers {
        let mut response = success(schemas, answer);
        // What is answered with a failure's status beside the problem.
        let failed = StatusCode::from_u16(answer.status).ok();
        if let Some((status, codes)) = failed.and_then(|status| failures.remove_entry(&status)) {
            let mut problem = problem(status, &codes);
            merge(&mut problem, response);
            response = problem;
        }
        all.insert(answer.status, response);
    }
    all.extend(failures.iter().map(|(status, codes)| (status.as_u16(), failure(*status, codes))));
    let named = all.into_iter().map(|(status, response)| (status.to_string(), response));
    Value::Object(named.collect())
}

/// Both contents, the problem's headers, the answer's description first.
fn merge(problem: &mut Value, mut success: Value) {
    let about = format!(
        "{}; or {}",
        success["description"].as_str().unwrap_or_default(),
        problem["description"].as_str().unwrap_or_default()
    );
    if let (Some(into), Some(from)) =
        (problem["content"].as_object_mut(), success["content"].as_object_mut())
    {
        into.append(from);
    }
    problem["description"] = about.into();
}

/// The codes a route may fail with, by status.
pub(super) fn failures(
    path: &str,
    endpoint: &Endpoint,
) -> BTreeMap<StatusCode, BTreeSet<&'static str>> {
    let mut by_status: BTreeMap<StatusCode, BTreeSet<&'static str>> = BTreeMap::new();
    let of_path: &[Code] = if names_in(path).next().is_some() { problems::PATH } else { &[] };
    for code in endpoint.fails.iter().copied().chain([of_path]).flatten() {
        by_status.entry(code.status()).or_default().insert(code.as_str());
    }
    by_status
}

fn problem(status: StatusCode, codes: &BTreeSet<&'static str>) -> Value {
    let about: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
    let mut headers = json!({ "X-Request-Id": { "$ref": "#/components/headers/RequestId" } });
    if [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&status) {
        headers["Retry-After"] = json!({ "$ref": "#/components/headers/RetryAfter" });
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        headers["RateLimit"] = json!({ "$ref": "#/components/headers/RateLimit" });
        headers["RateLimit-Policy"] = json!({ "$ref": "#/components/headers/RateLimitPolicy" });
    }
    if status == StatusCode::UNAUTHORIZED {
        headers["WWW-Authenticate"] = json!({ "$ref": "#/components/headers/Challenge" });
    }
    let schema = json!({ "allOf": [
        { "$ref": "#/components/schemas/Problem" },
        { "properties": { "code": { "enum": codes }, "status": { "const": status.as_u16() } } },
    ] });
    json!({
        "description": about.join(", "),
        "headers": headers,
        "content": { "application/problem+json": { "schema": schema } },
    })
}

fn success(schemas: &mut Schemas, answer: &Answer) -> Value {
    let mut headers = json!({ "X-Request-Id": { "$ref": "#/components/headers/RequestId" } });
    for (name, about) in &answer.headers {
        headers[*name] = json!({ "description": about, "schema": { "type": "string" } });
    }
    let mut response = json!({ "description": answer.about, "headers": headers });
    if !answer.contents.is_empty() {
        response["content"] = media_types(&mut schemas.written, &answer.contents);
    }
    let links = answer.links.iter().map(|link| {
        let parameters = json!({ "tenant": "$request.path.tenant" });
        let (id, body) = (link.operation, &link.body);
        let link = json!({ "operationId": id, "parameters": parameters, "requestBody": body });
        (id.to_owned(), link)
    });
    let links: Map<String, Value> = links.collect();
    if !links.is_empty() {
        response["links"] = links.into();
    }
    response
}
