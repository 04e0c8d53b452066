//! Components of every released version of the contract run on this host as they did on theirs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::LazyLock;

use keyward_tests::{Client, Server, Tenant, b64, unb64};
use serde_json::{Value, json};

static SERVER: LazyLock<Server> = LazyLock::new(|| Server::serve(""));

/// A component that is kept: the version of its contract, its policy's name, its digest, its bytes.
struct Kept {
    version: String,
    name: String,
    digest: String,
    wasm: Vec<u8>,
}

fn all() -> Vec<Kept> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("contracts");
    let mut kept = Vec::new();
    for version in std::fs::read_dir(root).unwrap() {
        let version = version.unwrap();
        for file in std::fs::read_dir(version.path()).unwrap() {
            let path = file.unwrap().path();
            let stem = path.file_stem().unwrap().to_str().unwrap();
            let (name, digest) = stem.rsplit_once('-').unwrap();
            kept.push(Kept {
                version: version.file_name().into_string().unwrap(),
                name: name.to_owned(),
                digest: format!("sha256:{digest}"),
                wasm: std::fs::read(&path).unwrap(),
            });
        }
    }
    kept
}

fn round_trip(app: &Client, body: &Value, purpose: Option<&str>) {
    let mut opening = json!({ "ciphertext": app.encrypt(body) });
    if let Some(purpose) = purpose {
        opening["purpose"] = purpose.into();
    }
    assert_eq!(unb64(&app.post("/decrypt", &opening).expect(200).str("/plaintext")), b"x");
}

/// Does what the policy of this name is for.
fn exercise(tenant: &Tenant, name: &str) {
    let app = &tenant.app;
    let body = json!({ "key": "main", "plaintext": b64("x") });
    let invoke = |client: &Client, operation: &str, body: &Value| {
        client.post(&format!("/invoke/{operation}"), body).expect(200).text()
    };
    match name {
        "baseline" => round_trip(app, &body, None),
        "records" => {
            let body = json!({ "key": "main", "plaintext": b64("x"), "purpose": "billing" });
            round_trip(app, &body, Some("billing"));
            let other = json!({ "ciphertext": app.encrypt(&body), "purpose": "treatment" });
            assert_ne!(app.post("/decrypt", &other).status, 200);
        }
        "fields" => {
            for (name, algorithm) in
                [("fields", "xaes-256-gcm"), ("fields-deterministic", "aes-256-siv")]
            {
                tenant.new_key(&json!({ "name": name, "algorithm": algorithm }));
            }
            let document = json!({ "patient": { "name": "Ada" }, "other": [1, 2.50] });
            let protected = invoke(app, "protect", &document);
            let revealed = app.json("/invoke/reveal", protected.as_bytes()).expect(200).json();
            assert_eq!(revealed["other"], document["other"]);
        }
        "four-eyes" => {
            let asked = json!({ "key": "main", "reason": "ticket 7" });
            let kim = app.token(&tenant.token("kim", &["support"]));
            let lee = app.token(&tenant.token("lee", &["approver"]));
            let ciphertext = app.encrypt(&body);
            let id: Value = serde_json::from_str(&invoke(&kim, "request-access", &asked)).unwrap();
            invoke(&lee, "approve", &json!({ "id": id["id"] }));
            kim.post("/decrypt", &json!({ "ciphertext": ciphertext })).expect(200);
        }
        // What they offer is described, and asked for below.
        "cards" | "receipts" => {}
        other => panic!("nothing is known of `{other}`: say here what it is for"),
    }
}

#[test]
fn components_of_every_released_contract_run_as_they_did() {
    let kept = all();
    assert!(kept.iter().any(|kept| kept.version == "0.1.0"));
    let mut imports = BTreeSet::new();
    for Kept { version, name, digest, wasm } in kept {
        let tenant = SERVER.tenant(&format!("{name}-{}", version.replace('.', "-")));
        tenant.key("main");
        let shown = tenant.operator.put_policy(&wasm).expect(200).json();
        assert_eq!(shown["digest"], json!(digest), "{name}: it was edited");
        assert_eq!(shown["contract"], json!(version), "{name}");
        let names = shown["imports"].as_array().unwrap().iter();
        imports.extend(names.map(|it| (version.clone(), it.as_str().unwrap().to_owned())));
        exercise(&tenant, &name);
        for operation in shown["operations"].as_array().unwrap() {
            // Something is answered, and nothing crashes.
            let path = format!("/invoke/{}", operation["name"].as_str().unwrap());
            let answer = tenant.app.post(&path, &json!({}));
            assert!(answer.status < 500, "{name} {path}: {}", answer.text());
        }
    }
    // What the policies of the first version use of it between them.
    for interface in
        ["keys", "log", "opening", "recipients", "sealing", "signing", "state", "tokens", "types"]
    {
        let name = format!("keyward:policy/{interface}@0.1.0");
        assert!(imports.contains(&("0.1.0".to_owned(), name)), "{interface}: {imports:?}");
    }
}
