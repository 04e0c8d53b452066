//! A start while Vault is away, sealed, or not as it should be: the server lives, says what it
//! waits for and what to run, and is ready once that is done, without a restart.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use keyward_test_vault::{Client as Root, Options, Vault};
use keyward_tests::vault::{self, Env, MOUNT};
use keyward_tests::{Answer, Launch, Server, b64};
use serde_json::json;

/// Longest a wait may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The server as it waits: alive, not ready for these reasons, refusing data with this code.
#[track_caller]
fn waits(server: &Server, code: &str, parts: &[&str]) {
    server.client().get("/livez").expect(200);
    let start = Instant::now();
    let ready = loop {
        let detail = server.client().get("/readyz").problem(503, "not_ready").str("/detail");
        if parts.iter().all(|part| detail.contains(part)) {
            break detail;
        }
        assert!(start.elapsed() < LIMIT, "{parts:?} are not all in {detail:?}");
        std::thread::sleep(Duration::from_millis(20));
    };
    assert!(ready.contains(code), "{code} is not in {ready:?}");
    let body = json!({ "key": "main", "plaintext": b64("x") });
    // Of the right form; whose it is cannot be known now.
    let client = server.client().token(&Server::serve("").operator_token);
    let answers: [Answer; 2] =
        [client.post("/api/v1/tenants/acme/encrypt", &body), client.get("/api/v1/tenants")];
    for answer in answers {
        assert!(!answer.header("retry-after").is_empty(), "{}", answer.text());
        answer.problem(503, code);
    }
    says_each_thing_once(server);
    let log = server.stderr();
    assert!(log.lines().any(|it| it.contains("not ready") && it.contains(code)), "{log}");
}

/// Whatever goes on, it is logged when it begins, not again and again.
#[track_caller]
fn says_each_thing_once(server: &Server) {
    let log = server.stderr();
    let mut said = BTreeSet::new();
    for line in log.lines().filter(|it| it.contains("WARN") && !it.contains("request_id")) {
        // Without the time.
        let text = line.split_once("WARN").map_or(line, |it| it.1);
        assert!(said.insert(text), "said twice: {text}\n{log}");
    }
}

#[track_caller]
fn becomes_ready(server: &mut Server) {
    let pid = server.stderr().lines().count();
    server.wait_until_ready();
    assert!(server.stderr().lines().count() >= pid, "it was restarted");
    let tenant = server.tenant_with_policy("acme", "baseline");
    let sealed = tenant.app.encrypt(&json!({ "key": "main", "plaintext": b64("x") }));
    assert_eq!(tenant.app.decrypt(&json!({ "ciphertext": sealed })), b"x");
}

/// The command a message asks for, between backticks.
fn commands(text: &str) -> Vec<String> {
    text.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn unreachable_then_sealed_then_ready() {
    let mut vault = Vault::start(Options { durable: true, ..Options::default() });
    let root = vault::prepare(&vault);
    let env = Env::new(&vault.address)
        .approle(&vault::role(&root, "1h", "4h"))
        .set("E2EE_VAULT_HEALTH_PERIOD", "1s");
    vault.stop();
    let mut server = Server::serve_unready("", &env.pairs());
    waits(&server, "vault_unreachable", &["cannot be reached"]);
    vault.start_again_sealed();
    waits(&server, "vault_sealed", &["sealed"]);
    vault.unseal();
    let start = Instant::now();
    becomes_ready(&mut server);
    println!("ready {:?} after it was unsealed", start.elapsed());
    server.stop();
}

/// No handler of the management API needs a Vault that has answered before. On a server of its own:
/// so many calls that fail suspend further ones.
#[test]
fn management_says_why_there_is_no_vault() {
    let env = Env::new("http://127.0.0.1:1").token("hvs.nothing");
    let server = Server::serve_unready("", &env.pairs());
    // Of the right form; whose it is cannot be known now.
    let client = server.client().token(&Server::serve("").operator_token);
    let code = "vault_unreachable";
    for (method, path) in [
        ("GET", "health"),
        ("GET", "metrics"),
        ("GET", "status"),
        ("POST", "cache/clear"),
        ("POST", "token/renew"),
        ("GET", "keys/main/versions"),
        ("POST", "keys/main/versions"),
        ("POST", "keys/main/rollback"),
        ("DELETE", "keys/main/versions/1"),
        ("GET", "keys/main/history"),
    ] {
        let answer = client.send(method, &format!("/api/v1/vault/{path}"), &[], b"");
        assert!(!answer.header("retry-after").is_empty(), "{}: {}", answer.asked, answer.text());
        answer.problem(503, code);
    }
}

/// A server without a Vault ends when it is told to.
#[test]
fn a_server_that_waits_stops_as_any_other() {
    let env = Env::new("http://127.0.0.1:1")
        .token("hvs.nothing")
        .set("E2EE_VAULT_HEALTH_PERIOD", "500ms");
    let mut server = Server::serve_unready("", &env.pairs());
    waits(&server, "vault_unreachable", &["127.0.0.1:1"]);
    std::thread::sleep(Duration::from_secs(3));
    says_each_thing_once(&server);
    server.stop();
}

#[test]
fn what_is_missing_is_named_with_the_command_that_makes_it() {
    let vault = Vault::start(Options::default());
    let root = vault.root();
    root.policy("keyward", r#"path "nothing/*" { capabilities = ["read"] }"#);
    let env = Env::new(&vault.address)
        .approle(&vault::role(&root, "1h", "4h"))
        .set("E2EE_VAULT_HEALTH_PERIOD", "500ms");
    let mut server = Server::serve_unready("", &env.pairs());
    let detail = |server: &Server| server.client().get("/readyz").expect(503).str("/detail");
    let until = |part: &str| {
        let start = Instant::now();
        while !detail(&server).contains(part) {
            assert!(start.elapsed() < LIMIT, "{part:?} is not in {:?}", detail(&server));
            std::thread::sleep(Duration::from_millis(50));
        }
        detail(&server)
    };

    // With a policy but no engine.
    root.policy("keyward", vault::POLICY);
    let missing = until("vault_mount_missing");
    assert!(missing.contains("vault secrets enable -version=2 -path=secret kv"), "{missing}");
    // An engine of the wrong version.
    root.post("sys/mounts/secret", &json!({ "type": "kv", "options": { "version": "1" } })).ok();
    let wrong = until("vault_mount_not_kv2");
    assert!(wrong.contains("vault kv enable-versioning secret"), "{wrong}");
    assert!(commands(&wrong).iter().any(|it| it.starts_with("vault ")), "{wrong}");
    // The right one, and a policy that lacks a capability.
    root.delete("sys/mounts/secret").ok();
    root.mount_kv2(MOUNT);
    for (capability, path) in [
        (r#"["create", "read", "update"]"#, "secret/data/e2ee"),
        (r#"["update"]"#, "secret/destroy/e2ee"),
    ] {
        root.policy("keyward", &vault::POLICY.replace(capability, r#"["deny"]"#));
        let denied = until(path);
        assert!(denied.contains("capabilit") || denied.contains("lacks"), "{denied}");
    }
    root.policy("keyward", vault::POLICY);
    becomes_ready(&mut server);
}

#[test]
fn a_login_that_is_refused_is_tried_again() {
    let vault = Vault::start(Options::default());
    let root = vault::prepare(&vault);
    let (role_id, secret_id) = vault::role(&root, "1h", "4h");
    root.delete("auth/approle/role/keyward").ok();
    let env = Env::new(&vault.address)
        .approle(&(role_id.clone(), secret_id))
        .set("E2EE_VAULT_HEALTH_PERIOD", "500ms");
    let mut server = Server::serve_unready("", &env.pairs());
    waits(&server, "vault_login_failed", &["approle"]);
    assert!(!server.stderr().contains(&env_secret(&env)), "{}", server.stderr());
    // Made again with the ids the server has.
    vault::role(&root, "1h", "4h");
    root.post("auth/approle/role/keyward/role-id", &json!({ "role_id": role_id })).ok();
    let secret = json!({ "secret_id": env_secret(&env) });
    root.post("auth/approle/role/keyward/custom-secret-id", &secret).ok();
    becomes_ready(&mut server);
}

fn env_secret(env: &Env) -> String {
    let pairs = env.pairs();
    pairs.iter().find(|(name, _)| *name == "E2EE_VAULT_SECRET_ID").unwrap().1.to_owned()
}

/// What can be known to be wrong without Vault stops the start, and is named.
#[test]
fn settings_that_cannot_work_stop_the_start() {
    let home = tempfile::tempdir().unwrap();
    let nothing = home.path().join("nothing.pem");
    let nothing = nothing.to_str().unwrap();
    let good = Env::new("http://127.0.0.1:1").token("hvs.nothing");
    for (env, parts) in [
        (good.clone().set("E2EE_VAULT_ADDR", "vault.example"), &["vault.addr"][..]),
        (good.clone().set("E2EE_VAULT_ADDR", "ftp://vault.example"), &["vault.addr"]),
        (good.clone().set("E2EE_VAULT_ADDR", "http://user:pw@vault.example"), &["vault.addr"]),
        (good.clone().set("E2EE_VAULT_TOKEN", "line\nbreak"), &["vault.token"]),
        (good.clone().set("E2EE_VAULT_CA_CERT", nothing), &["vault.ca_cert", nothing]),
        (good.clone().set("E2EE_VAULT_CLIENT_CERT", nothing), &["vault.client_cert"]),
        (good.clone().set("E2EE_VAULT_CLIENT_KEY", nothing), &["vault.client_key"]),
        (good.clone().set("E2EE_VAULT_TIMEOUT", "30"), &["vault.timeout"]),
        (good.clone().set("E2EE_VAULT_MAX_RETRIES", "many"), &["vault.max_retries"]),
        (good.clone().set("E2EE_VAULT_TLS_SKIP_VERIFY", "maybe"), &["vault.tls_skip_verify"]),
        (good.clone().set("E2EE_VAULT_SECRET_PATH", "secret"), &["vault.secret_path"]),
        (good.clone().set("E2EE_VAULT_NAMESPACE", "a b"), &["vault.namespace"]),
        (good.clone().set("KEYWARD_CACHE_OUTAGE", "sometimes"), &["cache.outage"]),
        (Env::new("http://127.0.0.1:1"), &["vault.addr", "vault.token", "vault.role_id"]),
        (
            Env::new("http://127.0.0.1:1").set("E2EE_VAULT_ROLE_ID", "role"),
            &["vault.role_id", "vault.secret_id"],
        ),
    ] {
        let data = home.path().join("data");
        let args = ["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
        let mut launch = Launch::new(home.path(), &args);
        for (name, value) in env.pairs() {
            launch = launch.env(name, value);
        }
        let ended = launch.run(LIMIT);
        assert_eq!(ended.status.code(), Some(2), "{env:?}: {ended:?}");
        assert!(
            !ended.stderr.contains("hvs.nothing") && !ended.stderr.contains("pw@"),
            "{ended:?}"
        );
        ended.refused(parts);
    }
}

/// `keyward dev` with its keys in Vault; started before Vault is there.
#[test]
fn dev_keeps_its_keys_in_vault_too() {
    let mut vault = Vault::start(Options { durable: true, ..Options::default() });
    let root: Root = vault::prepare(&vault);
    let env = Env::new(&vault.address)
        .approle(&vault::role(&root, "1h", "4h"))
        .set("E2EE_VAULT_HEALTH_PERIOD", "500ms");
    vault.stop();
    let mut server = Server::dev_unready(&env.pairs());
    server.client().get("/readyz").problem(503, "not_ready");
    vault.start_again();
    server.wait_until_ready();
    let sealed = server.demo().encrypt(&json!({ "key": "demo", "plaintext": b64("x") }));
    assert_eq!(server.demo().decrypt(&json!({ "ciphertext": sealed })), b"x");
    assert!(!vault::secrets(&root, MOUNT).is_empty(), "nothing is in Vault");
    assert!(!server.data().join("keyward.redb").exists(), "there is an embedded store");
    server.stop();
    server.start_again();
    assert_eq!(server.demo().decrypt(&json!({ "ciphertext": sealed })), b"x");
}
