//! What callers send by mistake or malice: each gets a problem that says what is wrong, never a
//! 5xx, and the server lives on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;

use keyward_tests::{Answer, Server, Tenant, b64, raw_answer};
use serde_json::{Value, json};

static SERVER: LazyLock<Server> =
    LazyLock::new(|| Server::dev_with(&[("KEYWARD_HTTP_MAX_BODY", "256KiB")]));
const MAX_BODY: usize = 256 << 10;
const MAX_ITEMS: usize = 1_000;

static TENANT: LazyLock<Tenant> = LazyLock::new(|| SERVER.tenant_with_policy("bad", "fields"));

/// Fields that may not be missing, whatever the route.
const REQUIRED: [&str; 9] =
    ["name", "subject", "roles", "plaintext", "ciphertext", "input", "mac", "signature", "info"];

/// The routes that take JSON, with a body that is right in its form for each.
fn json_routes() -> Vec<(&'static str, Value)> {
    let ciphertext = TENANT.app.encrypt(&json!({ "key": "main", "plaintext": "" }));
    vec![
        ("/encrypt", json!({ "key": "main", "plaintext": "" })),
        ("/decrypt", json!({ "ciphertext": ciphertext })),
        ("/rewrap", json!({ "ciphertext": ciphertext, "new_key": "main", "new_context": "" })),
        ("/datakey", json!({ "key": "main", "context": "" })),
        ("/mac", json!({ "key": "main", "input": "" })),
        ("/mac/verify", json!({ "key": "main", "input": "", "mac": "" })),
        ("/sign", json!({ "key": "main", "input": "", "form": "standard" })),
        ("/verify", json!({ "key": "main", "input": "", "signature": "", "form": "fixed" })),
        ("/derive", json!({ "key": "main", "info": "", "context": "" })),
        ("/random", json!({ "purpose": "x", "reference": "y" })),
        ("/hash", json!({ "input": "", "algorithm": "sha-256" })),
        ("/keys", json!({ "name": "fresh" })),
        ("/tokens", json!({ "subject": "s", "roles": [] })),
        ("/api/v1/tenants", json!({ "name": "fresh" })),
    ]
}

/// POST with the credential the route takes.
#[track_caller]
fn post(path: &str, body: &[u8]) -> Answer {
    match path {
        "/api/v1/tenants" => SERVER.operator().json(path, body),
        "/keys" | "/tokens" => TENANT.admin.json(path, body),
        _ => TENANT.app.json(path, body),
    }
}

#[test]
fn what_is_not_json() {
    for (path, good) in json_routes() {
        let mut members = good.as_object().unwrap().iter();
        let name = members.find(|(_, value)| value.is_string()).unwrap().0;
        for body in ["", " ", "{", "}", "nonsense", "\0", "{'name':'main'}"] {
            post(path, body.as_bytes()).problem(400, "invalid_json");
        }
        for value in [&b"}"[..], b"\"x\",}", b"\"\xff\"}", b"\"\x01\"}", b"\"\\ud800\"}"] {
            let body = [format!("{{\"{name}\":").as_bytes(), value].concat();
            post(path, &body).problem(400, "invalid_json");
        }
        post(path, b"\xff\xfe{").problem(400, "invalid_json");
        post(path, format!("{good} x").as_bytes()).problem(400, "invalid_json");
        post(path, format!("{good}{good}").as_bytes()).problem(400, "invalid_json");
        let deep = format!("{{\"{name}\":{}", "[".repeat(100_000));
        let answer = post(path, deep.as_bytes());
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
}

#[test]
fn what_is_json_of_another_shape() {
    for (path, good) in json_routes() {
        for body in ["null", "5", "\"text\"", "true", "[]", "[[]]", "[\"main\",\"eA==\"]"] {
            post(path, body.as_bytes()).problem(400, "invalid_field");
        }
        let mut unknown = good.clone();
        unknown["nope"] = 1.into();
        post(path, unknown.to_string().as_bytes()).problem(400, "invalid_field").field("/nope");
        let mut slash = good.clone();
        slash["a/b~c"] = 1.into();
        post(path, slash.to_string().as_bytes()).problem(400, "invalid_field").field("/a~1b~0c");
        for name in good.as_object().unwrap().keys() {
            for wrong in [json!(5), json!({ "a": 1 }), json!([{}]), json!(true), json!(1e300)] {
                let mut body = good.clone();
                body[name] = wrong;
                let answer = post(path, body.to_string().as_bytes()).problem(400, "invalid_field");
                let field = answer.str("/field");
                assert!(field.starts_with(&format!("/{name}")), "{path} {body}: {field}");
            }
            let twice = good.to_string().replacen('{', &format!("{{\"{name}\":{},", good[name]), 1);
            let answer = post(path, twice.as_bytes()).problem(400, "invalid_field");
            answer.field(&format!("/{name}"));
        }
        for required in REQUIRED {
            if good.get(required).is_some() {
                let mut body = good.clone();
                body.as_object_mut().unwrap().remove(required);
                let answer = post(path, body.to_string().as_bytes()).problem(400, "invalid_field");
                answer.field(&format!("/{required}"));
            }
        }
    }
    assert_eq!(TENANT.app.get("/keys").json()["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn fields_of_encrypt_and_decrypt() {
    let ciphertext = TENANT.app.encrypt(&json!({ "key": "main", "plaintext": "" }));
    let long = "x".repeat(1_025);
    let long_context = b64(vec![0; (64 << 10) + 1]);
    let cases = [
        ("/encrypt", json!({ "plaintext": "" }), 400, "key_required", "/key"),
        ("/encrypt", json!({ "key": "absent", "plaintext": "" }), 404, "key_not_found", "/key"),
        ("/encrypt", json!({ "key": "a/b", "plaintext": "" }), 400, "invalid_name", "/key"),
        ("/encrypt", json!({ "key": "", "plaintext": "" }), 400, "invalid_name", "/key"),
        ("/encrypt", json!({ "key": "\0", "plaintext": "" }), 400, "invalid_name", "/key"),
        ("/encrypt", json!({ "key": "../main", "plaintext": "" }), 400, "invalid_name", "/key"),
        ("/encrypt", json!({ "key": "main" }), 400, "invalid_field", "/plaintext"),
        (
            "/encrypt",
            json!({ "key": "main", "plaintext": null }),
            400,
            "invalid_field",
            "/plaintext",
        ),
        (
            "/encrypt",
            json!({ "key": "main", "plaintext": "", "ciphertext": ciphertext }),
            400,
            "invalid_field",
            "/ciphertext",
        ),
        (
            "/encrypt",
            json!({ "key": "main", "plaintext": "", "context": "-_" }),
            400,
            "invalid_base64",
            "/context",
        ),
        (
            "/encrypt",
            json!({ "key": "main", "plaintext": "", "context": long_context }),
            400,
            "invalid_field",
            "/context",
        ),
        (
            "/encrypt",
            json!({ "key": "main", "plaintext": "", "purpose": long }),
            400,
            "invalid_field",
            "/purpose",
        ),
        (
            "/encrypt",
            json!({ "key": "main", "plaintext": "", "reference": long }),
            400,
            "invalid_field",
            "/reference",
        ),
        ("/decrypt", json!({}), 400, "invalid_field", "/ciphertext"),
        ("/decrypt", json!({ "ciphertext": null }), 400, "invalid_field", "/ciphertext"),
        (
            "/decrypt",
            json!({ "ciphertext": ciphertext, "plaintext": "" }),
            400,
            "invalid_field",
            "/plaintext",
        ),
        (
            "/decrypt",
            json!({ "ciphertext": ciphertext, "context": "a" }),
            400,
            "invalid_base64",
            "/context",
        ),
        (
            "/decrypt",
            json!({ "ciphertext": ciphertext, "key": "absent" }),
            404,
            "key_not_found",
            "/key",
        ),
        (
            "/decrypt",
            json!({ "ciphertext": ciphertext, "key": "a b" }),
            400,
            "invalid_name",
            "/key",
        ),
    ];
    for (path, body, status, code, field) in cases {
        TENANT.app.post(path, &body).problem(status, code).field(field);
        // The same as an item among good ones: the item's alone.
        let good = if path == "/encrypt" {
            json!({ "key": "main", "plaintext": "" })
        } else {
            json!({ "ciphertext": ciphertext })
        };
        let answer = TENANT.app.post(path, &json!({ "items": [good, body, good] })).expect(200);
        let items = &answer.json()["items"];
        assert_eq!(items[1]["error"]["code"], code, "{body}");
        assert_eq!(items[1]["error"]["field"], format!("/items/1{field}"), "{body}");
        assert!(items[0].get("error").is_none() && items[2].get("error").is_none(), "{items}");
    }
}

#[test]
fn what_is_not_standard_base64() {
    for text in [
        "a",
        "YQ",
        "YQ=",
        "YQ===",
        "Y Q==",
        "YQ==\n",
        " YQ==",
        "_-8=",
        "YR==",
        "Y=Q=",
        "====",
        "ü",
        "YQ==YQ==",
        "data:;base64,YQ==",
    ] {
        for field in ["plaintext", "context"] {
            let mut body = json!({ "key": "main", "plaintext": "YQ==" });
            body[field] = text.into();
            let answer = TENANT.app.post("/encrypt", &body).problem(400, "invalid_base64");
            let detail = answer.field(&format!("/{field}")).str("/detail");
            assert!(text.len() < 5 || !detail.contains(text), "the value is shown: {detail}");
        }
    }
}

#[test]
fn sizes_of_batches() {
    let items =
        |count: usize| json!({ "items": vec![json!({ "key": "main", "plaintext": "" }); count] });
    TENANT.app.post("/encrypt", &items(0)).problem(400, "no_items").field("/items");
    for count in [1, 2, MAX_ITEMS] {
        let answer = TENANT.app.post("/encrypt", &items(count)).expect(200).json();
        let answers = answer["items"].as_array().unwrap();
        assert_eq!(answers.len(), count);
        assert!(answers.iter().all(|item| item["ciphertext"].is_string()));
    }
    let over = TENANT.app.post("/encrypt", &items(MAX_ITEMS + 1));
    over.problem(413, "too_many_items").field("/items").detail("1000");
    TENANT.app.post("/decrypt", &items(0)).problem(400, "no_items").field("/items");

    let mut both = items(1);
    both["key"] = "main".into();
    TENANT.app.post("/encrypt", &both).problem(400, "invalid_field").field("/key");
    for items in [json!({}), json!("main"), json!(5), json!(null)] {
        let body = json!({ "items": items });
        TENANT.app.post("/encrypt", &body).problem(400, "invalid_field").field("/items");
    }
    // What is wrong with an item is its own error, and the others are answered.
    for (item, field) in [
        (json!(5), ""),
        (json!(null), ""),
        (json!(["main", "eA=="]), ""),
        (json!({ "key": 5 }), "/key"),
        (json!({ "nope": 1 }), "/nope"),
        (json!({ "items": [] }), "/items"),
    ] {
        let good = json!({ "key": "main", "plaintext": "" });
        let answer = TENANT.app.post("/encrypt", &json!({ "items": [good, item] })).expect(200);
        let items = &answer.json()["items"];
        assert!(items[0]["ciphertext"].is_string(), "{items}");
        assert_eq!(items[1]["error"]["code"], "invalid_field", "{items}");
        assert_eq!(items[1]["error"]["field"], format!("/items/1{field}"), "{items}");
    }
}

/// A JSON body of exactly `len` bytes that encrypts.
fn body_of(len: usize) -> Vec<u8> {
    let mut body = json!({ "key": "main", "plaintext": "" }).to_string().into_bytes();
    body.resize(len, b' ');
    body
}

#[test]
fn bodies_up_to_the_limit() {
    post("/encrypt", &body_of(MAX_BODY)).expect(200);
    for path in ["/encrypt", "/decrypt", "/keys", "/tokens", "/api/v1/tenants"] {
        for len in [MAX_BODY + 1, 4 * MAX_BODY] {
            let answer = post(path, &body_of(len)).problem(413, "payload_too_large");
            answer.detail(&MAX_BODY.to_string());
        }
    }
    // Without an announced length.
    let body = body_of(2 * MAX_BODY);
    let head = format!(
        "POST /api/v1/tenants/bad/encrypt HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n",
        TENANT.app_token,
        body.len()
    );
    let mut bytes = head.into_bytes();
    bytes.extend_from_slice(&body);
    bytes.extend_from_slice(b"\r\n0\r\n\r\n");
    raw_answer(&SERVER.address, &bytes).problem(413, "payload_too_large");
    // An announced length nobody could hold.
    let head = format!(
        "POST /api/v1/tenants/bad/encrypt HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 9000000000000000000\r\n\r\n{{",
        TENANT.app_token
    );
    raw_answer(&SERVER.address, head.as_bytes()).problem(413, "payload_too_large");
    // One byte over the limit of an invoke, of the default size.
    let invoke = vec![b' '; (1 << 20) + 1];
    TENANT.app.json("/invoke/any", &invoke).problem(413, "payload_too_large");
    assert_eq!(SERVER.client().get("/livez").status, 200);
}

/// A client that sends its whole body before it reads, as most do, must see the answer.
#[test]
fn a_refused_body_does_not_cost_the_answer() {
    let body = vec![b' '; 6 << 20];
    for _ in 0..5 {
        post("/encrypt", &body).problem(413, "payload_too_large");
    }
}

#[test]
fn content_types() {
    let body = json!({ "key": "main", "plaintext": "" }).to_string();
    let send =
        |headers: &[(&str, &str)]| TENANT.app.send("POST", "/encrypt", headers, body.as_bytes());
    for good in ["application/json", "application/json; charset=utf-8", "Application/JSON"] {
        send(&[("content-type", good)]).expect(200);
    }
    for bad in ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "", "json"]
    {
        let answer = send(&[("content-type", bad)]).problem(415, "unsupported_media_type");
        answer.detail("application/json");
    }
    send(&[]).problem(415, "unsupported_media_type");
    let wasm = keyward_tests::policy("baseline");
    let answer =
        TENANT.admin.send("PUT", "/policy", &[("content-type", "application/json")], &wasm);
    answer.problem(415, "unsupported_media_type").detail("application/wasm");
}

#[test]
fn methods_and_routes() {
    let operator = SERVER.operator();
    for (method, path, allowed) in [
        ("GET", "/encrypt", "POST"),
        ("PUT", "/encrypt", "POST"),
        ("DELETE", "/keys", "GET,HEAD,POST"),
        ("POST", "/keys/main", "DELETE,GET,HEAD,PATCH"),
        ("GET", "/keys/main/rotate", "POST"),
        ("POST", "/policy", "GET,HEAD,PUT"),
        ("DELETE", "/tokens", "GET,HEAD,POST"),
        ("GET", "/invoke/any", "POST"),
        ("BREW", "/encrypt", "POST"),
    ] {
        let answer = TENANT.admin.send(method, path, &[], b"").problem(405, "method_not_allowed");
        let mut allow: Vec<_> = answer.header("allow").split(',').map(str::trim).collect();
        allow.sort_unstable();
        assert_eq!(allow.join(","), allowed, "{method} {path}");
    }
    for path in
        ["/", "/api", "/api/v1", "/api/v2/tenants", "/encrypt", "/livez/x", "//", "/%00", "/ü"]
    {
        let path = path.replace('ü', "%C3%BC");
        operator.get(&path).problem(404, "route_not_found");
    }
    for path in ["/nope", "/keys/main/nope", "/encrypt/", "/keys/", "/invoke", "/invoke/a/b", ""] {
        TENANT.app.get(path).problem(404, "route_not_found");
    }
}

#[test]
fn names() {
    let long = "a".repeat(64);
    for name in ["", "A", "-a", "a-", "a_b", "a b", "ä", "a/b", "..", "a.b", "\0", &long] {
        let answer = SERVER.operator().post("/api/v1/tenants", &json!({ "name": name }));
        answer.problem(400, "invalid_name").field("/name");
    }
    SERVER.operator().post("/api/v1/tenants", &json!({ "name": "a".repeat(63) })).expect(201);
    SERVER
        .operator()
        .post("/api/v1/tenants", &json!({ "name": "bad" }))
        .problem(409, "tenant_exists");

    let long = "a".repeat(129);
    for name in ["", ".", "..", "-a", "a-", ".a", "a b", "ä", "a/b", "../bad", "a\n", "\0", &long]
    {
        let answer = TENANT.admin.post("/keys", &json!({ "name": name }));
        answer.problem(400, "invalid_name").field("/name");
    }
    for path in
        ["/keys/%2e%2e", "/keys/%2E", "/keys/a%2Fb", "/keys/%00", "/keys/%C3%BC", "/keys/a%20b"]
    {
        TENANT.admin.get(path).problem(400, "invalid_name");
        TENANT.admin.post(&format!("{path}/rotate"), &json!({})).problem(400, "invalid_name");
    }
    TENANT.admin.get("/keys/%FF").problem(400, "invalid_request");
    TENANT.admin.get("/keys/absent").problem(404, "key_not_found");
    TENANT.admin.post("/keys/absent/rotate", &json!({})).problem(404, "key_not_found");
    for tenant in ["%2e%2e", "BAD", "a%00", "-"] {
        let path = format!("/api/v1/tenants/{tenant}/keys");
        SERVER.operator().get(&path).problem(400, "invalid_name");
        TENANT.app.at_root().get(&path).problem(403, "forbidden");
    }
    for operation in ["%2e%2e", "UPPER", "a%20b", "%00"] {
        let answer = TENANT.app.post(&format!("/invoke/{operation}"), &json!({}));
        assert!((400..500).contains(&answer.status), "{operation}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json");
    }
}

#[test]
fn new_keys_and_tokens() {
    let tenant = SERVER.tenant_with_policy("bad-keys", "baseline");
    let keys = [
        (json!({ "name": "main" }), 409, "key_exists", None),
        (json!({ "name": "k", "algorithm": "rot13" }), 400, "invalid_field", Some("/algorithm")),
        (json!({ "name": "k", "algorithm": "" }), 400, "invalid_field", Some("/algorithm")),
        (
            json!({ "name": "k", "algorithm": "XAES-256-GCM" }),
            400,
            "invalid_field",
            Some("/algorithm"),
        ),
        (
            json!({ "name": "k", "attributes": { "a": 5 } }),
            400,
            "invalid_field",
            Some("/attributes/a"),
        ),
        (json!({ "name": "k", "attributes": [] }), 400, "invalid_field", Some("/attributes")),
        (
            json!({ "name": "k", "attributes": { "": "x" } }),
            400,
            "invalid_field",
            Some("/attributes"),
        ),
        (
            json!({ "name": "k", "attributes": { "x": "y".repeat(100_000) } }),
            400,
            "invalid_field",
            Some("/attributes"),
        ),
    ];
    for (body, status, code, field) in keys {
        let answer = tenant.admin.post("/keys", &body).problem(status, code);
        if let Some(field) = field {
            answer.field(field);
        }
    }
    let key = tenant.app.get("/keys").expect(200).json();
    assert_eq!(key["keys"].as_array().unwrap().len(), 1, "a refused key was created");
    assert_eq!(key["keys"][0]["current_version"], 1);

    let many: Vec<_> = (0..33).map(|n| format!("r{n}")).collect();
    let tokens = [
        (json!({ "subject": "", "roles": [] }), "/subject"),
        (json!({ "subject": "a\nb", "roles": [] }), "/subject"),
        (json!({ "subject": "x".repeat(257), "roles": [] }), "/subject"),
        (json!({ "subject": "s", "roles": ["a", "Not A Role"] }), "/roles/1"),
        (json!({ "subject": "s", "roles": ["operator"] }), "/roles/0"),
        (json!({ "subject": "s", "roles": [5] }), "/roles/0"),
        (json!({ "subject": "s", "roles": many }), "/roles"),
        (json!({ "subject": "s", "roles": [], "claims": { "a": "x".repeat(257) } }), "/claims"),
        (json!({ "subject": "s", "roles": [], "tenant": "demo" }), "/tenant"),
    ];
    for (body, field) in tokens {
        tenant.admin.post("/tokens", &body).problem(400, "invalid_field").field(field);
    }
}

/// CRC-32 as tokens have it, to make ones that only the store can refuse.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[test]
fn credentials() {
    let body = json!({ "key": "main", "plaintext": "" });
    let token = &TENANT.app_token;
    let checksum = token.len() - 6;
    let base64url = |bytes: &[u8]| b64(bytes).replace('+', "-").replace('/', "_").replace('=', "");
    let well_formed =
        |secret: &str| format!("{secret}{}", base64url(&crc32(secret.as_bytes()).to_be_bytes()));
    assert_eq!(&well_formed(&token[..checksum]), token, "the test makes tokens as the server does");

    let unknown = well_formed(&format!("kw_{}", "A".repeat(43)));
    let other = if token.ends_with('A') { 'B' } else { 'A' };
    let tampered = format!("{}{other}", &token[..token.len() - 1]);
    let mut flipped = token[..checksum].to_owned();
    flipped.replace_range(10..11, if &flipped[10..11] == "x" { "y" } else { "x" });
    let flipped = well_formed(&flipped);
    let (bearer, unquoted) = (format!("Bearer {token}"), token.clone());
    let headers = [
        None,
        Some(String::new()),
        Some("Bearer".into()),
        Some("Bearer ".into()),
        Some("Bearer garbage".into()),
        Some(format!("Bearer {unknown}")),
        Some(format!("Bearer {tampered}")),
        Some(format!("Bearer {flipped}")),
        Some(format!("Bearer {token}x")),
        Some(format!("Bearer {}", &token[..checksum])),
        Some(format!("Bearer {}", token.to_uppercase())),
        Some(format!("Bearer {token} {token}")),
        Some(format!("Basic {token}")),
        Some(unquoted),
        Some(format!("Bearer {}", "x".repeat(8_000))),
    ];
    for header in &headers {
        let client = TENANT.app.authorization(header.as_deref());
        for (method, path) in [
            ("POST", "/encrypt"),
            ("POST", "/decrypt"),
            ("POST", "/invoke/x"),
            ("POST", "/keys"),
            ("GET", "/keys"),
            ("GET", "/keys/main"),
            ("POST", "/keys/main/rotate"),
            ("POST", "/tokens"),
            ("PUT", "/policy"),
            ("GET", "/policy"),
        ] {
            let answer = client.send(method, path, &[("content-type", "application/json")], b"{}");
            let answer = answer.problem(401, "unauthenticated");
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{}", answer.asked);
        }
        client.at_root().get("/api/v1/tenants").problem(401, "unauthenticated");
        let new = json!({ "name": "x" });
        client.at_root().post("/api/v1/tenants", &new).problem(401, "unauthenticated");
    }
    TENANT.app.authorization(Some(&format!("bearer  {token}"))).post("/encrypt", &body).expect(200);
    // Two credentials: neither counts.
    let twice = TENANT.app.send(
        "POST",
        "/encrypt",
        &[("authorization", &bearer), ("content-type", "application/json")],
        body.to_string().as_bytes(),
    );
    twice.problem(401, "unauthenticated");
    assert_eq!(TENANT.app.get("/keys").json()["keys"][0]["current_version"], 1);
}

#[test]
fn tokens_of_other_tenants() {
    let foreign = SERVER.tenant_with_policy("bad-foreign", "baseline");
    let ciphertext = foreign.app.encrypt(&json!({ "key": "main", "plaintext": "" }));
    // The same answer whether the tenant exists or not.
    let mut answers = Vec::new();
    for tenant in ["bad-foreign", "bad-absent", "demo"] {
        let path = format!("/api/v1/tenants/{tenant}");
        for client in [&TENANT.app, &TENANT.admin] {
            let client = client.at_root().below(&path);
            let encrypt = json!({ "key": "main", "plaintext": "" });
            for answer in [
                client.post("/encrypt", &encrypt),
                client.post("/decrypt", &json!({ "ciphertext": ciphertext })),
                client.post("/invoke/x", &json!({})),
                client.get("/keys"),
                client.get("/keys/main"),
                client.post("/keys", &json!({ "name": "planted" })),
                client.post("/keys/main/rotate", &json!({})),
                client.post("/tokens", &json!({ "subject": "s", "roles": [] })),
                client.get("/policy"),
                client.put_policy(b"\0asm"),
            ] {
                let mut body = answer.problem(403, "forbidden").json();
                body["request_id"] = Value::Null;
                answers.push(body);
            }
        }
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(foreign.app.get("/keys").json()["keys"].as_array().unwrap().len(), 1);

    let operator = SERVER.operator().below("/api/v1/tenants/bad-absent");
    for answer in [
        operator.get("/keys"),
        operator.post("/keys", &json!({ "name": "x" })),
        operator.post("/keys/x/rotate", &json!({})),
        operator.post("/tokens", &json!({ "subject": "s", "roles": [] })),
        operator.get("/policy"),
        operator.put_policy(b"\0asm"),
    ] {
        answer.problem(404, "tenant_not_found");
    }
}

#[test]
fn queries_of_invoke() {
    for query in ["nope=1", "key=a&key=b", "context=a", "context=_-8%3D", "purpose=a&purpose=b"] {
        let answer = TENANT.app.post(&format!("/invoke/x?{query}"), &json!({}));
        answer.problem(400, "invalid_request");
    }
    TENANT.app.post("/invoke/x?purpose=a%00", &json!({})).problem(404, "operation_not_found");
}
