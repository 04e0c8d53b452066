//! Counts of HTTP requests. Counting is a few relaxed additions: no lock, no allocation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::http::StatusCode;
use compact_str::CompactString;

use crate::errors::Code;

macro_rules! routes {
    ($($(#[$doc:meta])* $variant:ident $label:literal)*) => {
        /// What a request is for. Bounded, unlike its path.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Route {
            $($(#[$doc])* $variant,)*
        }

        impl Route {
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its label.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $label,)* }
            }
        }
    };
}

routes! {
    /// `…/encrypt`
    Encrypt "encrypt"
    /// `…/decrypt`
    Decrypt "decrypt"
    /// `…/rewrap`
    Rewrap "rewrap"
    /// `…/datakey`
    Datakey "datakey"
    /// `…/mac` and `…/mac/verify`
    Mac "mac"
    /// `…/sign`
    Sign "sign"
    /// `…/verify`
    Verify "verify"
    /// `…/derive`
    Derive "derive"
    /// `…/random`
    Random "random"
    /// `…/hash`
    Hash "hash"
    /// `…/stream/…`
    Stream "stream"
    /// `…/invoke/…`
    Invoke "invoke"
    /// `…/keys…`
    Keys "keys"
    /// `…/receipt-keys` and `/api/v1/receipts/…`
    Receipts "receipts"
    /// `…/policy…` and `…/policies…`
    Policy "policy"
    /// `…/tokens`
    Tokens "tokens"
    /// Tenants themselves.
    Tenants "tenants"
    /// `/api/v1/vault/…`
    Vault "vault"
    /// `/api/v1/log`
    Log "log"
    /// `/api/v1/audit` and `…/audit`
    Audit "audit"
    /// `/api/v1/backup`
    Backup "backup"
    /// `/api/v1/restore…`
    Restore "restore"
    /// `/livez` and `/readyz`
    Health "health"
    /// `/metrics`
    Metrics "metrics"
    /// `/api/v1/openapi.json`
    OpenApi "openapi"
    /// No route.
    Other "other"
}

impl Route {
    /// Whether limits hold for it: not for what has no tenant and no token.
    pub fn is_limited(self) -> bool {
        !matches!(self, Self::Health | Self::Metrics | Self::OpenApi)
    }

    /// Those that limits hold for.
    pub fn limited() -> impl Iterator<Item = Self> {
        Self::ALL.iter().copied().filter(|route| route.is_limited())
    }

    /// Whether it is work on data, which the tenant's policy decides.
    pub fn is_data(self) -> bool {
        matches!(
            self,
            Self::Encrypt
                | Self::Decrypt
                | Self::Rewrap
                | Self::Datakey
                | Self::Mac
                | Self::Sign
                | Self::Verify
                | Self::Derive
                | Self::Random
                | Self::Hash
                | Self::Stream
                | Self::Invoke
        )
    }

    /// What the path is for, whether there is such a tenant, key or method or not.
    pub fn of(path: &str) -> Self {
        let Some(rest) = path.strip_prefix("/api/v1/") else {
            return match path {
                "/livez" | "/readyz" => Self::Health,
                "/metrics" => Self::Metrics,
                _ => Self::Other,
            };
        };
        if rest.starts_with("vault/") {
            return Self::Vault;
        }
        match rest {
            "audit" => return Self::Audit,
            "backup" => return Self::Backup,
            "log" => return Self::Log,
            "openapi.json" => return Self::OpenApi,
            "receipts/public-key" => return Self::Receipts,
            "restore" | "restore/recipient" => return Self::Restore,
            _ => {}
        }
        if rest == "tokens" || rest.starts_with("tokens/") {
            return Self::Tokens;
        }
        match rest.strip_prefix("tenants") {
            Some("") => Self::Tenants,
            Some(rest) if rest.starts_with('/') => {
                let mut segments = rest[1..].splitn(3, '/').skip(1);
                match segments.next() {
                    Some("encrypt") => Self::Encrypt,
                    Some("decrypt") => Self::Decrypt,
                    Some("rewrap") => Self::Rewrap,
                    Some("datakey") => Self::Datakey,
                    Some("mac") => Self::Mac,
                    Some("sign") => Self::Sign,
                    Some("verify") => Self::Verify,
                    Some("derive") => Self::Derive,
                    Some("random") => Self::Random,
                    Some("hash") => Self::Hash,
                    Some("stream") => Self::Stream,
                    Some("invoke") => Self::Invoke,
                    Some("keys") => Self::Keys,
                    Some("receipt-keys") => Self::Receipts,
                    Some("policy" | "policies") => Self::Policy,
                    Some("tokens") => Self::Tokens,
                    Some("outage" | "quotas") => Self::Tenants,
                    Some("audit") => Self::Audit,
                    _ => Self::Other,
                }
            }
            _ => Self::Other,
        }
    }
}

/// Statuses counted each for itself.
const STATUSES: [u16; 17] =
    [200, 201, 304, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 429, 500, 502, 503];

/// Upper bounds of the histogram, in seconds.
pub const BOUNDS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    10.0, 30.0,
];
/// The same in microseconds.
const BOUNDS_MICROS: [u64; BOUNDS.len()] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000, 30_000_000,
];

#[derive(Default)]
struct Figures {
    /// By status; the last is for all others.
    statuses: [AtomicU64; STATUSES.len() + 1],
    /// Not cumulative; the last is beyond every bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
    /// The last traced request of each bucket. Requests that are not traced, nearly all, never look.
    exemplars: Mutex<[Option<Traced>; BOUNDS.len() + 1]>,
}

struct Traced {
    trace: CompactString,
    micros: u64,
    at: SystemTime,
}

/// A request that is traced, as an example of a bucket.
pub struct Exemplar {
    /// Its route.
    pub route: Route,
    /// The bucket's upper bound, in seconds.
    pub bound: f64,
    /// Its trace: 32 hex digits.
    pub trace: CompactString,
    /// What it took.
    pub seconds: f64,
    /// When it ended.
    pub at: SystemTime,
}

/// Counts of requests, since the start.
pub struct Requests {
    by_route: [Figures; Route::ALL.len()],
    /// By the code's place in [`Code::ALL`].
    by_code: [AtomicU64; Code::ALL.len()],
}

/// Durations of one route's requests.
pub struct Durations {
    /// Which.
    pub route: Route,
    /// Requests up to each of [`BOUNDS`] and beyond, not cumulative.
    pub counts: Vec<u64>,
    /// Their time together, in seconds.
    pub sum: f64,
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            by_route: std::array::from_fn(|_| Figures::default()),
            by_code: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }
}

impl Requests {
    /// Counts a request that was answered, and keeps the trace it has.
    pub fn answered(
        &self,
        route: Route,
        status: StatusCode,
        after: Duration,
        trace: Option<&CompactString>,
    ) {
        let figures = &self.by_route[route as usize];
        let status = status.as_u16();
        let at = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len());
        figures.statuses[at].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS_MICROS.partition_point(|bound| *bound < micros);
        figures.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        figures.micros.fetch_add(micros, Ordering::Relaxed);
        if let Some(trace) = trace {
            let traced = Traced { trace: trace.clone(), micros, at: SystemTime::now() };
            let mut exemplars = figures.exemplars.lock().unwrap_or_else(PoisonError::into_inner);
            exemplars[bucket] = Some(traced);
        }
    }

    /// An example of each bucket that has one.
    pub fn exemplars(&self) -> Vec<Exemplar> {
        let mut all = Vec::new();
        for (route, figures) in Route::ALL.iter().zip(&self.by_route) {
            let exemplars = figures.exemplars.lock().unwrap_or_else(PoisonError::into_inner);
            let bounds = BOUNDS.into_iter().chain([f64::INFINITY]);
            for (bound, traced) in bounds.zip(exemplars.iter()) {
                let Some(Traced { trace, micros, at }) = traced else { continue };
                all.push(Exemplar {
                    route: *route,
                    bound,
                    trace: trace.clone(),
                    seconds: Duration::from_micros(*micros).as_secs_f64(),
                    at: *at,
                });
            }
        }
        all
    }

    /// Counts an error, of a request or of an item of a batch.
    pub fn failed(&self, code: Code) {
        self.by_code[code as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Requests by route and status (`other` for a rare one), without zeros.
    pub fn by_status(&self) -> impl Iterator<Item = (Route, String, u64)> + '_ {
        let all = Route::ALL.iter().zip(&self.by_route).flat_map(|(route, figures)| {
            let names = STATUSES.iter().map(u16::to_string).chain(["other".to_owned()]);
            let counts = figures.statuses.iter().map(|count| count.load(Ordering::Relaxed));
            names.zip(counts).map(|(status, count)| (*route, status, count))
        });
        all.filter(|(.., count)| *count > 0)
    }

    /// Durations of the routes that were asked for.
    pub fn durations(&self) -> impl Iterator<Item = Durations> + '_ {
        let all = Route::ALL.iter().zip(&self.by_route).map(|(route, figures)| {
            let counts = figures.buckets.iter().map(|count| count.load(Ordering::Relaxed));
            let micros = figures.micros.load(Ordering::Relaxed);
            let sum = Duration::from_micros(micros).as_secs_f64();
            Durations { route: *route, counts: counts.collect(), sum }
        });
        all.filter(|durations| durations.counts.iter().any(|count| *count > 0))
    }

    /// Errors by code, without zeros.
    pub fn by_code(&self) -> impl Iterator<Item = (Code, u64)> + '_ {
        let counts = self.by_code.iter().map(|count| count.load(Ordering::Relaxed));
        Code::ALL.iter().copied().zip(counts).filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_told_apart() {
        for (path, route) in [
            ("/api/v1/tenants/acme/encrypt", Route::Encrypt),
            ("/api/v1/tenants/acme/decrypt", Route::Decrypt),
            ("/api/v1/tenants/encrypt/decrypt", Route::Decrypt),
            ("/api/v1/tenants/acme/mac/verify", Route::Mac),
            ("/api/v1/tenants/acme/stream/encrypt", Route::Stream),
            ("/api/v1/tenants/acme/invoke/protect", Route::Invoke),
            ("/api/v1/tenants/acme/keys/a/rotate", Route::Keys),
            ("/api/v1/tenants/acme/policy", Route::Policy),
            ("/api/v1/tenants/acme/policy/activate", Route::Policy),
            ("/api/v1/tenants/acme/policies", Route::Policy),
            ("/api/v1/tenants/acme/tokens", Route::Tokens),
            ("/api/v1/tenants", Route::Tenants),
            ("/api/v1/vault/health", Route::Vault),
            ("/api/v1/audit", Route::Audit),
            ("/api/v1/tenants/acme/audit", Route::Audit),
            ("/api/v1/backup", Route::Backup),
            ("/api/v1/restore", Route::Restore),
            ("/api/v1/restore/recipient", Route::Restore),
            ("/api/v1/restores", Route::Other),
            ("/api/v1/log", Route::Log),
            ("/api/v1/logs", Route::Other),
            ("/livez", Route::Health),
            ("/readyz", Route::Health),
            ("/metrics", Route::Metrics),
            ("/api/v1/openapi.json", Route::OpenApi),
            ("/api/v1/tenantsx", Route::Other),
            ("/", Route::Other),
        ] {
            assert_eq!(Route::of(path), route, "{path}");
        }
    }

    #[test]
    fn every_index_is_its_own() {
        for (index, route) in Route::ALL.iter().enumerate() {
            assert_eq!(*route as usize, index);
        }
        for (index, code) in Code::ALL.iter().enumerate() {
            assert_eq!(*code as usize, index);
        }
        for (bound, micros) in BOUNDS.iter().zip(BOUNDS_MICROS) {
            assert_eq!(Duration::from_secs_f64(*bound), Duration::from_micros(micros));
        }
    }

    #[test]
    fn what_is_counted_comes_out() {
        let requests = Requests::default();
        requests.answered(Route::Encrypt, StatusCode::OK, Duration::from_micros(100), None);
        requests.answered(Route::Encrypt, StatusCode::OK, Duration::from_micros(101), None);
        requests.answered(Route::Encrypt, StatusCode::IM_A_TEAPOT, Duration::from_hours(1), None);
        requests.failed(Code::NotReady);
        let by_status: Vec<_> = requests.by_status().collect();
        let expected =
            [(Route::Encrypt, "200".to_owned(), 2), (Route::Encrypt, "other".to_owned(), 1)];
        assert_eq!(by_status, expected);
        let durations: Vec<_> = requests.durations().collect();
        let [encrypt] = durations.as_slice() else { panic!("one route was asked for") };
        assert_eq!(encrypt.counts.len(), BOUNDS.len() + 1);
        assert_eq!((encrypt.counts[0], encrypt.counts[1]), (1, 1));
        assert_eq!(encrypt.counts.last(), Some(&1));
        assert!(encrypt.sum > 3600.0);
        assert_eq!(requests.by_code().collect::<Vec<_>>(), [(Code::NotReady, 1)]);
    }
}
