//! What the host does besides encrypt and decrypt, through a tenant's policy: rewrap, data keys,
//! MACs, digests, randomness; and batches as lines.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::LazyLock;
use std::time::Duration;

use keyward_tests::{Answer, Client, Server, Tenant, UNIFORM, b64, unb64};
use serde_json::{Value, json};

static SERVER: LazyLock<Server> = LazyLock::new(Server::dev);

fn tenant(name: &str) -> Tenant {
    SERVER.tenant_with_policy(name, "fields")
}

/// The answer of an operation that succeeds.
#[track_caller]
fn ask(client: &Client, path: &str, body: &Value) -> Value {
    client.post(path, body).expect(200).json()
}

#[test]
fn rewrap_moves_a_ciphertext_to_the_newest_version() {
    let tenant = tenant("rewrap-version");
    let body = json!({ "key": "main", "plaintext": b64("4111 1111"), "context": b64("row 1") });
    let old = tenant.app.encrypt(&body);
    tenant.admin.post("/keys/main/rotate", &json!({})).expect(200);
    let new = ask(&tenant.app, "/rewrap", &json!({ "ciphertext": old, "context": b64("row 1") }));
    assert_eq!(new["key_version"], 2);
    assert!(new.get("plaintext").is_none() && !new.to_string().contains(&b64("4111 1111")));
    let opened = tenant.app.decrypt(
        &json!({ "ciphertext": new["ciphertext"], "context": b64("row 1"), "key": "main" }),
    );
    assert_eq!(opened, b"4111 1111");
    // Without its context it does not open, here as elsewhere.
    tenant.app.post("/rewrap", &json!({ "ciphertext": old })).problem(400, UNIFORM);
}

#[test]
fn rewrap_moves_a_ciphertext_to_another_key_and_context() {
    let tenant = tenant("rewrap-key");
    tenant.key("second");
    let body = json!({ "key": "main", "plaintext": b64("x"), "context": b64("old") });
    let old = tenant.app.encrypt(&body);
    for (to, key, context) in [
        (json!({ "new_key": "second" }), "second", "old"),
        (json!({ "new_context": b64("new") }), "main", "new"),
        (json!({ "new_context": "" }), "main", ""),
        (json!({ "new_key": "second", "new_context": b64("new") }), "second", "new"),
    ] {
        let mut body = json!({ "ciphertext": old, "context": b64("old") });
        body.as_object_mut().unwrap().extend(to.as_object().unwrap().clone());
        let new = ask(&tenant.app, "/rewrap", &body)["ciphertext"].clone();
        let opens = json!({ "ciphertext": new, "key": key, "context": b64(context) });
        assert_eq!(tenant.app.decrypt(&opens), b"x", "{to}");
        let old_place = json!({ "ciphertext": new, "key": "main", "context": b64("old") });
        tenant.app.post("/decrypt", &old_place).problem(400, UNIFORM);
    }
    let nowhere = json!({ "ciphertext": old, "context": b64("old"), "new_key": "none" });
    tenant.app.post("/rewrap", &nowhere).problem(404, "key_not_found").field("/new_key");
    tenant.new_key(&json!({ "name": "tags", "algorithm": "hmac-sha-256" }));
    let unfit = json!({ "ciphertext": old, "context": b64("old"), "new_key": "tags" });
    tenant.app.post("/rewrap", &unfit).problem(400, "key_unsuitable").field("/new_key");
}

#[test]
fn rewrap_is_allowed_or_refused_as_its_own_operation_at_both_ends() {
    let tenant = SERVER.tenant_with_policy("rewrap-roles", "baseline");
    tenant.new_key(&json!({ "name": "strict", "attributes": { "context": "required" } }));
    let old = tenant.app.encrypt(&json!({ "key": "main", "plaintext": b64("x") }));
    // Who may decrypt may not rewrap, and who may encrypt neither.
    for role in ["reader", "writer"] {
        let refused = tenant.caller(&[role]).post("/rewrap", &json!({ "ciphertext": old }));
        refused.problem(403, "policy_refused");
    }
    // The policy is asked about the place it moves to as well.
    let body = json!({ "ciphertext": old, "new_key": "strict" });
    tenant.app.post("/rewrap", &body).problem(400, "policy_invalid").detail("strict");
    let body = json!({ "ciphertext": old, "new_key": "strict", "new_context": b64("c") });
    let new = ask(&tenant.app, "/rewrap", &body)["ciphertext"].clone();
    assert_eq!(tenant.app.decrypt(&json!({ "ciphertext": new, "context": b64("c") })), b"x");
    // In a batch, each for itself.
    let items = json!({ "items": [{ "ciphertext": old, "new_key": "strict" },
        { "ciphertext": old, "new_context": b64("c") }, { "ciphertext": "kw1.AA" }] });
    let got = ask(&tenant.app, "/rewrap", &items)["items"].clone();
    assert_eq!(got[0]["error"]["code"], "policy_invalid");
    assert!(got[1]["ciphertext"].is_string(), "{got}");
    assert_eq!(got[2]["error"]["code"], UNIFORM);
}

#[test]
fn what_was_bound_by_the_policy_stays_bound() {
    let tenant = SERVER.tenant_with_policy("rewrap-purpose", "records");
    let body = json!({ "key": "main", "plaintext": b64("A+"), "purpose": "treatment" });
    let old = tenant.app.encrypt(&body);
    let rewrap = |purpose: &str| json!({ "ciphertext": old, "purpose": purpose });
    let new = ask(&tenant.app, "/rewrap", &rewrap("treatment"))["ciphertext"].clone();
    let opens = json!({ "ciphertext": new, "purpose": "treatment" });
    assert_eq!(tenant.app.decrypt(&opens), b"A+");
    // It cannot be carried over to another purpose.
    tenant.app.post("/rewrap", &rewrap("billing")).problem(400, UNIFORM);
}

#[test]
fn data_keys_come_with_their_sealed_form() {
    let tenant = tenant("datakey");
    for (bits, bytes) in [(None, 32), (Some(128), 16), (Some(256), 32), (Some(512), 64)] {
        let mut body = json!({ "key": "main", "context": b64("file 1") });
        if let Some(bits) = bits {
            body["bits"] = json!(bits);
        }
        let made = ask(&tenant.app, "/datakey", &body);
        let plaintext = unb64(made["plaintext"].as_str().unwrap());
        assert_eq!((plaintext.len(), &made["key_version"]), (bytes, &json!(1)));
        let sealed = json!({ "ciphertext": made["ciphertext"], "context": b64("file 1") });
        assert_eq!(tenant.app.decrypt(&sealed), plaintext);
        let elsewhere = json!({ "ciphertext": made["ciphertext"] });
        tenant.app.post("/decrypt", &elsewhere).problem(400, UNIFORM);
    }
    let wrapped = ask(&tenant.app, "/datakey", &json!({ "key": "main", "wrapped_only": true }));
    assert!(wrapped.get("plaintext").is_none(), "{wrapped}");
    assert_eq!(tenant.app.decrypt(&json!({ "ciphertext": wrapped["ciphertext"] })).len(), 32);
    let many = ask(&tenant.app, "/datakey", &json!({ "key": "main", "count": 3 }));
    let many = many["datakeys"].as_array().unwrap();
    let distinct: std::collections::HashSet<_> =
        many.iter().map(|one| one["plaintext"].as_str().unwrap()).collect();
    assert_eq!(distinct.len(), 3);
    for one in many {
        let opened = tenant.app.decrypt(&json!({ "ciphertext": one["ciphertext"] }));
        assert_eq!(b64(&opened), one["plaintext"]);
    }
    for (body, field) in [
        (json!({ "key": "main", "bits": 192 }), "/bits"),
        (json!({ "key": "main", "bits": "256" }), "/bits"),
        (json!({ "key": "main", "count": 0 }), "/count"),
        (json!({ "key": "main", "count": 101 }), "/count"),
        (json!({ "key": "main", "plaintext": "" }), "/plaintext"),
    ] {
        tenant.app.post("/datakey", &body).problem(400, "invalid_field").field(field);
    }
    tenant.app.post("/datakey", &json!({})).problem(400, "key_required").field("/key");
    tenant.app.post("/datakey", &json!({ "key": "none" })).problem(404, "key_not_found");
}

#[test]
fn macs_are_made_and_verified_across_rotations() {
    let tenant = tenant("mac");
    tenant.new_key(&json!({ "name": "tags", "algorithm": "hmac-sha-256" }));
    let input = b64("message");
    let made = ask(&tenant.app, "/mac", &json!({ "key": "tags", "input": input }));
    assert_eq!(unb64(made["mac"].as_str().unwrap()).len(), 32);
    assert_eq!(made["key_version"], 1);
    tenant.admin.post("/keys/tags/rotate", &json!({})).expect(200);
    let verify = |more: Value| {
        let mut body = json!({ "key": "tags", "input": input, "mac": made["mac"] });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ask(&tenant.app, "/mac/verify", &body)
    };
    assert_eq!(verify(json!({})), json!({ "valid": true, "key_version": 1 }));
    assert_eq!(verify(json!({ "key_version": 1 })), json!({ "valid": true, "key_version": 1 }));
    assert_eq!(verify(json!({ "key_version": 2 })), json!({ "valid": false }));
    assert_eq!(verify(json!({ "input": b64("Message") })), json!({ "valid": false }));
    for wrong in ["", &b64("x"), &b64([0; 32]), &b64([0; 33])] {
        assert_eq!(verify(json!({ "mac": wrong })), json!({ "valid": false }), "{wrong}");
    }
    for version in [0_u32, 3, u32::MAX] {
        let body = json!({ "key": "tags", "input": "", "mac": "", "key_version": version });
        let refused = tenant.app.post("/mac/verify", &body);
        refused.problem(404, "key_version_not_found").field("/key_version");
    }
    for version in [json!(-1), json!("1"), json!(1.5), json!(4_294_967_296_u64)] {
        let body = json!({ "key": "tags", "input": "", "mac": "", "key_version": version });
        tenant.app.post("/mac/verify", &body).problem(400, "invalid_field").field("/key_version");
    }
    for path in ["/mac", "/mac/verify"] {
        let mut body = json!({ "key": "main", "input": "" });
        if path == "/mac/verify" {
            body["mac"] = json!("");
        }
        tenant.app.post(path, &body).problem(400, "key_unsuitable").field("/key");
        body["context"] = json!("");
        tenant.app.post(path, &body).problem(400, "invalid_field").field("/context");
    }
}

#[test]
fn digests_and_random_bytes_need_no_key() {
    let tenant = tenant("keyless");
    let hash = |body: Value| unb64(ask(&tenant.app, "/hash", &body)["hash"].as_str().unwrap());
    // FIPS 180-4, "abc".
    let abc = b64("abc");
    assert_eq!(
        hash(json!({ "input": abc }))[..4],
        [0xba, 0x78, 0x16, 0xbf],
        "SHA-256 unless said otherwise"
    );
    assert_eq!(hash(json!({ "input": abc, "algorithm": "sha-384" }))[..4], [0xcb, 0, 0x75, 0x3f]);
    let sha512 = hash(json!({ "input": abc, "algorithm": "sha-512" }));
    assert_eq!((&sha512[..4], sha512.len()), (&[0xdd, 0xaf, 0x35, 0xa1][..], 64));
    let unknown = tenant.app.post("/hash", &json!({ "input": abc, "algorithm": "md5" }));
    unknown.problem(400, "invalid_field").field("/algorithm");
    let random =
        |body: Value| unb64(ask(&tenant.app, "/random", &body)["random"].as_str().unwrap());
    assert_eq!(random(json!({})).len(), 32);
    assert_ne!(random(json!({ "bytes": 16 })), random(json!({ "bytes": 16 })));
    assert_eq!(random(json!({ "bytes": 65_536 })).len(), 65_536);
    for bytes in [json!(0), json!(65_537), json!(-1), json!("32")] {
        let refused = tenant.app.post("/random", &json!({ "bytes": bytes }));
        refused.problem(400, "invalid_field").field("/bytes");
    }
    let named = tenant.app.post("/random", &json!({ "key": "main" }));
    named.problem(400, "invalid_field").field("/key");
}

#[test]
fn a_batch_never_fails_whole_for_one_item() {
    let tenant = tenant("faulty-items");
    let good = json!({ "key": "main", "plaintext": b64("good"), "reference": "good" });
    for bad in [
        json!(5),
        json!(null),
        json!(["main", "eA=="]),
        json!({}),
        json!({ "key": 5, "plaintext": "" }),
        json!({ "nope": 1 }),
        json!({ "items": [] }),
        json!({ "plaintext": "", "context": 7 }),
    ] {
        let answer = ask(&tenant.app, "/encrypt", &json!({ "items": [good, bad, good] }));
        let items = answer["items"].as_array().unwrap();
        assert_eq!(items.len(), 3);
        for at in [0, 2] {
            assert_eq!(items[at]["reference"], "good");
            assert!(items[at]["ciphertext"].is_string(), "{bad}: {}", items[at]);
        }
        assert_eq!(items[1]["error"]["code"], "invalid_field", "{bad}");
        let field = items[1]["error"]["field"].as_str().unwrap();
        assert!(field.starts_with("/items/1"), "{field}");
    }
    let marked = json!({ "items": [{ "reference": "mine", "plaintext": 5 }] });
    assert_eq!(ask(&tenant.app, "/encrypt", &marked)["items"][0]["reference"], "mine");
}

const LINES: [(&str, &str); 1] = [("content-type", "application/x-ndjson")];

fn lines(answer: &Answer) -> Vec<Value> {
    let text = std::str::from_utf8(&answer.body).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn lines_are_answered_line_by_line() {
    let tenant = tenant("lines");
    let mut body = String::new();
    for number in 0..2_500 {
        let item = json!({ "key": "main", "plaintext": b64(number.to_string()), "reference": number.to_string() });
        body.push_str(&item.to_string());
        body.push_str(if number % 2 == 0 { "\n" } else { "\r\n\n" });
    }
    // Wrong lines have their own errors, and the last line needs no end.
    body.push_str(
        "{\"key\":\"main\",\"plaintext\":\nnot json\n{\"key\":\"none\",\"plaintext\":\"\"}",
    );
    let answer = tenant.app.send("POST", "/encrypt", &LINES, body.as_bytes()).expect(200);
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let got = lines(&answer);
    assert_eq!(got.len(), 2_503);
    let back: String = got[..2_500]
        .iter()
        .map(|line| json!({ "ciphertext": line["ciphertext"] }).to_string() + "\n")
        .collect();
    let opened = lines(&tenant.app.send("POST", "/decrypt", &LINES, back.as_bytes()).expect(200));
    for (number, (sealed, opened)) in got.iter().zip(&opened).enumerate() {
        assert_eq!(sealed["reference"], number.to_string());
        assert_eq!(unb64(opened["plaintext"].as_str().unwrap()), number.to_string().as_bytes());
    }
    let code = |at: usize| got[at]["error"]["code"].as_str().unwrap();
    assert_eq!(
        [code(2_500), code(2_501), code(2_502)],
        ["invalid_json", "invalid_json", "key_not_found"]
    );
    assert_eq!(got[2_502]["error"]["field"], "/key");
    let none = tenant.app.send("POST", "/encrypt", &LINES, b"").expect(200);
    assert!(none.body.is_empty());
}

#[test]
fn lines_without_end_take_no_more_memory_than_a_few() {
    // Its own server: nothing else takes memory there.
    let server = Server::dev();
    let tenant = server.tenant_with_policy("endless", "fields");
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let head = format!(
        "POST /api/v1/tenants/endless/hash HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n",
        tenant.app_token
    );
    stream.write_all(head.as_bytes()).unwrap();
    // 64 MiB of lines that nobody reads the answers of: the server must stop taking them.
    let line = format!("{{\"input\":\"{}\"}}\n", "A".repeat(64 << 10));
    let chunk = format!("{:x}\r\n{line}\r\n", line.len());
    stream.set_write_timeout(Some(Duration::from_secs(3))).unwrap();
    let before = server.resident_bytes();
    let mut writer = stream.try_clone().unwrap();
    let sent = (0..1024).take_while(|_| writer.write_all(chunk.as_bytes()).is_ok()).count();
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 32 << 20, "{sent} lines sent, {grown} bytes more");
    // It answers while lines still come.
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    reader.read_line(&mut head).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}

#[test]
fn a_line_over_the_limit_is_the_last() {
    let tenant = tenant("long-line");
    let mut body = format!("{}\n", json!({ "key": "main", "plaintext": "" }));
    body.push_str(&"x".repeat(40 << 20));
    let address = &SERVER.address;
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST /api/v1/tenants/long-line/encrypt HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/x-ndjson\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        tenant.app_token,
        body.len()
    );
    let mut writer = stream.try_clone().unwrap();
    let sender = std::thread::spawn(move || {
        let _ = writer.write_all(head.as_bytes());
        let _ = writer.write_all(body.as_bytes());
    });
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut got = Vec::new();
    let _ = stream.read_to_end(&mut got);
    sender.join().unwrap();
    let text = String::from_utf8_lossy(&got);
    assert!(text.contains("\"ciphertext\""), "{text}");
    assert!(text.contains("\"payload_too_large\"") && text.contains("\"last\":true"), "{text}");
}

#[test]
fn signatures_are_made_and_verified_across_rotations() {
    let tenant = tenant("sign");
    for (algorithm, forms) in [
        ("ed25519", &["standard"][..]),
        ("ecdsa-p256", &["standard", "fixed"]),
        ("ecdsa-p384", &["standard", "fixed"]),
        ("rsa-2048", &["standard", "pkcs1"]),
        ("ml-dsa-65", &["standard"]),
    ] {
        tenant.new_key(&json!({ "name": algorithm, "algorithm": algorithm }));
        let input = b64("contract 17");
        for form in forms {
            let body = json!({ "key": algorithm, "input": input, "form": form });
            let made = ask(&tenant.app, "/sign", &body);
            let version = made["key_version"].clone();
            tenant.admin.post(&format!("/keys/{algorithm}/rotate"), &json!({})).expect(200);
            let verify = |input: &str, signature: &Value, form: &str| {
                let body = json!({ "key": algorithm, "input": input, "signature": signature, "form": form });
                ask(&tenant.app, "/verify", &body)
            };
            let valid = json!({ "valid": true, "key_version": version });
            assert_eq!(verify(&input, &made["signature"], form), valid, "{algorithm} {form}");
            let invalid = json!({ "valid": false });
            assert_eq!(verify(&b64("contract 18"), &made["signature"], form), invalid);
            for wrong in ["", &b64([0; 64]), &b64([1; 256])] {
                assert_eq!(verify(&input, &json!(wrong), form), invalid, "{algorithm} {form}");
            }
        }
        // Nobody is given a form that is not the algorithm's.
        let wrong = if algorithm.starts_with("ecdsa") { "pkcs1" } else { "fixed" };
        let body = json!({ "key": algorithm, "input": input, "form": wrong });
        tenant.app.post("/sign", &body).problem(400, "invalid_field").field("/form");
        let body = json!({ "key": algorithm, "plaintext": "" });
        if !matches!(algorithm, "x25519") {
            tenant.app.post("/encrypt", &body).problem(400, "key_unsuitable").field("/key");
        }
    }
    let body = json!({ "key": "ed25519", "input": "", "form": "raw" });
    tenant.app.post("/sign", &body).problem(400, "invalid_field").field("/form");
    let body = json!({ "key": "main", "input": "" });
    tenant.app.post("/sign", &body).problem(400, "key_unsuitable").field("/key");
}

#[test]
fn every_encrypting_algorithm_opens_what_it_made() {
    let tenant = tenant("algorithms");
    for algorithm in [
        "xaes-256-gcm",
        "aes-256-gcm",
        "aes-256-gcm-siv",
        "chacha20-poly1305",
        "xchacha20-poly1305",
        "aes-256-siv",
        "x25519",
        "ml-kem-768",
        "x25519-ml-kem-768",
    ] {
        tenant.new_key(&json!({ "name": algorithm, "algorithm": algorithm }));
        let body = json!({ "key": algorithm, "plaintext": b64("x"), "context": b64("c") });
        let made = tenant.app.encrypt(&body);
        tenant.admin.post(&format!("/keys/{algorithm}/rotate"), &json!({})).expect(200);
        let opens = json!({ "ciphertext": made, "context": b64("c") });
        assert_eq!(tenant.app.decrypt(&opens), b"x", "{algorithm}");
        let moved = ask(&tenant.app, "/rewrap", &opens);
        assert_eq!(moved["key_version"], 2, "{algorithm}");
        let elsewhere = json!({ "ciphertext": made });
        tenant.app.post("/decrypt", &elsewhere).problem(400, UNIFORM);
    }
    for algorithm in ["hmac-sha-384", "hmac-sha-512"] {
        tenant.new_key(&json!({ "name": algorithm, "algorithm": algorithm }));
        let made = ask(&tenant.app, "/mac", &json!({ "key": algorithm, "input": "" }));
        let length = if algorithm.ends_with("384") { 48 } else { 64 };
        assert_eq!(unb64(made["mac"].as_str().unwrap()).len(), length);
    }
}

#[test]
fn derived_bytes_follow_from_key_version_context_and_info() {
    let tenant = tenant("derive");
    tenant.key("other");
    let derive = |body: Value| {
        let made = ask(&tenant.app, "/derive", &body);
        unb64(made["derived"].as_str().unwrap())
    };
    let base = json!({ "key": "main", "info": b64("session"), "context": b64("c") });
    let first = derive(base.clone());
    assert_eq!((first.len(), &first), (32, &derive(base.clone())));
    for (field, value) in [
        ("key", json!("other")),
        ("info", json!(b64("sessions"))),
        ("context", json!(b64("d"))),
        ("context", Value::Null),
        ("bytes", json!(33)),
    ] {
        let mut changed = base.clone();
        changed[field] = value;
        let got = derive(changed);
        assert_ne!(got[..32], first[..], "{field}");
    }
    tenant.admin.post("/keys/main/rotate", &json!({})).expect(200);
    assert_ne!(derive(base), first);
    for bytes in [0, 1_025] {
        let body = json!({ "key": "main", "info": "", "bytes": bytes });
        tenant.app.post("/derive", &body).problem(400, "invalid_field").field("/bytes");
    }
}
