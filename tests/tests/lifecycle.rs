//! A key's way from its creation to its destruction, over HTTP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use keyward_tests::{Server, Tenant, UNIFORM, b64};
use serde_json::json;

static SERVER: LazyLock<Server> = LazyLock::new(Server::dev);

fn tenant(name: &str) -> Tenant {
    SERVER.tenant_with_policy(name, "fields")
}

fn names(tenant: &Tenant, path: &str) -> Vec<String> {
    let listed = tenant.admin.get(path).expect(200).json();
    let keys = listed["keys"].as_array().unwrap();
    keys.iter().map(|key| key["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_deleted_key_does_nothing_until_it_is_restored() {
    let tenant = tenant("delete");
    let sealed = tenant.app.encrypt(&json!({ "key": "main", "plaintext": b64("x") }));
    let delete = |path: &str| tenant.admin.send("DELETE", path, &[], b"");
    let gone = delete("/keys/main").expect(200).json();
    assert_eq!((&gone["state"], &gone["deleted"]["by"]), (&json!("deleted"), &json!("admin")));
    assert!(gone["deleted"]["purge_at"].as_str() > gone["deleted"]["at"].as_str());
    delete("/keys/main").problem(409, "key_deleted");
    for (path, body) in [
        ("/encrypt", json!({ "key": "main", "plaintext": "" })),
        ("/decrypt", json!({ "ciphertext": sealed })),
        ("/rewrap", json!({ "ciphertext": sealed })),
        ("/datakey", json!({ "key": "main" })),
        ("/derive", json!({ "key": "main", "info": "" })),
    ] {
        tenant.app.post(path, &body).problem(409, "key_deleted");
    }
    tenant.app.send("POST", "/stream/encrypt?key=main", &[], b"").problem(409, "key_deleted");
    tenant.admin.post("/keys/main/rotate", &json!({})).problem(409, "key_deleted");
    tenant.admin.post("/keys", &json!({ "name": "main" })).problem(409, "key_exists");
    assert!(names(&tenant, "/keys").is_empty());
    assert_eq!(names(&tenant, "/keys?state=deleted"), ["main"]);
    let back = tenant.admin.post("/keys/main/restore", &json!({})).expect(200).json();
    assert_eq!((&back["state"], back.get("deleted")), (&json!("enabled"), None));
    assert_eq!(tenant.app.decrypt(&json!({ "ciphertext": sealed })), b"x");
    tenant.admin.post("/keys/main/restore", &json!({})).problem(409, "key_not_deleted");
    assert_eq!(names(&tenant, "/keys"), ["main"]);
}

/// "Not valid" would be an answer, and a wrong one.
#[test]
fn nothing_is_verified_with_a_key_that_cannot_be_used() {
    let tenant = tenant("verify-states");
    tenant.new_key(&json!({ "name": "signing", "algorithm": "ed25519" }));
    tenant.new_key(&json!({ "name": "tags", "algorithm": "hmac-sha-256" }));
    let signed = json!({ "key": "signing", "input": "", "signature": "" });
    let tagged = json!({ "key": "tags", "input": "", "mac": "" });
    for (name, path, body) in [("signing", "/verify", signed), ("tags", "/mac/verify", tagged)] {
        let verify = || tenant.app.post(path, &body);
        verify().expect(200);
        tenant.admin.post(&format!("/keys/{name}/disable"), &json!({})).expect(200);
        verify().problem(403, "key_disabled");
        tenant.admin.post(&format!("/keys/{name}/enable"), &json!({})).expect(200);
        tenant.admin.send("DELETE", &format!("/keys/{name}"), &[], b"").expect(200);
        verify().problem(409, "key_deleted");
        tenant.admin.post(&format!("/keys/{name}/restore"), &json!({})).expect(200);
        verify().expect(200);
    }
}

#[test]
fn after_its_window_a_key_cannot_be_restored() {
    let tenant = tenant("window");
    tenant.admin.send("DELETE", "/keys/main?window_seconds=0", &[], b"").expect(200);
    let late = tenant.admin.post("/keys/main/restore", &json!({}));
    late.problem(409, "key_restore_window_over");
    for query in ["window_seconds=-1", "window_seconds=31536001", "window=1", "window_seconds=1h"] {
        let refused = tenant.admin.send("DELETE", &format!("/keys/main?{query}"), &[], b"");
        refused.problem(400, "invalid_request");
    }
    tenant.admin.get("/keys?state=none").problem(400, "invalid_request");
}

#[test]
fn a_destroyed_key_is_gone_and_its_receipt_says_what_was() {
    let tenant = tenant("destroy");
    let sealed = tenant.app.encrypt(&json!({ "key": "main", "plaintext": b64("x") }));
    tenant.admin.post("/keys/main/rotate", &json!({})).expect(200);
    let id = tenant.admin.get("/keys/main").expect(200).json()["id"].clone();
    for confirm in [json!({}), json!({ "confirm": "Main" }), json!({ "confirm": true })] {
        let refused = tenant.admin.post("/keys/main/destroy", &confirm);
        refused.problem(400, "invalid_field").field("/confirm");
    }
    let confirm = json!({ "confirm": "main" });
    tenant.app.post("/keys/main/destroy", &confirm).problem(403, "forbidden");
    let receipt = tenant.admin.post("/keys/main/destroy", &confirm).expect(200).json();
    assert_eq!((&receipt["id"], &receipt["destroyed_by"]), (&id, &json!("admin")));
    let versions = receipt["versions"].as_array().unwrap();
    assert_eq!([&versions[0]["version"], &versions[1]["version"]], [&json!(1), &json!(2)]);
    assert!(versions.iter().all(|it| it["fingerprint"].as_str().unwrap().starts_with("sha256:")));
    tenant.admin.post("/keys/main/destroy", &confirm).problem(404, "key_not_found");
    tenant.app.post("/decrypt", &json!({ "ciphertext": sealed })).problem(400, UNIFORM);
    // The name is free, and nothing of the old key comes back with it.
    tenant.key("main");
    assert_ne!(tenant.admin.get("/keys/main").expect(200).json()["id"], id);
    tenant.app.post("/decrypt", &json!({ "ciphertext": sealed })).problem(400, UNIFORM);
    let again = tenant.app.encrypt(&json!({ "key": "main", "plaintext": b64("y") }));
    assert_eq!(tenant.app.decrypt(&json!({ "ciphertext": again })), b"y");
}

#[test]
fn a_key_whose_window_is_over_is_purged_at_the_next_start_at_the_latest() {
    let mut server = Server::dev();
    let tenant = server.tenant_with_policy("purge", "fields");
    tenant.key("kept");
    let sealed = tenant.app.encrypt(&json!({ "key": "main", "plaintext": b64("x") }));
    tenant.admin.send("DELETE", "/keys/main?window_seconds=0", &[], b"").expect(200);
    tenant.admin.send("DELETE", "/keys/kept?window_seconds=3600", &[], b"").expect(200);
    server.stop();
    server.start_again();
    let admin = server.client().token(&tenant.admin_token).below("/api/v1/tenants/purge");
    let app = admin.token(&tenant.app_token);
    let start = Instant::now();
    let deleted = || {
        let keys = admin.get("/keys?state=deleted").expect(200).json()["keys"].clone();
        keys.as_array().unwrap().iter().map(|key| key["name"].clone()).collect::<Vec<_>>()
    };
    while deleted() != ["kept"] {
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", deleted());
        std::thread::sleep(Duration::from_millis(50));
    }
    app.post("/decrypt", &json!({ "ciphertext": sealed })).problem(400, UNIFORM);
    admin.post("/keys", &json!({ "name": "main" })).expect(201);
    admin.post("/keys/kept/restore", &json!({})).expect(200);
}
