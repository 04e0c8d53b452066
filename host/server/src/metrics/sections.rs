//! Which figures there are, and where each comes from.

mod audit;
mod identities;
mod limits;
mod vault;

use std::time::{SystemTime, UNIX_EPOCH};

use keyward_keyring::{CacheStatistics, UsageStatistics};
use keyward_policy_host::{PolicyHost, PoolMetrics};

pub(super) use self::audit::{audit, sinks};
pub(super) use self::identities::{jwt, tls};
pub(super) use self::limits::{limits, tenants};
pub(super) use self::vault::vault;
use super::page::{Labels, Page};
use super::requests::{self, Requests};
use super::timings::{self, Crypto, Observed, PolicyRun, StoreCall};
use crate::app::App;
use crate::rotation::Counters;

/// A name, what it means, and a figure.
type Row<T> = (&'static str, &'static str, T);

fn flag(value: bool) -> f64 {
    f64::from(u8::from(value))
}

/// A count, as a gauge shows it.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

fn tasks() -> Option<f64> {
    let runtime = tokio::runtime::Handle::try_current().ok()?;
    Some(number(runtime.metrics().num_alive_tasks() as u64))
}

fn seconds_since_epoch(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn label(name: &'static str, value: impl Into<String>) -> Labels {
    vec![(name, value.into())]
}

pub(super) fn server(page: &mut Page, app: &App, ready: bool) {
    let store = if app.backend.is_shared() { "vault" } else { "embedded" };
    let build = vec![("version", env!("CARGO_PKG_VERSION").into()), ("store", store.into())];
    page.gauges("keyward_build_info", "Version, and where keys are kept; always 1", [(build, 1.0)]);
    page.gauge("keyward_ready", "Whether /readyz answers 200", Some(flag(ready)));
    let policies = [("ready", app.policies.ready()), ("failed", app.policies.failed())];
    page.gauges(
        "keyward_policies",
        "Tenants with an active policy, by whether it could be loaded",
        policies.map(|(state, count)| (label("state", state), number(count as u64))),
    );
    let counters = app.policies.counters();
    page.counters(
        "keyward_policy_failures",
        "Runs of policies that crashed, hit a limit or gave a plan nobody can follow, by code",
        counters.failures().into_iter().map(|(code, count)| (label("code", code), count)),
    );
    page.counters(
        "keyward_policy_safeguards",
        "Policies that failed more than their tenant allows, by what came of it",
        counters.outcomes().map(|(outcome, count)| (label("outcome", outcome), count)),
    );
    let reloads = app.reloads.read();
    let results = [("ok", reloads.taken), ("failed", reloads.failed)];
    page.counters(
        "keyward_config_reloads",
        "Times that the configuration was read again at SIGHUP, by result",
        results.map(|(result, count)| (label("result", result), count)),
    );
    page.gauge(
        "keyward_config_waiting_settings",
        "Settings that are others in the configuration, as last read, and wait for a restart",
        Some(number(reloads.waiting)),
    );
    page.gauge(
        "keyward_runtime_tasks",
        "Tasks of the runtime: connections, and what is done in the background",
        tasks(),
    );
    let locked = keyward_crypto::memory::locked();
    page.gauge(
        "keyward_key_memory_locked_bytes",
        "Memory that holds keys and is not swapped out",
        Some(number(locked.bytes)),
    );
    page.counter(
        "keyward_key_memory_lock_failures",
        "Times that memory with a key in it could not be locked",
        locked.failed,
    );
    page.counter(
        "keyward_token_stale_serves",
        "Keyward tokens believed beyond their time in the cache, under an outage contract",
        app.tokens.stale_serves(),
    );
    page.gauge(
        "keyward_changes_lag_seconds",
        "Time since other hosts' changes were last asked for with success",
        app.keyring.since_last_poll().map(|lag| lag.as_secs_f64()),
    );
}

/// The pools that policies run in, one for each engine.
pub(super) fn pools(page: &mut Page, host: &PolicyHost) {
    let pools: Vec<_> = host.pool_metrics().collect();
    let figures = |figure: fn(&PoolMetrics) -> u64| {
        pools
            .iter()
            .map(move |(engine, pool)| (label("engine", engine.name()), number(figure(pool))))
    };
    page.gauges(
        "keyward_policy_pool_instances",
        "Policy instances that run, by engine",
        figures(|pool| pool.component_instances),
    );
    page.gauges(
        "keyward_policy_pool_size",
        "Policy instances that can run at once, by engine",
        figures(|pool| pool.size),
    );
    page.gauges(
        "keyward_policy_pool_stacks",
        "Policy instances that run on a stack of their own, by engine",
        figures(|pool| pool.stacks),
    );
}

pub(super) fn requests(page: &mut Page, requests: &Requests) {
    page.counters(
        "keyward_http_requests",
        "HTTP requests answered, by route and status",
        requests.by_status().map(|(route, status, count)| {
            (vec![("route", route.as_str().into()), ("status", status)], count)
        }),
    );
    page.counters(
        "keyward_http_errors",
        "Error answers and failed items of batches, by code",
        requests.by_code().map(|(code, count)| (label("code", code.as_str()), count)),
    );
    page.histograms(
        "keyward_http_request_duration_seconds",
        "Time from a request's headers to its answer, by route",
        requests.durations().map(|durations| {
            let route = label("route", durations.route.as_str());
            (route, &requests::BOUNDS[..], durations.counts, durations.sum)
        }),
    );
}

/// Spans of traces.
pub(super) fn traces(page: &mut Page, outcomes: [(&'static str, u64); 3]) {
    page.counters(
        "keyward_trace_spans",
        "Spans of traced requests: those the receiver took, dropped because too many waited, and lost \
         because it did not take them",
        outcomes.map(|(outcome, count)| (label("outcome", outcome), count)),
    );
}

/// How long the parts of requests take.
pub(super) fn timings(page: &mut Page) {
    type Figure = (Labels, &'static [f64], Vec<u64>, f64);
    fn figures(all: impl Iterator<Item = Observed>) -> impl Iterator<Item = Figure> {
        all.map(|it| (label("operation", it.operation), &timings::BOUNDS[..], it.counts, it.sum))
    }
    page.histograms(
        "keyward_policy_duration_seconds",
        "Time of a policy's run, by what it was asked for",
        figures(PolicyRun::all()),
    );
    page.histograms(
        "keyward_crypto_duration_seconds",
        "Time of work with a key, by operation",
        figures(Crypto::all()),
    );
    page.histograms(
        "keyward_store_duration_seconds",
        "Time of a call of the key store, failed ones included",
        figures(StoreCall::all()),
    );
}

pub(super) fn cache(page: &mut Page, cache: &CacheStatistics) {
    let counters: [Row<u64>; 7] = [
        (
            "keyward_cache_hits",
            "Look-ups of keys answered without waiting for the store",
            cache.hits,
        ),
        ("keyward_cache_misses", "Look-ups of keys that waited for the store", cache.misses),
        ("keyward_cache_loads", "Loads from the store", cache.loads),
        ("keyward_cache_load_failures", "Loads that failed", cache.load_failures),
        ("keyward_cache_evictions", "Keys dropped because the cache was full", cache.evictions),
        ("keyward_cache_expirations", "Keys dropped because their time was up", cache.expirations),
        (
            "keyward_cache_stale_serves",
            "Look-ups answered beyond the entry's time, under an outage contract",
            cache.stale_serves,
        ),
    ];
    for (name, help, count) in counters {
        page.counter(name, help, count);
    }
    let gauges: [Row<Option<f64>>; 8] = [
        ("keyward_cache_entries", "Keys cached", Some(number(cache.entries))),
        ("keyward_cache_versions", "Expanded key versions cached", Some(number(cache.versions))),
        (
            "keyward_cache_bytes",
            "Memory that cached keys take, by estimate",
            Some(number(cache.bytes)),
        ),
        (
            "keyward_cache_max_bytes",
            "Most memory that cached keys may take",
            Some(number(cache.max_bytes)),
        ),
        (
            "keyward_cache_ttl_seconds",
            "How long a loaded key is used",
            Some(cache.ttl.as_secs_f64()),
        ),
        ("keyward_cache_hit_ratio", "Hits of all look-ups since the start", cache.hit_rate()),
        (
            "keyward_cache_oldest_access_timestamp_seconds",
            "Last use of the cached key left alone longest",
            cache.oldest_access.map(seconds_since_epoch),
        ),
        (
            "keyward_cache_newest_access_timestamp_seconds",
            "Last use of any cached key",
            cache.newest_access.map(seconds_since_epoch),
        ),
    ];
    for (name, help, value) in gauges {
        page.gauge(name, help, value);
    }
    let times = &cache.load_seconds;
    page.histograms(
        "keyward_cache_load_duration_seconds",
        "Time of a load from the store",
        [(Labels::new(), times.bounds, times.counts.clone(), times.sum)],
    );
    page.gauges(
        "keyward_cache_tenant_accesses",
        "Look-ups of keys by tenant since something of it is cached, of the tenants with the most",
        cache
            .tenants
            .iter()
            .map(|(tenant, count)| (label("tenant", tenant.as_str()), number(*count))),
    );
}

pub(super) fn usage(page: &mut Page, usage: &UsageStatistics, rotations: &Counters) {
    let counters: [Row<u64>; 3] = [
        ("keyward_usage_flushes", "Records of key use written to the store", usage.flushes),
        (
            "keyward_usage_flush_failures",
            "Records of key use that could not be written, and are tried again",
            usage.failures,
        ),
        (
            "keyward_usage_lost_messages",
            "Messages whose count was given up, because too many keys waited for the store",
            usage.lost_messages,
        ),
    ];
    for (name, help, count) in counters {
        page.counter(name, help, count);
    }
    page.gauge(
        "keyward_usage_unflushed_messages",
        "Messages counted in memory and not in the store yet",
        Some(number(usage.unflushed_messages)),
    );
    page.gauge(
        "keyward_usage_unflushed_keys",
        "Keys of which something is counted and not in the store yet",
        Some(number(usage.unflushed_keys)),
    );
    page.counters(
        "keyward_rotations",
        "Keys rotated by this server without a call, by cause",
        rotations.rotations().map(|(cause, count)| (label("cause", cause.name()), count)),
    );
    page.gauge(
        "keyward_usage_budget_spent_ratio",
        "Largest share of its budget that a current version has spent, of the keys in the last flush",
        Some(rotations.budget_spent()),
    );
    page.counter(
        "keyward_rotation_failures",
        "Keys that may have been due and could not be rotated, and are tried again",
        rotations.failures(),
    );
}
