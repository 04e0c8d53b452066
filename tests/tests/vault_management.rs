//! `/api/v1/vault/…`: who may, in which shape, and with which status it says no; with a Vault, and
//! with the embedded store.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use keyward_test_vault::{Options, Vault};
use keyward_tests::vault::{self, Env};
use keyward_tests::{Answer, Client, Server, Tenant, b64};
use serde_json::{Value, json};

/// A server with its keys in a Vault.
fn with_vault() -> (Vault, Server) {
    let vault = Vault::start(Options::default());
    let root = vault::prepare(&vault);
    let env = Env::new(&vault.address).approle(&vault::role(&root, "30m", "4h"));
    let server = Server::serve_with("", &env.pairs());
    (vault, server)
}

fn post(client: &Client, path: &str) -> Answer {
    client.send("POST", path, &[], b"")
}

fn delete(client: &Client, path: &str) -> Answer {
    client.send("DELETE", path, &[], b"")
}

/// Fails unless the members are these and no others.
#[track_caller]
fn members(object: &Value, names: &[&str]) {
    let mut got: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
    let mut names = names.to_vec();
    got.sort_unstable();
    names.sort_unstable();
    assert_eq!(got, names, "{object}");
}

/// Fails unless it is the present, in whole seconds.
#[track_caller]
fn now(timestamp: &Value) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    assert!(timestamp.as_u64().is_some_and(|at| at.abs_diff(now) < 60), "{timestamp}");
}

/// Fails unless it is a time of this year's, as RFC 3339 writes it.
#[track_caller]
fn recent(time: &Value) {
    let text = time.as_str().unwrap();
    assert!(text.len() >= 20 && text.ends_with('Z') && text.starts_with("20"), "{text}");
}

const VERSION: [&str; 6] =
    ["version", "created_at", "created_by", "description", "active", "key_hash"];

const HEALTH: [&str; 7] = [
    "status",
    "last_check",
    "total_requests",
    "success_rate",
    "avg_response_time",
    "token_ttl_seconds",
    "token_renewable",
];

/// Routes and methods, all of them an operator's.
const ROUTES: [(&str, &str); 10] = [
    ("GET", "/health"),
    ("GET", "/metrics"),
    ("GET", "/status"),
    ("POST", "/cache/clear"),
    ("POST", "/token/renew"),
    ("POST", "/keys/main/versions"),
    ("GET", "/keys/main/versions"),
    ("POST", "/keys/main/rollback"),
    ("DELETE", "/keys/main/versions/1"),
    ("GET", "/keys/main/history"),
];

fn only_operators(server: &Server, tenant: &Tenant) {
    for (method, path) in ROUTES {
        let path = format!("/api/v1/vault{path}");
        let send = |client: &Client| client.at_root().send(method, &path, &[], b"");
        send(&server.client()).problem(401, "unauthenticated");
        send(&server.client().token("kw_nonsense")).problem(401, "unauthenticated");
        send(&tenant.app).problem(403, "forbidden");
        send(&tenant.admin).problem(403, "forbidden");
    }
}

/// The life of a key's versions.
fn versions(server: &Server, tenant: &Tenant) {
    let manage = server.operator().below("/api/v1/vault/keys");
    let at = |path: &str| format!("{path}?tenant={}", tenant.name);
    let create = |key: &str, body: &Value| manage.post(&at(&format!("/{key}/versions")), body);
    let sealed = json!({ "ciphertext": tenant.app.encrypt(&json!({ "key": "main", "plaintext": b64("one") })) });

    let answer =
        create("main", &json!({ "description": "quarterly", "created_by": "mallory" })).expect(201);
    assert!(answer.header("location").contains("/api/v1/vault/keys/main/versions/2"));
    let made = answer.json();
    members(&made, &["message", "tenant", "key_id", "version", "timestamp"]);
    members(&made["version"], &VERSION);
    let version = &made["version"];
    assert_eq!((&version["version"], &version["active"]), (&json!(2), &json!(true)));
    assert_eq!(version["description"], "quarterly");
    assert_eq!(version["created_by"], "operator", "who it was is not the body's to say");
    let hash = version["key_hash"].as_str().unwrap();
    assert!(hash.starts_with("sha256:") && hash.len() == 7 + 64, "{hash}");
    recent(&version["created_at"]);
    now(&made["timestamp"]);
    // No body is a body without a description.
    post(&manage, &at("/main/versions")).expect(201);
    assert_eq!(
        tenant.app.post("/encrypt", &json!({ "key": "main", "plaintext": "" })).expect(200).json()
            ["key_version"],
        3,
        "the version in use is the one that was created"
    );

    let list = manage.get(&at("/main/versions")).expect(200).json();
    members(&list, &["tenant", "key_id", "versions", "total", "timestamp"]);
    assert_eq!(list["total"], 3);
    let active: Vec<_> = list["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["active"].as_bool().unwrap())
        .collect();
    assert_eq!(active, [false, false, true]);

    let rollback = |target: &Value| {
        manage.post(
            &at("/main/rollback"),
            &json!({ "target_version": target, "rollback_by": "mallory" }),
        )
    };
    let back = rollback(&json!(1)).expect(200).json();
    members(&back, &["message", "tenant", "key_id", "target_version", "rollback_by", "timestamp"]);
    assert_eq!((&back["target_version"], &back["rollback_by"]), (&json!(1), &json!("operator")));
    rollback(&json!(9)).problem(404, "key_version_not_found");
    rollback(&json!(0)).problem(400, "invalid_field").field("/target_version");
    for wrong in [json!(-1), json!("1"), Value::Null, json!(1.5)] {
        assert_eq!(rollback(&wrong).status, 400, "{wrong}");
    }

    delete(&manage, &at("/main/versions/1")).problem(409, "key_version_is_current");
    let forged = json!({ "deleted_by": "mallory" }).to_string();
    let json = [("content-type", "application/json")];
    let gone = manage.send("DELETE", &at("/main/versions/2"), &json, forged.as_bytes());
    let gone = gone.expect(200).json();
    members(
        &gone,
        &["message", "tenant", "key_id", "version", "deleted_by", "timestamp", "receipt"],
    );
    assert_eq!((&gone["version"], &gone["deleted_by"]), (&json!(2), &json!("operator")));
    delete(&manage, &at("/main/versions/2")).problem(409, "key_version_destroyed");
    rollback(&json!(2)).problem(409, "key_version_destroyed");
    delete(&manage, &at("/main/versions/7")).problem(404, "key_version_not_found");
    for wrong in ["0", "-1", "one", "99999999999"] {
        let answer = delete(&manage, &at(&format!("/main/versions/{wrong}")));
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
    }
    // A number that was used once is never used again.
    assert_eq!(post(&manage, &at("/main/versions")).expect(201).json()["version"]["version"], 4);

    let history = manage.get(&at("/main/history")).expect(200).json();
    let names = [
        "tenant",
        "key_id",
        "current_version",
        "total_versions",
        "last_rotation",
        "rotation_policy",
        "enabled",
        "versions",
        "timestamp",
    ];
    members(&history, &names);
    assert_eq!((&history["current_version"], &history["total_versions"]), (&json!(4), &json!(4)));
    assert_eq!(history["key_id"], "main");
    recent(&history["last_rotation"]);
    let destroyed = &history["versions"][1];
    assert_eq!(destroyed["destroyed_by"], "operator");
    recent(&destroyed["destroyed_at"]);
    assert_eq!(tenant.app.decrypt(&sealed), b"one");

    for (method, path) in [
        ("GET", "/none/versions"),
        ("POST", "/none/versions"),
        ("GET", "/none/history"),
        ("DELETE", "/none/versions/1"),
    ] {
        manage.send(method, &at(path), &[], b"").problem(404, "key_not_found");
    }
    manage
        .post(&at("/none/rollback"), &json!({ "target_version": 1 }))
        .problem(404, "key_not_found");
}

/// The tenant comes from the query, a header, or the setting; never from a body.
fn naming_the_tenant(server: &Server) {
    let manage = server.operator().below("/api/v1/vault/keys");
    let with =
        |path: &str, header: &str| manage.send("GET", path, &[("x-keyward-tenant", header)], b"");
    assert_eq!(with("/main/history", "acme").expect(200).json()["tenant"], "acme");
    with("/main/history?tenant=acme", "acme").expect(200);
    assert_eq!(with("/main/history?tenant=acme", "other").status, 400);
    manage.get("/main/history?tenant=nobody").problem(404, "tenant_not_found");
    manage.get("/main/history").problem(404, "tenant_not_found");
    assert_eq!(manage.get("/main/history?tenant=acme&tenant=acme").status, 400);
    assert_eq!(manage.get("/main/history?user_id=1").status, 400);
    let default = server.tenant_with_policy("default", "baseline");
    assert_eq!(manage.get("/main/history").expect(200).json()["tenant"], default.name.as_str());
}

#[track_caller]
fn health(server: &Server) -> Value {
    let answer = server.operator().get("/api/v1/vault/health").expect(200).json();
    members(&answer, &["vault_health", "timestamp"]);
    now(&answer["timestamp"]);
    let health = answer["vault_health"].clone();
    members(&health, &HEALTH);
    assert_eq!(health["status"], "healthy");
    recent(&health["last_check"]);
    health
}

#[track_caller]
fn metrics(server: &Server) -> (Value, Value) {
    let answer = server.operator().get("/api/v1/vault/metrics").expect(200).json();
    members(&answer, &["vault_metrics", "cache_metrics", "timestamp"]);
    let (metrics, cache) = (answer["vault_metrics"].clone(), answer["cache_metrics"].clone());
    members(&metrics, &["connection", "requests", "token", "errors"]);
    members(&metrics["connection"], &["status", "last_health_check", "health_check_duration"]);
    members(&metrics["requests"], &["total", "successful", "failed", "average_response_time"]);
    members(&metrics["errors"], &[]);
    for name in [
        "total_entries",
        "total_accesses",
        "ttl",
        "oldest_access",
        "newest_access",
        "hits",
        "misses",
        "hit_rate",
        "loads",
        "load_failures",
        "evictions",
        "stale_serves",
        "tenants",
    ] {
        assert!(cache.get(name).is_some(), "{name} is not in {cache}");
    }
    (metrics, cache)
}

#[track_caller]
fn status(server: &Server, integration: &str) -> Value {
    let status = server.operator().get("/api/v1/vault/status").expect(200).json();
    members(
        &status,
        &["integration", "version", "features", "health", "cache", "monitoring", "timestamp"],
    );
    assert_eq!(status["integration"], integration);
    members(&status["health"], &HEALTH);
    members(&status["cache"], &["enabled", "ttl", "stats"]);
    assert_eq!(
        status["monitoring"],
        json!({ "enabled": true, "connection_status": "healthy", "is_healthy": true })
    );
    status
}

/// Counts what a cleared cache held, and what fills it again.
fn clearing(server: &Server, tenant: &Tenant) {
    let encrypt = || tenant.app.encrypt(&json!({ "key": "main", "plaintext": "" }));
    encrypt();
    let before = metrics(server).1;
    let cleared = post(&server.operator(), "/api/v1/vault/cache/clear").expect(200).json();
    members(&cleared, &["message", "cleared_stats", "timestamp"]);
    assert_eq!(cleared["cleared_stats"]["total_entries"], before["total_entries"]);
    assert!(before["total_entries"].as_u64().unwrap() >= 1, "{before}");
    let emptied = metrics(server).1;
    assert_eq!(emptied["total_entries"], 0);
    assert_eq!(
        (&emptied["oldest_access"], &emptied["newest_access"]),
        (&Value::Null, &Value::Null)
    );
    logs_what_it_held(server, &before);
    encrypt();
    let missed = metrics(server).1;
    for _ in 0..10 {
        encrypt();
    }
    let after = metrics(server).1;
    let grew = |name: &str| after[name].as_u64().unwrap() - missed[name].as_u64().unwrap();
    assert!(missed["misses"].as_u64() > before["misses"].as_u64(), "{missed}");
    assert_eq!((grew("misses"), grew("loads")), (0, 0), "{after}");
    assert!(grew("hits") >= 10, "{after}");
    assert!(grew("total_accesses") >= 10, "{after}");
    let acme = after["tenants"].as_array().unwrap().iter().find(|it| it["tenant"] == "acme");
    assert!(acme.unwrap()["accesses"].as_u64().unwrap() >= 10, "{after}");
}

/// The line about the clearing tells what was there before, not what is left.
#[track_caller]
fn logs_what_it_held(server: &Server, before: &Value) {
    let held = format!("entries={}", before["total_entries"]);
    let start = Instant::now();
    let line = loop {
        let log = server.stderr();
        if let Some(line) = log.lines().rfind(|line| line.contains("cache cleared")) {
            break line.to_owned();
        }
        assert!(start.elapsed() < Duration::from_secs(5), "it is not logged: {log}");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(line.split_whitespace().any(|word| word == held), "{held} is not in {line}");
}

#[test]
fn with_a_vault() {
    let (vault, server) = with_vault();
    let tenant = server.tenant_with_policy("acme", "baseline");
    only_operators(&server, &tenant);
    naming_the_tenant(&server);
    versions(&server, &tenant);

    let seen = health(&server);
    assert!(
        seen["token_ttl_seconds"].as_u64().is_some_and(|ttl| ttl > 1700 && ttl <= 1800),
        "{seen}"
    );
    assert_eq!(seen["token_renewable"], true);
    assert!(seen["total_requests"].as_u64().unwrap() > 10, "{seen}");
    assert!(seen["success_rate"].as_str().unwrap().ends_with('%'), "{seen}");
    assert!(seen["avg_response_time"].as_str().unwrap().ends_with("ms"), "{seen}");
    let (figures, _) = metrics(&server);
    let requests = &figures["requests"];
    let number = |name: &str| requests[name].as_u64().unwrap();
    assert_eq!(number("total"), number("successful") + number("failed"), "{requests}");
    // Looking is not using: neither health checks nor figures count as requests.
    for _ in 0..5 {
        health(&server);
    }
    assert_eq!(metrics(&server).0["requests"]["total"], requests["total"]);
    let status = status(&server, "hashicorp_vault");
    assert!(status["features"].as_array().unwrap().contains(&json!("token_renewal")));
    clearing(&server, &tenant);

    let renewed = post(&server.operator(), "/api/v1/vault/token/renew").expect(200).json();
    members(&renewed, &["message", "token_info", "timestamp"]);
    assert_eq!(renewed["token_info"]["renewable"], true);

    // What fails fails in the same shape, and says when.
    vault.seal();
    std::thread::sleep(Duration::from_millis(1_200));
    let answer = server.operator().get("/api/v1/vault/health").expect(503).json();
    assert_eq!(answer["vault_health"]["status"], "sealed");
    recent(&answer["vault_health"]["last_error_time"]);
    assert!(answer["vault_health"]["last_error"].as_str().unwrap().contains("sealed"), "{answer}");
    post(&server.operator(), "/api/v1/vault/token/renew").problem(503, "vault_sealed");
    let told = server.operator().get("/api/v1/vault/metrics").expect(200).json();
    assert_eq!(told["vault_metrics"]["connection"]["status"], "sealed");
    let told = server.operator().get("/api/v1/vault/status").expect(200).json();
    let monitoring = &told["monitoring"];
    assert_eq!(
        (&monitoring["connection_status"], &monitoring["is_healthy"]),
        (&json!("sealed"), &json!(false))
    );
    let path = "/api/v1/vault/keys/main/history?tenant=acme";
    let refused = server.operator().get(path).expect(503);
    assert!(!refused.header("retry-after").is_empty());
    post(&server.operator(), "/api/v1/vault/cache/clear").expect(200);
}

#[test]
fn with_the_embedded_store() {
    let server = Server::serve("");
    let tenant = server.tenant_with_policy("acme", "baseline");
    only_operators(&server, &tenant);
    naming_the_tenant(&server);
    versions(&server, &tenant);
    let seen = health(&server);
    assert_eq!(
        (&seen["token_ttl_seconds"], &seen["token_renewable"]),
        (&Value::Null, &json!(false))
    );
    assert_eq!((&seen["total_requests"], &seen["success_rate"]), (&json!(0), &Value::Null));
    metrics(&server);
    let status = status(&server, "embedded");
    assert!(!status["features"].as_array().unwrap().contains(&json!("token_renewal")));
    clearing(&server, &tenant);
    post(&server.operator(), "/api/v1/vault/token/renew").problem(409, "vault_not_used");
}

/// The erasure is Vault's: no revision of the material is left, and the tombstone is.
#[test]
fn a_destroyed_version_is_gone_from_vault() {
    let (vault, server) = with_vault();
    let tenant = server.tenant_with_policy("acme", "baseline");
    let manage = server.operator().below("/api/v1/vault/keys/main");
    let body = json!({ "key": "main", "plaintext": b64("x") });
    let sealed = json!({ "ciphertext": tenant.app.encrypt(&body) });
    post(&manage, "/versions?tenant=acme").expect(201);
    let secrets = || vault::secrets(&vault.root(), vault::MOUNT);
    let before = secrets();
    delete(&manage, "/versions/1?tenant=acme").expect(200);
    let after = secrets();
    let gone: Vec<_> = before
        .iter()
        .filter(|(path, _)| after.iter().all(|(left, _)| left != path))
        .map(|(path, _)| path.clone())
        .collect();
    let [path] = gone.as_slice() else { panic!("not one secret gone: {gone:?}") };
    let metadata = vault.root().get(&format!("{}/metadata/{path}", vault::MOUNT));
    if metadata.status == 200 {
        let versions = metadata.ok()["data"]["versions"].clone();
        let destroyed = versions.as_object().unwrap().values().all(|it| it["destroyed"] == true);
        assert!(destroyed, "{path}: {versions}");
    }
    tenant.app.post("/decrypt", &sealed).problem(409, "key_version_destroyed");
    post(&server.operator(), "/api/v1/vault/cache/clear").expect(200);
    tenant.app.post("/decrypt", &sealed).problem(409, "key_version_destroyed");
}
