//! Policies that do what a policy must not, and uploads that are none: each gets its own code,
//! and nobody else notices.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use keyward_tests::{Answer, Server, Tenant, b64, policy};
use serde_json::{Value, json};

const MAX_COMPONENT: usize = 512 << 10;

/// Neither engine takes larger ones.
static SERVER: LazyLock<Server> = LazyLock::new(|| {
    Server::dev_with(&[
        ("KEYWARD_POLICY_MAX_COMPONENT", "512KiB"),
        ("KEYWARD_POLICY_IMAGE_MAX_COMPONENT", "512KiB"),
    ])
});

static HOSTILE: LazyLock<Tenant> =
    LazyLock::new(|| SERVER.tenant_with_policy("hostile", "hostile"));

/// Does it while it decides.
fn decide(misdeed: &str) -> Answer {
    let body = json!({ "key": "main", "plaintext": b64("x"), "purpose": misdeed });
    HOSTILE.app.post("/encrypt", &body)
}

/// Does it in an operation of its own.
fn invoke(misdeed: &str) -> Answer {
    HOSTILE.app.post(&format!("/invoke/{misdeed}?key=main"), &json!({}))
}

#[test]
fn each_misdeed_has_its_own_code_and_leaves_nothing_behind() {
    for (misdeed, code) in [
        ("loop", "policy_cpu_limit"),
        ("alloc", "policy_memory_limit"),
        ("trap", "policy_trap"),
        ("panic", "policy_trap"),
        ("recurse", "policy_trap"),
        ("recurse-wide", "policy_trap"),
        ("garbage-utf8", "policy_trap"),
        ("huge-answer", "policy_host_call_bytes_limit"),
        ("million-calls", "policy_host_call_limit"),
        ("random-huge", "policy_random_limit"),
        ("state-calls", "policy_state_limit"),
        ("hold-handles", "policy_handle_limit"),
        ("forge-handle", "policy_trap"),
    ] {
        for answer in [decide(misdeed), invoke(misdeed)] {
            let detail = answer.problem(502, code).str("/detail");
            for inside in ["0x", "backtrace", "src/", ".rs"] {
                assert!(!detail.contains(inside), "{misdeed} shows {inside}: {detail}");
            }
        }
        decide("allow").expect(200);
        assert_eq!(HOSTILE.app.post("/invoke/echo", &json!([1])).expect(200).json(), json!([1]));
    }
}

#[test]
fn plans_that_make_no_sense() {
    for name in [
        "garbage-key",
        "garbage-foreign-key",
        "garbage-empty-key",
        "garbage-long-key",
        "garbage-version",
        "garbage-version-zero",
        "garbage-aad",
        "garbage-obligation-value",
        "garbage-note",
    ] {
        let answer = decide(name).problem(502, "policy_bad_plan");
        assert!(answer.body.len() < 2_000, "{name}: {} bytes", answer.body.len());
    }
    decide("garbage-obligation").problem(502, "obligation_unknown");
    for (name, code) in
        [("garbage-obligation", "obligation_unknown"), ("garbage-note", "policy_bad_plan")]
    {
        let path = format!("/invoke/echo?purpose={name}");
        HOSTILE.app.post(&path, &json!([1])).problem(502, code);
    }
    decide("garbage-obligations").problem(502, "policy_host_call_bytes_limit");
    // Within a batch, what can be told of one item is that item's alone.
    let item = |purpose: &str| json!({ "key": "main", "plaintext": "", "purpose": purpose });
    let items = [item("allow"), item("garbage-key"), item("deny"), item("garbage-version")];
    let answer = HOSTILE.app.post("/encrypt", &json!({ "items": items })).expect(200).json();
    let codes: Vec<_> = (0..4).map(|at| answer["items"][at]["error"]["code"].clone()).collect();
    let bad = json!("policy_bad_plan");
    assert_eq!(codes, [Value::Null, bad.clone(), json!("policy_refused"), bad]);
}

#[test]
fn keys_of_others_do_not_open() {
    let other = SERVER.tenant_with_policy("other", "baseline");
    other.key("secret");
    let ciphertext = other.app.encrypt(&json!({ "key": "secret", "plaintext": b64("theirs") }));
    for answer in [decide("open-foreign"), invoke("open-foreign")] {
        assert_eq!(answer.problem(403, "policy_refused").str("/detail"), "opened nothing");
    }
    assert_eq!(invoke("open-own").expect(200).text(), "opened main");
    let body = json!({ "ciphertext": ciphertext, "purpose": "allow" });
    HOSTILE.app.post("/decrypt", &body).problem(400, keyward_tests::UNIFORM);
}

#[test]
fn nobody_signs_with_keys_of_others_or_with_unfit_ones() {
    let other = SERVER.tenant_with_policy("other-signs", "baseline");
    other.new_key(&json!({ "name": "secret", "algorithm": "ed25519" }));
    let tenant = SERVER.tenant_with_policy("signs", "hostile");
    tenant.new_key(&json!({ "name": "tags", "algorithm": "hmac-sha-256" }));
    tenant.new_key(&json!({ "name": "ed", "algorithm": "ed25519" }));
    tenant.new_key(&json!({ "name": "ec", "algorithm": "ecdsa-p256" }));
    tenant.new_key(&json!({ "name": "rsa", "algorithm": "rsa-2048" }));
    let invoke = |misdeed: &str, key: &str| {
        tenant.app.post(&format!("/invoke/{misdeed}?key={key}"), &json!({}))
    };
    for key in ["main", "ed"] {
        let refused = invoke("sign-foreign", key).problem(403, "policy_refused");
        assert_eq!(refused.str("/detail"), "signed nothing");
    }
    let all_invalid = ["invalid"; 7].join(" ");
    let outcomes = |key: &str| invoke("sign-unfit", key).expect(200).text();
    assert_eq!(outcomes("main"), all_invalid);
    assert_eq!(outcomes("tags"), all_invalid);
    // For each form, standard, fixed and PKCS#1: sign, verify. Then the public key.
    assert_eq!(outcomes("ed"), "done done invalid invalid invalid invalid done");
    assert_eq!(outcomes("ec"), "done done done done invalid invalid done");
    assert_eq!(outcomes("rsa"), "done done invalid invalid done done done");
    invoke("sign-huge", "ed").problem(502, "policy_host_call_bytes_limit");

    // What a fit key gives.
    let own = invoke("sign-own", "ed").expect(200).text();
    let (verified, public) = own.rsplit_once(' ').unwrap();
    assert_eq!(verified, "Some(1) None");
    // A SubjectPublicKeyInfo of Ed25519 (RFC 8410) and its 32 bytes.
    assert!(public.starts_with("302a300506032b6570032100") && public.len() == 88, "{public}");
}

#[test]
fn what_is_slow_is_done_once() {
    // Longer than a run may take that does not wait. It goes to a fiber before it signs.
    let tenant = SERVER.tenant_with_policy("slow", "hostile");
    tenant.new_key(&json!({ "name": "slow", "algorithm": "rsa-4096" }));
    for times in 1..=3 {
        tenant.app.post("/invoke/sign-own?key=slow", &json!({})).expect(200);
        assert_eq!(sealed(&tenant, "slow"), times);
    }
}

/// How many messages version 1 of the key has sealed.
fn sealed(tenant: &Tenant, key: &str) -> u64 {
    let usage = tenant.admin.get(&format!("/keys/{key}/usage")).expect(200).json();
    usage["versions"][0]["sealed"]["messages"].as_u64().unwrap()
}

#[test]
fn a_batch_asks_once_for_what_a_policy_cannot_tell_apart() {
    let tenant = SERVER.tenant_with_policy("counted", "hostile");
    tenant.key("second");
    // Differing in what does not enter the policy: plaintext and reference.
    let item = |at: usize, key: &str, purpose: &str, context: &str| {
        json!({
            "key": key, "plaintext": b64(at.to_string()), "reference": at.to_string(),
            "purpose": purpose, "context": b64(context),
        })
    };
    let decided = |path: &str, items: Vec<Value>| {
        let answer = tenant.app.post(path, &json!({ "items": items })).expect(200);
        let (id, items) =
            (answer.header("x-request-id").to_owned(), answer.json()["items"].clone());
        for item in items.as_array().unwrap() {
            assert_eq!(item["error"], Value::Null);
        }
        assert_eq!(items.as_array().unwrap().len(), 100);
        (id, items)
    };
    let keys = ["main", "second"];
    let encrypt = |items: Vec<Value>| decided("/encrypt", items);
    // The policy logs a line for every decision.
    let says = "log-and-open";
    let (equal, items) = encrypt((0..100).map(|at| item(at, "main", says, "c")).collect());
    let (two, _) = encrypt((0..100).map(|at| item(at, keys[at % 2], says, "c")).collect());
    let context = |at: usize| item(at, "main", says, &at.to_string());
    let (distinct, _) = encrypt((0..100).map(context).collect());
    let opened = items.as_array().unwrap().iter().map(
        |item| json!({ "ciphertext": item["ciphertext"], "purpose": says, "context": b64("c") }),
    );
    let (opened, _) = decided("/decrypt", opened.collect());
    let last = tenant.app.post("/encrypt", &item(0, "main", says, "")).expect(200);
    let last = last.header("x-request-id").to_owned();
    let lines = |id: &str| {
        let log = SERVER.stderr();
        log.lines().filter(|line| line.contains("about to open") && line.contains(id)).count()
    };
    // The log is in the order of the requests.
    let start = Instant::now();
    while lines(&last) == 0 && start.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(lines(&last), 1);
    assert_eq!([lines(&equal), lines(&two), lines(&distinct), lines(&opened)], [1, 2, 100, 1]);

    // And all decisions of a batch are of one instance, which has been there before.
    let items = keys.map(|key| item(0, key, "reuse-check", "c"));
    let answer = tenant.app.post("/encrypt", &json!({ "items": items })).expect(200).json();
    assert_eq!(answer["items"][0]["error"], Value::Null);
    assert_eq!(answer["items"][1]["error"]["detail"], "reused 1 times");
}

#[test]
fn nothing_stays_from_one_request_to_the_next() {
    for _ in 0..20 {
        for (check, expected) in [("reuse-check", "fresh"), ("residue-check", "clean")] {
            decide(check).expect(200);
            assert_eq!(invoke(check).expect(200).text(), expected);
        }
    }
}

#[test]
fn a_flood_of_log_lines_stays_small() {
    let before = SERVER.stderr().len();
    decide("log-flood").expect(200);
    invoke("log-flood").expect(200);
    let log = SERVER.stderr();
    // Two runs with 16 KiB each, what others log meanwhile, and what each line has around it.
    assert!(log.len() - before < 100_000, "{} bytes logged", log.len() - before);
    assert!(log[before..].contains("log lines over the limit"), "{}", &log[before..]);
}

/// Ends what others do, whatever happens.
struct Finish<'a>(&'a AtomicBool);

impl Drop for Finish<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn others_work_meanwhile() {
    let good = SERVER.tenant_with_policy("meanwhile", "baseline");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for misdeed in ["loop", "alloc", "recurse", "million-calls", "log-flood", "hold-handles"] {
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    let status = decide(misdeed).status;
                    assert!(matches!(status, 200 | 403 | 502 | 503), "{misdeed}: {status}");
                }
            });
        }
        let _finish = Finish(&done);
        for round in 0..60 {
            let text = round.to_string();
            let body = json!({ "key": "main", "plaintext": b64(&text) });
            let start = std::time::Instant::now();
            let ciphertext = good.app.encrypt(&body);
            assert_eq!(good.app.decrypt(&json!({ "ciphertext": ciphertext })), text.as_bytes());
            assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
        }
        assert_eq!(SERVER.client().get("/readyz").status, 200);
    });
}

/// A tenant's share of instances runs out for that tenant alone, at once and with Retry-After.
#[test]
fn a_full_share_is_a_503() {
    let server = Server::dev_with(&[
        ("KEYWARD_POLICY_PER_TENANT", "2"),
        ("KEYWARD_POLICY_POOL_SIZE", "4"),
        ("KEYWARD_POLICY_CPU", "1s"),
        ("KEYWARD_POLICY_WALL", "20s"),
    ]);
    let hostile = server.tenant_with_policy("greedy", "hostile");
    let good = server.tenant_with_policy("modest", "baseline");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let body = json!({ "key": "main", "plaintext": "", "purpose": "loop" });
                hostile.app.post("/encrypt", &body).problem(502, "policy_cpu_limit");
            });
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
        let body = json!({ "key": "main", "plaintext": "" });
        let answer = hostile.app.post("/encrypt", &body).problem(503, "policy_busy");
        assert_eq!(answer.header("retry-after"), "1");
        good.app.post("/encrypt", &body).expect(200);
    });
    hostile.app.post("/encrypt", &json!({ "key": "main", "plaintext": "" })).expect(200);
}

// Uploads

const WASI: &str = r#"(component
    (import "wasi:cli/environment@0.2.0" (instance
        (export "get-arguments" (func (result (list string))))))
    (import "wasi:filesystem/preopens@0.2.0" (instance))
    (import "keyward:policy/types@0.1.0" (instance))
    (import "keyward:policy/keys@9.9.9" (instance)))"#;

#[test]
fn uploads_that_are_no_policies() {
    let tenant = SERVER.tenant_with_policy("uploads", "baseline");
    let before = tenant.app.get("/policy").expect(200).json();
    let put = |wasm: &[u8]| tenant.admin.put_policy(wasm);
    let good = policy("baseline");

    let refused = put(&wat::parse_str(WASI).unwrap()).problem(422, "component_forbidden_imports");
    let wanted = [
        "wasi:cli/environment@0.2.0",
        "wasi:filesystem/preopens@0.2.0",
        "keyward:policy/keys@9.9.9",
    ];
    for import in wanted {
        assert!(refused.str("/detail").contains(import), "{}", refused.text());
    }
    assert!(!refused.str("/detail").contains("types@0.1.0"), "{}", refused.text());
    let module = wat::parse_str("(module)").unwrap();
    put(&module).problem(422, "component_invalid").detail("core module");
    put(&wat::parse_str("(component)").unwrap())
        .problem(422, "component_missing_exports")
        .detail("guard");
    let wrong = r#"(component
        (instance $none)
        (export "keyward:policy/guard@0.1.0" (instance $none))
        (export "keyward:policy/handler@0.1.0" (instance $none)))"#;
    put(&wat::parse_str(wrong).unwrap()).problem(422, "component_wrong_types");
    let garbage: Vec<u8> =
        (0..10_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for bytes in [&b""[..], b"\0asm", b"nonsense", &garbage, &good[..good.len() / 2], &good[1..]] {
        put(bytes).problem(422, "component_invalid");
    }
    let mut large = good.clone();
    large.resize(MAX_COMPONENT + 1, 0);
    let answer = put(&large);
    assert_eq!(answer.status, 413, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/problem+json");

    // Nothing of that changed anything.
    assert_eq!(tenant.app.get("/policy").expect(200).json(), before);
    tenant.app.post("/encrypt", &json!({ "key": "main", "plaintext": "" })).expect(200);
}

#[test]
fn damaged_components_are_refused_or_run_within_their_bounds() {
    let tenant = SERVER.tenant_with_policy("damaged", "baseline");
    let good = policy("baseline");
    for at in (0..good.len()).step_by(good.len() / 24) {
        let mut damaged = good.clone();
        damaged[at] ^= 0x5a;
        let answer = tenant.admin.put_policy(&damaged);
        assert!(matches!(answer.status, 200 | 422), "byte {at}: {}", answer.text());
        let answer = tenant.app.post("/encrypt", &json!({ "key": "main", "plaintext": "" }));
        assert_ne!(answer.status, 500, "byte {at}: {}", answer.text());
    }
    tenant.activate("baseline");
    tenant.app.post("/encrypt", &json!({ "key": "main", "plaintext": "" })).expect(200);
}
