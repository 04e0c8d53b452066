//! How a keyring caches.

use std::time::Duration;

use crate::outage::Outage;

/// How a keyring caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheConfig {
    /// How long an entry may be used after it was loaded.
    pub ttl: Duration,
    /// The longest pause between two sweeps that drop expired entries from memory. Sweeps come
    /// sooner when something expires sooner, but not closer than a sixtieth of this.
    pub sweep: Duration,
    /// The most bytes to keep, by estimate; a key with one version takes about 3 KiB.
    pub max_bytes: u64,
    /// Whether an entry that is used in the last fifth of its time is loaded again in the
    /// background, so that nobody waits when the time is over.
    pub refresh_ahead: bool,
    /// The outage contract of tenants that have none of their own.
    pub default_outage: Outage,
    /// Whether other keyrings, of other processes, work over the same store: changes are then
    /// announced, and polled for.
    pub shared: bool,
}

impl Default for CacheConfig {
    /// 15 minutes, swept each 5, 64 MiB, with refresh ahead, fail closed, not shared.
    fn default() -> Self {
        Self {
            ttl: Duration::from_mins(15),
            sweep: Duration::from_mins(5),
            max_bytes: 64 << 20,
            refresh_ahead: true,
            default_outage: Outage::FailClosed,
            shared: false,
        }
    }
}
