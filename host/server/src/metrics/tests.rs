use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use keyward_keyring::vault::{
    LATENCY_BOUNDS, LastError, Latency, Operation, Outcome, Requests as VaultRequests, State,
    Statistics, Status, TokenStatus,
};

use super::*;
use crate::errors::Code;
use crate::testing;

fn encoded(page: Page) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(page));
    Exposition::Text.encode(&registry, &[]).unwrap()
}

/// Checks the page as Prometheus itself does, where its tool is installed.
fn lint(text: &str) {
    let tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut tool) = tool else {
        eprintln!("skipped: promtool is not installed (Debian package prometheus)");
        return;
    };
    tool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.trim().is_empty(), "{said}");
}

fn of_vault() -> (Status, Statistics) {
    let status = Status {
        state: State::Sealed,
        last_check: Some(SystemTime::now()),
        check_duration: Some(Duration::from_millis(12)),
        last_error: Some(LastError {
            code: "vault-sealed",
            message: "sealed".into(),
            at: SystemTime::now(),
        }),
        token: Some(TokenStatus {
            ttl: Some(Duration::from_hours(1)),
            renewable: true,
            expires_soon: false,
            source: "approle",
            batch: false,
        }),
        requests: VaultRequests::default(),
        version: Some("1.13.1".into()),
    };
    let statistics = Statistics {
        by_operation: vec![
            (Operation::KvRead, Outcome::Ok, 7),
            (Operation::KvRead, Outcome::Timeout, 2),
        ],
        latency: vec![Latency {
            operation: Operation::KvRead,
            bounds_seconds: &LATENCY_BOUNDS,
            counts: vec![1; LATENCY_BOUNDS.len() + 1],
            sum: Duration::from_secs(2),
        }],
        retries: 3,
        breaker_open: true,
        logins: 1,
        login_failures: 0,
        renewals: 4,
        renewal_failures: 1,
    };
    (status, statistics)
}

#[test]
fn every_figure_of_a_vault_is_there() {
    let (status, statistics) = of_vault();
    let mut page = Page::default();
    sections::vault(&mut page, &status, &statistics);
    let text = encoded(page);
    for line in [
        "keyward_vault_up 0",
        "keyward_vault_sealed 1",
        "keyward_vault_breaker_open 1",
        "keyward_vault_token_ttl_seconds 3600",
        "keyward_vault_token_renewable 1",
        "keyward_vault_state{state=\"sealed\"} 1",
        "keyward_vault_state{state=\"healthy\"} 0",
        "keyward_vault_requests_total{operation=\"kv_read\",outcome=\"ok\"} 7",
        "keyward_vault_requests_total{operation=\"kv_read\",outcome=\"timeout\"} 2",
        "keyward_vault_request_duration_seconds_count{operation=\"kv_read\"} 15",
        "keyward_vault_request_duration_seconds_bucket{operation=\"kv_read\",le=\"+Inf\"} 15",
        "keyward_vault_retries_total 3",
        "keyward_vault_renewals_total 4",
    ] {
        let found = text.lines().any(|found| found == line || found == format!("{line}.0"));
        assert!(found, "no {line:?} in\n{text}");
    }
    lint(&text);
}

#[test]
fn a_token_without_end_has_no_ttl() {
    let (mut status, statistics) = of_vault();
    status.token.as_mut().unwrap().ttl = None;
    status.last_error = None;
    let mut page = Page::default();
    sections::vault(&mut page, &status, &statistics);
    let text = encoded(page);
    assert!(!text.contains("ttl_seconds") && !text.contains("last_error"), "{text}");
}

#[tokio::test]
async fn the_page_of_an_embedded_server_is_clean_and_holds_no_secret() {
    let (app, dir) = testing::app().await;
    app.keyring.create_tenant(&"acme".parse().unwrap()).await.unwrap();
    let tokens = crate::operator::ensure(&app, dir.path()).await.unwrap().unwrap();
    let token = std::fs::read_to_string(tokens).unwrap();
    app.requests.answered(
        Route::Encrypt,
        axum::http::StatusCode::OK,
        Duration::from_millis(1),
        None,
    );
    app.requests.failed(Code::PolicyMissing);
    let text = render(&app, Exposition::Text).await.unwrap();
    for line in [
        "keyward_policy_duration_seconds_bucket{operation=\"authorize\",le=\"0.0001\"}",
        "keyward_crypto_duration_seconds_count{operation=\"encrypt\"}",
        "keyward_store_duration_seconds_count{operation=\"read\"}",
        "keyward_limit_refusals_total{limit=\"token_rate\"}",
        "keyward_ready 1",
        "keyward_http_requests_total{route=\"encrypt\",status=\"200\"} 1",
        "keyward_http_errors_total{code=\"policy_missing\"} 1",
        "keyward_cache_hits_total",
        "keyward_usage_flushes_total 0",
        "keyward_usage_unflushed_messages 0",
        "keyward_rotations_total{cause=\"schedule\"} 0",
        "keyward_cache_load_duration_seconds_bucket{le=\"+Inf\"}",
    ] {
        assert!(text.lines().any(|found| found.starts_with(line)), "no {line:?} in\n{text}");
    }
    assert!(!text.contains(token.trim()) && !text.contains("kw_"), "{text}");
    lint(&text);
}

#[tokio::test]
async fn only_openmetrics_has_exemplars_and_the_last_of_each_bucket() {
    let (app, _dir) = testing::app().await;
    let trace = |n: u8| compact_str::format_compact!("{n:032x}");
    let ok = axum::http::StatusCode::OK;
    for (n, micros) in [(1, 900), (2, 950), (3, 40_000_000)] {
        let trace = trace(n);
        app.requests.answered(Route::Encrypt, ok, Duration::from_micros(micros), Some(&trace));
    }
    app.requests.answered(Route::Encrypt, ok, Duration::from_micros(940), None);
    let text = render(&app, Exposition::Text).await.unwrap();
    assert!(!text.contains(trace(2).as_str()) && !text.contains("# EOF"), "{text}");
    lint(&text);
    let open = render(&app, Exposition::OpenMetrics).await.unwrap();
    assert!(open.ends_with("# EOF\n"), "{open}");
    assert!(!open.contains(trace(1).as_str()), "the bucket has a later one");
    let line = |n: u8| open.lines().find(|line| line.contains(trace(n).as_str())).unwrap();
    let bucket = "keyward_http_request_duration_seconds_bucket{";
    let second = line(2).strip_prefix(bucket).unwrap();
    assert!(second.contains("route=\"encrypt\"") && second.contains("le=\"0.001\""), "{second}");
    let (figure, exemplar) = second.split_once(" # ").unwrap();
    assert!(figure.ends_with("} 3"), "{second}");
    let rest = exemplar.strip_prefix(&format!("{{trace_id=\"{}\"}} ", trace(2))).unwrap();
    let (seconds, at) = rest.split_once(' ').unwrap();
    let (seconds, at): (f64, f64) = (seconds.parse().unwrap(), at.parse().unwrap());
    assert!((seconds - 0.000_95).abs() < 1e-9, "{second}");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    assert!((now - at).abs() < 60.0, "{second}");
    assert!(line(3).contains("le=\"+Inf\""), "{}", line(3));
    // A counter's family has no `_total`, its figure has.
    assert!(open.contains("# TYPE keyward_http_requests counter\n"), "{open}");
    assert!(open.contains("\nkeyward_http_requests_total{"), "{open}");
}
