//! The policies of plugins/, each as a component over HTTP: what their READMEs claim.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;

use keyward_tests::{Answer, Client, Server, Tenant, UNIFORM, b64, policy};
use serde_json::{Value, json};

static SERVER: LazyLock<Server> = LazyLock::new(Server::dev);

#[track_caller]
fn encrypt(client: &Client, extra: &Value) -> Answer {
    client.post("/encrypt", &with(json!({ "key": "main", "plaintext": b64("x") }), extra))
}

#[track_caller]
fn decrypt(client: &Client, ciphertext: &str, extra: &Value) -> Answer {
    client.post("/decrypt", &with(json!({ "ciphertext": ciphertext }), extra))
}

fn with(mut body: Value, extra: &Value) -> Value {
    for (name, value) in extra.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

// baseline

#[test]
fn baseline_gives_roles_their_operations() {
    let tenant = SERVER.tenant_with_policy("baseline-roles", "baseline");
    let ciphertext = encrypt(&tenant.app, &json!({})).expect(200).str("/ciphertext");
    for (roles, encrypts, decrypts) in [
        (&["application"][..], true, true),
        (&["writer"], true, false),
        (&["reader"], false, true),
        (&["writer", "reader"], true, true),
        (&["tenant-admin"], false, false),
        (&["stranger"], false, false),
        (&["tenant-admin", "reader"], false, true),
        (&[], false, false),
    ] {
        let caller = tenant.caller(roles);
        let answers = [
            (encrypt(&caller, &json!({})), encrypts, "encrypt"),
            (decrypt(&caller, &ciphertext, &json!({})), decrypts, "decrypt"),
        ];
        for (answer, allowed, what) in answers {
            if allowed {
                answer.expect(200);
            } else {
                let reason = format!("{what} needs one of the roles");
                answer.problem(403, "policy_refused").detail(&reason).detail("application");
            }
        }
    }
}

#[test]
fn baseline_demands_a_context_where_the_key_does() {
    let tenant = SERVER.tenant_with_policy("baseline-context", "baseline");
    tenant.new_key(&json!({ "name": "patient", "attributes": { "context": "required" } }));
    tenant.new_key(&json!({ "name": "loose", "attributes": { "context": "optional" } }));
    let context = json!({ "key": "patient", "context": b64("patient 17") });
    for without in [json!({ "key": "patient" }), json!({ "key": "patient", "context": "" })] {
        encrypt(&tenant.app, &without).problem(400, "policy_invalid").detail("context");
    }
    let ciphertext = encrypt(&tenant.app, &context).expect(200).str("/ciphertext");
    decrypt(&tenant.app, &ciphertext, &json!({})).problem(400, "policy_invalid").detail("context");
    decrypt(&tenant.app, &ciphertext, &context).expect(200);
    let other = json!({ "context": b64("patient 18") });
    decrypt(&tenant.app, &ciphertext, &other).problem(400, UNIFORM);
    for key in ["main", "loose"] {
        encrypt(&tenant.app, &json!({ "key": key })).expect(200);
    }
    // In a batch each item is decided for itself.
    let item =
        |key: &str, context: &str| json!({ "key": key, "plaintext": "", "context": b64(context) });
    let items = [item("patient", ""), item("main", ""), item("patient", "c"), item("patient", "")];
    let answer = tenant.app.post("/encrypt", &json!({ "items": items })).expect(200).json();
    let codes: Vec<_> =
        answer["items"].as_array().unwrap().iter().map(|item| &item["error"]["code"]).collect();
    assert_eq!(
        codes,
        [&json!("policy_invalid"), &Value::Null, &Value::Null, &json!("policy_invalid")]
    );
}

#[test]
fn baseline_says_which_key_it_does_not_find() {
    let tenant = SERVER.tenant_with_policy("baseline-keys", "baseline");
    let answer = encrypt(&tenant.app, &json!({ "key": "absent" }));
    assert_eq!(answer.status, 404, "{}", answer.text());
    answer.detail("absent");
    let answer = encrypt(&tenant.app, &json!({ "key": null }));
    assert_eq!(answer.status, 400, "{}", answer.text());
    answer.detail("key");
    tenant.app.post("/invoke/anything", &json!({})).problem(404, "operation_not_found");
}

// records

#[test]
fn records_grants_purposes_to_roles() {
    let tenant = SERVER.tenant_with_policy("records-grants", "records");
    let made = |purpose: &str| {
        let ciphertext = encrypt(&tenant.app, &json!({ "purpose": purpose })).expect(200);
        (purpose.to_owned(), ciphertext.str("/ciphertext"))
    };
    let records = [made("treatment"), made("billing"), made("research")];
    for (role, granted) in [
        ("application", &["treatment", "billing"][..]),
        ("clinician", &["treatment"]),
        ("accountant", &["billing"]),
        ("researcher", &["research"]),
        ("tenant-admin", &[]),
    ] {
        let caller = tenant.caller(&[role]);
        for (purpose, ciphertext) in &records {
            let answer = decrypt(&caller, ciphertext, &json!({ "purpose": purpose }));
            if granted.contains(&purpose.as_str()) {
                answer.expect(200);
            } else {
                answer.problem(403, "policy_refused").detail(purpose);
            }
        }
        let writes = ["application", "clinician"].contains(&role);
        let answer = encrypt(&caller, &json!({ "purpose": "research" }));
        if writes {
            answer.expect(200);
        } else {
            answer.problem(403, "policy_refused").detail("clinician");
        }
    }
}

#[test]
fn records_binds_the_purpose_into_the_ciphertext() {
    let tenant = SERVER.tenant_with_policy("records-bound", "records");
    let all = tenant.caller(&["application", "accountant", "researcher"]);
    let purposes = ["treatment", "billing", "research"];
    for made in purposes {
        let ciphertext = encrypt(&all, &json!({ "purpose": made })).expect(200).str("/ciphertext");
        for stated in purposes {
            let answer = decrypt(&all, &ciphertext, &json!({ "purpose": stated }));
            if made == stated {
                answer.expect(200);
            } else {
                answer.problem(400, UNIFORM);
            }
        }
        for bad in [json!({}), json!({ "purpose": "marketing" }), json!({ "purpose": "" })] {
            decrypt(&all, &ciphertext, &bad).problem(400, "policy_invalid").detail("treatment");
        }
    }
    encrypt(&all, &json!({})).problem(400, "policy_invalid").detail("purpose");
    // What was encrypted under another policy has no purpose bound, so none opens it.
    let tenant = SERVER.tenant_with_policy("records-switched", "baseline");
    let ciphertext = encrypt(&tenant.app, &json!({})).expect(200).str("/ciphertext");
    tenant.activate("records");
    decrypt(&tenant.app, &ciphertext, &json!({ "purpose": "billing" })).problem(400, UNIFORM);
    tenant.activate("baseline");
    decrypt(&tenant.app, &ciphertext, &json!({})).expect(200);
}

#[test]
fn records_in_a_batch_of_mixed_purposes() {
    let tenant = SERVER.tenant_with_policy("records-batch", "records");
    let item = |purpose: &str| json!({ "key": "main", "plaintext": b64("x"), "purpose": purpose });
    let items = json!({ "items": [item("billing"), item("nonsense"), item("treatment")] });
    let made = tenant.app.post("/encrypt", &items).expect(200).json();
    assert_eq!(made["items"][1]["error"]["code"], "policy_invalid");
    let item = |at: usize, purpose: &str| json!({ "ciphertext": made["items"][at]["ciphertext"], "purpose": purpose });
    let items =
        [item(0, "billing"), item(0, "treatment"), item(2, "treatment"), item(2, "research")];
    let opened = tenant.app.post("/decrypt", &json!({ "items": items })).expect(200).json();
    assert_eq!(opened["items"][0]["plaintext"], b64("x"));
    assert_eq!(opened["items"][1]["error"]["code"], UNIFORM);
    assert_eq!(opened["items"][2]["plaintext"], b64("x"));
    assert_eq!(opened["items"][3]["error"]["code"], "policy_refused");
}

// fields

/// Every kind of field, spacing and digits that must survive.
const ORDER: &str = r#"{
  "customer": {
    "name": "Ada Lovelace", "email": "ada@example.org",
    "card": "4111 1111 1111 1234",
    "address": {"street": "12 Dorset St", "floor": 2, "lift": false, "box": null}
  },
  "orders": [
    {"id": 1, "total": 10.50, "note": "ring twice"},
    {"id": 2, "total": 1e2, "note": {"lines": ["leave", "at door"]}},
    {"id": 3, "note": 17.250, "deep": [[[{"note": "clear"}]]]}, {"id": 4, "note": null}
  ],
  "internal": {"score": 0.93},
  "version": 18446744073709551616123
}"#;

fn fields(name: &str) -> Tenant {
    let tenant = SERVER.tenant_with_policy(name, "fields");
    tenant.key("fields");
    tenant.new_key(&json!({ "name": "fields-deterministic", "algorithm": "aes-256-siv" }));
    tenant
}

#[track_caller]
fn invoke(client: &Client, operation: &str, body: &str) -> String {
    let answer = client.json(&format!("/invoke/{operation}"), body.as_bytes()).expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    answer.text()
}

fn value(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn fields_protects_by_its_rules_and_reveals_byte_by_byte() {
    let tenant = fields("fields-round-trip");
    let protected = invoke(&tenant.app, "protect", ORDER);
    for secret in ["Ada", "ada@", "4111", "Dorset", "ring", "leave", "17.25", "0.93", "internal"] {
        assert!(!protected.contains(secret), "{secret} in {protected}");
    }
    let document = value(&protected);
    for pointer in [
        "/customer/name",
        "/customer/email",
        "/customer/card",
        "/customer/address",
        "/orders/0/note",
        "/orders/1/note",
        "/orders/2/note",
        "/orders/3/note",
    ] {
        let field = document.pointer(pointer).and_then(Value::as_str);
        assert!(field.is_some_and(|text| text.starts_with("kw1.")), "{pointer}: {protected}");
    }
    for kept in
        ["\"total\": 10.50", "1e2", "18446744073709551616123", "[[[{\"note\": \"clear\"}]]]"]
    {
        assert!(protected.contains(kept), "{kept} not in {protected}");
    }
    // Types and digits come back, after a rotation as well.
    tenant.admin.post("/keys/fields/rotate", &json!({})).expect(200);
    tenant.admin.post("/keys/fields-deterministic/rotate", &json!({})).expect(200);
    let expected = ORDER.replace(",\n  \"internal\": {\"score\": 0.93}", "");
    assert_eq!(invoke(&tenant.app, "reveal", &protected), expected);
}

#[test]
fn fields_shows_each_role_what_its_rules_say() {
    let tenant = fields("fields-roles");
    let protected = invoke(&tenant.app, "protect", ORDER);
    let support = tenant.caller(&["support"]);
    let seen = value(&invoke(&support, "reveal", &protected));
    assert_eq!(seen["customer"]["name"], "Ada Lovelace");
    assert_eq!(seen["customer"]["email"], "ada@example.org");
    assert_eq!(seen["customer"]["card"], "**** **** **** 1234");
    let protected_value = value(&protected);
    for kept in ["/customer/address", "/orders/0/note", "/orders/1/note"] {
        assert_eq!(seen.pointer(kept), protected_value.pointer(kept));
    }
    let refused = support.json("/invoke/protect", ORDER.as_bytes());
    refused.problem(403, "policy_refused").detail("application");
    for roles in [&["stranger"][..], &["tenant-admin"], &[]] {
        let refused = tenant.caller(roles).json("/invoke/reveal", protected.as_bytes());
        refused.problem(403, "policy_refused");
    }
}

#[test]
fn fields_are_bound_to_place_context_and_tenant() {
    let tenant = fields("fields-bound");
    let protected = value(&invoke(&tenant.app, "protect", ORDER));
    let refused = |client: &Client, query: &str, body: &Value, pointer: &str| {
        let path = format!("/invoke/reveal{query}");
        client.post(&path, body).problem(400, "policy_invalid").detail(pointer);
    };
    let mut moved = protected.clone();
    moved["customer"]["name"] = protected["orders"][0]["note"].clone();
    refused(&tenant.app, "", &moved, "/customer/name");
    let mut swapped = protected.clone();
    swapped["customer"]["email"] = protected["customer"]["name"].clone();
    refused(&tenant.app, "", &swapped, "/customer/email");
    let mut damaged = protected.clone();
    damaged["orders"][1]["note"] = "kw1.AQEAAAAA".into();
    refused(&tenant.app, "", &damaged, "/orders/1/note");
    // An element of an array keeps its place when the array is sorted.
    let mut sorted = protected.clone();
    sorted["orders"].as_array_mut().unwrap().reverse();
    let revealed = value(&invoke(&tenant.app, "reveal", &sorted.to_string()));
    assert_eq!(revealed["orders"][3]["note"], "ring twice");

    let context = format!("?context={}", b64("shop 1").replace('=', "%3D"));
    let bound =
        tenant.app.json(&format!("/invoke/protect{context}"), ORDER.as_bytes()).expect(200).json();
    tenant.app.post(&format!("/invoke/reveal{context}"), &bound).expect(200);
    refused(&tenant.app, "", &bound, "does not open");
    refused(&tenant.app, "?context=AAAA", &bound, "does not open");

    let other = fields("fields-bound-other");
    refused(&other.app, "", &protected, "does not open");
    // What a policy sealed, /decrypt does not open, and the other way round.
    let field = protected["customer"]["name"].as_str().unwrap();
    decrypt(&tenant.app, field, &json!({})).problem(400, UNIFORM);
    let plain = json!({ "key": "fields", "plaintext": b64("\"x\"") });
    let ciphertext = tenant.app.encrypt(&plain);
    let document = json!({ "customer": { "name": ciphertext } });
    refused(&tenant.app, "", &document, "/customer/name");
}

#[test]
fn fields_deterministic_and_not() {
    let tenant = fields("fields-deterministic");
    let document = |text: &str| {
        let body = json!({ "customer": { "email": text, "name": text } }).to_string();
        value(&invoke(&tenant.app, "protect", &body))
    };
    let (one, two, other) = (document("a@b"), document("a@b"), document("c@d"));
    assert_eq!(one["customer"]["email"], two["customer"]["email"]);
    assert_ne!(one["customer"]["email"], other["customer"]["email"]);
    assert_ne!(one["customer"]["name"], two["customer"]["name"]);
}

#[test]
fn fields_refuses_what_it_cannot_protect() {
    let tenant = fields("fields-refused");
    let protect = |body: &[u8]| tenant.app.json("/invoke/protect", body);
    for body in [
        &b""[..],
        b"{",
        b"{\"a\":1,}",
        b"{\"a\":01}",
        b"\xff",
        b"{\"a\":\"\xff\"}",
        b"[1] 2",
        b"NaN",
        b"{\"a\":1,\"a\":2}",
        b"\"\\ud800\"",
    ] {
        protect(body).problem(400, "policy_invalid");
    }
    protect("[".repeat(200).as_bytes()).problem(400, "policy_invalid");
    protect("[".repeat(100_000).as_bytes()).problem(400, "policy_invalid");
    let twice = invoke(&tenant.app, "protect", ORDER);
    protect(twice.as_bytes()).problem(400, "policy_invalid").detail("/customer/name");
    let text = tenant.app.send("POST", "/invoke/protect", &[("content-type", "text/plain")], b"{}");
    text.problem(400, "policy_invalid").detail("application/json");
    tenant.app.json("/invoke/nonsense", b"{}").problem(404, "operation_not_found");
    for document in ["{}", "[]", "null", "5", "\"x\"", " {\"a\" : [ ] } ", "{\"\":{\"\":1}}"] {
        assert_eq!(invoke(&tenant.app, "protect", document), document);
        assert_eq!(invoke(&tenant.app, "reveal", document), document);
    }
    // Without its keys it says which one it lacks.
    let tenant = SERVER.tenant_with_policy("fields-no-keys", "fields");
    let answer = tenant.app.json("/invoke/protect", ORDER.as_bytes());
    answer.problem(404, "policy_not_found").detail("fields");
}

#[test]
fn fields_of_large_documents() {
    let tenant = fields("fields-large");
    let orders: Vec<_> = (0..2_000)
        .map(|id| json!({ "id": id, "note": format!("note {id} {}", "x".repeat(100)) }))
        .collect();
    let document = json!({ "orders": orders }).to_string();
    let protected = invoke(&tenant.app, "protect", &document);
    assert_eq!(invoke(&tenant.app, "reveal", &protected), document);
}

#[test]
fn fields_under_keys_that_encrypt_to_a_public_key() {
    let algorithms = ["rsa-oaep-2048", "x25519", "ml-kem-768", "x25519-ml-kem-768"];
    for algorithm in algorithms {
        let tenant = SERVER.tenant_with_policy(&format!("fields-{algorithm}"), "fields");
        tenant.new_key(&json!({ "name": "fields", "algorithm": algorithm }));
        let document = r#"{"customer": {"name": "Ada Lovelace"}}"#;
        let protected = invoke(&tenant.app, "protect", document);
        assert!(!protected.contains("Ada"), "{protected}");
        tenant.admin.post("/keys/fields/rotate", &json!({})).expect(200);
        assert_eq!(invoke(&tenant.app, "reveal", &protected), document);
        let field = value(&protected)["customer"]["name"].as_str().unwrap().to_owned();
        decrypt(&tenant.app, &field, &json!({})).problem(400, UNIFORM);
    }
}

// receipts

fn receipts(name: &str, algorithm: &str) -> Tenant {
    let tenant = SERVER.tenant_with_policy(name, "receipts");
    tenant.new_key(&json!({ "name": "receipts", "algorithm": algorithm }));
    tenant
}

#[test]
fn receipts_are_attested_and_checked() {
    for algorithm in ["ed25519", "ecdsa-p256", "rsa-2048", "ml-dsa-65"] {
        let tenant = receipts(&format!("receipts-{algorithm}"), algorithm);
        let attest = |document: &str| value(&invoke(&tenant.app, "attest", document));
        let auditor = tenant.caller(&["auditor"]);
        let check = |receipt: &Value| value(&invoke(&auditor, "check", &receipt.to_string()));
        let receipt = attest(r#"{ "order": 17, "total": 10.50 }"#);
        assert_eq!(receipt["document"], json!({ "order": 17, "total": 10.5 }));
        assert_eq!((&receipt["tenant"], &receipt["subject"]), (&json!(tenant.name), &json!("app")));
        assert_eq!(check(&receipt), json!({ "valid": true, "key_version": 1 }));
        tenant.admin.post("/keys/receipts/rotate", &json!({})).expect(200);
        let newer = attest("[]");
        assert_eq!(check(&newer)["key_version"], 2);
        assert_eq!(check(&receipt)["key_version"], 1);
        let mut changed = receipt.clone();
        changed["document"]["total"] = json!(10.51);
        assert_eq!(check(&changed), json!({ "valid": false }));
        // What is below the key's bounds is no longer accepted.
        let patch = [("content-type", "application/merge-patch+json")];
        let bound = br#"{"min_decrypt_version":2}"#;
        tenant.admin.send("PATCH", "/keys/receipts", &patch, bound).expect(200);
        assert_eq!(check(&receipt), json!({ "valid": false }));
        assert_eq!(check(&newer)["valid"], true);
        let public = |selection: &Value| auditor.post("/invoke/public-key", selection);
        public(&json!({ "key_version": 1 })).problem(403, "policy_refused").detail("min_decrypt");
        let public = public(&json!({})).expect(200).json();
        assert_eq!((&public["key"], &public["key_version"]), (&json!("receipts"), &json!(2)));
        let der = keyward_tests::unb64(public["public_key"].as_str().unwrap());
        assert!(der.starts_with(b"\x30"), "{der:?}");
    }
}

#[test]
fn receipts_come_from_attest_alone() {
    let tenant = receipts("receipts-alone", "ed25519");
    let input = json!({ "key": "receipts", "input": b64("{}") });
    for caller in [&tenant.app, &tenant.admin, &tenant.caller(&["auditor"])] {
        caller.post("/sign", &input).problem(403, "policy_refused");
    }
    let auditor = tenant.caller(&["auditor"]);
    auditor.post("/invoke/attest", &json!({})).problem(403, "policy_refused").detail("application");
    // Another tenant's key of the same name makes another tenant's receipts.
    let other = receipts("receipts-other", "ed25519");
    let receipt = invoke(&other.app, "attest", "{}");
    assert_eq!(invoke(&tenant.app, "check", &receipt), r#"{"valid":false}"#);
    // The key is of the wrong kind, or there is none.
    let unfit = receipts("receipts-unfit", "hmac-sha-256");
    let answer = unfit.app.post("/invoke/attest", &json!({}));
    answer.problem(400, "policy_invalid").detail("hmac-sha-256");
    let none = SERVER.tenant_with_policy("receipts-none", "receipts");
    none.app.post("/invoke/attest", &json!({})).problem(404, "policy_not_found");
}

#[test]
fn receipts_of_documents_at_the_limits() {
    let tenant = receipts("receipts-limits", "ed25519");
    // Recursion as deep as is allowed, on the small stack of a component.
    let nested =
        |depth: usize, inner: &str| r#"{"a":["#.repeat(depth / 2) + inner + &"]}".repeat(depth / 2);
    let receipt = invoke(&tenant.app, "attest", &nested(16, "\"\\u00e9\""));
    assert_eq!(value(&invoke(&tenant.app, "check", &receipt))["valid"], true);
    let refused = |document: &str, why: &str| {
        let answer = tenant.app.json("/invoke/attest", document.as_bytes());
        answer.problem(400, "policy_invalid").detail(why);
    };
    refused(&nested(18, ""), "16 deep");
    refused(&"[".repeat(200_000), "16 deep");
    refused(r#"{"a":1,"a":2}"#, "twice");
    let long = json!({ "text": "x".repeat(250 << 10) }).to_string();
    let receipt = invoke(&tenant.app, "attest", &long);
    assert_eq!(value(&invoke(&tenant.app, "check", &receipt))["valid"], true);
    let many = json!((0..20_000).collect::<Vec<_>>()).to_string();
    let receipt = invoke(&tenant.app, "attest", &many);
    assert_eq!(value(&invoke(&tenant.app, "check", &receipt))["valid"], true);
    let too_long = json!("x".repeat(256 << 10));
    tenant.app.post("/invoke/attest", &too_long).problem(413, "policy_max_bytes");
}

// the policies as such

#[test]
fn what_a_policy_may_is_shown() {
    let tenant = SERVER.tenant("shown");
    for (name, expected, operations) in [
        ("baseline", &["keys"][..], &[][..]),
        ("records", &[], &[]),
        ("fields", &["keys", "opening", "sealing"], &["protect", "reveal"]),
        ("receipts", &["keys", "signing", "verifying"], &["attest", "check", "public-key"]),
    ] {
        let wasm = policy(name);
        let activated = tenant.admin.put_policy(&wasm).expect(200).json();
        let shown = tenant.app.get("/policy").expect(200).json();
        assert_eq!(activated, shown);
        assert_eq!(shown["size"], wasm.len());
        assert!(shown["digest"].as_str().unwrap().starts_with("sha256:"));
        assert_eq!(shown["activated_by"], "admin");
        let imports: Vec<_> = shown["imports"].as_array().unwrap().iter().map(capability).collect();
        let imports: Vec<_> = imports.into_iter().filter(|name| name != "types").collect();
        assert_eq!(imports, expected, "{name}");
        let offered: Vec<_> =
            shown["operations"].as_array().unwrap().iter().map(|o| o["name"].clone()).collect();
        assert_eq!(offered, operations, "{name}");
        for operation in shown["operations"].as_array().unwrap() {
            assert!(
                operation["input_schema"].is_object() && operation["output_schema"].is_object()
            );
            assert!(!operation["description"].as_str().unwrap().is_empty());
        }
    }
}

/// `keys` of `keyward:policy/keys@0.1.0`.
fn capability(import: &Value) -> String {
    let text = import.as_str().unwrap();
    let (_, name) = text.split_once('/').unwrap();
    name.split('@').next().unwrap().to_owned()
}

#[test]
fn a_new_policy_counts_from_the_next_request_on_and_after_a_restart() {
    let mut server = Server::dev();
    let tenant = server.tenant_with_policy("switched", "baseline");
    encrypt(&tenant.app, &json!({})).expect(200);
    tenant.activate("records");
    encrypt(&tenant.app, &json!({})).problem(400, "policy_invalid");
    let shown = tenant.app.get("/policy").expect(200).json();
    server.stop();
    server.start_again();
    let client = server.client().token(&tenant.app_token).below("/api/v1/tenants/switched");
    assert_eq!(client.get("/policy").expect(200).json(), shown);
    encrypt(&client, &json!({})).problem(400, "policy_invalid");
    encrypt(&client, &json!({ "purpose": "billing" })).expect(200);
}
