//! Recognisable secrets go in everywhere, also where things fail; afterwards neither the log nor
//! a file has any of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use keyward_tests::otlp::Receiver;
use keyward_tests::{Client, Server, b64, raw, unb64};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Secrets and where they were put.
#[derive(Default)]
struct Planted(Vec<(&'static str, Vec<u8>)>);

impl Planted {
    /// A new secret, of text that occurs nowhere else.
    fn text(&mut self, place: &'static str) -> String {
        let secret = format!("planted-{}-{place}", 73_856_093 + 19_349_663 * self.0.len());
        self.add(place, secret.as_bytes());
        secret
    }

    fn add(&mut self, place: &'static str, secret: &[u8]) {
        self.0.push((place, secret.to_vec()));
    }

    /// Every form a secret might be found in, with a name.
    fn forms(&self) -> Vec<(String, Vec<u8>)> {
        let mut forms = Vec::new();
        for (place, secret) in &self.0 {
            let mut add = |form: &str, bytes: Vec<u8>| {
                assert!(bytes.len() >= 8, "{place} as {form} is too short to search for");
                forms.push((format!("{place} as {form}"), bytes));
            };
            add("it is", secret.clone());
            let digits = hex(secret);
            add("hexadecimal", digits.to_uppercase().into_bytes());
            add("hexadecimal", digits.into_bytes());
            let debug = format!("{:?}", &secret[..secret.len().min(12)]);
            add("a list of numbers", debug.trim_matches(['[', ']']).as_bytes().to_vec());
            // Whatever stands in front of it, base64 has these characters at one of three shifts.
            for shift in 0..3 {
                let encoded = b64([&vec![0; shift], &secret[..]].concat());
                let end = encoded.trim_end_matches('=').len();
                let inner = &encoded[4 * usize::from(shift > 0)..end - 2];
                add("base64", inner.as_bytes().to_vec());
                add("base64url", inner.replace('+', "-").replace('/', "_").into_bytes());
            }
        }
        forms
    }

    #[track_caller]
    fn nowhere_in(&self, name: &str, bytes: &[u8], except: &[&str]) {
        for (form, secret) in self.forms() {
            if except.iter().any(|place| form.starts_with(place)) {
                continue;
            }
            let found = find(bytes, &secret);
            if let Some(at) = found {
                let around = &bytes[at.saturating_sub(80)..(at + 80).min(bytes.len())];
                panic!("{form} is in {name}: {:?}", String::from_utf8_lossy(around));
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(nibble.into(), 16).unwrap();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = wanted[0];
    let mut from = 0;
    while let Some(at) = bytes[from..].iter().position(|&byte| byte == first) {
        let at = from + at;
        if bytes[at..].starts_with(wanted) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// What a caller can send in headers.
fn headers(app: &Client, planted: &mut Planted, good: &Value) {
    for (name, value) in [
        ("traceparent", planted.text("traceparent")),
        ("tracestate", planted.text("tracestate")),
        ("baggage", planted.text("baggage")),
        ("x-request-id", format!("{} and more", planted.text("request id"))),
        ("x-request-id", planted.text("request id that is far too long, as the rules have it")),
        ("user-agent", planted.text("user agent")),
        ("forwarded", planted.text("forwarded")),
    ] {
        let trace =
            format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0{}", name.len() % 2);
        let mut headers = vec![(name, value.as_str()), ("content-type", "application/json")];
        if name != "traceparent" {
            headers.push(("traceparent", &trace));
        }
        app.send("POST", "/encrypt", &headers, good.to_string().as_bytes()).expect(200);
    }
}

/// What can be sent where no tenant is asked for.
fn elsewhere(server: &Server, planted: &mut Planted) {
    let level = planted.text("log level");
    let operator = server.operator();
    for level in [json!({ "level": level }), json!({ "level": "info", "for": level })] {
        let json = [("content-type", "application/json")];
        let answer = operator.send("PUT", "/api/v1/log", &json, level.to_string().as_bytes());
        answer.problem(400, "invalid_field");
    }
    let method = planted.text("method");
    let head = format!("{method} /livez HTTP/1.1\r\nhost: x\r\n\r\n");
    raw(&server.address, head.as_bytes());
    let raw_secret = planted.text("no HTTP");
    raw(&server.address, format!("{raw_secret} {raw_secret}\r\n{raw_secret}\r\n\r\n").as_bytes());
}

/// Everything a caller can send, right and wrong.
fn traffic(server: &Server, planted: &mut Planted) {
    planted.add("the operator's token", server.operator_token.as_bytes());
    let tenant = server.tenant_with_policy("acme", "baseline");
    planted.add("an application's token", tenant.app_token.as_bytes());
    let app = &tenant.app;
    let (plaintext, context) = (planted.text("plaintext"), planted.text("context"));
    let purpose = planted.text("purpose");
    let good = json!({
        "key": "main", "plaintext": b64(&plaintext), "context": b64(&context), "purpose": purpose,
        "reference": planted.text("reference"),
    });
    let ciphertext = app.encrypt(&good);
    let back = json!({ "ciphertext": ciphertext, "context": b64(&context), "purpose": purpose });
    assert_eq!(app.decrypt(&back), plaintext.as_bytes());
    app.post("/encrypt", &json!({ "items": [good, { "key": good["plaintext"] }, good] }))
        .expect(200);

    // What fails: policy, context, key, shape, syntax, length.
    let mut wrong = back.clone();
    wrong["context"] = b64(planted.text("wrong context")).into();
    app.post("/decrypt", &wrong).problem(400, keyward_tests::UNIFORM);
    tenant.caller(&["stranger"]).post("/encrypt", &good).problem(403, "policy_refused");
    let mut absent = good.clone();
    absent["key"] = "absent".into();
    app.post("/encrypt", &absent);
    for (field, value) in [
        ("plaintext", json!(planted.text("plaintext that is not base64!"))),
        ("context", json!(planted.text("context that is not base64!"))),
        ("plaintext", json!({ planted.text("member"): 1 })),
        ("purpose", json!([planted.text("element")])),
    ] {
        let mut body = good.clone();
        body[field] = value;
        assert_eq!(app.post("/encrypt", &body).status, 400);
    }
    let mut unknown = good.clone();
    unknown[planted.text("unknown field")] = 1.into();
    app.post("/encrypt", &unknown).problem(400, "invalid_field");
    for route in ["/encrypt", "/decrypt", "/keys", "/tokens", "/invoke/x"] {
        let garbage = planted.text("garbage");
        app.json(route, garbage.as_bytes());
        tenant.admin.json(route, format!("{{\"a\":\"{garbage}").as_bytes());
        app.json(route, format!("{{\"ciphertext\":\"kw1.{garbage}\"}}").as_bytes());
    }
    let query = format!("/invoke/x?purpose={}&context=%", planted.text("query"));
    app.post(&query, &json!({}));

    // Credentials.
    let wrong_token = planted.text("a wrong token");
    app.token(&wrong_token).get("/keys").problem(401, "unauthenticated");
    app.token(&format!("kw_{wrong_token}")).get("/keys").problem(401, "unauthenticated");
    app.authorization(Some(&wrong_token)).get("/keys").problem(401, "unauthenticated");
    let minted = json!({ "subject": "s", "roles": [], "claims": { "c": planted.text("claim") } });
    let minted = tenant.admin.post("/tokens", &minted).expect(201).str("/token");
    planted.add("a minted token", minted.as_bytes());
    app.token(&minted).post("/encrypt", &good).problem(403, "policy_refused");
    let cookie = planted.text("cookie");
    app.send("GET", "/keys", &[("cookie", &cookie), ("x-request-id", "kept")], b"").expect(200);
    headers(app, planted, &good);
    elsewhere(server, planted);

    // Documents, and policies that break over them.
    let shop = server.tenant_with_policy("shop", "fields");
    let document =
        json!({ "customer": { "name": planted.text("field"), "card": planted.text("masked") } });
    shop.app.post("/invoke/protect", &document).problem(404, "policy_not_found");
    shop.key("fields");
    shop.new_key(&json!({ "name": "fields-deterministic", "algorithm": "aes-256-siv" }));
    let protected = shop.app.post("/invoke/protect", &document).expect(200).json();
    assert_eq!(shop.app.post("/invoke/reveal", &protected).expect(200).json(), document);
    let broken = format!("{{\"customer\":{{\"name\":\"{}\"", planted.text("broken document"));
    shop.app.json("/invoke/protect", broken.as_bytes()).problem(400, "policy_invalid");
    let hostile = server.tenant_with_policy("hostile", "hostile");
    for misdeed in ["loop", "trap", "panic", "alloc", "garbage-utf8", "log-flood", "garbage-key"] {
        let mut body = good.clone();
        body["purpose"] = misdeed.into();
        hostile.app.post("/encrypt", &body);
        hostile.app.post(&format!("/invoke/{misdeed}?context={}", b64(&context)), &good);
    }

    // Keys at work.
    tenant.admin.post("/keys/main/rotate", &json!({})).expect(200);
    assert_eq!(app.decrypt(&back), plaintext.as_bytes());
    in_the_middle(&app.at_root(), server, &planted.text("half a body"));
}

/// A request that is cut off.
fn in_the_middle(client: &Client, server: &Server, secret: &str) {
    let head = format!(
        "POST /api/v1/tenants/acme/encrypt HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n\
         authorization: Bearer {}\r\ncontent-length: 1000\r\n\r\n{{\"plaintext\":\"{secret}",
        server.operator_token
    );
    raw(&server.address, head.as_bytes());
    client.get("/livez").expect(200);
}

/// Where tokens are on purpose: the file of the first operator token.
const OPERATOR_TOKEN: &str = "operator.token";

fn is_audit_log(file: &Path) -> bool {
    file.extension().is_some_and(|end| end == "jsonl")
}

#[track_caller]
fn nothing_found(server: &mut Server, planted: &Planted, files_but: &[&str]) {
    let log = server.stderr();
    assert!(log.contains("DEBUG") && log.contains("/encrypt"), "the log is not at level debug");
    for (name, text) in [("the log", &log), ("standard output", &server.stdout())] {
        planted.nowhere_in(name, text.as_bytes(), &[]);
    }
    for accept in ["text/plain", "application/openmetrics-text"] {
        let figures = server.client().send("GET", "/metrics", &[("accept", accept)], b"");
        planted.nowhere_in("the figures", figures.expect(200).text().as_bytes(), &[]);
    }
    // While it runs, and after it closed its files.
    let files = server.data_files();
    assert!(files.iter().any(|file| file.ends_with("keyward.redb")));
    assert!(files.iter().any(|file| is_audit_log(file)));
    let search = |server: &Server| {
        for file in server.data_files() {
            let bytes = fs::read(&file).unwrap();
            let except = if file.ends_with(OPERATOR_TOKEN) {
                &["the operator's token"][..]
            } else if is_audit_log(&file) {
                // What a caller says it is for is recorded, and nothing else that it sends.
                &["purpose"][..]
            } else {
                files_but
            };
            planted.nowhere_in(&file.display().to_string(), &bytes, except);
        }
    };
    search(server);
    server.signal(Signal::TERM);
    server.wait(std::time::Duration::from_secs(20)).unwrap();
    search(server);
    planted.nowhere_in("the log at the end", server.stderr().as_bytes(), &[]);
}

#[test]
fn with_a_passphrase() {
    let mut planted = Planted::default();
    let passphrase = planted.text("the root passphrase");
    let env = [("KEYWARD_ROOT_PASSPHRASE", passphrase.as_str()), ("KEYWARD_LOG_LEVEL", "debug")];
    let mut server = Server::serve_with("", &env);
    traffic(&server, &mut planted);
    nothing_found(&mut server, &planted, &[]);
}

#[test]
fn with_a_root_key_in_the_environment_and_everything_logged() {
    let mut planted = Planted::default();
    let root_key: Vec<u8> = (0..32_u8).map(|n| n.wrapping_mul(37).wrapping_add(11)).collect();
    planted.add("the root key", &root_key);
    let text = b64(&root_key);
    let env = [
        ("KEYWARD_ROOT_KEY", text.as_str()),
        ("KEYWARD_LOG_LEVEL", "trace"),
        ("KEYWARD_LOG_FORMAT", "json"),
    ];
    let mut server = Server::serve_with("", &env);
    traffic(&server, &mut planted);
    nothing_found(&mut server, &planted, &[]);
}

/// What is logged is said while the server runs, and every request is traced.
#[test]
fn with_everything_logged_by_a_call_and_everything_traced() {
    for format in ["text", "json"] {
        let mut planted = Planted::default();
        let passphrase = planted.text("the root passphrase");
        let receiver = Receiver::start();
        let headers = format!("x-key={}", planted.text("the receiver's key"));
        let url = receiver.url();
        let env = [
            ("KEYWARD_ROOT_PASSPHRASE", passphrase.as_str()),
            ("KEYWARD_LOG_FORMAT", format),
            ("KEYWARD_TRACES_OTLP", &url),
            ("KEYWARD_TRACES_HEADERS", &headers),
            ("KEYWARD_TRACES_SAMPLE", "1"),
        ];
        let mut server = Server::serve_with("", &env);
        let level = json!({ "level": "trace,vaultrs=trace,rustify=trace" }).to_string();
        let json = [("content-type", "application/json")];
        server.operator().send("PUT", "/api/v1/log", &json, level.as_bytes()).expect(200);
        traffic(&server, &mut planted);
        nothing_found(&mut server, &planted, &[]);
        let spans = receiver.spans();
        assert!(spans.len() > 100, "{} spans are not of all requests", spans.len());
        assert!(find(&receiver.bytes(), b"the receiver's key").is_some(), "headers are sent");
        planted.nowhere_in("the traces", &receiver.bytes(), &["the receiver's key"]);
    }
}

#[test]
fn with_a_root_key_file() {
    let mut planted = Planted::default();
    let mut server = Server::serve_with("", &[("KEYWARD_LOG_LEVEL", "debug")]);
    let file = server.data().join("root.key");
    let text = fs::read_to_string(&file).unwrap();
    planted.add("the root key", &unb64(text.trim()));
    traffic(&server, &mut planted);
    // The file itself is where the key is; it is checked to be nowhere else.
    fs::rename(&file, server.home.path().join("root.key")).unwrap();
    nothing_found(&mut server, &planted, &[]);
}

/// The search finds what is there.
#[test]
fn the_search_finds_what_is_there() {
    let mut planted = Planted::default();
    let secret = planted.text("place");
    for hidden in [
        secret.clone(),
        format!("x{secret}y"),
        b64(&secret),
        b64(format!("x{secret}y")),
        b64(format!("xy{secret}z")),
        b64(format!("xyz{secret}")),
        format!("{:?}", secret.as_bytes()),
        hex(secret.as_bytes()),
    ] {
        let found =
            std::panic::catch_unwind(|| planted.nowhere_in("a text", hidden.as_bytes(), &[]));
        assert!(found.is_err(), "not found in {hidden}");
    }
    planted.nowhere_in("a text", b"nothing of the kind", &[]);
}
