//! Bounds of a key's versions, trimming, history, labels and lists, over HTTP.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;

use keyward_tests::{Answer, Client, Server, Tenant, b64};
use serde_json::{Value, json};

static SERVER: LazyLock<Server> = LazyLock::new(Server::dev);

const BELOW_DECRYPT: &str = "key_version_below_min_decrypt";
const BELOW_ENCRYPT: &str = "key_version_below_min_encrypt";

fn tenant(name: &str) -> Tenant {
    SERVER.tenant_with_policy(name, "fields")
}

#[track_caller]
fn patch(client: &Client, key: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/merge-patch+json")];
    client.send("PATCH", &format!("/keys/{key}"), &headers, body.to_string().as_bytes())
}

#[track_caller]
fn rotate(tenant: &Tenant, key: &str, times: usize) {
    for _ in 0..times {
        tenant.admin.post(&format!("/keys/{key}/rotate"), &json!({})).expect(200);
    }
}

/// What an operator does to a key of the tenant below `/api/v1/vault`.
#[track_caller]
fn vault(tenant: &Tenant, method: &str, path: &str, body: &Value) -> Answer {
    let path = format!("/api/v1/vault/keys/main/{path}?tenant={}", tenant.name);
    let headers = [("content-type", "application/json")];
    tenant.operator.at_root().send(method, &path, &headers, body.to_string().as_bytes())
}

#[test]
fn below_its_bound_a_version_opens_nothing_in_any_way() {
    let tenant = tenant("min-decrypt");
    let app = &tenant.app;
    tenant.new_key(&json!({ "name": "signing", "algorithm": "ed25519" }));
    tenant.new_key(&json!({ "name": "tags", "algorithm": "hmac-sha-256" }));
    let sealed = app.encrypt(&json!({ "key": "main", "plaintext": b64("x") }));
    let wrapped = app.post("/datakey", &json!({ "key": "main" })).expect(200).str("/ciphertext");
    let stream = app.send("POST", "/stream/encrypt?key=main", &[], b"x").expect(200).body;
    let signature = app.post("/sign", &json!({ "key": "signing", "input": "" })).str("/signature");
    let mac = app.post("/mac", &json!({ "key": "tags", "input": "" })).str("/mac");
    for key in ["main", "signing", "tags"] {
        rotate(&tenant, key, 1);
        let shown = patch(&tenant.admin, key, &json!({ "min_decrypt_version": 2 })).expect(200);
        let shown = shown.json();
        assert_eq!(shown["min_decrypt_version"], 2);
        assert_eq!(shown["min_encrypt_version"], 2, "it follows");
    }
    for (path, ciphertext) in [("/decrypt", &sealed), ("/rewrap", &sealed), ("/decrypt", &wrapped)]
    {
        let item = json!({ "ciphertext": ciphertext });
        app.post(path, &item).problem(409, BELOW_DECRYPT).detail("min_decrypt_version");
        let batch = app.post(path, &json!({ "items": [item] })).expect(200).json();
        assert_eq!(batch["items"][0]["error"]["code"], BELOW_DECRYPT);
        let lines = [("content-type", "application/x-ndjson")];
        let lines = app.send("POST", path, &lines, item.to_string().as_bytes()).expect(200).json();
        assert_eq!(lines["error"]["code"], BELOW_DECRYPT);
    }
    app.send("POST", "/stream/decrypt", &[], &stream).problem(409, BELOW_DECRYPT);
    let signed = json!({ "key": "signing", "input": "", "signature": signature });
    let tagged = json!({ "key": "tags", "input": "", "mac": mac });
    for (path, mut claim) in [("/verify", signed), ("/mac/verify", tagged)] {
        // No version in use says that it is its.
        let valid = app.post(path, &claim).expect(200).json();
        assert_eq!(valid, json!({ "valid": false }));
        claim["key_version"] = json!(1);
        app.post(path, &claim).problem(409, BELOW_DECRYPT).field("/key_version");
    }
    // Lowered, all is as before.
    for key in ["main", "signing", "tags"] {
        patch(&tenant.admin, key, &json!({ "min_decrypt_version": null })).expect(200);
    }
    assert_eq!(app.decrypt(&json!({ "ciphertext": sealed })), b"x");
    assert_eq!(app.send("POST", "/stream/decrypt", &[], &stream).expect(200).body, b"x");
    let claim = json!({ "key": "tags", "input": "", "mac": mac, "key_version": 1 });
    assert_eq!(app.post("/mac/verify", &claim).expect(200).json()["valid"], true);
}

#[test]
fn a_key_is_not_rolled_back_below_what_encrypts() {
    let tenant = tenant("min-encrypt");
    rotate(&tenant, "main", 2);
    let shown = patch(&tenant.admin, "main", &json!({ "min_encrypt_version": 2 })).expect(200);
    assert_eq!(shown.json()["min_decrypt_version"], 1);
    let refused = vault(&tenant, "POST", "rollback", &json!({ "target_version": 1 }));
    refused.problem(409, BELOW_ENCRYPT).detail("min_encrypt_version, which is 2");
    let why = json!({ "target_version": 2, "reason": "version 3 leaked" });
    vault(&tenant, "POST", "rollback", &why).expect(200);
    let sealed = tenant.app.post("/encrypt", &json!({ "key": "main", "plaintext": "" }));
    assert_eq!(sealed.expect(200).json()["key_version"], 2);
    // The current version is 2 again: no bound may be above it.
    let above = patch(&tenant.admin, "main", &json!({ "min_encrypt_version": 3 }));
    above.problem(400, "invalid_field").field("/min_encrypt_version").detail("1 to 2");
}

#[test]
fn bounds_that_make_no_sense_name_their_field_and_change_nothing() {
    let tenant = tenant("bounds");
    rotate(&tenant, "main", 2);
    patch(&tenant.admin, "main", &json!({ "min_encrypt_version": 2 })).expect(200);
    let before = tenant.admin.get("/keys/main").expect(200).json();
    for (body, field) in [
        (json!({ "min_decrypt_version": 0 }), "/min_decrypt_version"),
        (json!({ "min_decrypt_version": -1 }), "/min_decrypt_version"),
        (json!({ "min_decrypt_version": 1.5 }), "/min_decrypt_version"),
        (json!({ "min_decrypt_version": "1" }), "/min_decrypt_version"),
        (json!({ "min_decrypt_version": 4 }), "/min_decrypt_version"),
        (json!({ "min_decrypt_version": 4_294_967_296_u64 }), "/min_decrypt_version"),
        (json!({ "min_decrypt_version": 3 }), "/min_decrypt_version"),
        (json!({ "min_encrypt_version": 0 }), "/min_encrypt_version"),
        (json!({ "min_encrypt_version": 4 }), "/min_encrypt_version"),
        (json!({ "min_decrypt_version": 3, "min_encrypt_version": 2 }), "/min_decrypt_version"),
        (json!({ "min_decrypt_version": 2, "owner": "" }), "/owner"),
        (json!({ "owner": "me", "description": "a\u{0}b" }), "/description"),
        (json!({ "labels": { "": "x" } }), "/labels"),
        (json!({ "labels": { "a": 1 } }), "/labels/a"),
        (json!({ "labels": [] }), "/labels"),
        (json!({ "reason": "a\nb", "owner": "me" }), "/reason"),
        (json!({ "reason": "r".repeat(513), "owner": "me" }), "/reason"),
        (json!({ "algorithm": "aes-256-gcm" }), "/algorithm"),
    ] {
        patch(&tenant.admin, "main", &body).problem(400, "invalid_field").field(field);
    }
    assert_eq!(tenant.admin.get("/keys/main").expect(200).json(), before);
    patch(&tenant.app, "main", &json!({})).problem(403, "forbidden");
    patch(&tenant.admin, "none", &json!({})).problem(404, "key_not_found");
    tenant.admin.send("PATCH", "/keys/main", &[], b"{}").problem(415, "unsupported_media_type");
    let json = [("content-type", "application/json")];
    tenant.operator.send("PATCH", "/keys/main", &json, b"{}").expect(200);
    tenant.admin.send("DELETE", "/keys/main", &[], b"").expect(200);
    patch(&tenant.admin, "main", &json!({ "owner": "me" })).problem(409, "key_deleted");
}

#[test]
fn trimmed_versions_are_gone_for_good() {
    let tenant = tenant("trim");
    let sealed = tenant.app.encrypt(&json!({ "key": "main", "plaintext": b64("x") }));
    rotate(&tenant, "main", 2);
    let trim = |body: &Value| tenant.admin.post("/keys/main/trim", body);
    let to = |lowest: u32| json!({ "min_available_version": lowest });
    trim(&to(2)).problem(409, "key_trim_too_high").field("/min_available_version");
    for wrong in [json!({ "min_available_version": 0 }), json!({ "min_available_version": -1 })] {
        trim(&wrong).problem(400, "invalid_field").field("/min_available_version");
    }
    trim(&json!({})).problem(400, "invalid_field").field("/min_available_version");
    tenant.app.post("/keys/main/trim", &to(1)).problem(403, "forbidden");
    patch(&tenant.admin, "main", &json!({ "min_decrypt_version": 3 })).expect(200);
    for _ in 0..2 {
        let why = json!({ "min_available_version": 2, "reason": "a year old" });
        let key = trim(&why).expect(200).json();
        assert_eq!(key["min_available_version"], 2);
        let versions = key["versions"].as_array().unwrap();
        let gone: Vec<_> = versions.iter().map(|it| it.get("destroyed_at").is_some()).collect();
        assert_eq!(gone, [true, false, false]);
    }
    patch(&tenant.admin, "main", &json!({ "min_decrypt_version": 1 })).expect(200);
    let item = json!({ "ciphertext": sealed });
    tenant.app.post("/decrypt", &item).problem(409, "key_version_destroyed");
    tenant.admin.send("DELETE", "/keys/main", &[], b"").expect(200);
    trim(&to(1)).problem(409, "key_deleted");
    tenant.admin.post("/keys/none/trim", &to(1)).problem(404, "key_not_found");
}

/// A version that somebody needed lately is not destroyed by a careful trim, and one that nobody
/// did is.
#[test]
fn a_version_in_use_is_not_trimmed_if_the_caller_says_so() {
    let tenant = tenant("trim-safe");
    let sealed = tenant.app.encrypt(&json!({ "key": "main", "plaintext": b64("x") }));
    rotate(&tenant, "main", 3);
    tenant.app.post("/decrypt", &json!({ "ciphertext": sealed })).expect(200);
    patch(&tenant.admin, "main", &json!({ "min_decrypt_version": 3 })).expect(200);
    let trim = |below: u32, unused: Value| {
        let body = json!({ "min_available_version": below, "unused_seconds": unused });
        tenant.admin.post("/keys/main/trim", &body)
    };
    for wrong in [json!(0), json!(-1), json!(315_360_001), json!("30d"), json!(1.5)] {
        trim(3, wrong).problem(400, "invalid_field").field("/unused_seconds");
    }
    trim(3, json!(3600)).problem(409, "key_version_in_use");
    let key = tenant.admin.get("/keys/main").expect(200).json();
    assert_eq!(key["min_available_version"], 1);
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    let key = trim(3, json!(1)).expect(200).json();
    assert_eq!(key["min_available_version"], 3);
}

#[test]
fn the_history_says_who_did_what_and_why() {
    let tenant = tenant("history");
    let because = json!({ "reason": "a drill" });
    let post = |path: &str| tenant.admin.post(&format!("/keys/main/{path}"), &because).expect(200);
    post("rotate");
    tenant.admin.send("POST", "/keys/main/rotate", &[], b"").expect(200);
    post("disable");
    post("enable");
    vault(&tenant, "POST", "rollback", &json!({ "target_version": 1 })).expect(200);
    vault(&tenant, "DELETE", "versions/2", &because).expect(200);
    patch(&tenant.admin, "main", &json!({ "owner": "team-a", "reason": "new" })).expect(200);
    let headers = [("content-type", "application/json")];
    let why = because.to_string();
    tenant.admin.send("DELETE", "/keys/main", &headers, why.as_bytes()).expect(200);
    post("restore");
    for bad in [json!({ "reason": "" }), json!({ "reason": "\u{7}" }), json!({ "why": "x" })] {
        let answer = tenant.admin.post("/keys/main/rotate", &bad).problem(400, "invalid_field");
        answer.field(if bad.get("why").is_some() { "/why" } else { "/reason" });
    }
    let shown = tenant.app.get("/keys/main/history").expect(200).json();
    assert_eq!((&shown["tenant"], &shown["key"]), (&json!("history"), &json!("main")));
    let entries = shown["history"].as_array().unwrap();
    let operator = &entries[5]["actor"];
    let entries: Vec<Value> = entries
        .iter()
        .map(|entry| {
            assert!(entry["at"].as_str().unwrap().ends_with('Z'));
            let mut entry = entry.clone();
            entry.as_object_mut().unwrap().remove("at");
            entry
        })
        .collect();
    let drill = "a drill";
    assert_eq!(
        entries,
        [
            json!({ "actor": "admin", "action": "create", "version": 1 }),
            json!({ "actor": "admin", "action": "rotate", "version": 2, "reason": drill }),
            json!({ "actor": "admin", "action": "rotate", "version": 3 }),
            json!({ "actor": "admin", "action": "disable", "reason": drill }),
            json!({ "actor": "admin", "action": "enable", "reason": drill }),
            json!({ "actor": operator, "action": "rollback", "version": 1 }),
            json!({ "actor": operator, "action": "destroy_version", "version": 2, "reason": drill }),
            json!({ "actor": "admin", "action": "attributes", "reason": "new" }),
            json!({ "actor": "admin", "action": "delete", "reason": drill }),
            json!({ "actor": "admin", "action": "restore", "reason": drill }),
        ]
    );
    assert_ne!(operator, "admin");
    // The older shape is as it was.
    let older = vault(&tenant, "GET", "history", &json!({}));
    assert_eq!(older.expect(200).json()["total_versions"], 3);
    tenant.app.get("/keys/none/history").problem(404, "key_not_found");
    let confirm = json!({ "confirm": "main", "reason": "the end" });
    let receipt = tenant.admin.post("/keys/main/destroy", &confirm).expect(200).json();
    assert_eq!(receipt["reason"], "the end");
    tenant.app.get("/keys/main/history").problem(404, "key_not_found");
}

#[test]
fn a_key_has_labels_an_owner_and_a_description() {
    let tenant = tenant("about");
    let about = json!({ "labels": { "env": "test", "tier": "1" }, "owner": "team-a" });
    let mut new = about.clone();
    new["name"] = json!("invoices");
    let created = tenant.admin.post("/keys", &new).expect(201).json();
    assert_eq!((&created["labels"], &created["owner"]), (&about["labels"], &about["owner"]));
    assert_eq!(created.get("description"), None);
    let change = json!({
        "labels": { "tier": null, "region": "eu" },
        "owner": null,
        "description": "for the shop's invoices",
    });
    let changed = patch(&tenant.admin, "invoices", &change).expect(200).json();
    assert_eq!(changed["labels"], json!({ "env": "test", "region": "eu" }));
    assert_eq!(changed.get("owner"), None);
    assert_eq!(changed["description"], "for the shop's invoices");
    assert_eq!(tenant.app.get("/keys/invoices").expect(200).json(), changed);
    let listed = tenant.app.get("/keys?prefix=inv").expect(200).json();
    assert_eq!(listed, json!({ "keys": [changed] }));
    let cleared = patch(&tenant.admin, "invoices", &json!({ "labels": null })).expect(200).json();
    assert_eq!(cleared["labels"], json!({}));
    for (field, value) in
        [("labels", json!({ "a": "\n" })), ("owner", json!("")), ("reason", json!(""))]
    {
        let mut new = json!({ "name": "other" });
        new[field] = value;
        let refused = tenant.admin.post("/keys", &new).problem(400, "invalid_field");
        refused.field(&format!("/{field}"));
    }
    tenant.app.get("/keys/other").problem(404, "key_not_found");
}

#[test]
fn keys_are_listed_page_by_page() {
    let tenant = tenant("pages");
    for name in ["b3", "b1", "b2", "a1", "z"] {
        tenant.key(name);
    }
    for name in ["b2", "z"] {
        tenant.admin.send("DELETE", &format!("/keys/{name}"), &[], b"").expect(200);
    }
    let pages = |query: &str| {
        let (mut pages, mut next) = (Vec::new(), String::new());
        loop {
            let page = tenant.app.get(&format!("/keys?{query}{next}")).expect(200).json();
            let keys = page["keys"].as_array().unwrap().iter();
            pages
                .push(keys.map(|key| key["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>());
            let Some(after) = page["next"].as_str() else { return pages };
            next = format!("&after={after}");
        }
    };
    assert_eq!(pages("limit=2"), [vec!["a1", "b1"], vec!["b3", "main"], vec![]]);
    assert_eq!(pages("limit=1000"), [["a1", "b1", "b3", "main"]]);
    assert_eq!(pages("prefix=b&limit=1"), [vec!["b1"], vec!["b3"]]);
    assert_eq!(pages("prefix=b&state=deleted&limit=1"), [vec!["b2"], vec![]]);
    assert_eq!(pages("state=deleted"), [["b2", "z"]]);
    for (query, field) in [
        ("limit=0", "/limit"),
        ("limit=1001", "/limit"),
        ("limit=x", "/limit"),
        ("after=..", "/after"),
        ("prefix=-", "/prefix"),
        ("state=enabled", "/state"),
        ("order=name", "/order"),
    ] {
        tenant.app.get(&format!("/keys?{query}")).problem(400, "invalid_request").field(field);
    }
}
