//! `/metrics`: every figure there is, in the form Prometheus asks for, and no secret.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::Write as _;
use std::process::{Command, Stdio};

use keyward_test_vault::{Options, Vault};
use keyward_tests::vault::{self, Env};
use keyward_tests::{Server, b64};
use serde_json::json;

/// Figures of every server.
const ALWAYS: &[&str] = &[
    "keyward_build_info",
    "keyward_ready",
    "keyward_http_requests_total",
    "keyward_http_request_duration_seconds",
    "keyward_policy_duration_seconds",
    "keyward_crypto_duration_seconds",
    "keyward_store_duration_seconds",
    "keyward_limit_refusals_total",
    "keyward_cache_hits_total",
    "keyward_cache_misses_total",
    "keyward_cache_loads_total",
    "keyward_cache_load_failures_total",
    "keyward_cache_evictions_total",
    "keyward_cache_stale_serves_total",
    "keyward_cache_entries",
    "keyward_cache_bytes",
    "keyward_cache_max_bytes",
    "keyward_cache_hit_ratio",
    "keyward_cache_load_duration_seconds",
    "keyward_cache_tenant_accesses",
    "keyward_usage_flushes_total",
    "keyward_usage_flush_failures_total",
    "keyward_usage_lost_messages_total",
    "keyward_usage_unflushed_messages",
    "keyward_usage_unflushed_keys",
    "keyward_rotations_total",
    "keyward_rotation_failures_total",
    "keyward_usage_budget_spent_ratio",
];

/// Figures of one with its keys in Vault.
const WITH_VAULT: &[&str] = &[
    "keyward_vault_up",
    "keyward_vault_sealed",
    "keyward_vault_standby",
    "keyward_vault_state",
    "keyward_vault_breaker_open",
    "keyward_vault_requests_total",
    "keyward_vault_request_duration_seconds",
    "keyward_vault_retries_total",
    "keyward_vault_logins_total",
    "keyward_vault_login_failures_total",
    "keyward_vault_renewals_total",
    "keyward_vault_renewal_failures_total",
    "keyward_vault_token_ttl_seconds",
    "keyward_vault_token_renewable",
    "keyward_vault_token_expires_soon",
    "keyward_vault_health_check_timestamp_seconds",
    "keyward_vault_health_check_duration_seconds",
    "keyward_changes_lag_seconds",
];

/// Names of the samples, those of a histogram under its own.
fn names(text: &str) -> BTreeSet<String> {
    let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    samples
        .map(|line| {
            let name = line.split(['{', ' ']).next().unwrap();
            ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|part| name.strip_suffix(part))
                .unwrap_or(name)
                .to_owned()
        })
        .collect()
}

/// What `promtool check metrics` has to say; nothing where there is no promtool.
#[track_caller]
fn lint(text: &str) {
    let tool = std::env::var_os("KEYWARD_TEST_PROMTOOL").unwrap_or_else(|| "promtool".into());
    let child = Command::new(tool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        println!("SKIPPED: no promtool to lint /metrics with");
        return;
    };
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.trim().is_empty(), "promtool: {said}\n{text}");
}

#[track_caller]
fn metrics(server: &Server) -> String {
    let answer = server.client().get("/metrics").expect(200);
    assert!(answer.header("content-type").starts_with("text/plain"), "{:?}", answer.headers);
    answer.text()
}

/// A figure, by its name and labels.
#[track_caller]
fn figure(text: &str, sample: &str) -> f64 {
    let line = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|it| it.0 == sample));
    let line = line.unwrap_or_else(|| panic!("no {sample} in:\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn with_a_vault_every_figure_is_there_and_true() {
    let vault = Vault::start(Options::default());
    let root = vault::prepare(&vault);
    let (role_id, secret_id) = vault::role(&root, "30m", "4h");
    let env = Env::new(&vault.address).approle(&(role_id, secret_id.clone()));
    let server = Server::serve_with("", &env.pairs());
    lint(&metrics(&server));
    let tenant = server.tenant_with_policy("acme", "baseline");
    for _ in 0..7 {
        tenant.app.encrypt(&json!({ "key": "main", "plaintext": b64("x") }));
    }
    tenant.app.post("/decrypt", &json!({ "ciphertext": "kw1.AAAA" })).expect(400);
    let text = metrics(&server);
    lint(&text);
    let there = names(&text);
    for name in ALWAYS.iter().chain(WITH_VAULT) {
        assert!(there.contains(*name), "no {name} in:\n{text}");
    }
    assert!((figure(&text, "keyward_vault_up") - 1.0).abs() < f64::EPSILON);
    assert!(figure(&text, "keyward_vault_sealed").abs() < f64::EPSILON);
    let ttl = figure(&text, "keyward_vault_token_ttl_seconds");
    assert!(ttl > 1_700.0 && ttl <= 1_800.0, "{ttl}");
    assert!(figure(&text, "keyward_vault_logins_total") >= 1.0);
    assert!(figure(&text, "keyward_cache_hits_total") >= 5.0);
    let requests = text.lines().filter(|line| line.starts_with("keyward_vault_requests_total{"));
    let requests: Vec<_> = requests.collect();
    assert!(
        requests.iter().all(|it| it.contains("operation=") && it.contains("outcome=")),
        "{requests:?}"
    );

    for secret in [&secret_id, &vault.root_token, &tenant.app_token, &server.operator_token] {
        assert!(!text.contains(secret.as_str()));
    }
    // Sealed, it says so within a health check, and all else can still be read.
    vault.seal();
    server.operator().get("/api/v1/vault/health").expect(503);
    let text = metrics(&server);
    lint(&text);
    assert!(figure(&text, "keyward_vault_up").abs() < f64::EPSILON);
    assert!((figure(&text, "keyward_vault_sealed") - 1.0).abs() < f64::EPSILON);
    assert!((figure(&text, "keyward_vault_state{state=\"sealed\"}") - 1.0).abs() < f64::EPSILON);
    assert!(names(&text).contains("keyward_vault_last_error_timestamp_seconds"));
}

#[test]
fn with_the_embedded_store_there_is_nothing_of_vault() {
    let server = Server::serve("");
    let tenant = server.tenant_with_policy("acme", "baseline");
    tenant.app.encrypt(&json!({ "key": "main", "plaintext": b64("x") }));
    let text = metrics(&server);
    lint(&text);
    let names = names(&text);
    for name in ALWAYS {
        assert!(names.contains(*name), "no {name} in:\n{text}");
    }
    assert!(names.iter().all(|name| !name.starts_with("keyward_vault_")), "{names:?}");
}

/// Labels come from the code, never from a request.
#[test]
fn no_request_makes_a_label() {
    let server = Server::serve("");
    for path in [
        "/nonsense-1",
        "/api/v1/tenants/nonsense-2/encrypt",
        "/api/v1/vault/keys/nonsense-3/history",
    ] {
        server.client().get(path);
        server.client().post(path, &json!({}));
    }
    let method = server.client().send("NONSENSE", "/livez", &[], b"");
    assert!(method.status >= 400);
    let text = metrics(&server);
    assert!(!text.to_lowercase().contains("nonsense"), "{text}");
    lint(&text);
}
