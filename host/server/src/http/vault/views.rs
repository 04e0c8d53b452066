//! The bodies of the management API.

use std::time::{Duration, SystemTime};

use keyward_keyring::vault::Status;
use keyward_keyring::{CacheStatistics, Key, VersionInfo};
use schemars::JsonSchema;
use serde::Serialize;

use crate::clock;
use crate::http::openapi::schema;

/// Now, in seconds since 1970-01-01T00:00:00Z.
pub(super) fn unix_seconds() -> u64 {
    clock::unix_ms() / 1_000
}

fn text_of(time: SystemTime) -> String {
    clock::rfc3339(clock::ms_of(time))
}

/// A duration such as `45ms`, `0.42ms` or `1.5s`.
pub(super) fn duration(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1_000.0;
    match ms {
        ms if ms >= 10_000.0 => format!("{:.0}s", ms / 1_000.0),
        ms if ms >= 1_000.0 => format!("{:.1}s", ms / 1_000.0),
        ms if ms >= 10.0 => format!("{ms:.0}ms"),
        ms => format!("{ms:.2}ms"),
    }
}

/// A configured duration such as `15m`, in its largest whole unit.
pub(super) fn setting(time: Duration) -> String {
    let ms = time.as_millis();
    let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let fits = units.iter().find(|(unit, _)| ms > 0 && ms.is_multiple_of(*unit));
    fits.map_or(format!("{ms}ms"), |(unit, name)| format!("{}{name}", ms / unit))
}

/// `98.67%`; `None` of nothing.
fn percent(part: u64, whole: u64) -> Option<String> {
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    (whole > 0).then(|| format!("{:.2}%", part as f64 * 100.0 / whole as f64))
}

/// Where the keys are: state, requests, token.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StoreHealth")]
pub(super) struct HealthView {
    status: &'static str,
    #[schemars(with = "Option<schema::Timestamp>")]
    last_check: Option<String>,
    total_requests: u64,
    success_rate: Option<String>,
    avg_response_time: Option<String>,
    token_ttl_seconds: Option<u64>,
    token_renewable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    last_error_time: Option<String>,
}

impl HealthView {
    pub(super) fn of(seen: &Status) -> Self {
        let (requests, token) = (&seen.requests, seen.token.as_ref());
        Self {
            status: seen.state.as_str(),
            last_check: seen.last_check.map(text_of),
            total_requests: requests.total,
            success_rate: percent(requests.successful, requests.total),
            avg_response_time: average(seen),
            token_ttl_seconds: ttl_seconds(seen),
            token_renewable: token.is_some_and(|token| token.renewable),
            last_error: seen.last_error.as_ref().map(|error| error.message.clone()),
            last_error_time: seen.last_error.as_ref().map(|error| text_of(error.at)),
        }
    }
}

fn average(seen: &Status) -> Option<String> {
    (seen.requests.total > 0).then(|| duration(seen.requests.average))
}

fn ttl_seconds(seen: &Status) -> Option<u64> {
    Some(seen.token.as_ref()?.ttl?.as_secs())
}

/// `vault_metrics`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StoreMetrics")]
pub(super) struct MetricsView {
    connection: Connection,
    requests: Requests,
    token: TokenView,
    errors: Errors,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StoreConnection")]
struct Connection {
    status: &'static str,
    #[schemars(with = "Option<schema::Timestamp>")]
    last_health_check: Option<String>,
    health_check_duration: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StoreRequests")]
struct Requests {
    total: u64,
    successful: u64,
    failed: u64,
    average_response_time: Option<String>,
}

/// `token` and `token_info`. `ttl_seconds` is `null` for a token without end, or none.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StoreToken")]
pub(super) struct TokenView {
    ttl_seconds: Option<u64>,
    renewable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'static str>,
    expires_soon: bool,
}

impl TokenView {
    pub(super) fn of(seen: &Status) -> Self {
        let token = seen.token.as_ref();
        Self {
            ttl_seconds: ttl_seconds(seen),
            renewable: token.is_some_and(|token| token.renewable),
            source: token.map(|token| token.source),
            expires_soon: token.is_some_and(|token| token.expires_soon),
        }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "StoreErrors")]
struct Errors {
    #[serde(skip_serializing_if = "Option::is_none")]
    last_error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    last_error_time: Option<String>,
}

impl MetricsView {
    pub(super) fn of(seen: &Status) -> Self {
        let requests = &seen.requests;
        Self {
            connection: Connection {
                status: seen.state.as_str(),
                last_health_check: seen.last_check.map(text_of),
                health_check_duration: seen.check_duration.map(duration),
            },
            requests: Requests {
                total: requests.total,
                successful: requests.successful,
                failed: requests.failed,
                average_response_time: average(seen),
            },
            token: TokenView::of(seen),
            errors: Errors {
                last_error: seen.last_error.as_ref().map(|error| error.message.clone()),
                last_error_time: seen.last_error.as_ref().map(|error| text_of(error.at)),
            },
        }
    }
}

/// `monitoring` of the status.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Monitoring")]
pub(super) struct MonitoringView {
    enabled: bool,
    connection_status: &'static str,
    is_healthy: bool,
}

impl MonitoringView {
    pub(super) fn of(seen: &Status) -> Self {
        let is_healthy = seen.state.is_usable();
        Self { enabled: true, connection_status: seen.state.as_str(), is_healthy }
    }
}

/// `cache_metrics`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "CacheMetrics")]
pub(super) struct CacheView {
    total_entries: u64,
    total_accesses: u64,
    ttl: String,
    #[schemars(with = "Option<schema::Timestamp>")]
    oldest_access: Option<String>,
    #[schemars(with = "Option<schema::Timestamp>")]
    newest_access: Option<String>,
    hits: u64,
    misses: u64,
    hit_rate: Option<String>,
    loads: u64,
    load_failures: u64,
    average_load_time: Option<String>,
    evictions: u64,
    stale_serves: u64,
    expirations: u64,
    versions: u64,
    bytes: u64,
    max_bytes: u64,
    tenants: Vec<TenantAccesses>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TenantAccesses")]
struct TenantAccesses {
    #[schemars(with = "schema::TenantName")]
    tenant: String,
    accesses: u64,
}

impl CacheView {
    pub(super) fn of(cache: &CacheStatistics) -> Self {
        let accesses = cache.accesses();
        let tenants = cache.tenants.iter().map(|(tenant, accesses)| TenantAccesses {
            tenant: tenant.to_string(),
            accesses: *accesses,
        });
        Self {
            total_entries: cache.entries,
            total_accesses: accesses,
            ttl: setting(cache.ttl),
            oldest_access: cache.oldest_access.map(text_of),
            newest_access: cache.newest_access.map(text_of),
            hits: cache.hits,
            misses: cache.misses,
            hit_rate: percent(cache.hits, accesses),
            loads: cache.loads,
            load_failures: cache.load_failures,
            average_load_time: average_load(cache).map(duration),
            evictions: cache.evictions,
            stale_serves: cache.stale_serves,
            expirations: cache.expirations,
            versions: cache.versions,
            bytes: cache.bytes,
            max_bytes: cache.max_bytes,
            tenants: tenants.collect(),
        }
    }
}

fn average_load(cache: &CacheStatistics) -> Option<Duration> {
    let times = &cache.load_seconds;
    let count: u64 = times.counts.iter().sum();
    #[expect(clippy::cast_precision_loss, reason = "shown with two digits")]
    (count > 0).then(|| Duration::try_from_secs_f64(times.sum / count as f64).ok())?
}

/// A version of a key.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ManagedVersion")]
pub(super) struct VersionView<'a> {
    #[schemars(with = "schema::Version")]
    version: u32,
    #[schemars(with = "schema::Timestamp")]
    created_at: String,
    created_by: Option<&'a str>,
    description: &'a str,
    active: bool,
    key_hash: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    destroyed_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    destroyed_by: Option<&'a str>,
}

impl<'a> VersionView<'a> {
    pub(super) fn of(info: &'a VersionInfo, current: u32) -> Self {
        let destroyed = info.destroyed.as_ref();
        Self {
            version: info.version,
            created_at: clock::rfc3339(info.created_at),
            created_by: info.created_by.as_deref(),
            description: &info.description,
            active: info.version == current,
            key_hash: info.fingerprint.as_deref(),
            destroyed_at: destroyed.map(|stamp| clock::rfc3339(stamp.at)),
            destroyed_by: destroyed.map(|stamp| stamp.by.as_str()),
        }
    }

    pub(super) fn all(key: &'a Key) -> Vec<Self> {
        key.versions().iter().map(|info| Self::of(info, key.current_version())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use keyward_keyring::store::memory::MemoryStore;
    use keyward_keyring::vault::State;
    use keyward_keyring::{CacheConfig, Keyring};
    use serde_json::Value;

    use super::*;

    #[test]
    fn durations_and_rates_are_short() {
        for (micros, text) in [
            (0, "0.00ms"),
            (420, "0.42ms"),
            (45_000, "45ms"),
            (1_500_000, "1.5s"),
            (900_000_000, "900s"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
        for (seconds, text) in [(0, "0ms"), (2, "2s"), (900, "15m"), (7_200, "2h")] {
            assert_eq!(setting(Duration::from_secs(seconds)), text);
        }
        assert_eq!(percent(148, 150).as_deref(), Some("98.67%"));
        assert_eq!(percent(0, 0), None);
    }

    /// Neither the year 1 nor 1970 stands for never.
    #[tokio::test]
    async fn what_never_happened_has_no_time() {
        let seen = Status {
            state: State::Unknown,
            last_check: None,
            check_duration: None,
            last_error: None,
            token: None,
            requests: keyward_keyring::vault::Requests::default(),
            version: None,
        };
        let ring = Keyring::new(Arc::new(MemoryStore::default()), CacheConfig::default());
        let health = serde_json::to_value(HealthView::of(&seen)).unwrap();
        let metrics = serde_json::to_value(MetricsView::of(&seen)).unwrap();
        let cache = serde_json::to_value(CacheView::of(&ring.cache_statistics())).unwrap();
        for (view, pointer) in [
            (&health, "/last_check"),
            (&health, "/avg_response_time"),
            (&health, "/success_rate"),
            (&metrics, "/connection/last_health_check"),
            (&metrics, "/connection/health_check_duration"),
            (&cache, "/oldest_access"),
            (&cache, "/newest_access"),
        ] {
            assert_eq!(view.pointer(pointer), Some(&Value::Null), "{pointer}: {view}");
        }
        for text in [health, metrics, cache].map(|view| view.to_string()) {
            for never in ["0001-", "1970-", "last_error_time"] {
                assert!(!text.contains(never), "{text}");
            }
        }
    }
}
