//! The figures of the access to Vault.

use keyward_keyring::vault::{State, Statistics, Status};

use super::{Page, Row, flag, label, seconds_since_epoch};

/// The states of a Vault, each a figure of its own.
const STATES: [State; 5] =
    [State::Unknown, State::Healthy, State::Unhealthy, State::Sealed, State::Standby];

pub(in crate::metrics) fn vault(page: &mut Page, status: &Status, statistics: &Statistics) {
    connection(page, status, statistics.breaker_open);
    token(page, status);
    page.counters(
        "keyward_vault_requests",
        "Requests to Vault without health checks, by operation and outcome",
        statistics.by_operation.iter().map(|(operation, outcome, count)| {
            let operation = ("operation", operation.as_str().to_owned());
            (vec![operation, ("outcome", outcome.as_str().to_owned())], *count)
        }),
    );
    page.histograms(
        "keyward_vault_request_duration_seconds",
        "Time of a request to Vault, its retries included, by operation",
        statistics.latency.iter().map(|latency| {
            let operation = label("operation", latency.operation.as_str());
            (operation, latency.bounds_seconds, latency.counts.clone(), latency.sum.as_secs_f64())
        }),
    );
    let counters: [Row<u64>; 5] = [
        ("keyward_vault_retries", "Tries after the first", statistics.retries),
        ("keyward_vault_logins", "Successful logins", statistics.logins),
        ("keyward_vault_login_failures", "Failed logins", statistics.login_failures),
        ("keyward_vault_renewals", "Successful renewals of the token", statistics.renewals),
        (
            "keyward_vault_renewal_failures",
            "Failed renewals of the token",
            statistics.renewal_failures,
        ),
    ];
    for (name, help, count) in counters {
        page.counter(name, help, count);
    }
}

fn connection(page: &mut Page, status: &Status, breaker_open: bool) {
    let gauges: [Row<Option<f64>>; 7] = [
        (
            "keyward_vault_up",
            "Whether Vault can be used: healthy, or a standby that forwards",
            Some(flag(status.state.is_usable())),
        ),
        (
            "keyward_vault_sealed",
            "Whether Vault is sealed",
            Some(flag(status.state == State::Sealed)),
        ),
        (
            "keyward_vault_standby",
            "Whether a standby answers",
            Some(flag(status.state == State::Standby)),
        ),
        (
            "keyward_vault_breaker_open",
            "Whether calls are suspended after failures",
            Some(flag(breaker_open)),
        ),
        (
            "keyward_vault_health_check_timestamp_seconds",
            "When the last health check ended",
            status.last_check.map(seconds_since_epoch),
        ),
        (
            "keyward_vault_health_check_duration_seconds",
            "How long the last health check took",
            status.check_duration.map(|time| time.as_secs_f64()),
        ),
        (
            "keyward_vault_last_error_timestamp_seconds",
            "When Vault last failed; absent before it ever did",
            status.last_error.as_ref().map(|error| seconds_since_epoch(error.at)),
        ),
    ];
    for (name, help, value) in gauges {
        page.gauge(name, help, value);
    }
    page.gauges(
        "keyward_vault_state",
        "Vault's state: 1 for the one it is in",
        STATES.map(|state| (label("state", state.as_str()), flag(state == status.state))),
    );
}

fn token(page: &mut Page, status: &Status) {
    let token = status.token.as_ref();
    let gauges: [Row<Option<f64>>; 3] = [
        (
            "keyward_vault_token_ttl_seconds",
            "Time until Vault's token ends; absent for a token without end",
            token.and_then(|token| token.ttl).map(|ttl| ttl.as_secs_f64()),
        ),
        (
            "keyward_vault_token_renewable",
            "Whether Vault extends the token",
            token.map(|token| flag(token.renewable)),
        ),
        (
            "keyward_vault_token_expires_soon",
            "Whether the token ends within vault.expiry_warning",
            token.map(|token| flag(token.expires_soon)),
        ),
    ];
    for (name, help, value) in gauges {
        page.gauge(name, help, value);
    }
}
