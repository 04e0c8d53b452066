//! Traces of requests, as a receiver of OTLP gets them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use keyward_test_vault::{Options, Vault};
use keyward_tests::otlp::{Receiver, attribute, hex};
use keyward_tests::vault::{self, Env};
use keyward_tests::{Answer, Client, Server, Tenant, b64};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};

const PARENT: &str = "b7ad6b7169203331";

/// A trace's identifier of its own.
fn trace(number: u8) -> String {
    format!("0af7651916cd43dd8448eb211c8031{number:02x}")
}

/// A server that traces, and what gets its traces.
fn server(sample: &str, more: &[(&str, &str)]) -> (Server, Receiver) {
    let receiver = Receiver::start();
    let url = receiver.url();
    let mut env = vec![("KEYWARD_TRACES_OTLP", url.as_str()), ("KEYWARD_TRACES_SAMPLE", sample)];
    env.extend(more);
    (Server::dev_with(&env), receiver)
}

fn post(client: &Client, path: &str, parent: &str, body: &Value) -> Answer {
    let headers = [("traceparent", parent), ("content-type", "application/json")];
    client.send("POST", path, &headers, &serde_json::to_vec(body).unwrap())
}

fn sampled(trace: &str) -> String {
    format!("00-{trace}-{PARENT}-01")
}

fn message() -> Value {
    json!({ "key": "main", "plaintext": b64("a plaintext"), "context": b64("a context") })
}

/// The one span of this name.
#[track_caller]
fn one<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
    let names: Vec<_> = spans.iter().map(|span| &span.name).collect();
    let [span] = found.as_slice() else { panic!("not one {name:?} in {names:?}") };
    span
}

#[track_caller]
fn assert_below(span: &Span, parent: &Span) {
    let of = (&span.name, &parent.name);
    assert_eq!(hex(&span.parent_span_id), hex(&parent.span_id), "{of:?}");
    assert!(span.start_time_unix_nano >= parent.start_time_unix_nano, "{of:?}");
    assert!(span.end_time_unix_nano <= parent.end_time_unix_nano, "{of:?}");
}

fn cold(server: &Server, tenant: &Tenant) {
    server.operator().post("/api/v1/vault/cache/clear", &json!({})).expect(200);
    // The policy and the token are there again, the key is not.
    tenant.app.get("/keys").expect(200);
}

#[test]
fn a_request_is_traced_through_policy_and_store_below_its_caller() {
    let (server, receiver) = server("0", &[("KEYWARD_LOG_LEVEL", "debug")]);
    let tenant = server.tenant_with_policy("followed", "baseline");
    cold(&server, &tenant);
    let trace = trace(1);
    let answer = post(&tenant.app, "/encrypt", &sampled(&trace), &message()).expect(200);
    let spans = receiver.spans_of(&trace, 3);
    let request = one(&spans, "POST encrypt");
    assert_eq!(hex(&request.parent_span_id), PARENT);
    assert_eq!(request.kind, SpanKind::Server as i32);
    assert_eq!(attribute(request, "http.request.method").unwrap(), "POST");
    assert_eq!(attribute(request, "keyward.route").unwrap(), "encrypt");
    assert_eq!(attribute(request, "http.response.status_code").unwrap(), "200");
    assert_eq!(attribute(request, "keyward.request_id").unwrap(), answer.header("x-request-id"));
    assert_below(one(&spans, "policy authorize"), request);
    let reads: Vec<_> = spans.iter().filter(|span| span.name == "store read").collect();
    assert!(!reads.is_empty());
    for read in reads {
        // A load is a task of its own, and is over before the answer all the same.
        assert_below(read, request);
    }
    for span in &spans {
        assert!(span.events.is_empty() && span.links.is_empty(), "{span:?}");
        for attribute in &span.attributes {
            let known = ["http.", "keyward.", "error.type", "busy_ns", "idle_ns"];
            assert!(known.iter().any(|known| attribute.key.starts_with(known)), "{span:?}");
        }
    }
    // The trace is the same in the log, in the audit log and among the figures.
    let start = Instant::now();
    while !server.stderr().lines().any(|it| it.contains(&trace) && it.contains("/encrypt")) {
        assert!(start.elapsed() < Duration::from_secs(5), "{}", server.stderr());
        std::thread::sleep(Duration::from_millis(20));
    }
    let query = format!("/api/v1/audit?request_id={}", answer.header("x-request-id"));
    let entries = server.operator().get(&query).expect(200).json();
    assert_eq!(entries["entries"][0]["trace_id"], *trace, "{entries}");
    let open = [("accept", "application/openmetrics-text; version=1.0.0")];
    let figures = server.client().send("GET", "/metrics", &open, b"").expect(200);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert_eq!(figures.header("content-type"), content_type);
    let text = figures.text();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let exemplar = text.lines().find(|line| line.contains(&trace)).unwrap();
    assert!(exemplar.contains("_request_duration_seconds_bucket{"), "{exemplar}");
    let plain = server.client().get("/metrics").expect(200);
    assert!(plain.header("content-type").starts_with("text/plain; version=0.0.4"));
    assert!(!plain.text().contains(&trace));
    assert!(plain.text().contains("keyward_trace_spans_total{outcome=\"exported\"}"));
}

#[test]
fn host_calls_of_a_policy_are_below_its_run_and_are_there_once() {
    let (server, receiver) = server("0", &[]);
    let tenant = server.tenant_with_policy("invoking", "fields");
    tenant.key("fields");
    tenant.new_key(&json!({ "name": "fields-deterministic", "algorithm": "aes-256-siv" }));
    cold(&server, &tenant);
    let trace = trace(2);
    let document = json!({ "customer": { "name": "a name", "card": "4111" } });
    post(&tenant.app, "/invoke/protect", &sampled(&trace), &document).expect(200);
    let spans = receiver.spans_of(&trace, 4);
    let request = one(&spans, "POST invoke");
    let run = one(&spans, "policy invoke");
    assert_below(run, request);
    let calls: Vec<_> = spans.iter().filter(|span| span.name.starts_with("host ")).collect();
    assert!(!calls.is_empty());
    for call in &calls {
        assert_below(call, run);
    }
    let opens: Vec<_> = calls.iter().filter(|call| call.name == "host keys.open").collect();
    assert!(!opens.is_empty());
    let below_open = |span: &&Span| opens.iter().any(|open| open.span_id == span.parent_span_id);
    let read = spans.iter().filter(|span| span.name == "store read").find(below_open);
    assert!(read.is_some(), "the key is read below the call that opens it");
    // A run that has to wait makes the same calls as one that finds its keys in memory.
    let warm = self::trace(6);
    post(&tenant.app, "/invoke/protect", &sampled(&warm), &document).expect(200);
    let warm = receiver.spans_of(&warm, 3);
    let host_calls = |spans: &[Span]| {
        let names = spans.iter().map(|span| span.name.clone());
        let mut names: Vec<_> = names.filter(|name| name.starts_with("host ")).collect();
        names.sort();
        names
    };
    assert_eq!(host_calls(&spans), host_calls(&warm));
}

#[test]
fn what_is_not_sampled_has_no_trace_and_what_fails_has_one() {
    let (server, receiver) = server("0", &[]);
    let tenant = server.tenant_with_policy("sampled", "baseline");
    tenant.app.post("/encrypt", &message()).expect(200);
    let unsampled = format!("00-{}-{PARENT}-00", trace(3));
    post(&tenant.app, "/encrypt", &unsampled, &message()).expect(200);
    for malformed in ["", "00-xyz-1-01", &format!("ff-{}-{PARENT}-01", trace(3))] {
        post(&tenant.app, "/encrypt", malformed, &message()).expect(200);
    }
    let failing = trace(4);
    let refused = post(&tenant.app.token("kw_wrong"), "/encrypt", &sampled(&failing), &message());
    refused.problem(401, "unauthenticated");
    let spans = receiver.spans_of(&failing, 1);
    let request = one(&spans, "POST encrypt");
    assert_eq!(attribute(request, "http.response.status_code").unwrap(), "401");
    assert_eq!(attribute(request, "error.type").unwrap(), "unauthenticated");
    assert!(receiver.spans().iter().all(|span| hex(&span.trace_id) == failing));
}

#[test]
fn requests_without_a_caller_are_sampled_and_the_last_ones_arrive_at_the_end() {
    let (mut server, receiver) = server("1", &[]);
    let tenant = server.tenant_with_policy("chosen", "baseline");
    let answer = tenant.app.post("/encrypt", &message()).expect(200);
    let id = answer.header("x-request-id").to_owned();
    server.client().get("/livez").expect(200);
    server.stop();
    let spans = receiver.spans();
    let is_it = |span: &&Span| attribute(span, "keyward.request_id").is_some_and(|it| it == id);
    let request = spans.iter().find(is_it).expect("the last request was not flushed");
    assert!(request.parent_span_id.is_empty());
    let of_trace = spans.iter().filter(|span| span.trace_id == request.trace_id).count();
    assert!(of_trace >= 2);
    assert!(!spans.iter().any(|span| span.name.contains("health")));
    let with_status = spans.iter().filter(|span| span.kind == SpanKind::Server as i32);
    assert!(with_status.count() >= 4, "all requests were to be traced");
}

/// The counts of spans by outcome: exported, dropped, failed.
fn outcomes(server: &Server) -> [u64; 3] {
    let text = server.client().get("/metrics").expect(200).text();
    ["exported", "dropped", "failed"].map(|outcome| {
        let name = format!("keyward_trace_spans_total{{outcome=\"{outcome}\"}} ");
        let line = text.lines().find_map(|line| line.strip_prefix(&name)).unwrap();
        line.parse().unwrap()
    })
}

#[test]
fn a_receiver_that_refuses_stalls_or_is_away_harms_no_request() {
    let (mut server, receiver) = server("1", &[]);
    let tenant = server.tenant_with_policy("robust", "baseline");
    receiver.refuse(true);
    let start = Instant::now();
    while outcomes(&server)[2] == 0 {
        tenant.app.post("/encrypt", &message()).expect(200);
        assert!(start.elapsed() < keyward_tests::LIMIT);
        std::thread::sleep(Duration::from_millis(50));
    }
    receiver.refuse(false);
    let before = outcomes(&server)[0];
    let start = Instant::now();
    while outcomes(&server)[0] == before {
        tenant.app.post("/encrypt", &message()).expect(200);
        assert!(start.elapsed() < keyward_tests::LIMIT);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(server.stderr().contains("the receiver of traces does not take them"));
    receiver.stall();
    let start = Instant::now();
    while outcomes(&server)[1] == 0 {
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..200 {
                        tenant.app.post("/encrypt", &message()).expect(200);
                    }
                });
            }
        });
        assert!(begun.elapsed() < Duration::from_secs(20), "requests wait for the receiver");
        assert!(start.elapsed() < Duration::from_mins(1), "nothing is dropped");
    }
    tenant.app.post("/encrypt", &message()).expect(200);
    // Nor is the end held up.
    server.stop();
}

#[test]
fn calls_of_a_vault_are_in_the_trace() {
    let vault = Vault::start(Options::default());
    let root = vault::prepare(&vault);
    let receiver = Receiver::start();
    let env = Env::new(&vault.address).approle(&vault::role(&root, "30m", "4h"));
    let env = env.set("KEYWARD_TRACES_OTLP", receiver.url()).set("KEYWARD_TRACES_SAMPLE", "0");
    let server = Server::serve_with("", &env.pairs());
    let tenant = server.tenant_with_policy("far", "baseline");
    cold(&server, &tenant);
    let trace = trace(5);
    post(&tenant.app, "/encrypt", &sampled(&trace), &message()).expect(200);
    let spans = receiver.spans_of(&trace, 3);
    let request = one(&spans, "POST encrypt");
    let reads: Vec<_> = spans.iter().filter(|span| span.name == "store read").collect();
    assert!(!reads.is_empty());
    for read in reads {
        assert_below(read, request);
    }
}
