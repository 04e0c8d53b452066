//! Where audit entries are sent beside the files: everything arrives at last, whoever was away.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod receivers;

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use keyward_tests::{Cli, Launch, Server, until};
use serde_json::{Value, json};

use self::receivers::{Http, Syslog, free_address, line_of};

const TOKEN: &str = "planted-webhook-token";

/// The lines in the files.
fn lines(server: &Server) -> Vec<String> {
    let mut files: Vec<PathBuf> = fs::read_dir(server.data().join("audit"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "jsonl"))
        .collect();
    files.sort();
    let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    // What is not whole is being written.
    let whole = text.rfind('\n').map_or(0, |at| at + 1);
    text[..whole].lines().map(str::to_owned).collect()
}

fn seq(line: &str) -> u64 {
    serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap()
}

/// By number; what came twice was the same.
fn by_seq(lines: &[String]) -> BTreeMap<u64, &str> {
    let mut all = BTreeMap::new();
    for line in lines {
        let before = all.insert(seq(line), line.as_str());
        assert!(before.is_none_or(|before| before == line), "{before:?} {line}");
    }
    all
}

/// Requests that leave an entry each.
fn ask(server: &Server, count: usize) {
    for _ in 0..count {
        server.client().get("/api/v1/tenants").expect(401);
    }
}

#[track_caller]
fn until_all_came(server: &Server, came: impl Fn() -> Vec<String>) {
    until("every line of the files arrives", || {
        let (files, came) = (lines(server), came());
        let came = by_seq(&came);
        files.iter().all(|line| came.get(&seq(line)) == Some(&line.as_str()))
    });
}

fn metric(server: &Server, name: &str) -> f64 {
    let text = server.client().get("/metrics").expect(200).text();
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("there is no {name}: {text}")).parse().unwrap()
}

fn webhook(address: impl std::fmt::Display) -> String {
    format!("http://{address}/audit")
}

#[test]
fn a_webhook_that_was_away_is_given_everything_at_last() {
    let address = free_address();
    let url = webhook(address);
    let mut server = Server::serve_with(
        "",
        &[
            ("KEYWARD_AUDIT_WEBHOOK", &url),
            ("KEYWARD_AUDIT_WEBHOOK_TOKEN", TOKEN),
            ("KEYWARD_AUDIT_ROTATE_BYTES", "4KiB"),
        ],
    );
    ask(&server, 30);
    until("the outage is counted", || {
        metric(&server, "keyward_audit_sink_failures_total{sink=\"webhook\"}") > 0.0
    });
    let ready = server.client().get("/readyz").expect(200).json();
    let warning = ready["warnings"][0].as_str().unwrap();
    assert!(warning.contains("the audit sink webhook is"), "{warning}");
    // Killed while nobody took anything, and once more while somebody does.
    server.kill();
    let first = Http::at(address);
    first.behaviour.most.store(3, Ordering::SeqCst);
    server.start_again();
    until("some arrive", || first.lines().len() > 3);
    server.kill();
    server.start_again();
    ask(&server, 30);
    until("more arrive", || first.lines().len() > 60);
    assert!(first.refused.load(Ordering::SeqCst) > 0, "nothing was too large");
    let posted = first.taken.lock().unwrap()[0].clone();
    let head = posted.head.to_ascii_lowercase();
    assert!(head.starts_with("post /audit http/1.1"), "{head}");
    assert!(head.contains("content-type: application/x-ndjson"), "{head}");
    assert!(head.contains(&format!("authorization: bearer {TOKEN}")), "{head}");
    let mut came = first.end();
    ask(&server, 10);
    // Back, and out of order for a while.
    let second = Http::at(address);
    second.behaviour.status.store(500, Ordering::SeqCst);
    until("it is refused", || second.refused.load(Ordering::SeqCst) > 1);
    second.behaviour.delay_ms.store(50, Ordering::SeqCst);
    second.behaviour.status.store(0, Ordering::SeqCst);
    until_all_came(&server, || [came.clone(), second.lines()].concat());
    server.stop();
    // The end, too.
    until_all_came(&server, || [came.clone(), second.lines()].concat());
    assert!(server.stderr().contains("the audit sink takes entries again"), "{}", server.stderr());
    came.extend(second.end());
    assert!(came.last().unwrap().contains("\"kind\":\"stop\""));
    let verified = Cli::new("http://127.0.0.1:1")
        .run(&["audit", "verify", "--data", server.data().to_str().unwrap()])
        .good();
    assert!(verified.text().contains("proven"), "{}", verified.text());
}

#[test]
fn the_token_of_a_webhook_is_nowhere_to_be_seen() {
    let url = webhook(free_address());
    let secrets = [
        ("KEYWARD_AUDIT_WEBHOOK", url.as_str()),
        ("KEYWARD_AUDIT_WEBHOOK_TOKEN", TOKEN),
        ("KEYWARD_AUDIT_OTLP", url.as_str()),
        ("KEYWARD_AUDIT_OTLP_HEADERS", "x-key=planted-webhook-token-too"),
        ("KEYWARD_LOG_LEVEL", "debug"),
    ];
    let mut server = Server::serve_with("", &secrets);
    ask(&server, 3);
    for sink in ["webhook", "otlp"] {
        let name = format!("keyward_audit_sink_failures_total{{sink=\"{sink}\"}}");
        until("the outage is counted", || metric(&server, &name) > 1.0);
    }
    let metrics = server.client().get("/metrics").expect(200).text();
    let mut print = Launch::new(server.home.path(), &["config", "print"]);
    for (name, value) in secrets {
        print = print.env(name, value);
    }
    let printed = print.run(Duration::from_secs(30));
    assert!(printed.stdout.contains("audit.webhook_token is set"), "{}", printed.stdout);
    server.stop();
    for text in [metrics, printed.stdout, printed.stderr, server.stderr(), lines(&server).join("")]
    {
        assert!(!text.contains("planted"), "{text}");
    }
    assert!(server.stderr().contains("the audit sink does not take entries"));
}

#[test]
fn syslog_over_tcp_survives_that_its_receiver_is_killed() {
    let address = free_address();
    let first = Syslog::at(address, 7);
    let url = format!("tcp://{address}");
    let mut server = Server::serve_with("", &[("KEYWARD_AUDIT_SYSLOG", &url)]);
    ask(&server, 20);
    // It reads seven and no more: the rest is with the system.
    until("seven arrive", || first.messages().len() == 7);
    until("all are sent", || {
        metric(&server, "keyward_audit_sink_lag_entries{sink=\"syslog\"}") == 0.0
    });
    let messages = first.kill();
    let second = Syslog::at(address, usize::MAX);
    ask(&server, 20);
    let came = || {
        let all = [messages.clone(), second.messages()].concat();
        all.iter().map(|message| line_of(message)).collect::<Vec<_>>()
    };
    until_all_came(&server, came);
    server.kill();
    server.start_again();
    until_all_came(&server, came);
    server.stop();
    until_all_came(&server, came);
}

#[test]
fn syslog_by_datagrams() {
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("log");
    let unix = UnixDatagram::bind(&path).unwrap();
    unix.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    let read = |receive: &dyn Fn(&mut [u8]) -> std::io::Result<usize>| {
        let (mut came, mut buffer) = (Vec::new(), vec![0; 65_536]);
        while let Ok(read) = receive(&mut buffer) {
            came.push(line_of(std::str::from_utf8(&buffer[..read]).unwrap()));
        }
        came
    };
    let to_udp = format!("udp://{}", udp.local_addr().unwrap());
    let to_unix = format!("unix:{}", path.display());
    for (url, receive) in [
        (
            to_udp,
            &(|buffer: &mut [u8]| udp.recv(buffer)) as &dyn Fn(&mut [u8]) -> std::io::Result<usize>,
        ),
        (to_unix, &|buffer: &mut [u8]| unix.recv(buffer)),
    ] {
        let mut server = Server::serve_with("", &[("KEYWARD_AUDIT_SYSLOG", &url)]);
        ask(&server, 3);
        server.stop();
        assert_eq!(read(receive), lines(&server), "{url}");
    }
}

#[test]
fn otlp_records_have_the_published_form() {
    let receiver = Http::new();
    let url = format!("http://{}/v1/logs", receiver.address);
    let environment = [
        ("KEYWARD_AUDIT_OTLP", url.as_str()),
        ("KEYWARD_AUDIT_OTLP_HEADERS", "x-first=1; x-second=a b"),
    ];
    let mut server = Server::serve_with("", &environment);
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace}-b7ad6b7169203331-01");
    server.client().send("GET", "/api/v1/tenants", &[("traceparent", &parent)], b"").expect(401);
    server.stop();
    let mut bodies = Vec::new();
    for posted in receiver.taken.lock().unwrap().iter() {
        let head = posted.head.to_ascii_lowercase();
        assert!(head.starts_with("post /v1/logs ") && head.contains("x-second: a b"), "{head}");
        assert!(head.contains("content-type: application/json"), "{head}");
        let sent: Value = serde_json::from_slice(&posted.body).unwrap();
        let resource = &sent["resourceLogs"][0];
        let service = json!({ "key": "service.name", "value": { "stringValue": "keyward" } });
        assert_eq!(resource["resource"]["attributes"][0], service);
        for record in resource["scopeLogs"][0]["logRecords"].as_array().unwrap() {
            let line = record["body"]["stringValue"].as_str().unwrap().to_owned();
            let entry: Value = serde_json::from_str(&line).unwrap();
            // 64-bit numbers are strings in protobuf's JSON.
            let nanos = format!("{}000000", entry["time_ms"]);
            assert_eq!(record["timeUnixNano"], nanos.as_str());
            let seq = json!({ "key": "keyward.audit.seq", "value": { "intValue": entry["seq"].to_string() } });
            assert_eq!(record["attributes"][0], seq);
            assert_eq!(record["traceId"], entry["trace_id"]);
            let warns = entry["status"] == 401;
            assert_eq!(record["severityNumber"], if warns { 13 } else { 9 }, "{line}");
            bodies.push(line);
        }
    }
    assert_eq!(bodies, lines(&server));
    assert!(bodies.iter().any(|line| line.contains(trace)));
}

#[test]
fn lines_that_the_files_lost_with_the_power_do_not_stop_a_sink() {
    let receiver = Http::new();
    let url = webhook(receiver.address);
    let mut server = Server::serve_with("", &[("KEYWARD_AUDIT_WEBHOOK", &url)]);
    ask(&server, 30);
    until_all_came(&server, || receiver.lines());
    // The place is written down a second later.
    std::thread::sleep(Duration::from_millis(2_500));
    server.kill();
    let file = server.data().join("audit/00000000000000000001.jsonl");
    let kept: Vec<String> = lines(&server)[..10].to_vec();
    fs::write(&file, kept.join("\n") + "\n").unwrap();
    server.start_again();
    ask(&server, 3);
    let all_came = || {
        let came = receiver.lines();
        lines(&server).iter().all(|line| came.contains(line))
    };
    until("every line of the files arrives", all_came);
    assert!(server.stderr().contains("the audit log lost lines"), "{}", server.stderr());
}

#[test]
fn standard_output_has_the_lines_and_nothing_else() {
    let mut server = Server::serve_with("", &[("KEYWARD_AUDIT_STDOUT", "true")]);
    ask(&server, 5);
    until_all_came(&server, || server.stdout().lines().map(str::to_owned).collect());
    server.stop();
    let out: Vec<String> = server.stdout().lines().map(str::to_owned).collect();
    assert_eq!(out, lines(&server));
    assert!(Path::new(&server.data()).join("audit/sink-stdout").exists());
}

#[test]
fn shed_leaves_the_oldest_out_and_says_which() {
    let receiver = Http::new();
    receiver.behaviour.status.store(503, Ordering::SeqCst);
    let url = webhook(receiver.address);
    let environment =
        [("KEYWARD_AUDIT_WEBHOOK", url.as_str()), ("KEYWARD_AUDIT_SINK_MAX_LAG", "10")];
    let mut server = Server::serve_with("", &environment);
    // All are served.
    ask(&server, 60);
    until("it is far behind", || {
        metric(&server, "keyward_audit_sink_lag_entries{sink=\"webhook\"}") > 50.0
    });
    receiver.behaviour.status.store(0, Ordering::SeqCst);
    until("some were left out", || {
        metric(&server, "keyward_audit_sink_skipped_total{sink=\"webhook\"}") > 0.0
    });
    let skipped = metric(&server, "keyward_audit_sink_skipped_total{sink=\"webhook\"}");
    server.stop();
    let (files, came) = (lines(&server), receiver.lines());
    let came = by_seq(&came);
    let told: Vec<Value> = files
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|entry| entry["kind"] == "skip")
        .collect();
    let [skip] = told.as_slice() else { panic!("not one: {told:?}") };
    assert_eq!(skip["sink"], "webhook");
    assert_eq!(skip["count"].as_f64(), Some(skipped));
    let (first, last) = (skip["first"].as_u64().unwrap(), skip["last"].as_u64().unwrap());
    for line in &files {
        let is_left_out = (first..=last).contains(&seq(line));
        assert_eq!(came.contains_key(&seq(line)), !is_left_out, "{line}");
    }
    let data = server.data();
    Cli::new("http://127.0.0.1:1")
        .run(&["audit", "verify", "--data", data.to_str().unwrap()])
        .good();
}

#[test]
fn block_refuses_in_time_and_leaves_nothing_out() {
    let receiver = Http::new();
    receiver.behaviour.status.store(503, Ordering::SeqCst);
    let url = webhook(receiver.address);
    let environment = [
        ("KEYWARD_AUDIT_WEBHOOK", url.as_str()),
        ("KEYWARD_AUDIT_SINK_MAX_LAG", "20"),
        ("KEYWARD_AUDIT_SINK_ON_STALL", "block"),
        ("KEYWARD_AUDIT_STALL_TIMEOUT", "200ms"),
    ];
    let mut server = Server::serve_with("", &environment);
    let mut count = 0;
    let took = loop {
        let start = Instant::now();
        let answer = server.client().get("/api/v1/tenants");
        if answer.status == 503 {
            answer.problem(503, "audit_unavailable");
            break start.elapsed();
        }
        count += 1;
        assert!(count < 500, "nothing holds requests back");
        // Entries come to the file, where they are counted, a moment later.
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!((Duration::from_millis(200)..Duration::from_secs(5)).contains(&took), "{took:?}");
    server.client().get("/readyz").expect(200);
    receiver.behaviour.status.store(0, Ordering::SeqCst);
    until("requests are served again", || server.client().get("/api/v1/tenants").status == 401);
    ask(&server, 50);
    until_all_came(&server, || receiver.lines());
    server.stop();
    assert_eq!(by_seq(&receiver.lines()).len(), lines(&server).len());
    assert!(!lines(&server).iter().any(|line| line.contains("\"kind\":\"skip\"")));
}

#[test]
fn a_sink_that_cannot_be_set_up_stops_the_start() {
    let home = tempfile::tempdir().unwrap();
    Launch::new(home.path(), &["serve"])
        .env("KEYWARD_LISTEN", "127.0.0.1:0")
        .env("KEYWARD_AUDIT_WEBHOOK", "https://127.0.0.1:1/")
        .env("KEYWARD_AUDIT_CA_CERT", "/nowhere/ca.pem")
        .run(Duration::from_secs(30))
        .refused(&["`audit.ca_cert`", "/nowhere/ca.pem"]);
}
