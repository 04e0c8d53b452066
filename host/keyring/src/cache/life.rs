//! How old something cached is, and what that means for using it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How long to leave a store alone that did not answer, in milliseconds, for each thing cached.
const RETRY_MS: u64 = 1_000;

pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since the caches were made.
pub(crate) struct Clock {
    start: Instant,
    #[cfg(test)]
    pub(crate) ahead: AtomicU64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            #[cfg(test)]
            ahead: AtomicU64::new(0),
        }
    }

    pub(crate) fn now(&self) -> u64 {
        let now = millis(self.start.elapsed());
        #[cfg(test)]
        let now = now + self.ahead.load(Ordering::SeqCst);
        now
    }
}

/// Whether the store was found unavailable a moment ago, by whichever load. Who has something old
/// to serve then serves it, instead of each finding out anew and waiting for it.
#[derive(Default)]
pub(crate) struct Away(AtomicU64);

impl Away {
    pub(crate) fn is(&self, now: u64) -> bool {
        now < self.0.load(Ordering::Relaxed)
    }

    pub(crate) fn begin(&self, now: u64) {
        self.0.store(now.saturating_add(RETRY_MS), Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.0.store(0, Ordering::Relaxed);
    }
}

/// The life of something cached, from its load.
pub(crate) struct Life {
    /// From when on a use makes a load in the background worth while.
    pub(crate) ages: u64,
    /// Until when it may be used without asking.
    pub(crate) expires: u64,
    /// The last try to load it anew found the store unavailable.
    failing: AtomicBool,
    next_try: AtomicU64,
}

impl Life {
    /// A life that begins now. It ages in the last fifth of `ttl`, at a random moment of that
    /// fifth's first half, so that what was loaded together is not loaded again together.
    pub(crate) fn begin(now: u64, ttl: Duration) -> Self {
        let ttl = millis(ttl);
        let ages = now.saturating_add(ttl / 10 * 8 + fastrand::u64(0..=ttl / 10));
        let expires = now.saturating_add(ttl);
        Self { ages, expires, failing: AtomicBool::new(false), next_try: AtomicU64::new(0) }
    }

    /// The store was unavailable when this was to be loaded anew.
    pub(crate) fn failed(&self, now: u64) {
        self.next_try.store(now.saturating_add(RETRY_MS), Ordering::Relaxed);
        self.failing.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_failing(&self) -> bool {
        self.failing.load(Ordering::Relaxed)
    }

    /// Whether the caller is the one to load it anew in the background now.
    pub(crate) fn claims_load(&self, now: u64) -> bool {
        let due = self.next_try.load(Ordering::Relaxed);
        let next = now.saturating_add(RETRY_MS);
        now >= due
            && self
                .next_try
                .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn what_is_loaded_together_ages_apart_and_before_its_end() {
        let ttl = Duration::from_secs(1_000);
        let lives: Vec<Life> = (0..1_000).map(|_| Life::begin(7, ttl)).collect();
        let ages: BTreeSet<u64> = lives.iter().map(|life| life.ages).collect();
        let (first, last) = (*ages.first().unwrap(), *ages.last().unwrap());
        assert!(first >= 800_007 && last <= 900_007, "{first} to {last}");
        assert!(last - first > 50_000 && ages.len() > 500, "{} moments", ages.len());
        assert!(lives.iter().all(|life| life.expires == 1_000_007));
    }
}
