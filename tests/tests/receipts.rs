//! Receipts of destruction: checked by the client, by OpenSSL and by Python, as documented.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;
use std::sync::LazyLock;

use keyward_tests::age::Owner;
use keyward_tests::{Cli, Server, Tenant, python};
use serde_json::{Value, json};

static SERVER: LazyLock<Server> = LazyLock::new(Server::dev);

fn tenant(name: &str) -> Tenant {
    SERVER.tenant_with_policy(name, "fields")
}

#[track_caller]
fn rotate(tenant: &Tenant, times: usize) {
    for _ in 0..times {
        tenant.admin.post("/keys/main/rotate", &json!({})).expect(200);
    }
}

#[track_caller]
fn destroy(tenant: &Tenant) -> Value {
    let body = json!({ "confirm": "main", "reason": "asked to é" });
    tenant.admin.post("/keys/main/destroy", &body).expect(200).json()["receipt"].clone()
}

#[track_caller]
fn destroy_version(tenant: &Tenant, version: u32) -> Value {
    let path = format!("/api/v1/vault/keys/main/versions/{version}?tenant={}", tenant.name);
    let answer = tenant.operator.at_root().send("DELETE", &path, &[], b"").expect(200);
    answer.json()["receipt"].clone()
}

/// The store's public key, PEM.
fn public_key(tenant: &Tenant) -> String {
    tenant.app.at_root().get("/api/v1/receipts/public-key").expect(200).str("/public_key")
}

/// The script of docs/keys.md.
fn documented() -> &'static str {
    let text = include_str!("../../docs/keys.md");
    let script = text.split("```python\n").nth(1).and_then(|rest| rest.split("```").next());
    script.unwrap()
}

/// Whether Python finds the receipt genuine. OpenSSL has to think the same.
#[track_caller]
fn is_genuine_elsewhere(cli: &Cli, receipt: &Value, pem: &str) -> bool {
    let (receipt, pem) = (cli.file("r.json", receipt.to_string()), cli.file("p.pem", pem));
    let output = python::run(cli.dir.path(), documented(), &[&receipt, &pem]);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("InvalidSignature") || said.contains("AssertionError"), "{said}");
        return false;
    }
    assert_eq!(output.stdout, b"valid\n");
    let args = ["pkeyutl", "-verify", "-pubin", "-inkey", "p.pem", "-rawin"];
    let files = ["-in", "statement", "-sigfile", "signature"];
    let mut openssl = Command::new("openssl");
    let output = openssl.args(args).args(files).current_dir(cli.dir.path()).output();
    let output = output.expect("OpenSSL 3 is needed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}

#[test]
fn every_destruction_answers_a_receipt_that_anybody_can_check() {
    let tenant = tenant("receipts-all");
    // Nowhere near a server.
    let cli = Cli::new("http://127.0.0.1:1");
    rotate(&tenant, 4);
    let shown = tenant.admin.get("/keys/main").expect(200).json();
    let version = destroy_version(&tenant, 3);
    let bound = br#"{"min_decrypt_version":3}"#;
    let patch = [("content-type", "application/json")];
    tenant.admin.send("PATCH", "/keys/main", &patch, bound).expect(200);
    let body = json!({ "min_available_version": 3, "reason": "old" });
    let trimmed = tenant.admin.post("/keys/main/trim", &body).expect(200).json();
    assert_eq!((&trimmed["name"], &trimmed["min_available_version"]), (&json!("main"), &json!(4)));
    let whole = destroy(&tenant);
    let pem = public_key(&tenant);
    let file = cli.file("receipts.pem", &pem);
    let expected = [
        (&version, "versions", vec![3], "operator", None),
        (&trimmed["receipts"][0], "versions", vec![1, 2], "admin", Some("old")),
        (&whole, "key", vec![1, 2, 3, 4, 5], "admin", Some("asked to é")),
    ];
    for (receipt, extent, versions, by, reason) in &expected {
        assert!(is_genuine_elsewhere(&cli, receipt, &pem), "{receipt}");
        let receipt_file = cli.file("receipt.json", receipt.to_string());
        let args = ["receipt", "verify", &receipt_file, "--public-key", &file];
        assert!(cli.run(&args).good().text().starts_with("valid\n"));
        let named: Vec<_> = receipt["versions"].as_array().unwrap().iter().collect();
        let numbers: Vec<_> = named.iter().map(|it| it["version"].as_u64().unwrap()).collect();
        assert_eq!((&numbers, &receipt["extent"]), (versions, &json!(extent)));
        assert!(named.iter().all(|it| it["fingerprint"].as_str().unwrap().starts_with("sha256:")));
        let said = (&receipt["destroyed_by"], receipt.get("reason").and_then(Value::as_str));
        assert_eq!(said, (&json!(by), *reason));
        assert_eq!((&receipt["tenant"], &receipt["key"]), (&json!(tenant.name), &json!("main")));
        assert_eq!(
            (&receipt["key_id"], &receipt["algorithm"]),
            (&shown["id"], &shown["algorithm"])
        );
    }
    // They are listed for good, whatever becomes of the name.
    tenant.key("main");
    let listed = tenant.admin.get("/keys/main/receipts").expect(200).json();
    assert_eq!(listed, json!({ "receipts": expected.map(|(receipt, ..)| receipt.clone()) }));
    let page = tenant.operator.get("/keys/main/receipts?limit=2").expect(200).json();
    let next = page["next"].as_str().unwrap();
    let rest = tenant.operator.get(&format!("/keys/main/receipts?after={next}")).expect(200).json();
    assert_eq!((&rest["receipts"], rest.get("next")), (&json!([whole]), None));
    // A whole list, from standard input, and an answer that has a receipt.
    let verify = ["receipt", "verify", "-", "--public-key", &file];
    let shown = cli.pipe(&verify, listed.to_string().as_bytes()).good();
    assert_eq!(shown.text().matches("valid\n").count(), 3);
    let answer = json!({ "tenant": "x", "receipt": whole });
    let shown = cli.pipe(&verify, answer.to_string().as_bytes()).good();
    assert!(!shown.text().contains("tenant  x"), "{}", shown.text());
}

#[test]
fn a_forged_receipt_is_noticed_whatever_was_changed() {
    let tenant = tenant("receipts-forged");
    let cli = Cli::new("http://127.0.0.1:1");
    rotate(&tenant, 1);
    let (version, whole) = (destroy_version(&tenant, 1), destroy(&tenant));
    let (pem, id) = (public_key(&tenant), whole["receipt_key"].as_str().unwrap());
    let file = cli.file("receipts.pem", &pem);
    let verify = |receipt: &Value, key: &str| {
        cli.pipe(&["receipt", "verify", "-", "--public-key", key], receipt.to_string().as_bytes())
    };
    for (field, value) in [
        ("/extent", json!("versions")),
        ("/tenant", json!("receipts-forge")),
        ("/key", json!("mair")),
        ("/key_id", json!("0000000000000000")),
        ("/algorithm", json!("aes-256-gcm")),
        ("/versions", json!([])),
        ("/versions/0/version", json!(3)),
        ("/versions/1/fingerprint", whole["versions"][0]["fingerprint"].clone()),
        ("/destroyed_at_ms", json!(1)),
        ("/destroyed_by", json!("operator")),
        ("/reason", json!("asked to e")),
        ("/reason", json!(null)),
        // That of another receipt by the same key.
        ("/signature", version["signature"].clone()),
    ] {
        let mut forged = whole.clone();
        *forged.pointer_mut(field).unwrap() = value;
        verify(&forged, &file).failed(1, &["receipt_forged: "]);
        assert!(!is_genuine_elsewhere(&cli, &forged, &pem), "{field}");
    }
    let mut more = whole.clone();
    more["destroyed_at"] = json!("2020-01-01T00:00:00.000Z");
    verify(&more, &file).failed(1, &["receipt_malformed: ", "destroyed_at"]);
    verify(&json!({ "receipts": [] }), &file).failed(1, &["receipt_malformed: "]);

    // Another store's key; both together will do, in one file or two.
    let elsewhere = Server::dev();
    let other = elsewhere.operator().get("/api/v1/receipts/public-key").expect(200);
    let (other_pem, other_id) = (other.str("/public_key"), other.str("/id"));
    let other = cli.file("other.pem", &other_pem);
    verify(&whole, &other).failed(1, &["receipt_other_key: ", id, &other_id]);
    assert!(!is_genuine_elsewhere(&cli, &whole, &other_pem));
    let mut renamed = whole.clone();
    renamed["receipt_key"] = json!(other_id);
    verify(&renamed, &other).failed(1, &["receipt_forged: "]);
    let both = cli.file("both.pem", other_pem + &pem);
    verify(&whole, &both).good();
    let input = whole.to_string();
    let args = ["receipt", "verify", "-", "--public-key", &other, "--public-key", &file];
    cli.pipe(&args, input.as_bytes()).good();
    // One forged in a list spoils the list, and nothing of it is shown.
    let spoilt = verify(&json!({ "receipts": [whole, renamed] }), &both);
    assert!(spoilt.stdout.is_empty());
    spoilt.failed(1, &["receipt_forged: "]);

    let bad = cli.file("bad.pem", "no key");
    verify(&whole, &bad).failed(1, &["receipt_public_key_invalid: "]);
    verify(&whole, "nothing.pem").failed(1, &["nothing.pem"]);
    assert_eq!(cli.run(&["receipt", "verify", "x"]).code, Some(2));
}

#[test]
fn who_may_see_receipts_and_what_is_asked_wrongly() {
    let tenant = tenant("receipts-who");
    assert_eq!(
        tenant.admin.get("/keys/main/receipts").expect(200).json(),
        json!({ "receipts": [] })
    );
    tenant.app.get("/keys/main/receipts").problem(403, "forbidden");
    tenant.admin.get("/keys/nothing/receipts").problem(404, "key_not_found");
    for (query, field) in [
        ("limit=0", "/limit"),
        ("limit=1001", "/limit"),
        ("limit=1&limit=2", "/limit"),
        ("after=..%2Fx", "/after"),
        ("after=", "/after"),
        ("state=deleted", "/state"),
    ] {
        let refused = tenant.admin.get(&format!("/keys/main/receipts?{query}"));
        refused.problem(400, "invalid_request").field(field);
    }
    let nobody = tenant.app.authorization(None);
    nobody.at_root().get("/api/v1/receipts/public-key").problem(401, "unauthenticated");
    nobody.get("/receipt-keys").problem(401, "unauthenticated");
    let keys = tenant.app.get("/receipt-keys").expect(200).json();
    assert_eq!(keys["keys"][0]["public_key"], public_key(&tenant));
    let other = tenant.app.at_root().below("/api/v1/tenants/demo");
    other.get("/receipt-keys").problem(403, "forbidden");
}

#[test]
fn the_client_saves_receipts_to_check_them_later() {
    let tenant = tenant("receipts-cli");
    let cli = Cli::tenant(&SERVER, &tenant);
    rotate(&tenant, 1);
    let destroyed = cli.run(&["key", "destroy", "main", "--confirm", "main", "--json"]).good();
    let file = cli.file("destroyed.json", &destroyed.stdout);
    let pem = cli.run(&["receipt", "public-key"]).good();
    assert_eq!(pem.text(), public_key(&tenant));
    let pem = cli.file("receipts.pem", &pem.stdout);
    let shown = cli.run(&["receipt", "verify", &file, "--public-key", &pem]).good();
    for part in ["valid\n", "destroyed_by", "operator", "destroyed_at ", "sha256:"] {
        assert!(shown.text().contains(part), "{part:?} is not in {}", shown.text());
    }
    let listed = cli.run(&["key", "receipts", "main", "--json"]).good();
    assert_eq!(listed.json()["receipts"][0], destroyed.json()["receipt"]);
    let table = cli.run(&["key", "receipts", "main"]).good();
    assert!(table.text().contains("EXTENT"), "{}", table.text());
    let keys = cli.run(&["receipt", "keys"]).good();
    assert!(keys.text().contains("ed25519"), "{}", keys.text());
    let script = cli.run(&["completions", "bash"]).good();
    assert!(script.text().contains("public-key") && script.text().contains("receipts"));
}

/// What was destroyed is said by receipts that outlive the store; the restored one signs with a
/// key of its own.
#[test]
fn restored_receipts_are_checked_with_the_key_of_then() {
    let (from, to) = (Server::dev(), Server::dev());
    let tenant = from.tenant_with_policy("moved", "fields");
    let old = destroy(&tenant);
    let old_pem = public_key(&tenant);
    for name in ["main", "kept"] {
        tenant.key(name);
    }
    let (owner, cli) = (Owner::new(), Cli::operator(&from));
    let args = ["backup", "--tenant", "moved", "--out", "b.age", "--recipient", &owner.recipient()];
    cli.run(&args).good();
    let restoring = Cli::operator(&to);
    let backup = restoring.file("b.age", std::fs::read(cli.path("b.age")).unwrap());
    let identity = restoring.file("identity", owner.file());
    restoring.run(&["restore", "--in", &backup, "--identity", &identity]).good();

    let admin = to.client().token(&tenant.admin_token).below("/api/v1/tenants/moved");
    let listed = admin.get("/keys/main/receipts").expect(200).json();
    assert_eq!(listed["receipts"], json!([old]));
    let new = admin.post("/keys/main/destroy", &json!({ "confirm": "main" })).expect(200).json();
    let new = &new["receipt"];
    assert_ne!(new["receipt_key"], old["receipt_key"]);
    let keys = admin.get("/receipt-keys").expect(200).json();
    assert_eq!(keys["current"], new["receipt_key"]);
    let pem = |receipt: &Value| {
        let keys = keys["keys"].as_array().unwrap();
        let key = keys.iter().find(|key| key["id"] == receipt["receipt_key"]).unwrap();
        key["public_key"].as_str().unwrap().to_owned()
    };
    assert_eq!((pem(&old), keys["keys"].as_array().unwrap().len()), (old_pem, 2));
    for receipt in [&old, new] {
        assert!(is_genuine_elsewhere(&cli, receipt, &pem(receipt)));
        let file = cli.file("p.pem", pem(receipt));
        let input = receipt.to_string();
        cli.pipe(&["receipt", "verify", "-", "--public-key", &file], input.as_bytes()).good();
    }
    // The old store's key did not come along.
    assert_ne!(
        to.operator().get("/api/v1/receipts/public-key").expect(200).str("/public_key"),
        pem(&old)
    );
}
