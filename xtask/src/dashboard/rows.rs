//! What the dashboard shows.

/// Panels below a heading.
pub(super) struct Row {
    pub(super) title: &'static str,
    pub(super) panels: &'static [Panel],
}

/// A graph over time.
pub(super) struct Panel {
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    /// One of Grafana's names of units.
    pub(super) unit: &'static str,
    /// Queries and their legends. `@` stands for the labels of the servers that are chosen.
    pub(super) queries: &'static [(&'static str, &'static str)],
}

const fn panel(
    title: &'static str,
    description: &'static str,
    unit: &'static str,
    queries: &'static [(&'static str, &'static str)],
) -> Panel {
    Panel { title, description, unit, queries }
}

pub(super) const ROWS: &[Row] = &[
    Row { title: "Requests", panels: REQUESTS },
    Row { title: "Policies", panels: POLICIES },
    Row { title: "Keys", panels: KEYS },
    Row { title: "Vault", panels: VAULT },
    Row { title: "Audit log", panels: AUDIT },
    Row { title: "Identities", panels: IDENTITIES },
];

const REQUESTS: &[Panel] = &[
    panel(
        "Requests",
        "By route, health checks and metrics not among them.",
        "reqps",
        &[(
            r#"sum by (route) (rate(keyward_http_requests_total{@,route!~"health|metrics"}[$__rate_interval]))"#,
            "{{route}}",
        )],
    ),
    panel(
        "Failed requests",
        "Share of all that ended with 500 or 503; the objective is 0.1 %.",
        "percentunit",
        &[(
            r#"sum(rate(keyward_http_requests_total{@,route!~"health|metrics",status=~"500|503"}[$__rate_interval])) / sum(rate(keyward_http_requests_total{@,route!~"health|metrics"}[$__rate_interval]))"#,
            "failed",
        )],
    ),
    panel(
        "Errors",
        "By code; docs/errors.md explains each.",
        "reqps",
        &[("sum by (code) (rate(keyward_http_errors_total{@}[$__rate_interval]))", "{{code}}")],
    ),
    panel(
        "Latency of encryption and decryption",
        "From the headers to the answer.",
        "s",
        &[
            (
                r#"histogram_quantile(0.5, sum by (le, route) (rate(keyward_http_request_duration_seconds_bucket{@,route=~"encrypt|decrypt"}[$__rate_interval])))"#,
                "{{route}} p50",
            ),
            (
                r#"histogram_quantile(0.99, sum by (le, route) (rate(keyward_http_request_duration_seconds_bucket{@,route=~"encrypt|decrypt"}[$__rate_interval])))"#,
                "{{route}} p99",
            ),
        ],
    ),
    panel(
        "Slowest routes",
        "99th percentile.",
        "s",
        &[(
            "histogram_quantile(0.99, sum by (le, route) (rate(keyward_http_request_duration_seconds_bucket{@}[$__rate_interval])))",
            "{{route}}",
        )],
    ),
    panel(
        "Refused by limits",
        "By what it was too much for: rates, room, quotas.",
        "reqps",
        &[(
            "sum by (limit) (rate(keyward_limit_refusals_total{@}[$__rate_interval]))",
            "{{limit}}",
        )],
    ),
    panel("Ready", "1 where /readyz answers 200.", "none", &[("keyward_ready{@}", "{{instance}}")]),
];

const POLICIES: &[Panel] = &[
    panel(
        "Failing runs",
        "By code: crashes, limits, plans nobody can follow.",
        "ops",
        &[("sum by (code) (rate(keyward_policy_failures_total{@}[$__rate_interval]))", "{{code}}")],
    ),
    panel(
        "Latency of runs",
        "By what the policy was asked for.",
        "s",
        &[
            (
                "histogram_quantile(0.5, sum by (le, operation) (rate(keyward_policy_duration_seconds_bucket{@}[$__rate_interval])))",
                "{{operation}} p50",
            ),
            (
                "histogram_quantile(0.99, sum by (le, operation) (rate(keyward_policy_duration_seconds_bucket{@}[$__rate_interval])))",
                "{{operation}} p99",
            ),
        ],
    ),
    panel(
        "Active policies",
        "By whether they could be loaded.",
        "none",
        &[("sum by (state) (keyward_policies{@})", "{{state}}")],
    ),
    panel(
        "Pool in use",
        "Instances that run, of those that can.",
        "percentunit",
        &[(
            "keyward_policy_pool_instances{@} / keyward_policy_pool_size{@}",
            "{{instance}} {{engine}}",
        )],
    ),
    panel(
        "Policies that gave way",
        "By what came of it.",
        "none",
        &[(
            "sum by (outcome) (increase(keyward_policy_safeguards_total{@}[$__rate_interval]))",
            "{{outcome}}",
        )],
    ),
];

const KEYS: &[Panel] = &[
    panel(
        "Latency of cryptographic work",
        "99th percentile, by operation.",
        "s",
        &[(
            "histogram_quantile(0.99, sum by (le, operation) (rate(keyward_crypto_duration_seconds_bucket{@}[$__rate_interval])))",
            "{{operation}}",
        )],
    ),
    panel(
        "Latency of the store",
        "99th percentile, by what it was asked for.",
        "s",
        &[(
            "histogram_quantile(0.99, sum by (le, operation) (rate(keyward_store_duration_seconds_bucket{@}[$__rate_interval])))",
            "{{operation}}",
        )],
    ),
    panel(
        "Hit rate",
        "Look-ups of keys that did not wait for the store.",
        "percentunit",
        &[(
            "rate(keyward_cache_hits_total{@}[$__rate_interval]) / (rate(keyward_cache_hits_total{@}[$__rate_interval]) + rate(keyward_cache_misses_total{@}[$__rate_interval]))",
            "{{instance}}",
        )],
    ),
    panel(
        "Cached",
        "Memory that cached keys take, and may.",
        "bytes",
        &[
            ("keyward_cache_bytes{@}", "{{instance}}"),
            ("keyward_cache_max_bytes{@}", "{{instance}} most"),
        ],
    ),
    panel(
        "Leaving the cache",
        "By cause, and loads that failed.",
        "ops",
        &[
            ("sum(rate(keyward_cache_evictions_total{@}[$__rate_interval]))", "full"),
            ("sum(rate(keyward_cache_expirations_total{@}[$__rate_interval]))", "time is up"),
            ("sum(rate(keyward_cache_load_failures_total{@}[$__rate_interval]))", "failed loads"),
            ("sum(rate(keyward_cache_stale_serves_total{@}[$__rate_interval]))", "stale serves"),
        ],
    ),
    panel(
        "Time of a load",
        "99th percentile.",
        "s",
        &[(
            "histogram_quantile(0.99, sum by (le) (rate(keyward_cache_load_duration_seconds_bucket{@}[$__rate_interval])))",
            "p99",
        )],
    ),
    panel(
        "Rotations",
        "Without a call, by cause.",
        "none",
        &[
            (
                "sum by (cause) (increase(keyward_rotations_total{@}[$__rate_interval]))",
                "{{cause}}",
            ),
            ("sum(increase(keyward_rotation_failures_total{@}[$__rate_interval]))", "failed"),
        ],
    ),
    panel(
        "Budget",
        "The largest share that a current version has spent.",
        "percentunit",
        &[("max_over_time(keyward_usage_budget_spent_ratio{@}[$__rate_interval])", "{{instance}}")],
    ),
    panel(
        "Use not stored yet",
        "Messages counted in memory alone.",
        "none",
        &[("keyward_usage_unflushed_messages{@}", "{{instance}}")],
    ),
    panel(
        "Lag of changes",
        "Since other hosts' changes were asked for.",
        "s",
        &[("keyward_changes_lag_seconds{@}", "{{instance}}")],
    ),
    panel(
        "Busiest tenants",
        "Look-ups of keys since something of it is cached.",
        "none",
        &[("topk(10, sum by (tenant) (keyward_cache_tenant_accesses{@}))", "{{tenant}}")],
    ),
];

const VAULT: &[Panel] = &[
    panel(
        "Vault can be used",
        "0: sealed, unreachable or refusing.",
        "none",
        &[
            ("keyward_vault_up{@}", "{{instance}}"),
            ("keyward_vault_sealed{@}", "{{instance}} sealed"),
        ],
    ),
    panel(
        "Requests to Vault",
        "By operation and outcome.",
        "reqps",
        &[(
            "sum by (operation, outcome) (rate(keyward_vault_requests_total{@}[$__rate_interval]))",
            "{{operation}} {{outcome}}",
        )],
    ),
    panel(
        "Latency of Vault",
        "99th percentile, retries included.",
        "s",
        &[(
            "histogram_quantile(0.99, sum by (le, operation) (rate(keyward_vault_request_duration_seconds_bucket{@}[$__rate_interval])))",
            "{{operation}}",
        )],
    ),
    panel(
        "Token",
        "Time until it ends.",
        "s",
        &[("keyward_vault_token_ttl_seconds{@}", "{{instance}}")],
    ),
    panel(
        "Logins and renewals",
        "Those that failed.",
        "none",
        &[
            (
                "increase(keyward_vault_login_failures_total{@}[$__rate_interval])",
                "{{instance}} login",
            ),
            (
                "increase(keyward_vault_renewal_failures_total{@}[$__rate_interval])",
                "{{instance}} renewal",
            ),
        ],
    ),
    panel(
        "Calls suspended",
        "1 after a row of failures.",
        "none",
        &[("keyward_vault_breaker_open{@}", "{{instance}}")],
    ),
];

const AUDIT: &[Panel] = &[
    panel(
        "Entries",
        "Written to the log.",
        "ops",
        &[("rate(keyward_audit_entries_total{@}[$__rate_interval])", "{{instance}}")],
    ),
    panel(
        "Trouble",
        "Writes that failed; requests refused or without an entry.",
        "ops",
        &[
            (
                "rate(keyward_audit_write_failures_total{@}[$__rate_interval])",
                "{{instance}} writes",
            ),
            ("rate(keyward_audit_refused_total{@}[$__rate_interval])", "{{instance}} refused"),
            ("rate(keyward_audit_shed_total{@}[$__rate_interval])", "{{instance}} shed"),
        ],
    ),
    panel(
        "Age of the last checkpoint",
        "Entries after it are unsigned.",
        "s",
        &[("time() - keyward_audit_checkpoint_timestamp_seconds{@}", "{{instance}}")],
    ),
];

const IDENTITIES: &[Panel] = &[
    panel(
        "Certificate",
        "Time until the one that is served ends.",
        "s",
        &[("keyward_tls_certificate_expires_seconds{@} - time()", "{{instance}}")],
    ),
    panel(
        "Identity provider's keys",
        "Time since they were fetched.",
        "s",
        &[("keyward_jwt_keys_age_seconds{@}", "{{instance}}")],
    ),
    panel(
        "Tokens believed beyond their time",
        "Under an outage contract.",
        "ops",
        &[("rate(keyward_token_stale_serves_total{@}[$__rate_interval])", "{{instance}}")],
    ),
];
