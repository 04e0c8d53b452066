//! The log: what is logged arrives there, line for line.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use keyward_tests::{Cli, Client, Server};
use serde_json::{Value, json};

/// Whatever levels are listened to: what one request logs must not depend on the one before.
#[test]
fn no_line_is_lost() {
    const KEYS: usize = 40;
    for levels in ["info", "info,keyward_keyring=debug", "debug", "warn,keyward::http::keys=info"] {
        let server = Server::dev_with(&[("KEYWARD_LOG_LEVEL", levels)]);
        let tenant = server.tenant("logged");
        for number in 0..KEYS {
            tenant.key(&format!("key-{number}"));
        }
        let start = Instant::now();
        let logged = || {
            let log = server.stderr();
            log.lines().filter(|it| it.contains("key created") && it.contains("logged")).count()
        };
        while logged() < KEYS && start.elapsed() < Duration::from_secs(5) {
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(logged(), KEYS, "{levels}");
    }
    // The count above is of lines that say what they should.
    let server = Server::dev();
    let tenant = server.tenant("shown");
    tenant.new_key(&json!({ "name": "main" }));
    let log = server.stderr();
    let line = log.lines().find(|it| it.contains("key created") && it.contains("shown")).unwrap();
    assert!(line.contains("key=main") && line.contains("by=\"admin\""), "{line}");
}

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

/// Sends with an identifier of its own, in a trace.
fn send(client: &Client, id: &str, method: &str, path: &str, body: &Value) {
    let parent = format!("00-{TRACE}-b7ad6b7169203331-00");
    let body = serde_json::to_vec(body).unwrap();
    let headers =
        [("x-request-id", id), ("traceparent", &parent), ("content-type", "application/json")];
    client.send(method, path, &headers, &body);
}

/// The lines that `is_wanted`, once there are `count` of them.
#[track_caller]
fn lines(server: &Server, count: usize, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let start = Instant::now();
    loop {
        let log = server.stderr();
        let lines: Vec<_> = log.lines().filter(|line| is_wanted(line)).map(str::to_owned).collect();
        if lines.len() >= count || start.elapsed() > Duration::from_secs(5) {
            assert_eq!(lines.len(), count, "{log}");
            return lines;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// In the handler, in tasks it starts, in the policy, and where it fails.
#[test]
fn every_line_of_a_request_names_it_and_its_trace() {
    for format in ["text", "json"] {
        let env = [("KEYWARD_LOG_LEVEL", "debug"), ("KEYWARD_LOG_FORMAT", format)];
        let server = Server::dev_with(&env);
        let tenant = server.tenant_with_policy("named", "hostile");
        let before = server.stderr().lines().count();
        send(&tenant.admin, "of-key", "POST", "/keys", &json!({ "name": "another" }));
        send(&tenant.admin, "of-rotation", "POST", "/keys/main/rotate", &json!({}));
        let body = json!({ "key": "main", "plaintext": "", "purpose": "trap" });
        send(&tenant.app, "of-trap", "POST", "/encrypt", &body);
        let flood = json!({ "key": "main", "plaintext": "", "purpose": "log-flood" });
        send(&tenant.app, "of-flood", "POST", "/encrypt", &flood);
        lines(&server, 1, |line| line.contains("of-flood") && line.contains("path"));
        let log = server.stderr();
        let new: Vec<_> = log.lines().skip(before).collect();
        for (what, id) in [
            ("key created", "of-key"),
            ("key rotated", "of-rotation"),
            ("request failed", "of-trap"),
            ("over the limit", "of-flood"),
        ] {
            let line = new.iter().find(|line| line.contains(what)).expect(what);
            assert!(line.contains(id) && line.contains(TRACE), "{line}");
        }
        for line in new.iter().filter(|line| line.contains("named")) {
            assert!(line.contains("of-") && line.contains(TRACE), "{line}");
        }
        if format == "json" {
            for line in log.lines().filter(|line| line.starts_with('{')) {
                let line: Value = serde_json::from_str(line).unwrap();
                assert!(line["level"].is_string(), "{line}");
            }
            let all = log.lines().filter(|line| line.starts_with('{')).count();
            assert!(all > before / 2, "the log is not JSON: {log}");
            let rotated = new.iter().find(|line| line.contains("key rotated")).unwrap();
            let rotated: Value = serde_json::from_str(rotated).unwrap();
            assert_eq!(
                (&rotated["request_id"], &rotated["trace_id"]),
                (&"of-rotation".into(), &TRACE.into())
            );
        }
    }
}

#[test]
fn operators_change_what_is_logged_and_it_goes_back() {
    let server = Server::dev_with(&[("KEYWARD_LOG_LEVEL", "info")]);
    let operator = server.operator();
    let tenant = server.tenant("level");
    let path = "/api/v1/log";
    let is_told = |id: &str| {
        operator.send("GET", "/livez", &[("x-request-id", id)], b"").expect(200);
        std::thread::sleep(Duration::from_millis(100));
        server.stderr().contains(id)
    };
    let put = |body: &Value| {
        let body = serde_json::to_vec(body).unwrap();
        operator.send("PUT", path, &[("content-type", "application/json")], &body)
    };
    assert_eq!(
        operator.get(path).expect(200).json(),
        json!({ "level": "info", "configured": "info" })
    );
    assert!(!is_told("first"));
    let set = put(&json!({ "level": "info,keyward=debug" })).expect(200).json();
    assert_eq!(set, json!({ "level": "info,keyward=debug", "configured": "info" }));
    assert!(is_told("second"));
    let reset = operator.send("DELETE", path, &[], b"").expect(200).json();
    assert_eq!(reset["level"], "info");
    assert!(!is_told("third"));
    let set = put(&json!({ "level": "debug", "for": "1s" })).expect(200).json();
    assert!(set["until"].is_string(), "{set}");
    assert!(is_told("fourth"));
    std::thread::sleep(Duration::from_millis(1200));
    assert!(!is_told("fifth"));
    assert_eq!(operator.get(path).expect(200).json()["level"], "info");

    for (body, field) in [
        (json!({ "level": "debgu" }), "/level"),
        (json!({ "level": "" }), "/level"),
        (json!({ "level": "info,keyward[x]=debug" }), "/level"),
        (json!({ "level": 3 }), "/level"),
        (json!({}), "/level"),
        (json!({ "level": "info", "for": "10" }), "/for"),
        (json!({ "level": "info", "for": "0s" }), "/for"),
        (json!({ "level": "info", "for": "721h" }), "/for"),
        (json!({ "level": "info", "until": "10m" }), "/until"),
    ] {
        put(&body).problem(400, "invalid_field").field(field);
    }
    for client in [&tenant.admin, &tenant.app] {
        client.at_root().get(path).problem(403, "forbidden");
        client.at_root().send("DELETE", path, &[], b"").problem(403, "forbidden");
    }
    // Who did it is on record.
    let entries =
        operator.get("/api/v1/audit?operation=log.level.set&outcome=ok").expect(200).json();
    let targets: Vec<_> =
        entries["entries"].as_array().unwrap().iter().map(|it| &it["target"]).collect();
    assert_eq!(targets, ["log info,keyward=debug", "log debug"]);

    let cli = Cli::operator(&server);
    cli.run(&["server", "log-level", "warn", "--for", "10m"]).good();
    let shown = cli.run(&["server", "log-level", "--json"]).good().json();
    assert_eq!((&shown["level"], &shown["configured"]), (&"warn".into(), &"info".into()));
    assert!(shown["until"].is_string(), "{shown}");
    cli.run(&["server", "log-level", "--reset"]).good();
    assert_eq!(operator.get(path).expect(200).json()["level"], "info");
    cli.run(&["server", "log-level", "loud"]).failed(1, &["/level"]);
}
