//! The operator's policy above every tenant's: asked first, its refusal final, its data always bound.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Mutex, MutexGuard, PoisonError};

use keyward_tests::stamp::{stamp, stamped};
use keyward_tests::{Answer, Client, Server, Tenant, b64, policy};
use serde_json::{Value, json};

const BASELINE: &str = "/api/v1/policy/baseline";
const WASM: (&str, &str) = ("content-type", "application/wasm");
const BYTES: (&str, &str) = ("content-type", "application/octet-stream");

/// One server for all, and one test at a time: a baseline is everybody's.
static SERVER: Mutex<Option<Server>> = Mutex::new(None);

fn server() -> MutexGuard<'static, Option<Server>> {
    let mut server = SERVER.lock().unwrap_or_else(PoisonError::into_inner);
    let server_now = server.get_or_insert_with(|| Server::serve(""));
    remove(server_now);
    server
}

#[track_caller]
fn set(server: &Server, wasm: &[u8]) -> Value {
    server.operator().send("PUT", BASELINE, &[WASM], wasm).expect(200).json()
}

#[track_caller]
fn remove(server: &Server) {
    let removed = server.operator().send("DELETE", BASELINE, &[], b"").expect(200).json();
    assert_eq!(removed["baseline"], Value::Null);
}

fn tenant(server: &Server, name: &str, wasm: &[u8]) -> Tenant {
    let tenant = server.tenant(name);
    tenant.key("main");
    tenant.admin.put_policy(wasm).expect(200);
    tenant
}

fn opens(app: &Client, ciphertext: &str) -> Answer {
    app.post("/decrypt", &json!({ "ciphertext": ciphertext }))
}

#[test]
fn its_refusal_is_final() {
    let server = server();
    let server = server.as_ref().unwrap();
    let tenant = tenant(server, "final", &stamped(1));
    let reader = tenant.caller(&["reader"]);
    let body = json!({ "key": "main", "plaintext": b64("x") });
    let batch = json!({ "items": [body, body] });
    // The tenant's policy lets everybody do everything.
    reader.post("/encrypt", &body).expect(200);
    let shown = set(server, &policy("baseline"));
    let digest = shown["baseline"]["digest"].clone();
    assert_eq!(shown["baseline"]["set_by"], "operator");
    for _ in 0..2 {
        let refused = reader.post("/encrypt", &body).problem(403, "policy_refused");
        refused.detail("the operator's baseline policy: encrypt needs one of the roles");
    }
    let answer = reader.post("/encrypt", &batch).expect(200).json();
    for item in answer["items"].as_array().unwrap() {
        assert_eq!(item["error"]["code"], "policy_refused", "{item}");
        assert!(item.get("ciphertext").is_none());
    }
    let query = "/stream/encrypt?key=main";
    reader.send("POST", query, &[BYTES], b"x").problem(403, "policy_refused");
    // It knows no operations of a tenant's own, so there are none.
    tenant.app.send("POST", "/invoke/which", &[], b"").problem(403, "policy_refused");
    let ciphertext = tenant.app.encrypt(&body);
    opens(&reader, &ciphertext).expect(200);
    // Nor does another policy of the tenant's help, or a canary.
    let other = tenant.admin.send("POST", "/policies", &[WASM], &stamped(2)).str("/digest");
    let canary = json!({ "digest": other, "percent": 100 }).to_string();
    let json_type = ("content-type", "application/json");
    tenant.admin.send("PUT", "/policy/canary", &[json_type], canary.as_bytes()).expect(200);
    reader.post("/encrypt", &body).problem(403, "policy_refused");
    tenant.admin.put_policy(&stamped(3)).expect(200);
    reader.post("/encrypt", &body).problem(403, "policy_refused");
    // And what the tenant's own refuses stays refused.
    tenant.admin.put_policy(&policy("hostile")).expect(200);
    let refused = json!({ "key": "main", "plaintext": "", "purpose": "no-such-misdeed" });
    assert_ne!(tenant.app.post("/encrypt", &refused).status, 200);

    // Tenants see that it is there, and cannot change it.
    assert_eq!(tenant.app.get("/policy").expect(200).json()["baseline"], digest);
    for client in [&tenant.admin, &tenant.app] {
        let client = client.at_root();
        client.get(BASELINE).problem(403, "forbidden");
        client.send("PUT", BASELINE, &[WASM], &stamped(4)).problem(403, "forbidden");
        client.send("DELETE", BASELINE, &[], b"").problem(403, "forbidden");
    }
    let question = json!({ "operation": "encrypt", "key": "main", "caller": { "subject": "kim", "roles": ["reader"] } });
    let told = tenant.admin.post("/policy/explain", &question).expect(200).json();
    assert_eq!((&told["allowed"], &told["baseline"]["allowed"]), (&json!(false), &json!(false)));
    assert_eq!(told["baseline"]["digest"], digest);
    assert!(told.get("run").is_none(), "the policy was asked: {told}");
    remove(server);
    assert!(tenant.app.get("/policy").expect(200).json().get("baseline").is_none());
}

#[test]
fn what_it_binds_is_always_bound() {
    let server = server();
    let server = server.as_ref().unwrap();
    let tenant = tenant(server, "bound", &stamped(1));
    let body = json!({ "key": "main", "plaintext": b64("x") });
    let before = tenant.app.encrypt(&body);
    set(server, &stamped(8));
    let single = tenant.app.encrypt(&body);
    let answer = tenant.app.post("/encrypt", &json!({ "items": [body, body] })).expect(200);
    let batch = answer.str("/items/1/ciphertext");
    let stream = tenant.app.send("POST", "/stream/encrypt?key=main", &[BYTES], b"x").expect(200);
    let open_stream = || tenant.app.send("POST", "/stream/decrypt", &[BYTES], &stream.body);
    let under = |opened: u16| {
        assert_eq!(opens(&tenant.app, &single).status, opened);
        assert_eq!(opens(&tenant.app, &batch).status, opened);
        assert_eq!(open_stream().status, opened);
    };
    under(200);
    opens(&tenant.app, &before).problem(400, "ciphertext_invalid");
    let question = json!({ "operation": "encrypt", "key": "main" });
    let told = tenant.admin.post("/policy/explain", &question).expect(200).json();
    // The SDK has each piece behind its length: 4 bytes and the stamp's 47.
    let piece = |number: u32| [&[0, 0, 0, 47], stamp(number).as_bytes()].concat();
    let bound = [&b"keyward baseline v1\0\0\0\0\x33"[..], &piece(8), &piece(1)].concat();
    assert_eq!(told["plan"]["authenticated_data"], b64(&bound));
    // Under another, and under none, nothing of it opens.
    set(server, &stamped(9));
    under(400);
    remove(server);
    under(400);
    opens(&tenant.app, &before).expect(200);
    set(server, &stamped(8));
    under(200);
}

/// What a policy seals by the host's functions is bound as well.
#[test]
fn what_policies_seal_themselves_is_bound() {
    let server = server();
    let server = server.as_ref().unwrap();
    let tenant = tenant(server, "sealing", &policy("fields"));
    for (name, algorithm) in [("fields", "xaes-256-gcm"), ("fields-deterministic", "aes-256-siv")] {
        tenant.new_key(&json!({ "name": name, "algorithm": algorithm }));
    }
    let invoke = |operation: &str, document: &[u8]| {
        let kind = ("content-type", "application/json");
        tenant.caller(&["application"]).send(
            "POST",
            &format!("/invoke/{operation}"),
            &[kind],
            document,
        )
    };
    let document = br#"{"customer":{"name":"Ada Lovelace","card":"4111 1111 1111 1234"}}"#;
    set(server, &stamped(8));
    let protected = invoke("protect", document).expect(200).body;
    assert!(String::from_utf8_lossy(&protected).contains("kw1."), "nothing was sealed");
    invoke("reveal", &protected).expect(200);
    remove(server);
    assert_ne!(invoke("reveal", &protected).status, 200);
    set(server, &stamped(8));
    invoke("reveal", &protected).expect(200);
}

#[test]
fn nothing_looks_as_if_it_had_bound_it() {
    let server = server();
    let server = server.as_ref().unwrap();
    let tenant = tenant(server, "pretending", &policy("hostile"));
    let pretend = json!({ "key": "main", "plaintext": "", "purpose": "garbage-baseline" });
    let invoke = || tenant.app.post("/invoke/seal-as-baseline", &json!({})).expect(200).text();
    for baseline in [None, Some(stamped(8))] {
        if let Some(wasm) = &baseline {
            set(server, wasm);
        }
        tenant.app.post("/encrypt", &pretend).problem(502, "policy_bad_plan");
        assert_eq!(invoke(), "refused");
    }
}

#[test]
fn one_that_fails_lets_nothing_pass() {
    let mut server = server();
    let server = server.as_mut().unwrap();
    let tenant = tenant(server, "shut", &stamped(1));
    let body = json!({ "key": "main", "plaintext": "", "purpose": "trap" });
    let ciphertext = tenant.app.encrypt(&body);
    let digest = set(server, &policy("hostile"))["baseline"]["digest"].clone();
    tenant.app.post("/encrypt", &body).problem(502, "policy_trap").detail("baseline");
    let good = json!({ "key": "main", "plaintext": "" });
    tenant.app.post("/encrypt", &good).expect(200);
    // It holds over a restart; damaged, it shuts everybody out.
    server.stop();
    server.start_again();
    let app = server.client().token(&tenant.app_token).below("/api/v1/tenants/shut");
    app.post("/encrypt", &body).problem(502, "policy_trap");
    server.stop();
    let hex = digest.as_str().unwrap().strip_prefix("sha256:").unwrap().to_owned();
    let file = server.data().join(format!("policies/{hex}.wasm"));
    let component = std::fs::read(&file).unwrap();
    std::fs::write(&file, b"damaged").unwrap();
    server.start_again();
    let app = server.client().token(&tenant.app_token).below("/api/v1/tenants/shut");
    app.post("/encrypt", &good).problem(503, "policy_unusable").detail("baseline");
    opens(&app, &ciphertext).problem(503, "policy_unusable");
    server.stop();
    std::fs::write(&file, component).unwrap();
    server.start_again();
    let app = server.client().token(&tenant.app_token).below("/api/v1/tenants/shut");
    app.post("/encrypt", &good).expect(200);
    remove(server);
    opens(&app, &ciphertext).expect(200);
}
