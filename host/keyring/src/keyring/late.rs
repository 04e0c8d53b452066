//! Answering with what has aged, or whose time is up: renewal ahead of time, and outages.

use std::time::{Duration, Instant};

use super::Inner;
use crate::cache::{Life, count, millis};
use crate::error::KeyringError;
use crate::flight::Loading;

/// How long a look-up waits for the store when the entry's time is up but its outage contract
/// would have it served: a store this slow is as good as unavailable.
const PATIENCE: Duration = Duration::from_secs(1);

/// How a look-up was answered.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Served {
    /// From the cache, in time.
    Cached,
    /// From the cache, beyond its time, as the outage contract allows.
    Stale,
    /// From the store, or by the store's error.
    Loaded,
}

impl Inner {
    /// Answers with something cached that has aged, or whose time is up, and says how. `load`
    /// starts its load, or joins it.
    pub(super) async fn late<T: Clone>(
        &self,
        life: &Life,
        window: Duration,
        value: T,
        load: impl Fn() -> Loading<T>,
    ) -> (Served, Result<T, KeyringError>) {
        let now = self.caches.clock.now();
        if now < life.expires {
            if self.caches.config.refresh_ahead && life.claims_load(now) {
                drop(load());
            }
            return (Served::Cached, Ok(value));
        }
        if now >= life.expires.saturating_add(millis(window)) {
            return (Served::Loaded, load().await);
        }
        if life.is_failing() || self.caches.away.is(now) {
            if life.claims_load(now) {
                drop(load());
            }
            return (Served::Stale, Ok(value));
        }
        match tokio::time::timeout(PATIENCE, load()).await {
            Ok(Err(error)) if error.is_unavailable() => (Served::Stale, Ok(value)),
            Ok(answer) => (Served::Loaded, answer),
            Err(_) => {
                let now = self.caches.clock.now();
                life.failed(now);
                self.caches.away.begin(now);
                (Served::Stale, Ok(value))
            }
        }
    }

    /// Counts a look-up by how it was served.
    pub(super) fn tally(&self, served: Served) {
        let counters = &self.caches.counters;
        match served {
            Served::Cached => counters.hits.count(),
            Served::Stale => {
                counters.hits.count();
                count(&counters.stale_serves);
            }
            Served::Loaded => count(&counters.misses),
        }
    }

    /// Counts a load.
    pub(super) fn loaded(&self, begun: Instant, error: Option<&KeyringError>) {
        let absent = matches!(
            error,
            Some(KeyringError::TenantNotFound { .. } | KeyringError::KeyNotFound { .. })
        );
        self.caches.counters.loaded(begun.elapsed(), error.is_some() && !absent);
        match error {
            Some(error) if error.is_unavailable() => {
                self.caches.away.begin(self.caches.clock.now());
            }
            Some(_) if !absent => {}
            _ => self.caches.away.end(),
        }
    }
}
