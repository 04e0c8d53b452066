//! How a server gets its token of Vault, keeps it, and gives it back.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward_test_vault::{Client as Root, Kubernetes, Options, Proxy, Vault};
use keyward_tests::load::{Count, Load, expect};
use keyward_tests::vault::{self, Env};
use keyward_tests::{Server, b64, until};
use serde_json::{Value, json};

fn start() -> (Vault, Root) {
    let vault = Vault::start(Options::default());
    let root = vault::prepare(&vault);
    (vault, root)
}

/// What `GET /api/v1/vault/metrics` says of the token.
fn token_of(server: &Server) -> Value {
    server.operator().get("/api/v1/vault/metrics").expect(200).json()["vault_metrics"]["token"]
        .clone()
}

/// What `/metrics` says; 0 for what is not there.
fn metric(server: &Server, name: &str) -> f64 {
    let text = server.client().get("/metrics").expect(200).text();
    let line = text.lines().find(|line| line.split([' ', '{']).next() == Some(name));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_default()
}

/// The accessors of all tokens but root's own.
fn accessors(root: &Root) -> Vec<String> {
    let own = root.get("auth/token/lookup-self").ok()["data"]["accessor"].clone();
    root.list("auth/token/accessors").into_iter().filter(|it| *it != own).collect()
}

/// A minute of it, or ten with `KEYWARD_TEST_LONG=1`.
#[test]
fn traffic_over_short_lived_tokens_never_fails() {
    let long = std::env::var("KEYWARD_TEST_LONG").is_ok_and(|value| value == "1");
    let time = if long { Duration::from_mins(10) } else { Duration::from_mins(1) };
    let (vault, root) = start();
    let env = Env::new(&vault.address)
        .approle(&vault::role(&root, "5s", "20s"))
        .set("KEYWARD_CACHE_TTL", "1s");
    let mut server = Server::serve_with("", &env.pairs());
    let tenant = server.tenant_with_policy("acme", "baseline");

    let mut load = Load::default();
    let (app, admin) = (tenant.app.clone(), tenant.admin.clone());
    let mut number = 0;
    load.add("reads", Duration::from_millis(50), move || {
        let body = json!({ "key": "main", "plaintext": b64("steady") }).to_string();
        let headers = [("content-type", "application/json")];
        expect(app.try_send("POST", "/encrypt", &headers, body.as_bytes()), 200).map(drop)
    });
    load.add("writes", Duration::from_millis(200), move || {
        number += 1;
        if number % 2 == 0 {
            return expect(admin.try_send("POST", "/keys/main/rotate", &[], b""), 200).map(drop);
        }
        let body = json!({ "name": format!("key-{number}") }).to_string();
        let headers = [("content-type", "application/json")];
        expect(admin.try_send("POST", "/keys", &headers, body.as_bytes()), 201).map(drop)
    });
    let from = Instant::now();
    std::thread::sleep(time);
    let samples = load.stop();
    let (logins, renewals) = (
        metric(&server, "keyward_vault_logins_total"),
        metric(&server, "keyward_vault_renewals_total"),
    );
    println!("{} s of tokens with a TTL of 5 s and a maximum of 20 s", time.as_secs());
    println!("  {logins} logins, {renewals} renewals");
    for kind in ["reads", "writes"] {
        let count = Count::of(&samples, kind, from, Instant::now());
        println!("  {kind}: {count}");
        assert_eq!(count.failures(), 0, "{kind}: {count}");
        assert!(count.total > 100, "{kind}: {count}");
    }
    let periods = u32::try_from(time.as_secs() / 20).unwrap();
    assert!(logins >= f64::from(periods) && logins < f64::from(4 * periods + 4), "{logins} logins");
    assert!(renewals >= f64::from(2 * periods), "{renewals} renewals");
    server.stop();
    assert!(accessors(&root).is_empty(), "a token outlives the server that obtained it");
}

#[test]
fn a_token_without_end_is_used_as_it_is() {
    let (vault, root) = start();
    let env =
        Env::new(&vault.address).token(&vault.root_token).set("E2EE_VAULT_HEALTH_PERIOD", "200ms");
    let mut server = Server::serve_with("", &env.pairs());
    server.tenant_with_policy("acme", "baseline");
    std::thread::sleep(Duration::from_secs(3));
    let token = token_of(&server);
    assert_eq!(token["ttl_seconds"], Value::Null, "{token}");
    assert_eq!((&token["expires_soon"], &token["renewable"]), (&json!(false), &json!(false)));
    let log = server.stderr();
    let noise = log.lines().filter(|line| line.contains("WARN") || line.contains("ERROR"));
    assert_eq!(noise.collect::<Vec<_>>(), Vec::<&str>::new());
    assert!(metric(&server, "keyward_vault_renewals_total") < 1.0);
    server
        .operator()
        .send("POST", "/api/v1/vault/token/renew", &[], b"")
        .problem(409, "vault_token_not_renewable");
    server.stop();
    // It was given, not obtained: it is not this server's to revoke.
    root.get("auth/token/lookup-self").ok();
}

#[test]
fn a_token_that_can_be_renewed_is() {
    let (vault, root) = start();
    let given = vault::token(&root, json!({ "ttl": "4s", "renewable": true }));
    let env = Env::new(&vault.address).token(&given);
    let server = Server::serve_with("", &env.pairs());
    let tenant = server.tenant_with_policy("acme", "baseline");
    std::thread::sleep(Duration::from_secs(7));
    tenant.key("late");
    assert!(metric(&server, "keyward_vault_renewals_total") >= 1.0);
    let answer = server.operator().send("POST", "/api/v1/vault/token/renew", &[], b"").expect(200);
    let info = answer.json()["token_info"].clone();
    assert!(info["ttl_seconds"].as_u64().is_some_and(|ttl| ttl > 1), "{info}");
    assert_eq!(info["renewable"], true);
}

#[test]
fn batch_tokens_are_never_renewed_and_replaced_in_time() {
    let (vault, root) = start();
    let body = json!({ "token_policies": "keyward", "token_ttl": "6s", "token_type": "batch" });
    let proxy = Proxy::start(&vault.address);
    let env = Env::new(&proxy.address)
        .approle(&root.approle("batch", &body))
        .set("KEYWARD_CACHE_TTL", "1s");
    let mut server = Server::serve_with("", &env.pairs());
    let tenant = server.tenant_with_policy("acme", "baseline");
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(14) {
        tenant.app.encrypt(&json!({ "key": "main", "plaintext": b64("steady") }));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(metric(&server, "keyward_vault_logins_total") >= 3.0);
    server.stop();
    let asked = |part: &str| proxy.seen().iter().filter(|it| it.target.contains(part)).count();
    assert_eq!(asked("renew-self"), 0, "a batch token was renewed");
    assert_eq!(asked("revoke-self"), 0, "a batch token cannot be revoked");
}

#[test]
fn a_token_file_is_read_again_when_it_changes() {
    let (vault, root) = start();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("token");
    let put = |token: &str| {
        let new = home.path().join("new");
        std::fs::write(&new, format!("{token}\n")).unwrap();
        std::fs::rename(&new, &path).unwrap();
    };
    let first = vault::token(&root, json!({ "ttl": "1h" }));
    put(&first);
    let env = Env::new(&vault.address)
        .file("E2EE_VAULT_TOKEN_FILE", &path)
        .set("E2EE_VAULT_HEALTH_PERIOD", "500ms");
    let server = Server::serve_with("", &env.pairs());
    let tenant = server.tenant_with_policy("acme", "baseline");
    assert_eq!(token_of(&server)["source"], "token-file");
    // As an agent does: the new one first, then the old one ends.
    let second = vault::token(&root, json!({ "ttl": "2h" }));
    put(&second);
    let used = |server: &Server| token_of(server)["ttl_seconds"].as_u64().unwrap_or(0);
    until("the new token is used", || used(&server) > 3600);
    root.post("auth/token/revoke", &json!({ "token": first })).ok();
    tenant.key("after");
    // And when the old one ends first.
    root.post("auth/token/revoke", &json!({ "token": second })).ok();
    let refused = tenant.admin.post("/keys", &json!({ "name": "refused" })).expect(503);
    assert!(!refused.header("retry-after").is_empty());
    until("not ready", || server.client().get("/readyz").status == 503);
    put(&vault::token(&root, json!({ "ttl": "3h" })));
    until("ready", || server.client().get("/readyz").status == 200);
    tenant.key("at-last");
}

#[test]
fn a_service_account_of_kubernetes_logs_in_and_again() {
    let (vault, root) = start();
    let cluster = Kubernetes::start();
    let role = json!({ "token_policies": "keyward", "token_ttl": "3s", "token_max_ttl": "5s" });
    cluster.enable(&root, "keyward", "keyward", role);
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("jwt");
    std::fs::write(&path, cluster.jwt("keyward")).unwrap();
    let env = Env::new(&vault.address)
        .set("E2EE_VAULT_K8S_ROLE", "keyward")
        .file("E2EE_VAULT_K8S_JWT_FILE", &path)
        .set("KEYWARD_CACHE_TTL", "1s");
    let mut server = Server::serve_with("", &env.pairs());
    let tenant = server.tenant_with_policy("acme", "baseline");
    assert_eq!(token_of(&server)["source"], "kubernetes");
    // Kubernetes replaces the file, and what it held before is worth nothing.
    cluster.expire_all();
    cluster.configure(&root, "kubernetes");
    std::fs::write(&path, cluster.jwt("keyward")).unwrap();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(9) {
        tenant.app.encrypt(&json!({ "key": "main", "plaintext": b64("steady") }));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(metric(&server, "keyward_vault_logins_total") >= 2.0);
    server.stop();
    assert!(accessors(&root).is_empty(), "a token outlives the server that obtained it");
}

#[test]
fn a_token_that_ends_soon_and_cannot_be_renewed_is_warned_of_once() {
    let (vault, root) = start();
    let home = Arc::new(tempfile::tempdir().unwrap());
    let ending = vault::token(&root, json!({ "ttl": "90s", "renewable": false }));
    for (warning, soon) in [("1h", true), ("1s", false)] {
        let env = Env::new(&vault.address)
            .token(&ending)
            .set("E2EE_VAULT_EXPIRY_WARNING", warning)
            .set("E2EE_VAULT_HEALTH_PERIOD", "200ms");
        let server = Server::serve_in(Arc::clone(&home), "", &env.pairs());
        std::thread::sleep(Duration::from_secs(2));
        assert_eq!(token_of(&server)["expires_soon"], soon, "{warning}");
        let log = server.stderr();
        let warned = log.lines().filter(|line| line.contains("WARN") && line.contains("token"));
        assert_eq!(warned.count(), usize::from(soon), "{warning}: {log}");
    }
}
