//! Encrypt and decrypt through a tenant's policy, the keys behind it, and who may do what.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;

use keyward_tests::{Answer, Server, Tenant, UNIFORM, b64, unb64};
use serde_json::{Value, json};

static SERVER: LazyLock<Server> = LazyLock::new(Server::dev);

fn tenant(name: &str) -> Tenant {
    SERVER.tenant_with_policy(name, "baseline")
}

#[test]
fn what_is_encrypted_decrypts() {
    let tenant = tenant("round-trip");
    for plaintext in [&b""[..], b"x", b"\0\xff\n", "zwölf".as_bytes(), &vec![7; 100_000]] {
        let sent = json!({ "key": "main", "plaintext": b64(plaintext) });
        let answer = tenant.app.post("/encrypt", &sent).expect(200);
        assert_eq!(answer.json()["key_version"], 1);
        let ciphertext = answer.str("/ciphertext");
        assert!(ciphertext.starts_with("kw1."), "{ciphertext}");
        // The ciphertext says which key it needs; naming it is allowed.
        for body in [
            json!({ "ciphertext": ciphertext }),
            json!({ "ciphertext": ciphertext, "key": "main" }),
        ] {
            let answer = tenant.app.post("/decrypt", &body).expect(200);
            assert_eq!(unb64(&answer.str("/plaintext")), plaintext);
            assert_eq!(answer.json()["key_version"], 1);
            assert_eq!(answer.header("content-type"), "application/json");
            assert_eq!(answer.header("cache-control"), "no-store");
        }
    }
}

#[test]
fn equal_plaintexts_have_different_ciphertexts() {
    let tenant = tenant("nonces");
    let body = json!({ "key": "main", "plaintext": b64("same") });
    assert_ne!(tenant.app.encrypt(&body), tenant.app.encrypt(&body));
}

#[test]
fn context_is_bound() {
    let tenant = tenant("context");
    let encrypt = |context: &Value| {
        let mut body = json!({ "key": "main", "plaintext": b64("bound") });
        if !context.is_null() {
            body["context"] = context.clone();
        }
        tenant.app.encrypt(&body)
    };
    let decrypt = |ciphertext: &str, context: &Value| {
        let mut body = json!({ "ciphertext": ciphertext });
        if !context.is_null() {
            body["context"] = context.clone();
        }
        tenant.app.post("/decrypt", &body)
    };
    let contexts = [Value::Null, b64("order 17").into(), b64("order 18").into()];
    for made in &contexts {
        let ciphertext = encrypt(made);
        for given in &contexts {
            let answer = decrypt(&ciphertext, given);
            if made == given {
                assert_eq!(unb64(&answer.expect(200).str("/plaintext")), b"bound");
            } else {
                answer.problem(400, UNIFORM);
            }
        }
    }
    // An empty context is no context.
    let ciphertext = encrypt(&"".into());
    decrypt(&ciphertext, &Value::Null).expect(200);
}

#[test]
fn purpose_is_taken_and_not_bound_by_the_host() {
    let tenant = tenant("purpose");
    let body = json!({ "key": "main", "plaintext": b64("x"), "purpose": "billing" });
    let ciphertext = tenant.app.encrypt(&body);
    assert_eq!(tenant.app.decrypt(&json!({ "ciphertext": ciphertext })), b"x");
}

#[test]
fn old_versions_open_after_rotation() {
    let tenant = tenant("rotation");
    let mut ciphertexts = Vec::new();
    for version in 1..=4 {
        let body = json!({ "key": "main", "plaintext": b64(version.to_string()) });
        let answer = tenant.app.post("/encrypt", &body).expect(200);
        assert_eq!(answer.json()["key_version"], version);
        ciphertexts.push(answer.str("/ciphertext"));
        let rotated = tenant.admin.post("/keys/main/rotate", &json!({})).expect(200);
        assert_eq!(rotated.json(), json!({ "key_version": version + 1 }));
    }
    for (index, ciphertext) in ciphertexts.iter().enumerate() {
        let answer = tenant.app.post("/decrypt", &json!({ "ciphertext": ciphertext })).expect(200);
        assert_eq!(answer.json()["key_version"], index + 1);
        assert_eq!(unb64(&answer.str("/plaintext")), (index + 1).to_string().as_bytes());
    }
    let key = tenant.app.get("/keys/main").expect(200).json();
    assert_eq!(key["current_version"], 5);
    let versions: Vec<_> = key["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v["version"].as_u64().unwrap())
        .collect();
    assert_eq!(versions, [1, 2, 3, 4, 5]);
}

#[test]
fn algorithms_of_keys() {
    let tenant = tenant("algorithms");
    for algorithm in ["xaes-256-gcm", "aes-256-gcm", "aes-256-siv"] {
        tenant.new_key(&json!({ "name": algorithm, "algorithm": algorithm }));
        let body = json!({ "key": algorithm, "plaintext": b64("x"), "context": b64("c") });
        let (one, two) = (tenant.app.encrypt(&body), tenant.app.encrypt(&body));
        assert_eq!(one == two, algorithm == "aes-256-siv", "{algorithm}");
        assert_eq!(tenant.app.decrypt(&json!({ "ciphertext": two, "context": b64("c") })), b"x");
    }
    tenant.new_key(&json!({ "name": "mac", "algorithm": "hmac-sha-256" }));
    let body = json!({ "key": "mac", "plaintext": b64("x") });
    tenant.app.post("/encrypt", &body).problem(400, "key_unsuitable").field("/key");
}

#[test]
fn a_batch_answers_in_order_each_item_for_itself() {
    // A policy that leaves it to the host to find the key.
    let tenant = SERVER.tenant_with_policy("batch", "fields");
    tenant.key("second");
    let items = json!({ "items": [
        { "key": "main", "plaintext": b64("one"), "reference": "first \"quoted\" ü" },
        { "key": "main", "plaintext": "not base64" },
        { "key": "absent", "plaintext": b64("three"), "reference": "3" },
        { "key": "second", "plaintext": "", "context": b64("c") },
        { "plaintext": b64("no key") },
        { "key": "main" },
        { "key": "second", "plaintext": b64("seven"), "context": b64("c") },
    ]});
    let answer = tenant.app.post("/encrypt", &items).expect(200).json();
    let got = answer["items"].as_array().unwrap();
    assert_eq!(got.len(), 7);
    assert_eq!(got[0]["reference"], "first \"quoted\" ü");
    assert_eq!(got[2]["reference"], "3");
    let errors = [
        (1, "invalid_base64", "/items/1/plaintext"),
        (2, "key_not_found", "/items/2/key"),
        (4, "key_required", "/items/4/key"),
        (5, "invalid_field", "/items/5/plaintext"),
    ];
    for (index, code, field) in errors {
        assert_eq!(got[index]["error"]["code"], code, "{}", got[index]);
        assert_eq!(got[index]["error"]["field"], field, "{}", got[index]);
        assert!(got[index]["error"]["detail"].is_string());
        assert!(got[index].get("ciphertext").is_none());
    }
    let good = [(0, "one", Value::Null), (3, "", b64("c").into()), (6, "seven", b64("c").into())];
    let mut back = Vec::new();
    for (index, _, context) in &good {
        assert!(got[*index].get("error").is_none(), "{}", got[*index]);
        assert_eq!(got[*index]["key_version"], 1);
        back.push(json!({ "ciphertext": got[*index]["ciphertext"], "context": context }));
    }
    // Swapped contexts: the failure is the item's alone.
    back.push(json!({ "ciphertext": got[0]["ciphertext"], "context": b64("c") }));
    back.push(json!({ "ciphertext": "kw1.", "reference": "r" }));
    let answer = tenant.app.post("/decrypt", &json!({ "items": back })).expect(200).json();
    let opened = answer["items"].as_array().unwrap();
    assert_eq!(opened.len(), 5);
    for (at, (_, plaintext, _)) in good.iter().enumerate() {
        assert_eq!(opened[at], json!({ "plaintext": b64(plaintext), "key_version": 1 }));
    }
    assert_eq!(opened[3]["error"]["code"], UNIFORM);
    assert_eq!(opened[4]["error"]["code"], UNIFORM);
    assert_eq!(opened[4]["reference"], "r");
    assert_eq!(opened[3]["error"]["detail"], opened[4]["error"]["detail"]);
}

#[test]
fn ciphertexts_of_several_batches_keys_and_versions_open_together() {
    let tenant = tenant("batches");
    tenant.key("second");
    let seal = |key: &str, count: usize| {
        let item = |n| json!({ "key": key, "plaintext": b64(format!("{key} {n}")) });
        let items: Vec<Value> = (0..count).map(item).collect();
        let answer = tenant.app.post("/encrypt", &json!({ "items": items })).expect(200).json();
        let sealed = |n: usize| answer["items"][n]["ciphertext"].as_str().unwrap().to_owned();
        (0..count).map(|n| (format!("{key} {n}"), sealed(n))).collect::<Vec<_>>()
    };
    let mut all = seal("main", 20);
    tenant.admin.post("/keys/main/rotate", &json!({})).expect(200);
    all.extend(seal("main", 20));
    all.extend(seal("second", 20));
    all.extend(seal("second", 1));
    // Of `kw1.` and base64 of 14 bytes of header and 24 of nonce: the nonce, and two bits of what follows from it.
    let nonces: std::collections::HashSet<&str> =
        all.iter().map(|(_, text)| &text[24..55]).collect();
    assert_eq!(nonces.len(), all.len());
    // From everywhere in turn, then one after the other.
    let turns = (0..all.len()).map(|n| (n * 7) % all.len());
    for order in [turns.collect::<Vec<_>>(), (0..all.len()).collect()] {
        let item = |n: &usize| json!({ "ciphertext": all[*n].1 });
        let mut items: Vec<Value> = order.iter().map(item).collect();
        let mut damaged = all[order[0]].1.clone();
        damaged.replace_range(30..31, if &damaged[30..31] == "A" { "B" } else { "A" });
        items.push(json!({ "ciphertext": damaged }));
        items.push(json!({ "ciphertext": all[order[0]].1, "key": "second" }));
        let answer = tenant.app.post("/decrypt", &json!({ "items": items })).expect(200).json();
        for (at, n) in order.iter().enumerate() {
            let (plaintext, version) = (&all[*n].0, 1 + u32::from((20..40).contains(n)));
            let expected = json!({ "plaintext": b64(plaintext), "key_version": version });
            assert_eq!(answer["items"][at], expected, "{plaintext}");
        }
        for wrong in [order.len(), order.len() + 1] {
            assert_eq!(answer["items"][wrong]["error"]["code"], UNIFORM);
        }
    }
}

/// What a caller can tell from a refusal, the request's own id aside.
#[track_caller]
fn uniform(answer: Answer) -> Value {
    let mut body = answer.problem(400, UNIFORM).json();
    body["request_id"] = Value::Null;
    body
}

#[test]
fn what_does_not_open_is_one_and_the_same_answer() {
    let (tenant, other) = (tenant("uniform"), tenant("uniform-other"));
    tenant.key("second");
    let (context, wrong) = (b64("context"), b64("Context"));
    let body = json!({ "key": "main", "plaintext": b64("secret"), "context": context });
    let ciphertext = tenant.app.encrypt(&body);
    let open = |ciphertext: &str, context: &str| {
        tenant.app.post("/decrypt", &json!({ "ciphertext": ciphertext, "context": context }))
    };
    open(&ciphertext, &context).expect(200);
    let expected = uniform(open(&ciphertext, &wrong));
    let check = |what: &str, answer: Answer| assert_eq!(uniform(answer), expected, "{what}");

    check("no context", tenant.app.post("/decrypt", &json!({ "ciphertext": ciphertext })));
    let named = json!({ "ciphertext": ciphertext, "context": context, "key": "second" });
    check("another key", tenant.app.post("/decrypt", &named));
    let moved = json!({ "ciphertext": ciphertext, "context": context });
    check("another tenant", other.app.post("/decrypt", &moved));
    let moved = json!({ "ciphertext": ciphertext, "context": context, "key": "main" });
    check("another tenant, its key named", other.app.post("/decrypt", &moved));

    let characters: Vec<char> = ciphertext.chars().collect();
    for at in (0..characters.len()).step_by(7).chain([characters.len() - 1]) {
        let mut damaged = characters.clone();
        damaged[at] = if damaged[at] == 'A' { 'B' } else { 'A' };
        let damaged: String = damaged.into_iter().collect();
        check(&format!("damaged at {at}"), open(&damaged, &context));
        let truncated: String = characters[..at].iter().collect();
        check(&format!("truncated to {at}"), open(&truncated, &context));
        let mut longer = characters.clone();
        longer.insert(at, 'A');
        let longer: String = longer.into_iter().collect();
        check(&format!("longer at {at}"), open(&longer, &context));
    }
    for text in [
        "",
        "kw1.",
        "kw1",
        "kw2.AAAA",
        "nonsense",
        "kw1.====",
        "kw1.AQ",
        "vault:v1:AAAA",
        "kw1.ü",
        &ciphertext.replace("kw1.", ""),
        &format!("{ciphertext}="),
        &format!(" {ciphertext}"),
        &format!("{ciphertext}\n"),
        &ciphertext.to_uppercase(),
        &"kw1.".repeat(5_000),
    ] {
        check(text, open(text, &context));
    }
}

#[test]
fn keys_are_listed_and_shown_without_their_bytes() {
    let tenant = tenant("listing");
    let attributes = json!({ "owner": "billing" });
    let new = json!({ "name": "b.key", "algorithm": "aes-256-gcm", "attributes": attributes });
    let created = tenant.admin.post("/keys", &new).expect(201);
    assert_eq!(created.header("location"), "/api/v1/tenants/listing/keys/b.key");
    let key = created.json();
    let members: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = ["algorithm", "attributes", "created_at", "current_version"].to_vec();
    expected.extend(["enabled", "exportable", "id", "labels", "min_available_version"]);
    expected.extend(["min_decrypt_version", "min_encrypt_version", "name", "state", "versions"]);
    assert_eq!(members, expected);
    let version: Vec<_> =
        key["versions"][0].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(version, ["created_at", "version"], "fingerprints are the operators'");
    assert_eq!(key["enabled"], true);
    assert_eq!(key["name"], "b.key");
    assert_eq!(key["algorithm"], "aes-256-gcm");
    assert_eq!(key["current_version"], 1);
    assert_eq!(key["attributes"], attributes);
    assert_eq!(tenant.app.get("/keys/b.key").expect(200).json(), key);

    let list = tenant.app.get("/keys").expect(200).json();
    let names: Vec<_> =
        list["keys"].as_array().unwrap().iter().map(|key| key["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["b.key", "main"]);
    assert_eq!(list["keys"][0], key);
    assert_eq!(list["keys"][1]["algorithm"], "xaes-256-gcm");

    let empty = SERVER.tenant("listing-empty");
    assert_eq!(empty.app.get("/keys").expect(200).json(), json!({ "keys": [] }));
}

#[test]
fn a_key_of_the_same_name_is_another_key_in_another_tenant() {
    let (one, two) = (tenant("same-name-1"), tenant("same-name-2"));
    let id = |tenant: &Tenant| tenant.app.get("/keys/main").expect(200).str("/id");
    assert_ne!(id(&one), id(&two));
    one.admin.post("/keys/main/rotate", &json!({})).expect(200);
    assert_eq!(two.app.get("/keys/main").expect(200).json()["current_version"], 1);
}

#[test]
fn admins_and_operators_manage_and_applications_do_not() {
    let tenant = tenant("managing");
    for (client, name) in [(&tenant.admin, "by-admin"), (&tenant.operator, "by-operator")] {
        client.post("/keys", &json!({ "name": name })).expect(201);
        let rotated = client.post(&format!("/keys/{name}/rotate"), &json!({})).expect(200);
        assert_eq!(rotated.json()["key_version"], 2);
        client.get("/keys").expect(200);
        client.get("/policy").expect(200);
    }
    let app = &tenant.app;
    app.post("/keys", &json!({ "name": "by-app" })).problem(403, "forbidden");
    app.post("/keys/main/rotate", &json!({})).problem(403, "forbidden");
    app.post("/tokens", &json!({ "subject": "x", "roles": [] })).problem(403, "forbidden");
    app.put_policy(&keyward_tests::policy("baseline")).problem(403, "forbidden");
    app.get("/keys").expect(200);
    tenant.operator.get("/keys/by-app").problem(404, "key_not_found");
    assert_eq!(app.get("/keys/main").expect(200).json()["current_version"], 1);

    // Tenants are the operator's alone.
    for client in [&tenant.admin, app] {
        client.at_root().get("/api/v1/tenants").problem(403, "forbidden");
        let new = json!({ "name": "of-their-own" });
        client.at_root().post("/api/v1/tenants", &new).problem(403, "forbidden");
    }
    let tenants = SERVER.operator().get("/api/v1/tenants").expect(200).json();
    let names: Vec<_> =
        tenants["tenants"].as_array().unwrap().iter().map(|t| t["name"].clone()).collect();
    assert!(names.contains(&"managing".into()) && names.contains(&"demo".into()), "{names:?}");
}

#[test]
fn operators_never_encrypt_or_decrypt() {
    let tenant = tenant("operators");
    let ciphertext = tenant.app.encrypt(&json!({ "key": "main", "plaintext": b64("x") }));
    let operator = &tenant.operator;
    let body = json!({ "key": "main", "plaintext": b64("x") });
    operator.post("/encrypt", &body).problem(403, "forbidden");
    operator.post("/decrypt", &json!({ "ciphertext": ciphertext })).problem(403, "forbidden");
    operator.post("/invoke/anything", &json!({})).problem(403, "forbidden");
}

#[test]
fn a_tenant_without_a_policy_allows_nothing() {
    let tenant = SERVER.tenant("bare");
    tenant.key("main");
    let body = json!({ "key": "main", "plaintext": b64("x") });
    tenant.app.post("/encrypt", &body).problem(403, "policy_missing");
    tenant.app.post("/invoke/anything", &json!({})).problem(403, "policy_missing");
    tenant.app.get("/policy").problem(404, "policy_not_set");
    tenant.activate("baseline");
    tenant.app.post("/encrypt", &body).expect(200);
}

#[test]
fn health_needs_no_token() {
    let client = SERVER.client();
    assert_eq!(client.get("/livez").expect(200).json()["status"], "live");
    assert_eq!(client.get("/readyz").expect(200).json()["status"], "ready");
}

#[test]
fn requests_have_an_id() {
    let client = SERVER.client();
    let given = client.send("GET", "/livez", &[("x-request-id", "order-17")], b"");
    assert_eq!(given.header("x-request-id"), "order-17");
    let (one, two) = (client.get("/livez"), client.get("/livez"));
    assert_ne!(one.header("x-request-id"), two.header("x-request-id"));
}

#[test]
fn tokens_carry_subject_and_roles_and_are_shown_once() {
    let tenant = tenant("minting");
    let claims = json!({ "team": "billing" });
    let body = json!({ "subject": "svc", "roles": ["application", "auditor"], "claims": claims });
    let minted = tenant.admin.post("/tokens", &body).expect(201).json();
    assert_eq!(minted["subject"], "svc");
    assert_eq!(minted["roles"], json!(["application", "auditor"]));
    assert_eq!(minted["tenant"], "minting");
    let token = minted["token"].as_str().unwrap();
    assert!(token.starts_with("kw_"), "a token has a prefix that scanners find");
    assert!(!token.contains(minted["id"].as_str().unwrap()));
    tenant.app.token(token).encrypt(&json!({ "key": "main", "plaintext": "" }));
    let body = json!({ "subject": "svc", "roles": ["operator"] });
    tenant.admin.post("/tokens", &body).problem(400, "invalid_field").field("/roles/0");
}

#[test]
fn many_at_once() {
    let tenant = tenant("parallel");
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let app = tenant.app.clone();
            scope.spawn(move || {
                for round in 0..25 {
                    let text = format!("{thread}/{round}");
                    let body = json!({ "key": "main", "plaintext": b64(&text) });
                    let back = app.decrypt(&json!({ "ciphertext": app.encrypt(&body) }));
                    assert_eq!(back, text.as_bytes());
                }
            });
        }
        let admin = tenant.admin.clone();
        scope.spawn(move || {
            for _ in 0..10 {
                admin.post("/keys/main/rotate", &json!({})).expect(200);
            }
        });
    });
    assert_eq!(tenant.app.get("/keys/main").expect(200).json()["current_version"], 11);
}
