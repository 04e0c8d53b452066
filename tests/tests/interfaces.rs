//! What policies do with `state`, `tokens` and `recipients`, as components in the real server.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use keyward_tests::{Client, Server, Tenant, b64, python, unb64};
use serde_json::{Value, json};

static SERVER: LazyLock<Server> =
    LazyLock::new(|| Server::dev_with(&[("KEYWARD_POLICY_STATE_BYTES", "1MiB")]));

fn invoke(client: &Client, operation: &str, body: &Value) -> keyward_tests::Answer {
    client.post(&format!("/invoke/{operation}"), body)
}

#[test]
fn four_eyes_are_needed_and_remembered_over_a_restart() {
    let mut server = Server::serve("");
    let tenant = server.tenant_with_policy("letters", "four-eyes");
    tenant.key("letters");
    let body = json!({ "key": "letters", "plaintext": b64("Dear Jane") });
    let letter = json!({ "ciphertext": tenant.app.encrypt(&body) });
    let tokens = [tenant.token("kim", &["support"]), tenant.token("lee", &["approver", "support"])];
    let [kim, lee] = tokens.each_ref().map(|token| tenant.app.token(token));
    kim.post("/decrypt", &letter).problem(403, "policy_refused").detail("nobody has approved");
    let wish = json!({ "key": "letters", "reason": "ticket 7" });
    let id = invoke(&kim, "request-access", &wish).expect(200).json()["id"].clone();
    let own = invoke(&lee, "request-access", &wish).expect(200).json()["id"].clone();
    invoke(&lee, "approve", &json!({ "id": own })).problem(403, "policy_refused");
    server.kill();
    server.start_again();
    let [kim, lee] = tokens
        .each_ref()
        .map(|token| server.client().token(token).below("/api/v1/tenants/letters"));
    let granted = invoke(&lee, "approve", &json!({ "id": id })).expect(200).json();
    assert_eq!((&granted["subject"], &granted["reason"]), (&json!("kim"), &json!("ticket 7")));
    invoke(&lee, "approve", &json!({ "id": id })).problem(404, "policy_not_found");
    kim.post("/decrypt", &letter).expect(200);
    lee.post("/decrypt", &letter).problem(403, "policy_refused");
}

/// A run that asks the state is begun on the caller's stack and again on a fiber: no count may come
/// twice, and none be lost, decided or invoked.
#[test]
fn every_request_is_counted_once() {
    let tenant = SERVER.tenant_with_policy("counting", "hostile");
    let counts = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for turn in 0..10 {
                    let count = if turn % 2 == 0 {
                        tenant.app.post("/invoke/state-count", &json!({})).expect(200).text()
                    } else {
                        let body =
                            json!({ "key": "main", "plaintext": "", "purpose": "state-count" });
                        tenant.app.post("/encrypt", &body).expect(200);
                        continue;
                    };
                    counts.lock().unwrap().push(count.parse::<u32>().unwrap());
                }
            });
        }
    });
    let counts = counts.into_inner().unwrap();
    let distinct: BTreeSet<_> = counts.iter().copied().collect();
    assert_eq!(distinct.len(), 40);
    let last: u32 =
        tenant.app.post("/invoke/state-count", &json!({})).expect(200).text().parse().unwrap();
    assert_eq!(last, 81);
}

#[test]
fn a_tenant_fills_its_own_share_and_no_other() {
    let tenants = ["greedy", "modest"].map(|name| SERVER.tenant_with_policy(name, "hostile"));
    let [greedy, modest] = &tenants;
    let refused = (0..100).find_map(|_| {
        let answer = greedy.app.post("/invoke/state-fill", &json!({}));
        (answer.status != 200).then_some(answer)
    });
    let refused = refused.unwrap().problem(403, "policy_refused");
    refused.detail("as much as it may");
    modest.app.post("/invoke/state-fill", &json!({})).expect(200);
    modest.app.post("/invoke/state-remember", &json!({})).expect(200);
    greedy.app.post("/invoke/state-foreign", &json!({})).problem(403, "policy_refused");
    // What is damaged is the offender's alone.
    let body = json!({ "key": "main", "plaintext": b64("x") });
    modest.app.post("/encrypt", &body).expect(200);
    greedy.app.post("/encrypt", &body).expect(200);
}

#[test]
fn what_does_not_fit_is_refused_and_ends_nothing() {
    let tenant = SERVER.tenant_with_policy("unfit", "hostile");
    tenant.new_key(&json!({ "name": "tokens", "algorithm": "aes-256-siv" }));
    for path in ["/invoke/state-unfit", "/invoke/tokens-unfit?key=main"] {
        let refused = tenant.app.post(path, &json!({})).problem(403, "policy_refused");
        assert_eq!(refused.str("/detail"), "refused", "{path}");
    }
    // With a key that makes tokens, the one text that fits makes the difference.
    let answer = tenant.app.post("/invoke/tokens-unfit?key=tokens", &json!({})).expect(200).text();
    assert_eq!(answer.matches("true").count(), 1, "{answer}");
}

/// Arguments: private key in hex, sealed in base64, info. Writes the plaintext.
const OPEN: &str = r"
import base64, sys
from cryptography.hazmat.primitives import hpke
from cryptography.hazmat.primitives.asymmetric import x25519
private, sealed, info = sys.argv[1:]
suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
key = x25519.X25519PrivateKey.from_private_bytes(bytes.fromhex(private))
sys.stdout.buffer.write(suite.decrypt(base64.b64decode(sealed), key, info.encode()))
";

/// Argument: private key in hex. Writes its SubjectPublicKeyInfo, DER.
const PUBLIC: &str = r"
import sys
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import x25519
key = x25519.X25519PrivateKey.from_private_bytes(bytes.fromhex(sys.argv[1]))
der = key.public_key().public_bytes(s.Encoding.DER, s.PublicFormat.SubjectPublicKeyInfo)
sys.stdout.buffer.write(der)
";

#[test]
fn cards_become_tokens_and_are_sealed_to_whom_the_host_is_not() {
    let tenant: Tenant = SERVER.tenant_with_policy("shop", "cards");
    tenant.new_key(&json!({ "name": "cards", "algorithm": "aes-256-siv" }));
    let number = json!({ "number": "4111111111111111" });
    let token = invoke(&tenant.app, "tokenize", &number).expect(200).json();
    assert_eq!(token["key_version"], 1);
    assert!(token["token"].as_str().unwrap().ends_with("1111"));
    tenant.admin.send("POST", "/keys/cards/rotate", &[], b"").expect(200);
    let reader = tenant.app.token(&tenant.token("risk", &["card-reader"]));
    assert_eq!(invoke(&reader, "reveal", &token).expect(200).json(), number);
    invoke(&tenant.app, "reveal", &token).problem(403, "policy_refused");

    let dir = tempfile::tempdir().unwrap();
    let private = "4a".repeat(32);
    let public = python::output(dir.path(), PUBLIC, &[&private]);
    let registrar = tenant.app.token(&tenant.token("ops", &["registrar"]));
    let bank = json!({ "name": "bank", "public_key": b64(public) });
    invoke(&registrar, "register", &bank).expect(200);
    let body = json!({ "recipient": "bank", "number": "4111111111111111" });
    let sealed = invoke(&tenant.app, "seal", &body).expect(200).json();
    let sealed = sealed["sealed"].as_str().unwrap();
    assert_eq!(unb64(sealed).len(), 32 + 16 + 16);
    let opened = python::output(dir.path(), OPEN, &[&private, sealed, "keyward cards v1 shop"]);
    assert_eq!(opened, b"4111111111111111");
}
