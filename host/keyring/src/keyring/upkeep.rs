//! What a host does with a keyring besides using keys: watch its caches, clear them, and keep them
//! up to date with what other hosts change.

use std::time::Duration;

use tokio::sync::broadcast;

use super::{Keyring, generation};
use crate::cache::CacheStatistics;
use crate::change::Change;
use crate::error::KeyringError;
use crate::names::TenantName;

impl Keyring {
    /// Drops expired entries from the caches now, which wipes expired key versions that are not
    /// in use.
    pub async fn sweep(&self) {
        self.inner.caches.sweep().await;
    }

    /// What the caches hold and did so far.
    pub fn cache_statistics(&self) -> CacheStatistics {
        self.inner.caches.statistics()
    }

    /// Drops every entry from the caches, wiping every key version that is not in use. Returns the
    /// statistics from just before. The counts go on from where they are.
    pub async fn clear_cache(&self) -> CacheStatistics {
        let before = self.cache_statistics();
        self.inner.caches.clear().await;
        before
    }

    /// Tells the other keyrings over this store that something changed, and returns once that is
    /// written. For what the keyring does not change itself, such as policies and tokens; its own
    /// changes it announces by itself. While the store is unavailable the announcement is retried
    /// in the background. Without [`CacheConfig::shared`](crate::CacheConfig::shared) nothing happens.
    pub async fn announce(&self, change: Change) {
        self.inner.generation.announce(change).await;
    }

    /// What other keyrings changed, as [polling](Keyring::start_polling) finds out. The keyring's
    /// own caches have dropped it by then. A receiver that lags must take that for
    /// [`Change::Everything`].
    pub fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.inner.generation.subscribe()
    }

    /// Polls for other keyrings' changes each `period`, until `shutdown` resolves or the keyring
    /// is dropped. Without [`CacheConfig::shared`](crate::CacheConfig::shared) nothing happens.
    pub fn start_polling(
        &self,
        period: Duration,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) {
        generation::start(&self.inner, period, shutdown);
    }

    /// How long beyond its time something of the tenant's may be used while the store is
    /// unavailable: the tenant's outage contract as far as it is cached, else the default, which
    /// also stands for no tenant at all. Never asks the store.
    pub fn outage_window(&self, tenant: Option<&TenantName>) -> Duration {
        let caches = &self.inner.caches;
        let default = caches.config.default_outage;
        let known = tenant.and_then(|tenant| caches.known_tenant(tenant));
        known.map_or(default.window(), |state| state.window(default))
    }

    /// Whether the store was found unavailable a moment ago. Who may use something beyond its time
    /// need not wait to find that out again.
    pub fn is_store_away(&self) -> bool {
        let caches = &self.inner.caches;
        caches.away.is(caches.clock.now())
    }

    /// Notes that the store did not answer in the time there was.
    pub fn store_is_slow(&self) {
        let caches = &self.inner.caches;
        caches.away.begin(caches.clock.now());
    }

    /// Polls once, now.
    pub async fn poll(&self) -> Result<(), KeyringError> {
        self.inner.poll().await
    }

    /// How long ago the last successful poll was; `None` before the first.
    pub fn since_last_poll(&self) -> Option<Duration> {
        self.inner.generation.since_last_poll()
    }
}
