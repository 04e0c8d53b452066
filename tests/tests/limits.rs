//! Rates, load and fairness: who sends too much is told so at once, and nobody else notices.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keyward_tests::quiet::{items_for, p99};
use keyward_tests::wire::Wire;
use keyward_tests::{Answer, Server, Tenant, b64, raw_answer, until};
use serde_json::{Value, json};

fn encrypt(tenant: &Tenant) -> Answer {
    tenant.app.post("/encrypt", &json!({ "key": "main", "plaintext": b64("x") }))
}

fn batch(items: usize) -> Value {
    let item = json!({ "key": "main", "plaintext": b64([7; 64]) });
    json!({ "items": vec![item; items] })
}

#[track_caller]
fn limited(answer: Answer, whose: &str) -> Answer {
    let answer = answer.problem(429, "rate_limited");
    let detail = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with(whose), "{detail}");
    let seconds: u64 = answer.header("retry-after").parse().unwrap();
    assert!(seconds >= 1, "{seconds}");
    answer
}

#[test]
fn each_token_each_tenant_and_each_kind_has_its_rate() {
    let config = "[limits]\ntoken = \"10/h\"\ntenant = \"16/h\"\noperations = [\"sign=2/h\"]\n";
    let server = Server::serve(config);
    // The operator's own requests are counted, too: ten are enough for what is needed here.
    let (first, second) = (server.tenant("first"), server.tenant("second"));
    let answer = first.app.get("/keys").expect(200);
    assert_eq!(answer.header("ratelimit-policy"), r#""token";q=10;w=3600, "tenant";q=16;w=3600"#);
    assert_eq!(answer.header("ratelimit"), r#""token";r=9;t=360, "tenant";r=15;t=225"#);

    let sign = |tenant: &Tenant| tenant.app.post("/sign", &json!({ "key": "main", "input": "" }));
    for left in [1, 0] {
        let answer = sign(&first).problem(403, "policy_missing");
        let told = answer.header("ratelimit");
        assert!(told.contains(&format!("\"operation\";r={left};")), "{told}");
    }
    let refused = limited(sign(&first), "the tenant's requests of this kind are limited to 2/h");
    assert_eq!(refused.header("retry-after"), "1800");
    assert!(refused.header("ratelimit").contains(r#""operation";r=0;t=3600"#));
    // Of another kind, and of another tenant.
    encrypt(&first).problem(403, "policy_missing");
    sign(&second).problem(403, "policy_missing");

    // Five so far.
    for _ in 0..5 {
        first.app.get("/keys").expect(200);
    }
    limited(first.app.get("/keys"), "this token's requests are limited to 10/h");
    // Another token of the tenant goes on, until the tenant has had enough.
    for _ in 0..6 {
        first.admin.get("/keys").expect(200);
    }
    limited(first.admin.get("/keys"), "the tenant's requests are limited to 16/h");
    second.app.get("/keys").expect(200);
    server.client().get("/livez").expect(200);
}

#[test]
fn what_is_refused_is_not_read_and_is_in_the_audit_log_and_the_metrics() {
    let server = Server::serve("[limits]\noperations = [\"encrypt=1/h\"]\n");
    let tenant = server.tenant_with_policy("refused", "fields");
    encrypt(&tenant).expect(200);
    // Nothing of the body is sent: an answer can only come without it.
    let request = format!(
        "POST /api/v1/tenants/refused/encrypt HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 1000000\r\n\r\n",
        tenant.app_token
    );
    let start = Instant::now();
    let answer = raw_answer(&server.address, request.as_bytes());
    limited(answer, "the tenant's requests of this kind");
    assert!(start.elapsed() < Duration::from_secs(20));

    let start = Instant::now();
    loop {
        let entries = tenant.admin.get("/audit?outcome=rate_limited").expect(200).json();
        if let [entry] = entries["entries"].as_array().unwrap().as_slice() {
            assert_eq!((&entry["operation"], &entry["status"]), (&json!("encrypt"), &json!(429)));
            assert_eq!((&entry["subject"], &entry["tenant"]), (&json!("app"), &json!("refused")));
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(20), "{entries}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let metrics = server.client().get("/metrics").expect(200).text();
    assert!(metrics.contains(r#"keyward_http_errors_total{code="rate_limited"} 1"#), "{metrics}");
    let answered = r#"keyward_http_requests_total{route="encrypt",status="429"} 1"#;
    assert!(metrics.contains(answered), "{metrics}");
}

#[test]
fn a_batch_costs_as_many_as_it_has_items() {
    let server = Server::serve("[limits]\nitems = \"10/h burst 20\"\n");
    let tenant = server.tenant_with_policy("items", "fields");
    let too_many = tenant.app.post("/encrypt", &batch(21));
    too_many.problem(413, "too_many_items").field("/items");
    let answer = tenant.app.post("/encrypt", &batch(15)).expect(200);
    assert_eq!(answer.header("ratelimit"), r#""items";r=5;t=5400"#);
    limited(tenant.app.post("/encrypt", &batch(6)), "the tenant's items are limited to 10/h");
    tenant.app.post("/encrypt", &batch(4)).expect(200);
    encrypt(&tenant).expect(200);
    limited(encrypt(&tenant), "the tenant's items");
    // What has no items is not counted among them.
    tenant.app.get("/keys").expect(200);
}

#[test]
fn lines_come_as_fast_as_the_rate_lets_them() {
    let server = Server::serve("[limits]\nitems = \"100/s burst 50\"\n");
    let tenant = server.tenant_with_policy("lines", "fields");
    let line = json!({ "key": "main", "plaintext": b64("x") }).to_string() + "\n";
    let start = Instant::now();
    let lines = [("content-type", "application/x-ndjson")];
    let answer = tenant.app.send("POST", "/encrypt", &lines, line.repeat(150).as_bytes());
    let answer = answer.expect(200).text();
    assert_eq!(answer.lines().filter(|line| line.contains("ciphertext")).count(), 150, "{answer}");
    assert!(start.elapsed() >= Duration::from_millis(900), "{:?}", start.elapsed());
}

/// Waits until the server knows of what was begun: its order among other requests is open.
#[track_caller]
fn until_in_flight(server: &Server, requests: usize) {
    let full = format!("keyward_requests_in_flight {requests}.0\n");
    until(&full, || server.client().get("/metrics").expect(200).text().contains(&full));
}

/// Nothing is done with the body of a request that has no room: none of these sends one.
#[test]
fn a_flood_is_shed_and_others_are_served() {
    let server = Server::serve("[limits]\nmax_in_flight = 16\n");
    let flood = server.tenant_with_policy("flood", "fields");
    let other = server.tenant_with_policy("other", "fields");
    let open = |tenant: &Tenant| {
        let path = format!("/api/v1/tenants/{}/encrypt", tenant.name);
        let mut wire = Wire::post(&server.address, &tenant.app_token, &path, &batch(1).to_string());
        wire.send_headers();
        wire
    };
    let mut held: Vec<Wire> = (0..8).map(|_| open(&flood)).collect();
    until_in_flight(&server, held.len());
    let shed = |tenant: &Tenant| {
        let start = Instant::now();
        loop {
            let answer = encrypt(tenant);
            if answer.status == 503 {
                return answer;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "{}", answer.text());
        }
    };
    let refused = shed(&flood).problem(503, "overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    // Many more of them make no difference to anybody else.
    let more: Vec<u16> = (0..50).map(|_| open(&flood).answer()).collect();
    assert!(more.iter().all(|status| *status == 503), "{more:?}");
    let log = server.stderr();
    let warnings = log.lines().filter(|line| line.contains("code=\"overloaded\"")).count();
    assert!((1..=3).contains(&warnings), "one in ten seconds, not one for each: {log}");
    for _ in 0..10 {
        encrypt(&other).expect(200);
    }
    // With two there, each has a third.
    held.extend((0..5).map(|_| open(&other)));
    until_in_flight(&server, held.len());
    shed(&other).problem(503, "overloaded");
    other.admin.post("/keys", &json!({ "name": "new" })).problem(503, "overloaded");
    server.operator().get("/api/v1/tenants").expect(200);
    let metrics = server.client().get("/metrics").expect(200).text();
    assert!(metrics.contains("keyward_requests_in_flight 13"), "{metrics}");
    // Those that were let in are done when their bodies come.
    drop(held);
    let start = Instant::now();
    while encrypt(&flood).status != 200 {
        assert!(start.elapsed() < Duration::from_secs(20));
    }
}

#[test]
fn when_all_places_are_taken_the_server_can_still_be_managed() {
    let server = Server::serve("[limits]\nmax_in_flight = 16\n");
    let tenants: Vec<_> =
        (0..6).map(|n| server.tenant_with_policy(&format!("full-{n}"), "fields")).collect();
    let mut held: Vec<(Wire, &Tenant)> = Vec::new();
    // 8 + 5 + 3: half, then what is a third and a fourth.
    for (tenant, count) in tenants.iter().zip([8, 5, 3]) {
        for _ in 0..count {
            let path = format!("/api/v1/tenants/{}/encrypt", tenant.name);
            let body = batch(1).to_string();
            let mut wire = Wire::post(&server.address, &tenant.app_token, &path, &body);
            wire.send_headers();
            held.push((wire, tenant));
        }
        until_in_flight(&server, held.len());
    }
    encrypt(&tenants[5]).problem(503, "overloaded");
    // Whoever it is of: there was no time to ask.
    let stranger = server.client().post("/api/v1/tenants/none/encrypt", &json!({}));
    stranger.problem(503, "overloaded");
    server.operator().get("/api/v1/tenants").expect(200);
    tenants[5].admin.get("/keys").expect(200);
    server.client().get("/readyz").expect(200);
}

/// Connections that ask without a pause.
const FLOOD: usize = 50;
/// What one request is to take, alone: of the quiet tenant less than the operating system gives a
/// thread at a time, so that it is the server that is measured; of the flood enough for a second's
/// worth to wait.
const QUIET_COST: Duration = Duration::from_millis(1);
const FLOOD_COST: Duration = Duration::from_millis(10);
/// From one request of the quiet tenant to the next.
const PAUSE: Duration = Duration::from_millis(20);

/// Both are measured in the same minute, in turns, and the median of several rounds counts: what
/// else the machine does meets both alike.
#[test]
fn a_tenant_at_fifty_times_its_share_does_not_move_anothers_p99_beyond_two_times() {
    let server = Server::serve("");
    let flood = server.tenant_with_policy("greedy", "fields");
    let quiet = server.tenant_with_policy("quiet", "fields");
    let wire = |tenant: &Tenant, items| {
        let path = format!("/api/v1/tenants/{}/encrypt", tenant.name);
        Wire::post(&server.address, &tenant.app_token, &path, &batch(items).to_string())
    };
    let small = items_for(QUIET_COST, |items| wire(&quiet, items));
    let large = items_for(FLOOD_COST, |items| wire(&quiet, items));
    let mut quiet = wire(&quiet, small);
    let mut ratios = Vec::new();
    for round in 0..9 {
        let alone = p99(&mut quiet, PAUSE);
        let (ended, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads: Vec<_> = (0..FLOOD)
            .map(|_| {
                let (ended, answered, mut wire) =
                    (ended.clone(), answered.clone(), wire(&flood, large));
                std::thread::spawn(move || {
                    while !ended.load(Ordering::Relaxed) {
                        let status = wire.go();
                        assert!(status == 200 || status == 503, "{status}");
                        answered.fetch_add(usize::from(status == 200), Ordering::Relaxed);
                    }
                })
            })
            .collect();
        // Until it is known to be one.
        std::thread::sleep(Duration::from_millis(500));
        let before = answered.load(Ordering::Relaxed);
        let together = p99(&mut quiet, PAUSE);
        let during = answered.load(Ordering::Relaxed) - before;
        ended.store(true, Ordering::Relaxed);
        for thread in threads {
            thread.join().unwrap();
        }
        // It is answered, with what is left of the server.
        assert!(during >= 10, "the flood was answered {during} times");
        let ratio = together.as_secs_f64() / alone.as_secs_f64();
        println!("round {round}: p99 {alone:?} alone, {together:?} in the flood: {ratio:.2}");
        ratios.push(ratio);
        ratios.sort_by(f64::total_cmp);
        if ratios.len() >= 3 && ratios[ratios.len() / 2] <= 2.0 {
            return;
        }
    }
    panic!("a flood moves another tenant's p99: {ratios:.2?}");
}
