//! How much of the processors each tenant used lately, and which tenants are there at all.
//! Counting is a few relaxed additions; what two threads count in the same moment of a new window may
//! be lost, which no decision depends on.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Over which time use is summed up.
pub const WINDOW: Duration = Duration::from_millis(100);
/// A tenant that asked for something within one or two of these is there: others take turns with it.
const PRESENCE: Duration = Duration::from_secs(2);

/// Nanoseconds since the start of the process's clock.
pub type Nanos = u64;

/// A clock that begins with the server.
pub struct Clock(Instant);

impl Default for Clock {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Clock {
    /// Now.
    pub fn now(&self) -> Nanos {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

fn nanos(time: Duration) -> Nanos {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// One tenant's use.
#[derive(Default)]
pub struct Usage {
    window: AtomicU64,
    current: AtomicU64,
    previous: AtomicU64,
    /// In which [`PRESENCE`] it was seen last, plus one.
    seen: AtomicU64,
    /// What one turn takes, about.
    mean: AtomicU64,
}

impl Usage {
    /// Counts `cost` nanoseconds of work.
    pub fn add(&self, now: Nanos, cost: Nanos) {
        self.roll(now);
        self.current.fetch_add(cost, Ordering::Relaxed);
        let mean = self.mean.load(Ordering::Relaxed);
        self.mean.store(mean - mean / 8 + cost / 8, Ordering::Relaxed);
    }

    /// Nanoseconds of work within the last [`WINDOW`], about.
    pub fn recent(&self, now: Nanos) -> Nanos {
        self.roll(now);
        let left = nanos(WINDOW) - now % nanos(WINDOW);
        let previous = u128::from(self.previous.load(Ordering::Relaxed)) * u128::from(left);
        let previous = u64::try_from(previous / u128::from(nanos(WINDOW))).unwrap_or(u64::MAX);
        self.current.load(Ordering::Relaxed).saturating_add(previous)
    }

    /// What the next turn may take, about; never nothing.
    pub fn expected(&self) -> Nanos {
        self.mean.load(Ordering::Relaxed).max(1_000)
    }

    fn roll(&self, now: Nanos) {
        let window = now / nanos(WINDOW);
        let before = self.window.load(Ordering::Relaxed);
        let is_mine = before < window
            && self
                .window
                .compare_exchange(before, window, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_mine {
            let ended = self.current.swap(0, Ordering::Relaxed);
            let previous = if before + 1 == window { ended } else { 0 };
            self.previous.store(previous, Ordering::Relaxed);
        }
    }
}

/// How many tenants are there.
#[derive(Default)]
pub struct Presence {
    period: AtomicU64,
    current: AtomicU32,
    previous: AtomicU32,
}

impl Presence {
    /// Sees a tenant; how many there are, it included.
    pub fn see(&self, now: Nanos, usage: &Usage) -> u32 {
        let period = now / nanos(PRESENCE) + 1;
        let before = self.period.load(Ordering::Relaxed);
        let is_mine = before < period
            && self
                .period
                .compare_exchange(before, period, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok();
        if is_mine {
            let ended = self.current.swap(0, Ordering::Relaxed);
            let previous = if before + 1 == period { ended } else { 0 };
            self.previous.store(previous, Ordering::Relaxed);
        }
        if usage.seen.load(Ordering::Relaxed) != period
            && usage.seen.swap(period, Ordering::Relaxed) != period
        {
            self.current.fetch_add(1, Ordering::Relaxed);
        }
        self.current.load(Ordering::Relaxed).max(self.previous.load(Ordering::Relaxed)).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W: Nanos = 100_000_000;

    #[test]
    fn use_fades_within_two_windows() {
        let usage = Usage::default();
        usage.add(10 * W, 80);
        assert_eq!(usage.recent(10 * W + W / 2), 80);
        assert_eq!(usage.recent(11 * W), 80);
        assert_eq!(usage.recent(11 * W + W / 2), 40);
        usage.add(11 * W + W / 2, 10);
        assert_eq!(usage.recent(11 * W + W / 2), 50);
        assert_eq!(usage.recent(12 * W), 10);
        assert_eq!(usage.recent(20 * W), 0);
    }

    #[test]
    fn tenants_are_there_for_a_while_after_their_last_request() {
        let (presence, one, two) = (Presence::default(), Usage::default(), Usage::default());
        let second = 1_000_000_000;
        assert_eq!(presence.see(0, &one), 1);
        assert_eq!(presence.see(0, &two), 2);
        assert_eq!(presence.see(second, &one), 2);
        assert_eq!(presence.see(3 * second, &one), 2);
        assert_eq!(presence.see(5 * second, &one), 1);
        assert_eq!(presence.see(60 * second, &one), 1);
        assert_eq!(presence.see(61 * second, &two), 2);
    }
}
