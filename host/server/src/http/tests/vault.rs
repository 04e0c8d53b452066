//! The API over a real Vault: start, outages, management, other hosts.

use std::time::{Duration, Instant};

use keyward_test_vault::{Options, Vault};

use super::*;
use crate::testing::{eventually, start, vault_config};

const HISTORY: &str = "/api/v1/vault/keys/orders/history?tenant=acme";

/// A Vault with a KV engine, in which [`world`] finds room.
fn server(options: Options) -> Vault {
    let server = Vault::start(options);
    server.root().mount_kv2("secret");
    server
}

async fn host(server: &Vault, more: &[(&str, &str)]) -> (Arc<App>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let app = start(vault_config(dir.path(), &server.address, &server.root_token, more)).await;
    eventually("a start", async || app.readiness.waiting().is_none().then_some(())).await;
    (app, dir)
}

/// A host whose tenant `acme` has the key `orders`.
async fn world(server: &Vault, more: &[(&str, &str)]) -> World {
    let (app, dir) = host(server, more).await;
    let world = World::of(app, dir).await;
    world.post(KEYS, &world.admin, &json!({ "name": "orders" })).await.ok(201);
    world
}

async fn ready(world: &World) -> Option<String> {
    let answer = world.get("/readyz", "").await;
    (answer.status == StatusCode::SERVICE_UNAVAILABLE)
        .then(|| answer.body["detail"].as_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_vault_is_live_says_why_and_becomes_ready() {
    let mut server = server(Options { durable: true, ..Options::default() });
    server.stop();
    let dir = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let app = start(vault_config(dir.path(), &server.address, &server.root_token, &[])).await;
    assert!(began.elapsed() < Duration::from_secs(1), "the start waits for nobody");
    let service = app.service();
    let get = async |path: &str, token: &str| {
        let request = Request::get(path).header("authorization", format!("Bearer {token}"));
        let response = service.clone().call(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    };
    let detail = async |part: &str| {
        let answer = get("/readyz", "").await;
        let detail = answer.body["detail"].as_str().unwrap_or_default().to_owned();
        detail.contains(part).then_some(answer)
    };
    get("/livez", "").await.ok(200);
    let waiting = eventually("a cause", async || detail("(vault_unreachable)").await).await;
    waiting.problem(Code::NotReady);
    let token = crate::tokens::Token::generate().unwrap();
    let refused = get(KEYS, token.expose()).await;
    refused.problem(Code::VaultUnreachable);
    assert!(refused.headers.contains_key("retry-after"));
    let acme: TenantName = "acme".parse().unwrap();
    assert_eq!(app.policies.active(&acme).err().unwrap().code, Code::NotReady);

    server.start_again_sealed();
    eventually("a sealed Vault", async || detail("(vault_sealed)").await).await;
    server.unseal();
    eventually("ready", async || (get("/readyz", "").await.status == 200).then_some(())).await;
    assert_eq!(app.policies.active(&acme).err().unwrap().code, Code::PolicyMissing);
    get(KEYS, token.expose()).await.problem(Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_mount_is_said_and_waited_for() {
    let server = Vault::start(Options::default());
    let dir = tempfile::tempdir().unwrap();
    let app = start(vault_config(dir.path(), &server.address, &server.root_token, &[])).await;
    let waits = async || {
        let waiting = app.readiness.waiting()?;
        (waiting.code == Code::VaultMountMissing).then_some(waiting.reason)
    };
    let reason = eventually("the cause", waits).await;
    assert!(reason.contains("vault secrets enable -version=2 -path=secret kv"), "{reason}");
    server.root().mount_kv2("secret");
    eventually("a start", async || app.readiness.waiting().is_none().then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sealed_cached_keys_go_on_and_all_else_says_why_until_it_is_unsealed() {
    let mut server = server(Options::default());
    let world = world(&server, &[]).await;
    let cached = "/api/v1/tenants/acme/keys/orders";
    world.get(cached, &world.admin).await.ok(200);
    world.get(HISTORY, &world.operator).await.ok(200);
    assert_eq!(ready(&world).await, None);

    server.seal();
    let reason = eventually("not ready", async || ready(&world).await).await;
    assert!(reason.contains("(vault_sealed)"), "{reason}");
    for _ in 0..20 {
        world.get(cached, &world.admin).await.ok(200);
    }
    let began = Instant::now();
    let refused = world.get(HISTORY, &world.operator).await;
    refused.problem(Code::VaultSealed);
    assert_eq!(refused.headers["retry-after"], "30");
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    let health = world.get("/api/v1/vault/health", &world.operator).await;
    let health = &health.ok(503)["vault_health"];
    assert_eq!(health["status"], "sealed");
    assert!(health["last_error"].as_str().unwrap().contains("sealed"), "{health}");
    let text = crate::metrics::render(&world.app, crate::metrics::Exposition::Text).await.unwrap();
    for line in ["keyward_ready 0", "keyward_vault_up 0", "keyward_vault_sealed 1"] {
        assert!(text.lines().any(|found| found.starts_with(line)), "no {line:?} in\n{text}");
    }

    server.unseal();
    eventually("ready", async || ready(&world).await.is_none().then_some(())).await;
    let back = async || {
        let answer = world.get(HISTORY, &world.operator).await;
        (answer.status == StatusCode::OK).then_some(())
    };
    eventually("answers", back).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_views_have_the_shape_of_the_embedded_store() {
    let server = server(Options::default());
    let (vault, embedded) = (world(&server, &[]).await, World::new().await);
    for route in ["health", "metrics", "status"] {
        let path = format!("/api/v1/vault/{route}");
        let of_vault = vault.get(&path, &vault.operator).await;
        let of_embedded = embedded.get(&path, &embedded.operator).await;
        same_shape(&path, of_vault.ok(200), of_embedded.ok(200));
    }
    let status = vault.get("/api/v1/vault/status", &vault.operator).await;
    let status = status.ok(200);
    assert_eq!(status["integration"], "hashicorp_vault");
    assert!(status["features"].as_array().unwrap().contains(&json!("token_renewal")));
    let health = &status["health"];
    assert_eq!(health["status"], "healthy");
    assert!(health["total_requests"].as_u64().unwrap() > 0, "{health}");
    assert!(health["success_rate"].as_str().unwrap().ends_with('%'), "{health}");
    let renewed = vault.post("/api/v1/vault/token/renew", &vault.operator, "").await;
    renewed.problem(Code::VaultTokenNotRenewable);
}

/// The same fields at every level; what is absent without an error or a token may differ.
fn same_shape(at: &str, one: &Value, other: &Value) {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return };
    for (name, value) in one {
        if ["last_error", "last_error_time", "source"].contains(&name.as_str()) {
            continue;
        }
        let other = other.get(name).unwrap_or_else(|| panic!("{at} has no {name}"));
        same_shape(&format!("{at}/{name}"), value, other);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approles_token_is_shown_renewed_and_revoked_at_the_end() {
    let server = server(Options::default());
    let root = server.root();
    root.policy(
        "keyward",
        r#"path "*" { capabilities = ["create","read","update","delete","list","sudo"] }"#,
    );
    let role = json!({ "token_policies": "keyward", "token_ttl": "60s", "token_max_ttl": "10m" });
    let (role_id, secret_id) = root.approle("keyward", &role);
    let login = [
        ("E2EE_VAULT_TOKEN", ""),
        ("E2EE_VAULT_ROLE_ID", role_id.as_str()),
        ("E2EE_VAULT_SECRET_ID", secret_id.as_str()),
    ];
    let world = world(&server, &login).await;
    let health = world.get("/api/v1/vault/health", &world.operator).await;
    let seen = &health.ok(200)["vault_health"];
    assert!((50..=60).contains(&seen["token_ttl_seconds"].as_u64().unwrap()), "{seen}");
    assert_eq!(seen["token_renewable"], true);
    let renewed = world.post("/api/v1/vault/token/renew", &world.operator, "").await;
    let info = &renewed.ok(200)["token_info"];
    assert!(info["ttl_seconds"].as_u64().unwrap() > 60, "the increment was asked for: {info}");
    let accessors = || root.list("auth/token/accessors").len();
    let before = accessors();
    world.app.shutdown().await;
    assert_eq!(accessors(), before - 1, "the token that the host obtained is revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_host_does_the_other_sees() {
    let server = server(Options::default());
    let here = world(&server, &[]).await;
    let (there, _dir) = host(&server, &[]).await;
    let acme: TenantName = "acme".parse().unwrap();
    let name = "orders".parse().unwrap();
    // A token minted here is valid there.
    assert!(there.tokens.verify(&here.application).await.unwrap().is_some());
    let key = there.keyring.key(&acme, &name).await.unwrap();
    there.keyring.version(&key, 1).await.unwrap();
    here.post(&format!("{KEYS}/orders/disable"), &here.admin, "").await.ok(200);
    let refused = async || {
        let key = there.keyring.key(&acme, &name).await.unwrap();
        there.keyring.version(&key, 1).await.err()
    };
    let error = eventually("the other host's refusal", refused).await;
    assert_eq!(Problem::from(error).code, Code::KeyDisabled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_outlives_its_time_in_an_outage_only_by_contract() {
    let mut server = server(Options::default());
    let world = world(&server, &[("KEYWARD_CACHE_TTL", "1s")]).await;
    let other: TenantName = "other".parse().unwrap();
    let path = "/api/v1/tenants/acme/keys/orders";
    let stale = json!({ "outage": "serve-stale=1h" });
    let outage = "/api/v1/tenants/acme/outage";
    world.call(Method::PUT, outage, &world.operator, stale).await.ok(200);
    world.get(path, &world.application).await.ok(200);
    let other_keys = format!("/api/v1/tenants/{other}/keys");
    world.get(&other_keys, &world.stranger).await.ok(200);
    server.seal();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    world.get(path, &world.application).await.ok(200);
    assert!(world.app.tokens.stale_serves() > 0, "it is counted");
    world.get(&other_keys, &world.stranger).await.problem(Code::VaultSealed);
    server.unseal();
    let back = async || {
        let answer = world.get(&other_keys, &world.stranger).await;
        (answer.status == StatusCode::OK).then_some(())
    };
    eventually("answers", back).await;
}
