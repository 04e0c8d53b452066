//! Trying a policy before it is active, explaining what one decides, and what becomes of one that
//! fails.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;
use std::time::Duration;

use keyward_tests::stamp::{stamp, stamped};
use keyward_tests::{Answer, Client, Server, Tenant, b64, policy, until};
use serde_json::{Value, json};

static SERVER: LazyLock<Server> = LazyLock::new(|| Server::serve(""));
const WASM: (&str, &str) = ("content-type", "application/wasm");
const JSON: (&str, &str) = ("content-type", "application/json");

#[track_caller]
fn pushed(tenant: &Tenant, wasm: &[u8]) -> String {
    tenant.admin.send("POST", "/policies", &[WASM], wasm).json()["digest"].as_str().unwrap().into()
}

fn trial(tenant: &Tenant, what: &str, digest: &str, percent: u64) -> Answer {
    let body = json!({ "digest": digest, "percent": percent });
    tenant.admin.send("PUT", &format!("/policy/{what}"), &[JSON], body.to_string().as_bytes())
}

#[track_caller]
fn rollout(tenant: &Tenant) -> Value {
    tenant.admin.get("/policy/rollout").expect(200).json()
}

/// The stamp of the policy that decides and executes.
#[track_caller]
fn which(app: &Client) -> String {
    let text = app.send("POST", "/invoke/which", &[], b"").expect(200).text();
    let (decided, executed) = text.split_once(' ').unwrap();
    assert_eq!(decided, executed, "decided by one, executed by another");
    decided.to_owned()
}

#[test]
fn a_canary_decides_its_share_and_no_request_by_halves() {
    let tenant = SERVER.tenant("canary");
    tenant.key("main");
    tenant.admin.get("/policy/rollout").problem(404, "policy_not_set");
    tenant.admin.put_policy(&stamped(1)).expect(200);
    let two = pushed(&tenant, &stamped(2));
    let started = trial(&tenant, "canary", &two, 40).expect(200).json();
    assert_eq!(
        (&started["canary"]["digest"], &started["canary"]["percent"]),
        (&json!(two), &json!(40))
    );
    assert_eq!(started["canary"]["by"], "admin");
    assert_eq!(started, rollout(&tenant));
    tenant
        .admin
        .send("DELETE", &format!("/policies/{two}"), &[], b"")
        .problem(409, "policy_in_use");

    // Of 300 requests at 40 %, between 60 and 180: nobody sees less than six nines of that.
    let by_canary = (0..300).filter(|_| which(&tenant.app) == stamp(2)).count();
    assert!((60..180).contains(&by_canary), "{by_canary}");
    let batch = json!({ "items": vec![json!({ "key": "main", "plaintext": b64("x") }); 3] });
    let batches: Vec<Vec<Value>> = (0..30)
        .map(|_| {
            let answer = tenant.app.post("/encrypt", &batch).expect(200).json();
            answer["items"].as_array().unwrap().clone()
        })
        .collect();
    let shown = rollout(&tenant);
    let runs = |what: &str| shown[what]["runs"].as_u64().unwrap();
    assert_eq!(runs("active") + runs("canary"), 330);
    assert_eq!((&shown["active"]["failed"], &shown["canary"]["failed"]), (&json!(0), &json!(0)));

    // Ended, the active one decides alone; each batch opens whole, or not at all.
    let ended = tenant.admin.send("DELETE", "/policy/canary", &[], b"").expect(200).json();
    assert!(ended.get("canary").is_none());
    assert!((0..50).all(|_| which(&tenant.app) == stamp(1)));
    let opened: Vec<bool> = batches
        .iter()
        .map(|items| {
            let opens = |item: &Value| {
                let body = json!({ "ciphertext": item["ciphertext"] });
                tenant.app.post("/decrypt", &body).status == 200
            };
            let opened: Vec<bool> = items.iter().map(opens).collect();
            assert!(opened.iter().all(|it| *it == opened[0]), "one batch, decided by two policies");
            opened[0]
        })
        .collect();
    assert!(opened.contains(&true) && opened.contains(&false), "{opened:?}");
}

#[test]
fn an_activation_ends_what_was_tried_before_it() {
    let tenant = SERVER.tenant("promoted");
    tenant.admin.put_policy(&stamped(1)).expect(200);
    let [two, three] = [2, 3].map(|number| pushed(&tenant, &stamped(number)));
    trial(&tenant, "canary", &two, 100).expect(200);
    trial(&tenant, "shadow", &three, 50).expect(200);
    assert!((0..20).all(|_| which(&tenant.app) == stamp(2)));
    tenant.admin.post("/policy/activate", &json!({ "digest": two })).expect(200);
    let shown = rollout(&tenant);
    assert!(shown.get("canary").is_none() && shown.get("shadow").is_none(), "{shown}");
    assert_eq!(which(&tenant.app), stamp(2));
    tenant.admin.send("DELETE", &format!("/policies/{three}"), &[], b"").expect(200);
}

#[test]
fn trials_survive_a_restart() {
    let mut server = Server::serve("");
    let tenant = server.tenant("kept");
    tenant.admin.put_policy(&stamped(1)).expect(200);
    let two = pushed(&tenant, &stamped(2));
    trial(&tenant, "canary", &two, 100).expect(200);
    server.kill();
    server.start_again();
    let app = server.client().token(&tenant.app_token).below("/api/v1/tenants/kept");
    assert!((0..20).all(|_| which(&app) == stamp(2)));
}

#[test]
fn what_makes_no_sense_is_refused_and_named() {
    let tenant = SERVER.tenant("trials");
    let none = format!("sha256:{}", "0".repeat(64));
    trial(&tenant, "canary", &none, 1).problem(404, "policy_not_kept");
    let one = tenant.admin.put_policy(&stamped(1)).expect(200).str("/digest");
    for what in ["canary", "shadow"] {
        trial(&tenant, what, &one, 1).problem(400, "invalid_field").field("/digest");
        trial(&tenant, what, "sha256:", 1).problem(400, "invalid_field").field("/digest");
        trial(&tenant, what, &none, 0).problem(400, "invalid_field").field("/percent");
        trial(&tenant, what, &none, 101).problem(400, "invalid_field").field("/percent");
        tenant
            .app
            .send("PUT", &format!("/policy/{what}"), &[JSON], b"{}")
            .problem(403, "forbidden");
    }
    for (percent, runs, field) in
        [(100, 1, "/max_failed_percent"), (1, 0, "/min_runs"), (1, 1_000_001, "/min_runs")]
    {
        let body = json!({ "max_failed_percent": percent, "min_runs": runs }).to_string();
        let answer = tenant.admin.send("PUT", "/policy/safeguard", &[JSON], body.as_bytes());
        answer.problem(400, "invalid_field").field(field);
    }
    for (body, field) in [
        (json!({ "operation": "" }), "/operation"),
        (json!({ "operation": "o".repeat(129) }), "/operation"),
        (json!({ "operation": "encrypt", "digest": "x" }), "/digest"),
        (json!({ "operation": "encrypt", "purpose": "p".repeat(1025) }), "/purpose"),
        (json!({ "operation": "encrypt", "caller": { "subject": "" } }), "/caller/subject"),
        (
            json!({ "operation": "encrypt", "caller": { "subject": "a", "roles": [""] } }),
            "/caller/roles",
        ),
    ] {
        tenant.admin.post("/policy/explain", &body).problem(400, "invalid_field").field(field);
    }
    let strange = json!({ "operation": "encrypt", "digest": none });
    tenant.admin.post("/policy/explain", &strange).problem(404, "policy_not_kept");
}

#[test]
fn a_shadow_is_compared_and_decides_nothing() {
    let tenant = SERVER.tenant("shadow");
    tenant.key("main");
    tenant.admin.put_policy(&stamped(1)).expect(200);
    let two = pushed(&tenant, &stamped(2));
    trial(&tenant, "shadow", &two, 100).expect(200);
    let body = json!({ "key": "main", "plaintext": b64("x"), "context": b64("Planted-Context") });
    let ciphertexts: Vec<String> = (0..10).map(|_| tenant.app.encrypt(&body)).collect();
    assert!((0..5).all(|_| which(&tenant.app) == stamp(1)));
    let compared = || {
        let shadow = rollout(&tenant)["shadow"].clone();
        let count = |name: &str| shadow[name].as_u64().unwrap();
        count("same") + count("differing_plans") + count("skipped") >= 15
    };
    until("all are compared", compared);
    let shadow = rollout(&tenant)["shadow"].clone();
    let count = |name: &str| shadow[name].as_u64().unwrap();
    assert_eq!(
        (count("differing_decisions"), count("differing_errors"), count("failed")),
        (0, 0, 0)
    );
    assert!(count("differing_plans") > 0, "{shadow}");
    let differences = shadow["differences"].as_array().unwrap();
    let of_plan = differences.iter().find(|it| it["kind"] == "plan").unwrap();
    assert_eq!(of_plan["members"], json!(["authenticated_data", "obligations"]));
    assert_eq!((&of_plan["operation"], &of_plan["key"]), (&json!("encrypt"), &json!("main")));
    assert!(shadow["shadow_times"]["p99_us"].as_u64().unwrap() > 0);
    let text = shadow.to_string();
    assert!(!text.contains("Planted") && !text.contains(&b64("Planted-Context")), "{text}");
    // Whatever the shadow bound, nothing was sealed by it.
    tenant.admin.send("DELETE", "/policy/shadow", &[], b"").expect(200);
    for ciphertext in &ciphertexts {
        let body = json!({ "ciphertext": ciphertext, "context": b64("Planted-Context") });
        tenant.app.post("/decrypt", &body).expect(200);
    }
}

#[test]
fn a_shadow_that_fails_or_refuses_harms_nobody() {
    let tenant = SERVER.tenant("shadow-hostile");
    tenant.key("main");
    tenant.admin.put_policy(&stamped(1)).expect(200);
    let hostile = pushed(&tenant, &policy("hostile"));
    trial(&tenant, "shadow", &hostile, 100).expect(200);
    for purpose in ["trap", "loop", "alloc", "garbage-version-zero"] {
        let body = json!({ "key": "main", "plaintext": b64("x"), "purpose": purpose });
        tenant.app.post("/encrypt", &body).expect(200);
    }
    until("all are compared", || {
        let shadow = rollout(&tenant)["shadow"].clone();
        shadow["failed"].as_u64().unwrap() + shadow["skipped"].as_u64().unwrap() >= 4
    });
    let shadow = rollout(&tenant)["shadow"].clone();
    let codes: Vec<&str> = shadow["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| {
            assert_eq!((&it["kind"], &it["active"]), (&json!("decision"), &json!("allowed")));
            it["shadow"].as_str().unwrap()
        })
        .collect();
    assert!(codes.contains(&"policy_trap") && codes.contains(&"policy_bad_plan"), "{codes:?}");
    assert!((0..10).all(|_| which(&tenant.app) == stamp(1)));

    // What it counts, it counts for itself.
    let count = |app: &Client| -> u32 {
        let body = json!({ "key": "main", "plaintext": "", "purpose": "state-count" });
        app.post("/encrypt", &body).expect(200);
        app.post("/invoke/state-count", &json!({})).expect(200).text().parse().unwrap()
    };
    let other = SERVER.tenant("shadow-counted");
    other.key("main");
    other.admin.put_policy(&stamped(1)).expect(200);
    let counter = pushed(&other, &policy("hostile"));
    trial(&other, "shadow", &counter, 100).expect(200);
    for _ in 0..5 {
        let body = json!({ "key": "main", "plaintext": "", "purpose": "state-count" });
        other.app.post("/encrypt", &body).expect(200);
    }
    until("all are compared", || {
        let shadow = rollout(&other)["shadow"].clone();
        ["same", "differing_plans", "differing_decisions", "skipped"]
            .iter()
            .map(|name| shadow[name].as_u64().unwrap())
            .sum::<u64>()
            >= 5
    });
    other.admin.post("/policy/activate", &json!({ "digest": counter })).expect(200);
    assert_eq!(count(&other.app), 2, "the shadow's counts lasted");
}

#[test]
fn an_explanation_tells_all_and_does_nothing() {
    let tenant = SERVER.tenant_with_policy("explained", "hostile");
    let ask = |question: &Value| tenant.admin.post("/policy/explain", question).expect(200).json();
    let told = ask(&json!({ "operation": "encrypt", "key": "main", "purpose": "log-and-open" }));
    assert_eq!(told["allowed"], true, "{told}");
    assert!(
        told["run"]["fuel"].as_u64().unwrap() > 100
            && told["run"]["memory_bytes"].as_u64().unwrap() > 0
    );
    let calls: Vec<&str> = told["run"]["host_calls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|call| call["function"].as_str().unwrap())
        .collect();
    assert!(calls.contains(&"keys.open"), "{calls:?}");
    assert!(!told["run"]["log"].as_array().unwrap().is_empty());
    for (purpose, code) in [
        ("trap", "policy_trap"),
        ("loop", "policy_cpu_limit"),
        ("garbage-version-zero", "policy_bad_plan"),
    ] {
        let told = ask(&json!({ "operation": "encrypt", "key": "main", "purpose": purpose }));
        assert_eq!((&told["allowed"], &told["error"]["code"]), (&json!(false), &json!(code)));
        assert!(told.get("plan").is_none());
    }
    // Nothing it remembers lasts.
    let counting = json!({ "operation": "encrypt", "key": "main", "purpose": "state-count" });
    for _ in 0..3 {
        assert_eq!(ask(&counting)["allowed"], true);
    }
    let count = tenant.app.post("/invoke/state-count", &json!({})).expect(200).text();
    assert_eq!(count, "1");

    // Of one that is not active, and as somebody else.
    let digest = pushed(&tenant, &policy("records"));
    let question = |roles: &[&str]| {
        json!({
            "operation": "decrypt", "key": "main", "purpose": "billing", "digest": digest,
            "caller": { "subject": "kim", "roles": roles }
        })
    };
    let refused = ask(&question(&["nobody"]));
    assert_eq!(
        (&refused["allowed"], &refused["error"]["code"]),
        (&json!(false), &json!("policy_refused"))
    );
    assert_eq!(refused["digest"], json!(digest));
    tenant.app.post("/policy/explain", &counting).problem(403, "forbidden");
}

#[test]
fn a_policy_that_fails_too_often_gives_way_if_the_tenant_chose_so() {
    let tenant = SERVER.tenant("guarded");
    tenant.key("main");
    let one = tenant.admin.put_policy(&stamped(1)).expect(200).str("/digest");
    let good = json!({ "key": "main", "plaintext": b64("x") });
    let bad = json!({ "key": "main", "plaintext": b64("x"), "purpose": "trap" });
    let fail = |times: usize| {
        for _ in 0..times {
            tenant.app.post("/encrypt", &bad).problem(502, "policy_trap");
        }
    };
    // Nobody chose it: what it fails at is refused, and it stays.
    let hostile = tenant.admin.put_policy(&policy("hostile")).expect(200).str("/digest");
    fail(30);
    std::thread::sleep(Duration::from_millis(200));
    let shown = rollout(&tenant);
    assert_eq!(
        (&shown["active"]["digest"], &shown["active"]["failed"]),
        (&json!(hostile), &json!(30))
    );

    let safeguard = json!({ "max_failed_percent": 20, "min_runs": 10 }).to_string();
    let set = tenant.admin.send("PUT", "/policy/safeguard", &[JSON], safeguard.as_bytes());
    assert_eq!(set.expect(200).json()["safeguard"]["min_runs"], 10);
    // A fifth of the runs is not more than a fifth.
    for _ in 0..8 {
        tenant.app.post("/encrypt", &good).expect(200);
    }
    fail(2);
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(rollout(&tenant)["active"]["digest"], json!(hostile));
    fail(1);
    until("it was rolled back", || rollout(&tenant)["active"]["digest"] == json!(one));
    assert_eq!(which(&tenant.app), stamp(1));
    let history = tenant.admin.get("/policy/history").expect(200).json();
    let last = history["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["why"], &last["by"]), (&json!("failures"), &json!("keyward")));
    let metrics = SERVER.operator().get("/metrics").expect(200).text();
    assert!(
        metrics.contains("keyward_policy_safeguards_total{outcome=\"rolled_back\"}"),
        "{metrics}"
    );
    assert!(metrics.contains("keyward_policy_failures_total{code=\"policy_trap\"}"), "{metrics}");

    // A canary is ended, and the active one stays.
    trial(&tenant, "canary", &hostile, 100).expect(200);
    fail(10);
    until("the canary was ended", || rollout(&tenant).get("canary").is_none());
    assert_eq!(which(&tenant.app), stamp(1));
}
