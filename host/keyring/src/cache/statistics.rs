//! What the caches count, cheaply enough for every look-up.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use crate::names::TenantName;

/// The most tenants named in [`CacheStatistics::tenants`].
pub(crate) const TOP_TENANTS: usize = 20;

/// The upper bounds of the load-latency histogram's buckets, in seconds.
pub(crate) const BOUNDS: [f64; 16] = [
    0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 30.0,
];

/// What the caches of a keyring hold, and did since it was made. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CacheStatistics {
    /// Look-ups of keys, key ids and versions answered without waiting for the store, those in
    /// [`stale_serves`](Self::stale_serves) included.
    pub hits: u64,
    /// Look-ups that had to wait for the store.
    pub misses: u64,
    /// Loads from the store, those that refresh what is about to expire included.
    pub loads: u64,
    /// Loads that failed because the store did, or because what it gave is damaged. Something that
    /// does not exist is no failure.
    pub load_failures: u64,
    /// Keys dropped because the caches were full.
    pub evictions: u64,
    /// Keys dropped because their time was up.
    pub expirations: u64,
    /// Look-ups answered beyond the entry's time, under an outage contract.
    pub stale_serves: u64,
    /// Keys cached now.
    pub entries: u64,
    /// Key versions cached now, expanded and ready to use.
    pub versions: u64,
    /// Estimated bytes all this takes, with what finds keys by their ids, and tenants.
    pub bytes: u64,
    /// The most bytes it may take.
    pub max_bytes: u64,
    /// How long an entry is used after its load.
    pub ttl: Duration,
    /// How long loads took.
    pub load_seconds: Histogram,
    /// The last use of the cached key that was left alone longest, to the second.
    pub oldest_access: Option<SystemTime>,
    /// The last use of the cached key that was used last, to the second.
    pub newest_access: Option<SystemTime>,
    /// Look-ups of keys by tenant, for the 20 tenants with the most, most first. A tenant of which
    /// nothing is cached any more starts again from zero.
    pub tenants: Vec<(TenantName, u64)>,
}

impl CacheStatistics {
    /// All look-ups.
    pub fn accesses(&self) -> u64 {
        self.hits + self.misses
    }

    /// The share of look-ups that were hits, from 0 to 1; `None` without any.
    #[allow(clippy::cast_precision_loss)] // a share needs no more than 52 bits
    pub fn hit_rate(&self) -> Option<f64> {
        let all = self.accesses();
        (all > 0).then(|| self.hits as f64 / all as f64)
    }
}

/// A histogram of durations.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    /// The upper bounds of the buckets, in seconds, rising.
    pub bounds: &'static [f64],
    /// How many values fell into each bucket and none before it; one more than there are bounds,
    /// the last for values above all of them.
    pub counts: Vec<u64>,
    /// The sum of all values, in seconds.
    pub sum: f64,
}

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) hits: Spread,
    pub(crate) misses: AtomicU64,
    pub(crate) loads: AtomicU64,
    pub(crate) load_failures: AtomicU64,
    pub(crate) evictions: AtomicU64,
    pub(crate) expirations: AtomicU64,
    pub(crate) stale_serves: AtomicU64,
    buckets: [AtomicU64; BOUNDS.len() + 1],
    load_nanos: AtomicU64,
}

pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

pub(crate) fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

impl Counters {
    pub(crate) fn loaded(&self, took: Duration, failed: bool) {
        count(&self.loads);
        if failed {
            count(&self.load_failures);
        }
        let seconds = took.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        if let Some(counter) = self.buckets.get(bucket) {
            count(counter);
        }
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.load_nanos.fetch_add(nanos, Ordering::Relaxed);
    }

    pub(crate) fn load_seconds(&self) -> Histogram {
        Histogram {
            bounds: &BOUNDS,
            counts: self.buckets.iter().map(read).collect(),
            sum: Duration::from_nanos(read(&self.load_nanos)).as_secs_f64(),
        }
    }
}

const SHARDS: usize = 16;

/// A counter spread over cache lines, so that threads which count at once do not wait for each
/// other.
#[derive(Default)]
pub(crate) struct Spread([Shard; SHARDS]);

#[derive(Default)]
#[repr(align(128))]
struct Shard(AtomicU64);

impl Spread {
    pub(crate) fn count(&self) {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: Cell<Option<usize>> = const { Cell::new(None) };
        }
        let mine = MINE.with(|cell| {
            cell.get().unwrap_or_else(|| {
                let mine = NEXT.fetch_add(1, Ordering::Relaxed) % SHARDS;
                cell.set(Some(mine));
                mine
            })
        });
        if let Some(shard) = self.0.get(mine) {
            count(&shard.0);
        }
    }

    pub(crate) fn read(&self) -> u64 {
        self.0.iter().map(|shard| read(&shard.0)).sum()
    }
}
