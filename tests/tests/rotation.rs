//! How much key versions are used, and rotations that nobody calls for. Periods are short; the
//! clock is the real one.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use keyward_test_vault::{Options, Vault};
use keyward_tests::vault::{self, Env};
use keyward_tests::{Answer, Client, Server, Tenant, b64, until};
use serde_json::{Value, json};

const OFTEN: [(&str, &str); 3] = [
    ("KEYWARD_USAGE_FLUSH", "100ms"),
    ("KEYWARD_ROTATION_CHECK", "100ms"),
    ("KEYWARD_ROTATION_MIN_EVERY", "1s"),
];

/// Neither flushes nor looks for keys that are due before the test is over.
const SELDOM: [(&str, &str); 3] = [
    ("KEYWARD_USAGE_FLUSH", "1h"),
    ("KEYWARD_ROTATION_CHECK", "1h"),
    ("KEYWARD_ROTATION_MIN_EVERY", "1s"),
];

/// In milliseconds.
const DAY: u64 = 86_400_000;

fn put(client: &Client, path: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json")];
    client.send("PUT", path, &headers, body.to_string().as_bytes())
}

fn key(client: &Client, name: &str) -> Value {
    client.get(&format!("/keys/{name}")).expect(200).json()
}

fn versions(client: &Client, name: &str) -> u64 {
    key(client, name)["versions"].as_array().unwrap().len() as u64
}

/// How much a version was used: messages and bytes sealed, messages opened.
#[track_caller]
fn usage(client: &Client, name: &str, version: usize) -> (u64, u64, u64) {
    let usage = client.get(&format!("/keys/{name}/usage")).expect(200).json();
    let of = &usage["versions"][version - 1];
    assert_eq!(of["version"], version, "{usage}");
    let count = |pointer: &str| of.pointer(pointer).unwrap().as_u64().unwrap();
    let (messages, opened) = (count("/sealed/messages"), count("/opened/messages"));
    // Times are there if and only if it was used.
    for (what, messages) in [("sealed", messages), ("opened", opened)] {
        for at in ["first_at", "last_at"] {
            assert_eq!(of[what][at].is_string(), messages > 0, "{usage}");
        }
        assert!(of[what]["first_at"].as_str() <= of[what]["last_at"].as_str(), "{usage}");
    }
    (messages, count("/sealed/bytes"), opened)
}

/// `count` messages of a byte each, in batches.
fn encrypt(client: &Client, name: &str, count: usize) {
    for batch in vec![(); count].chunks(1000) {
        let items: Vec<_> =
            batch.iter().map(|()| json!({ "key": name, "plaintext": b64("x") })).collect();
        client.post("/encrypt", &json!({ "items": items })).expect(200);
    }
}

#[track_caller]
fn figure(server: &Server, sample: &str) -> f64 {
    let text = server.client().get("/metrics").expect(200).text();
    let line = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|it| it.0 == sample));
    let line = line.unwrap_or_else(|| panic!("no {sample} in:\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn every_use_is_counted_and_outlives_the_server() {
    let mut server = Server::serve_with("", &SELDOM);
    let tenant = server.tenant_with_policy("acme", "fields");
    tenant.new_key(&json!({ "name": "tags", "algorithm": "hmac-sha-256" }));
    tenant.new_key(&json!({ "name": "signing", "algorithm": "ed25519" }));
    let Tenant { app, admin, .. } = &tenant;
    assert_eq!(usage(app, "main", 1), (0, 0, 0));

    let sealed = app.encrypt(&json!({ "key": "main", "plaintext": b64("four") }));
    app.post("/datakey", &json!({ "key": "main", "bits": 256, "count": 3 })).expect(200);
    app.post("/derive", &json!({ "key": "main", "info": "", "bytes": 16 })).expect(200);
    assert_eq!(usage(app, "main", 1), (5, 4 + 3 * 32 + 16, 0));
    let stream = vec![7; 200_000];
    let stream = app.send("POST", "/stream/encrypt?key=main", &[], &stream).expect(200).body;
    assert_eq!(usage(app, "main", 1), (6, 116 + 200_000, 0));
    app.send("POST", "/stream/decrypt", &[], &stream).expect(200);
    assert_eq!(app.decrypt(&json!({ "ciphertext": sealed })), b"four");
    assert_eq!(usage(app, "main", 1), (6, 200_116, 2));
    // What fails is no use.
    let mut broken = stream.clone();
    broken[100] ^= 1;
    assert_ne!(app.send("POST", "/stream/decrypt", &[], &broken).status, 200);
    app.post("/decrypt", &json!({ "ciphertext": sealed, "context": b64("other") })).expect(400);
    assert_eq!(usage(app, "main", 1), (6, 200_116, 2));
    // Moving to another version opens with the old one and seals with the new one.
    admin.post("/keys/main/rotate", &json!({})).expect(200);
    app.post("/rewrap", &json!({ "ciphertext": sealed })).expect(200);
    assert_eq!(usage(app, "main", 1), (6, 200_116, 3));
    assert_eq!(usage(app, "main", 2), (1, 4, 0));

    for (name, path, verify, field) in
        [("tags", "/mac", "/mac/verify", "mac"), ("signing", "/sign", "/verify", "signature")]
    {
        let made = app.post(path, &json!({ "key": name, "input": b64("abc") })).expect(200).json();
        admin.post(&format!("/keys/{name}/rotate"), &json!({})).expect(200);
        let claim = json!({ "key": name, "input": b64("abc"), field: made[field] });
        assert_eq!(app.post(verify, &claim).expect(200).json()["valid"], true);
        let claim = json!({ "key": name, "input": b64("abd"), field: made[field] });
        assert_eq!(app.post(verify, &claim).expect(200).json()["valid"], false);
        // Held against both, it was by the first.
        assert_eq!(usage(app, name, 1), (1, 3, 1));
        assert_eq!(usage(app, name, 2), (0, 0, 0));
    }
    assert!(figure(&server, "keyward_usage_unflushed_messages") > 0.0);

    // Stopped in order, it loses nothing, although it never flushed.
    let before = app.get("/keys/main/usage").expect(200).json();
    server.stop();
    server.start_again();
    let app = server.client().token(&tenant.app_token).below("/api/v1/tenants/acme");
    assert_eq!(app.get("/keys/main/usage").expect(200).json(), before);
    assert_eq!(usage(&app, "tags", 1), (1, 3, 1));
    assert!(figure(&server, "keyward_usage_unflushed_messages").abs() < f64::EPSILON);
    app.get("/keys/none/usage").problem(404, "key_not_found");

    // A new key of the name begins at zero.
    let admin = app.token(&tenant.admin_token);
    admin.post("/keys/main/destroy", &json!({ "confirm": "main" })).expect(200);
    app.get("/keys/main/usage").problem(404, "key_not_found");
    admin.post("/keys", &json!({ "name": "main" })).expect(201);
    let usage = app.get("/keys/main/usage").expect(200).json();
    assert_eq!(usage["versions"][0]["sealed"], json!({ "messages": 0, "bytes": 0 }));
}

#[test]
fn a_policy_of_the_tenant_counts_too() {
    let server = Server::dev_with(&SELDOM);
    let demo = server.demo();
    let before = usage(&demo, "fields", 1);
    let body = json!({ "customer": { "name": "Ada", "email": "ada@example.org" } });
    let headers = [("content-type", "application/json")];
    let sealed = demo.send("POST", "/invoke/protect", &headers, body.to_string().as_bytes());
    let sealed = sealed.expect(200).body;
    let between = usage(&demo, "fields", 1);
    assert!(between.0 > before.0 && between.1 > before.1, "{between:?}");
    demo.send("POST", "/invoke/reveal", &headers, &sealed).expect(200);
    assert!(usage(&demo, "fields", 1).2 > between.2);
}

#[test]
fn a_crash_loses_what_was_not_flushed_and_no_more() {
    let env = [OFTEN[0], SELDOM[1], SELDOM[2]];
    let mut server = Server::serve_with("", &env);
    let tenant = server.tenant_with_policy("acme", "fields");
    encrypt(&tenant.app, "main", 10);
    until("flush", || figure(&server, "keyward_usage_unflushed_messages") < 0.5);
    server.kill();
    server.start_again();
    let app = server.client().token(&tenant.app_token).below("/api/v1/tenants/acme");
    assert_eq!(usage(&app, "main", 1), (10, 10, 0));
}

#[test]
fn a_moment_missed_while_down_is_made_up_for_once() {
    let env = [SELDOM[0], SELDOM[1], OFTEN[2]];
    let mut server = Server::serve_with("", &env);
    let tenant = server.tenant_with_policy("acme", "fields");
    let new = json!({ "name": "scheduled", "rotation": { "every": "1s" } });
    let made = tenant.admin.post("/keys", &new).expect(201).json();
    assert_eq!(made["rotation"], json!({ "every": "1s" }));
    tenant.new_key(&json!({ "name": "off", "rotation": { "every": "1s" } }));
    tenant.admin.post("/keys/off/disable", &json!({})).expect(200);
    tenant.new_key(&json!({ "name": "gone", "rotation": { "every": "1s" } }));
    tenant.admin.send("DELETE", "/keys/gone", &[], b"").expect(200);
    server.stop();
    // Due three times over.
    std::thread::sleep(Duration::from_millis(3_200));
    server.start_again();
    let app = server.client().token(&tenant.app_token).below("/api/v1/tenants/acme");
    until("rotation", || versions(&app, "scheduled") > 1);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(versions(&app, "scheduled"), 2);
    let history = server
        .operator()
        .get("/api/v1/vault/keys/scheduled/history?tenant=acme")
        .expect(200)
        .json();
    assert_eq!(history["versions"][1]["created_by"], "keyward:rotation");
    assert_eq!(history["versions"][1]["description"], "rotated by schedule, every 1s");
    assert_eq!(history["rotation_policy"], "every=1s");
    for name in ["off", "main"] {
        assert_eq!(versions(&app, name), 1, "{name}");
    }
    let admin = app.token(&tenant.admin_token);
    admin.post("/keys/gone/restore", &json!({})).expect(200);
    assert_eq!(versions(&app, "gone"), 1);
    let log = server.stderr();
    let told = log.lines().filter(|line| line.contains("key rotated")).collect::<Vec<_>>();
    assert!(told.len() == 1 && told[0].contains("schedule"), "{told:?}");
    let rotations =
        |cause: &str| figure(&server, &format!("keyward_rotations_total{{cause=\"{cause}\"}}"));
    assert!((rotations("schedule") - 1.0).abs() < f64::EPSILON);
    assert!(rotations("messages").abs() < f64::EPSILON);
}

#[test]
fn a_version_that_is_used_up_gives_way_to_the_next() {
    let server = Server::serve_with("", &[OFTEN[0], SELDOM[1], SELDOM[2]]);
    let tenant = server.tenant_with_policy("acme", "fields");
    let Tenant { app, admin, .. } = &tenant;
    tenant.new_key(&json!({ "name": "counted", "rotation": { "max_messages": 1000 } }));
    let old = app.encrypt(&json!({ "key": "counted", "plaintext": b64("old") }));
    encrypt(app, "counted", 998);
    until("flush", || figure(&server, "keyward_usage_unflushed_messages") < 0.5);
    assert_eq!(versions(app, "counted"), 1);
    encrypt(app, "counted", 1);
    until("rotation", || versions(app, "counted") == 2);
    // The old version still opens, and it shows when it was last needed.
    assert_eq!(usage(app, "counted", 1), (1000, 1002, 0));
    assert_eq!(app.decrypt(&json!({ "ciphertext": old })), b"old");
    assert_eq!(usage(app, "counted", 1), (1000, 1002, 1));
    encrypt(app, "counted", 5);
    assert_eq!(usage(app, "counted", 2), (5, 5, 0));

    put(admin, "/keys/main/rotation", &json!({ "max_bytes": 1 << 20 })).expect(200);
    let big = json!({ "key": "main", "plaintext": b64("x".repeat(1 << 20)) });
    app.encrypt(&big);
    until("rotation", || versions(app, "main") == 2);
    // Without a policy nothing happens any more.
    let left = admin.send("DELETE", "/keys/main/rotation", &[], b"").expect(200).json();
    assert!(left.get("rotation").is_none());
    app.encrypt(&big);
    until("flush", || figure(&server, "keyward_usage_unflushed_messages") < 0.5);
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(versions(app, "main"), 2);
    let bytes = figure(&server, "keyward_rotations_total{cause=\"bytes\"}");
    assert!((bytes - 1.0).abs() < f64::EPSILON);
}

#[test]
fn bad_policies_are_refused_and_name_the_field() {
    let server = Server::serve("");
    let tenant = server.tenant_with_policy("acme", "fields");
    let Tenant { app, admin, .. } = &tenant;
    for (policy, field) in [
        (json!({}), ""),
        (json!({ "every": "0h" }), "/every"),
        (json!({ "every": "-1h" }), "/every"),
        (json!({ "every": "59m" }), "/every"),
        (json!({ "every": "3651d" }), "/every"),
        (json!({ "every": "monthly" }), "/every"),
        (json!({ "every": 30 }), "/every"),
        (json!({ "max_messages": 0 }), "/max_messages"),
        (json!({ "max_messages": 999 }), "/max_messages"),
        (json!({ "max_messages": -5000 }), "/max_messages"),
        (json!({ "max_messages": "5000" }), "/max_messages"),
        (json!({ "max_messages": 5000.5 }), "/max_messages"),
        (json!({ "every": "30d", "max_bytes": 1_048_575 }), "/max_bytes"),
        (json!({ "max_bytes": u64::MAX }), "/max_bytes"),
        (json!({ "max_messages": 5000, "often": true }), "/often"),
    ] {
        put(admin, "/keys/main/rotation", &policy).problem(400, "invalid_field").field(field);
        let new = json!({ "name": "new", "rotation": policy });
        let refused = admin.post("/keys", &new).problem(400, "invalid_field");
        refused.field(&format!("/rotation{field}"));
    }
    for policy in [json!([]), json!("30d"), json!(["30d", 5000, 5000])] {
        put(admin, "/keys/main/rotation", &policy).problem(400, "invalid_field").field("");
        let new = json!({ "name": "new", "rotation": policy });
        admin.post("/keys", &new).problem(400, "invalid_field").field("/rotation");
    }
    // More than the algorithm bears.
    let much = json!({ "max_messages": 1_u64 << 32 });
    put(admin, "/keys/main/rotation", &much).expect(200);
    let new = json!({ "name": "new", "algorithm": "aes-256-gcm", "rotation": much });
    admin.post("/keys", &new).problem(400, "invalid_field").field("/rotation/max_messages");
    tenant.new_key(&json!({ "name": "new", "algorithm": "aes-256-gcm" }));
    let refused = put(admin, "/keys/new/rotation", &much).problem(400, "invalid_field");
    refused.field("/max_messages");

    let policy = json!({ "every": "30d", "max_messages": 5000, "max_bytes": 1 << 30 });
    let set = put(admin, "/keys/main/rotation", &policy).expect(200).json();
    assert_eq!((&set["rotation"], &key(app, "main")["rotation"]), (&policy, &policy));
    put(app, "/keys/main/rotation", &policy).problem(403, "forbidden");
    app.send("DELETE", "/keys/main/rotation", &[], b"").problem(403, "forbidden");
    put(admin, "/keys/none/rotation", &policy).problem(404, "key_not_found");
    admin.send("DELETE", "/keys/main", &[], b"").expect(200);
    put(admin, "/keys/main/rotation", &policy).problem(409, "key_deleted");
    admin.send("POST", "/keys/main/rotation", &[], b"").problem(405, "method_not_allowed");
}

/// Two servers over one Vault find the same keys due at the same time.
#[test]
fn two_servers_count_together_and_rotate_once() {
    let vault = Vault::start(Options::default());
    let root = vault::prepare(&vault);
    let env = Env::new(&vault.address).approle(&vault::role(&root, "1h", "4h"));
    let mut often = env.pairs();
    often.extend(OFTEN);
    let first = Server::serve_with("", &often);
    let tenant = first.tenant_with_policy("acme", "fields");
    let second = Server::serve_with("", &often);
    let there = second.client().token(&tenant.app_token).below("/api/v1/tenants/acme");

    // Of one schedule, some fifteen keys: each once for each second.
    let names: Vec<String> = (0..15).map(|number| format!("key-{number}")).collect();
    for name in &names {
        tenant.new_key(&json!({ "name": name, "rotation": { "every": "2s" } }));
    }
    std::thread::sleep(Duration::from_secs(5));
    let operator = first.operator();
    for name in &names {
        let path = format!("/api/v1/vault/keys/{name}/history?tenant=acme");
        let history = operator.get(&path).expect(200).json();
        let versions = history["versions"].as_array().unwrap();
        assert!(versions.len() >= 2, "{name} was not rotated");
        let times: Vec<&str> =
            versions.iter().map(|it| it["created_at"].as_str().unwrap()).collect();
        for pair in times.windows(2) {
            let apart = (millis(pair[1]) + DAY - millis(pair[0])) % DAY;
            assert!(apart >= 2_000, "{name} was rotated twice for one moment: {times:?}");
        }
    }
    for name in &names {
        tenant.admin.send("DELETE", &format!("/keys/{name}/rotation"), &[], b"").expect(200);
    }

    // A budget that neither spends alone.
    tenant.new_key(&json!({ "name": "shared", "rotation": { "max_messages": 1000 } }));
    encrypt(&tenant.app, "shared", 700);
    encrypt(&there, "shared", 299);
    let flushed = |server: &Server| figure(server, "keyward_usage_unflushed_messages") < 0.5;
    until("flush", || flushed(&first) && flushed(&second));
    assert_eq!(versions(&tenant.app, "shared"), 1);
    encrypt(&there, "shared", 1);
    until("rotation", || versions(&tenant.app, "shared") == 2);
    until("rotation", || versions(&there, "shared") == 2);
    assert_eq!(usage(&tenant.app, "shared", 1), (1000, 1000, 0));
    let rotations = |server: &Server| figure(server, "keyward_rotations_total{cause=\"messages\"}");
    assert!((rotations(&first) + rotations(&second) - 1.0).abs() < f64::EPSILON);
}

/// Milliseconds since midnight of an RFC 3339 time.
fn millis(time: &str) -> u64 {
    let (_, time) = time.split_once('T').unwrap();
    let parts: Vec<u64> =
        time.trim_end_matches('Z').split([':', '.']).map(|part| part.parse().unwrap()).collect();
    ((parts[0] * 60 + parts[1]) * 60 + parts[2]) * 1000 + parts[3]
}
