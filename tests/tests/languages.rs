//! Policies in JavaScript and Python, each as a component over HTTP: the same decisions as in Rust,
//! everything their SDKs offer, and the bounds of the engine that runs them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;
use std::time::{SystemTime, UNIX_EPOCH};

use keyward_tests::{Answer, Client, Server, Tenant, b64, policy, unb64};
use serde::Deserialize;
use serde_json::{Value, json};

/// One server, so that each component is compiled once.
static SERVER: LazyLock<Server> = LazyLock::new(|| {
    Server::dev_with(&[
        ("KEYWARD_POLICY_COMPILE_TIMEOUT", "9m"),
        ("KEYWARD_POLICY_WALL", "60s"),
        ("KEYWARD_POLICY_IMAGE_CPU", "2s"),
        ("KEYWARD_POLICY_IMAGE_MEMORY", "32MiB"),
        ("KEYWARD_LOG_LEVEL", "info"),
    ])
});

fn activate(tenant: &Tenant, name: &str) -> Answer {
    tenant.operator.patient().put_policy(&policy(name)).expect(200)
}

fn tenant(name: &str, policy: &str) -> Tenant {
    let tenant = SERVER.tenant(name);
    activate(&tenant, policy);
    tenant
}

// One corpus for three editions of one policy

/// One request, and what is to come of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    roles: Vec<String>,
    operation: String,
    purpose: Option<String>,
    /// The purpose its ciphertext was written for.
    opens: Option<String>,
    status: u16,
    code: Option<String>,
    detail: Option<String>,
    plaintext: Option<String>,
}

impl Case {
    fn send(&self, tenant: &Tenant, edition: &str, written: &Value) -> Answer {
        let roles: Vec<&str> = self.roles.iter().map(String::as_str).collect();
        let mut body = json!({});
        if let Some(purpose) = &self.purpose {
            body["purpose"] = json!(purpose);
        }
        if let Some(purpose) = &self.opens {
            body["ciphertext"] = written[edition][purpose].clone();
        } else if self.operation != "random" {
            body["key"] = json!("main");
        }
        match self.operation.as_str() {
            "encrypt" => body["plaintext"] = json!(b64("x")),
            "sign" => body["input"] = json!(b64("x")),
            _ => {}
        }
        tenant.caller(&roles).post(&format!("/{}", self.operation), &body)
    }

    /// Fails unless the answer is what the corpus says.
    fn check(&self, edition: &str, answer: &Answer) {
        let what = format!("{edition}: {}: {}", self.name, answer.text());
        assert_eq!(answer.status, self.status, "{what}");
        if let Some(code) = &self.code {
            assert_eq!(answer.str("/code"), *code, "{what}");
        }
        if let Some(detail) = &self.detail {
            assert_eq!(answer.str("/detail"), *detail, "{what}");
        }
        if let Some(plaintext) = &self.plaintext {
            assert_eq!(unb64(&answer.str("/plaintext")), plaintext.as_bytes(), "{what}");
        }
    }
}

/// What each edition writes, every other one opens: their plans are the same, byte for byte.
#[test]
fn three_editions_of_one_policy_decide_alike() {
    const EDITIONS: [&str; 3] = ["records", "records-js", "records-py"];
    let corpus = include_str!("../policies/corpus/records.json");
    let corpus: Vec<Case> = serde_json::from_str(corpus).unwrap();
    let tenant = SERVER.tenant("corpus");
    tenant.key("main");
    let mut written = json!({});
    for edition in EDITIONS {
        activate(&tenant, edition);
        for purpose in ["treatment", "billing", "research"] {
            let plaintext = b64(format!("written for {purpose}"));
            let body = json!({ "key": "main", "plaintext": plaintext, "purpose": purpose });
            written[edition][purpose] = json!(tenant.app.encrypt(&body));
        }
    }
    for edition in EDITIONS {
        activate(&tenant, edition);
        for case in &corpus {
            for writer in EDITIONS {
                case.check(edition, &case.send(&tenant, writer, &written));
                if case.opens.is_none() {
                    break;
                }
            }
        }
    }
}

// hours-js

#[test]
fn hours_lets_read_within_a_purposes_hours() {
    let tenant = tenant("hours", "hours-js");
    tenant.key("main");
    let body = |purpose: &str| json!({ "key": "main", "plaintext": b64("x"), "purpose": purpose });
    let emergency = tenant.app.encrypt(&body("emergency"));
    let support = tenant.app.encrypt(&body("support"));
    let read = |client: &Client, ciphertext: &str, purpose: &str| {
        client.post("/decrypt", &json!({ "ciphertext": ciphertext, "purpose": purpose }))
    };
    let on_call = tenant.caller(&["on-call"]);
    read(&on_call, &emergency, "emergency").expect(200);
    read(&on_call, &support, "support").problem(403, "policy_refused");
    read(&on_call, &support, "emergency").problem(400, "ciphertext_invalid");
    read(&on_call, &emergency, "marketing").problem(400, "policy_invalid");
    tenant.app.post("/sign", &json!({ "key": "main", "input": "" })).problem(403, "policy_refused");
    // The policy goes by the host's clock.
    let before = office_hours();
    let answer = read(&tenant.caller(&["support"]), &support, "support");
    if before == office_hours() {
        if before {
            answer.expect(200);
        } else {
            answer.problem(403, "policy_refused").detail("from 8 to 18 o'clock only");
        }
    }
    assert!(SERVER.stderr().contains("read in an emergency"), "{}", SERVER.stderr());
}

/// Whether it is between 8 and 18 o'clock from Monday to Friday, an hour east of UTC.
fn office_hours() -> bool {
    let hours = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / 3_600 + 1;
    let (hour, day) = (hours % 24, (hours / 24 + 4) % 7);
    (8..18).contains(&hour) && (1..=5).contains(&day)
}

// approvals-py

#[test]
fn approvals_are_needed_above_the_limit() {
    let tenant = tenant("approvals", "approvals-py");
    tenant.key("main");
    let context = |amount: f64| b64(json!({ "amount": amount, "currency": "EUR" }).to_string());
    let written = |amount| {
        let body = json!({ "key": "main", "plaintext": b64("to Ann"), "context": context(amount) });
        tenant.app.encrypt(&body)
    };
    let (small, large) = (written(1_000.0), written(1_000.5));
    let read = |client: &Client, ciphertext: &str, amount| {
        let body = json!({ "ciphertext": ciphertext, "context": context(amount) });
        client.post("/decrypt", &body)
    };
    let clerk = tenant.caller(&["clerk"]);
    read(&clerk, &small, 1_000.0).expect(200);
    read(&clerk, &large, 1_000.5).problem(403, "policy_refused").detail("approved-up-to");
    // It cannot be made smaller than it is.
    read(&clerk, &large, 1.0).problem(400, "ciphertext_invalid");
    let chief = tenant.caller_with(&["clerk"], &json!({ "approved-up-to": "2000" }));
    read(&chief, &large, 1_000.5).expect(200);
    let body = json!({ "key": "main", "plaintext": "", "context": b64("{}") });
    tenant.app.post("/encrypt", &body).problem(400, "policy_invalid").detail("amount");
}

// The SDKs, and the bounds of the engine

const LANGUAGES: [&str; 2] = ["sdk-js", "sdk-py"];

fn sdk(name: &str, policy: &str) -> Tenant {
    let tenant = tenant(&format!("{name}-{policy}"), policy);
    tenant.key("main");
    tenant.new_key(&json!({ "name": "mac", "algorithm": "hmac-sha-256" }));
    tenant.new_key(&json!({ "name": "sign", "algorithm": "ed25519" }));
    tenant.new_key(&json!({ "name": "siv", "algorithm": "aes-256-siv" }));
    tenant.new_key(&json!({ "name": "hpke", "algorithm": "x25519" }));
    tenant
}

fn invoke(tenant: &Tenant, operation: &str, body: &str) -> Answer {
    let path = format!("/invoke/{operation}");
    tenant.app.send("POST", &path, &[("content-type", "text/plain")], body.as_bytes())
}

#[test]
fn an_sdk_reaches_everything_the_contract_offers_and_imports_nothing_else() {
    for language in LANGUAGES {
        let tenant = sdk("all", language);
        assert_eq!(invoke(&tenant, "everything", "").expect(200).text(), "all", "{language}");
        let shown = tenant.admin.get("/policy").expect(200).json();
        assert_eq!(shown["engine"], "image");
        let imports: Vec<&str> = shown["imports"]
            .as_array()
            .unwrap()
            .iter()
            .map(|name| name.as_str().unwrap())
            .collect();
        let interfaces = [
            "index",
            "keys",
            "log",
            "macs",
            "opening",
            "random",
            "recipients",
            "sealing",
            "signing",
            "state",
            "tokens",
            "types",
            "verifying",
        ];
        let all = interfaces.map(|name| format!("keyward:policy/{name}@0.1.0"));
        assert_eq!(imports, all, "{language}");
        assert_eq!(shown["operations"].as_array().unwrap().len(), 4);
    }
}

#[test]
fn a_policy_imports_what_its_code_does() {
    for (name, policy, imports) in [
        ("few-js", "records-js", &["types"][..]),
        ("few-py", "records-py", &["types"]),
        ("few-log", "hours-js", &["log", "types"]),
    ] {
        let shown = tenant(name, policy).admin.get("/policy").expect(200).json();
        let imports: Vec<_> =
            imports.iter().map(|name| json!(format!("keyward:policy/{name}@0.1.0"))).collect();
        assert_eq!(shown["imports"], json!(imports), "{policy}");
    }
}

#[test]
fn nothing_outlives_a_request() {
    for language in LANGUAGES {
        let tenant = sdk("fresh", language);
        for _ in 0..20 {
            assert_eq!(invoke(&tenant, "count", "").expect(200).text(), "1", "{language}");
        }
    }
}

#[test]
fn a_run_is_stopped_at_its_bounds_and_the_next_one_is_served() {
    for language in LANGUAGES {
        let tenant = sdk("bounds", language);
        let misdeed = |name: &str| {
            let body = json!({ "key": "main", "plaintext": "", "purpose": name });
            tenant.app.patient().post("/encrypt", &body)
        };
        misdeed("loop").problem(502, "policy_cpu_limit").detail("2000 ms");
        misdeed("grow").problem(502, "policy_memory_limit").detail("33554432 bytes");
        misdeed("fault").problem(502, "policy_trap");
        // Either language's own bound, which is a fault like any other, or the engine's.
        misdeed("recurse").problem(502, "policy_trap");
        misdeed("none").expect(200);
        let pools = SERVER.client().get("/metrics").expect(200).text();
        let idle = "keyward_policy_pool_size{engine=\"image\"} 64.0";
        assert!(pools.contains(idle), "{pools}");
    }
    // Faults are in the log, by the policies' permission to write there.
    for (place, what) in [("TypeError", "policy.js"), ("ZeroDivisionError", "sdk.py")] {
        let log = SERVER.stderr();
        assert!(log.contains(place) && log.contains(what), "{place}: {log}");
    }
}

#[test]
fn payloads_pass_whole() {
    for language in LANGUAGES {
        let tenant = sdk("payload", language);
        let text: String = ('\u{20}'..'\u{3000}').cycle().take(100_000).collect();
        let answer = invoke(&tenant, "echo", &text).expect(200);
        assert_eq!(answer.text(), text, "{language}");
    }
}

#[test]
fn many_requests_at_once_are_all_answered() {
    let tenant = &sdk("many", "sdk-js");
    let body = &json!({ "key": "main", "plaintext": b64("x") });
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(move || {
                for _ in 0..25 {
                    tenant.app.post("/encrypt", body).expect(200);
                }
            });
        }
    });
    // The same in one instance: one result for each item.
    let items = json!({ "items": vec![body.clone(); 50] });
    let answer = tenant.app.post("/encrypt", &items).expect(200).json();
    assert_eq!(answer["items"].as_array().unwrap().len(), 50);
}

#[test]
fn without_the_image_engine_such_policies_are_refused() {
    let server = Server::dev_with(&[("KEYWARD_POLICY_IMAGE_POOL_SIZE", "0")]);
    let tenant = server.tenant("none");
    let answer = tenant.operator.put_policy(&policy("records-js"));
    answer.problem(422, "component_needs_too_much").detail("2048");
    let answer = tenant.operator.put_policy(&policy("records-py"));
    assert_eq!(answer.status, 413, "{}", answer.text());
    tenant.activate("records");
}
