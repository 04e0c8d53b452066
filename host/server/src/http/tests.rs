//! The router without a network: who may do what, and what bad input is answered.

use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use keyward_keyring::TenantName;
use keyward_policy_host::Caller;
use serde_json::{Value, json};
use tower::Service;

use super::*;
use crate::tokens::{NewToken, Reach};

mod audit;
mod identities;
mod management;
mod tokens;
mod vault;

/// A server with tenant `acme`, and tokens of each kind.
struct World {
    app: Arc<App>,
    service: Scope,
    operator: String,
    admin: String,
    application: String,
    stranger: String,
    _dir: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: Value,
}

impl World {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = crate::testing::config(dir.path());
        config.http.max_body = 4096;
        config.http.max_items = 3;
        let app = App::build(config).await.unwrap();
        Self::of(app, dir).await
    }

    /// Sets `app` up, whose data is in `dir`.
    async fn of(app: Arc<App>, dir: tempfile::TempDir) -> Self {
        let acme: TenantName = "acme".parse().unwrap();
        let other: TenantName = "other".parse().unwrap();
        for tenant in [&acme, &other] {
            app.keyring.create_tenant(tenant).await.unwrap();
        }
        let (application, admin) = (Reach::Tenant(acme.clone()), Reach::Tenant(acme));
        Self {
            operator: mint(&app, Reach::Operator, "operator").await,
            admin: mint(&app, admin, "tenant-admin").await,
            application: mint(&app, application, "application").await,
            stranger: mint(&app, Reach::Tenant(other), "tenant-admin").await,
            service: app.service(),
            app,
            _dir: dir,
        }
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response: Response<Body> = self.service.clone().call(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn call(&self, method: Method, path: &str, token: &str, body: impl ToString) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        self.send(request).await
    }

    async fn post(&self, path: &str, token: &str, body: impl ToString) -> Answer {
        self.call(Method::POST, path, token, body).await
    }

    async fn get(&self, path: &str, token: &str) -> Answer {
        self.call(Method::GET, path, token, "").await
    }
}

async fn mint(app: &App, reach: Reach, role: &str) -> String {
    let caller = Caller { subject: role.into(), roles: vec![role.into()], claims: Vec::new() };
    app.tokens.mint(NewToken::of(reach, caller)).await.unwrap().0.expose().to_owned()
}

impl Answer {
    #[track_caller]
    fn problem(&self, code: Code) -> &Self {
        assert_eq!(self.body["code"], code.as_str(), "{}", self.body);
        assert_eq!(self.status, code.status());
        assert_eq!(self.body["status"], code.status().as_u16());
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(self.body["request_id"], self.headers["x-request-id"].to_str().unwrap());
        assert!(!self.headers.contains_key("content-length"));
        self
    }

    #[track_caller]
    fn field(&self, pointer: &str) {
        assert_eq!(self.body["field"], pointer, "{}", self.body);
    }

    #[track_caller]
    fn ok(&self, status: u16) -> &Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        &self.body
    }
}

const ENCRYPT: &str = "/api/v1/tenants/acme/encrypt";
const DECRYPT: &str = "/api/v1/tenants/acme/decrypt";
const KEYS: &str = "/api/v1/tenants/acme/keys";

#[tokio::test]
async fn without_a_good_token_nothing_is_said() {
    let world = World::new().await;
    let good = &world.application;
    let mut typo = good.clone();
    typo.replace_range(10..11, if &good[10..11] == "A" { "B" } else { "A" });
    let unknown = crate::tokens::Token::generate().unwrap();
    for value in [
        None,
        Some("Bearer".to_owned()),
        Some(format!("Basic {good}")),
        Some(good.clone()),
        Some(format!("Bearer {typo}")),
        Some(format!("Bearer {}", unknown.expose())),
        Some("Bearer ü".to_owned()),
    ] {
        let mut request = Request::get(KEYS);
        if let Some(value) = value {
            request = request.header("authorization", value);
        }
        let answer = world.send(request.body(Body::empty()).unwrap()).await;
        answer.problem(Code::Unauthenticated);
        assert!(answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer"));
    }
    world.get(KEYS, good).await.ok(200);
}

#[tokio::test]
async fn a_foreign_token_cannot_tell_whether_a_tenant_exists() {
    let world = World::new().await;
    let body = json!({ "key": "k", "plaintext": "" });
    let mut answers = Vec::new();
    for tenant in ["acme", "nobody", "NOT-A-NAME"] {
        let path = format!("/api/v1/tenants/{tenant}/encrypt");
        let mut answer = world.post(&path, &world.stranger, &body).await;
        answer.problem(Code::Forbidden);
        answer.body["request_id"] = Value::Null;
        answers.push(answer.body);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]));
    world.get("/api/v1/tenants/nobody/keys", &world.operator).await.problem(Code::TenantNotFound);
}

#[tokio::test]
async fn roles() {
    let world = World::new().await;
    let body = json!({ "plaintext": "" });
    world.post(ENCRYPT, &world.operator, &body).await.problem(Code::Forbidden);
    world.post(ENCRYPT, &world.application, &body).await.problem(Code::PolicyMissing);
    let new = json!({ "name": "orders" });
    world.post(KEYS, &world.application, &new).await.problem(Code::Forbidden);
    let created = world.post(KEYS, &world.admin, &new).await;
    assert_eq!(created.ok(201)["algorithm"], "xaes-256-gcm");
    assert_eq!(created.headers["location"], "/api/v1/tenants/acme/keys/orders");
    world.post(KEYS, &world.operator, &new).await.problem(Code::KeyExists);
    let rotate = "/api/v1/tenants/acme/keys/orders/rotate";
    world.post(rotate, &world.application, "").await.problem(Code::Forbidden);
    assert_eq!(world.post(rotate, &world.admin, "").await.ok(200), &json!({ "key_version": 2 }));
    let tenants = "/api/v1/tenants";
    world.get(tenants, &world.admin).await.problem(Code::Forbidden);
    world.post(tenants, &world.operator, r#"{"name":"acme"}"#).await.problem(Code::TenantExists);
    world
        .post(tenants, &world.operator, r#"{"name":"Acme"}"#)
        .await
        .problem(Code::InvalidName)
        .field("/name");
}

#[tokio::test]
async fn a_minted_token_works_and_is_never_an_operators() {
    let world = World::new().await;
    let tokens = "/api/v1/tenants/acme/tokens";
    let body = json!({ "subject": "billing", "roles": ["application"], "claims": { "a": "b" } });
    let minted = world.post(tokens, &world.admin, &body).await;
    let token = minted.ok(201)["token"].as_str().unwrap().to_owned();
    world.get(KEYS, &token).await.ok(200);
    let verified = world.app.tokens.verify(&token).await.unwrap().unwrap();
    assert_eq!(verified.caller.claims, [("a".to_owned(), "b".to_owned())]);
    for (body, field) in [
        (json!({ "subject": "x", "roles": ["operator"] }), "/roles/0"),
        (json!({ "subject": "x", "roles": ["ok", "No"] }), "/roles/1"),
        (json!({ "subject": "", "roles": [] }), "/subject"),
        (json!({ "subject": "x" }), "/roles"),
        (json!({ "subject": "x", "roles": "application" }), "/roles"),
    ] {
        world.post(tokens, &world.admin, &body).await.problem(Code::InvalidField).field(field);
    }
}

#[tokio::test]
async fn bad_bodies_name_what_is_wrong() {
    let world = World::new().await;
    let token = &world.application;
    for body in ["", "not json", "{", "{\"plaintext\":\"\",}"] {
        world.post(ENCRYPT, token, body).await.problem(Code::InvalidJson);
    }
    for (body, field) in [
        (json!({ "plaintext": 1 }), "/plaintext"),
        (json!({ "plaintext": "", "key": ["k"] }), "/key"),
        (json!({ "plaintext": "", "extra": 1 }), "/extra"),
        (json!({ "items": {} }), "/items"),
        (json!({ "items": [], "plaintext": "" }), "/plaintext"),
    ] {
        let answer = world.post(ENCRYPT, token, &body).await;
        answer.problem(Code::InvalidField).field(field);
    }
    let wrong_type = Request::post(ENCRYPT)
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "text/plain")
        .body(Body::from("{}"))
        .unwrap();
    world.send(wrong_type).await.problem(Code::UnsupportedMediaType);
    let long = json!({ "plaintext": "A".repeat(4096) });
    world.post(ENCRYPT, token, &long).await.problem(Code::PayloadTooLarge);
    let query = "/api/v1/tenants/acme/invoke/x?colour=red";
    world.post(query, token, "").await.problem(Code::InvalidRequest);
    world.post("/api/v1/tenants/acme/%ff", token, "").await.problem(Code::RouteNotFound);
    world.post("/api/v1/tenants/%ff/encrypt", token, "").await.problem(Code::InvalidRequest);
    let keys = [
        (json!({ "name": "a/b" }), Code::InvalidName, "/name"),
        (json!({ "name": "k", "algorithm": "rot13" }), Code::InvalidField, "/algorithm"),
        (json!({ "name": "k", "attributes": { "": "" } }), Code::InvalidField, "/attributes"),
        (json!({ "name": "k", "attributes": { "a": 1 } }), Code::InvalidField, "/attributes/a"),
    ];
    for (body, code, field) in keys {
        world.post(KEYS, &world.admin, &body).await.problem(code).field(field);
    }
    world.get("/api/v1/tenants/acme/keys/none", token).await.problem(Code::KeyNotFound);
}

#[tokio::test]
async fn unknown_routes_and_methods() {
    let world = World::new().await;
    let token = &world.application;
    for path in ["/", "/api/v1", "/api/v1/tenants/acme", "/api/v1/tenants/acme/unwrap"] {
        world.get(path, token).await.problem(Code::RouteNotFound);
    }
    let answer = world.get(ENCRYPT, token).await;
    answer.problem(Code::MethodNotAllowed);
    assert_eq!(answer.headers["allow"], "POST");
    let answer = world.call(Method::DELETE, KEYS, token, "").await;
    answer.problem(Code::MethodNotAllowed);
    assert_eq!(answer.headers["allow"], "GET,HEAD,POST");
}

#[tokio::test]
async fn policies_that_are_none() {
    let world = World::new().await;
    let policy = "/api/v1/tenants/acme/policy";
    world.get(policy, &world.admin).await.problem(Code::PolicyNotSet);
    let put = |token: &str, kind: &str, body: &'static [u8]| {
        Request::put(policy)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", kind)
            .body(Body::from(body))
            .unwrap()
    };
    let answer = world.send(put(&world.application, "application/wasm", b"")).await;
    answer.problem(Code::Forbidden);
    let answer = world.send(put(&world.admin, "application/json", b"{}")).await;
    answer.problem(Code::UnsupportedMediaType);
    for body in [&b""[..], b"not wasm", b"\0asm\x01\0\0\0"] {
        let answer = world.send(put(&world.admin, "application/wasm", body)).await;
        answer.problem(Code::ComponentInvalid);
    }
    world
        .post(DECRYPT, &world.application, r#"{"ciphertext":"kw1."}"#)
        .await
        .problem(Code::PolicyMissing);
}

#[tokio::test]
async fn health_tells_nobody_anything_secret() {
    let world = World::new().await;
    assert_eq!(world.get("/livez", "").await.ok(200), &json!({ "status": "live" }));
    assert_eq!(world.get("/readyz", "").await.ok(200), &json!({ "status": "ready" }));
    world.app.start_draining();
    let answer = world.get("/readyz", "").await;
    answer.problem(Code::NotReady);
    assert!(answer.headers.contains_key("retry-after"));
}
