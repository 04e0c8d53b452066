//! How often a policy fails on this host.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::Safeguard;

/// How long runs are counted before the count begins anew, in ms.
const WINDOW: u64 = 60_000;

/// Runs and failures of one policy within the window. Counted without a lock: two runs that begin a
/// window at the same moment may be counted as one.
#[derive(Debug, Default)]
pub struct Failures {
    /// Unix time in ms.
    since: AtomicU64,
    runs: AtomicU32,
    failed: AtomicU32,
    reported: AtomicBool,
}

impl Failures {
    /// Counts runs, so many of which failed. True, once, when that is more than the safeguard
    /// allows.
    pub fn count(&self, now: u64, runs: u32, failed: u32, safeguard: Option<&Safeguard>) -> bool {
        let since = self.since.load(Ordering::Relaxed);
        let is_over = now.saturating_sub(since) >= WINDOW;
        if is_over
            && self.since.compare_exchange(since, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.runs.store(0, Ordering::Relaxed);
            self.failed.store(0, Ordering::Relaxed);
        }
        let runs = self.runs.fetch_add(runs, Ordering::Relaxed).saturating_add(runs);
        if failed == 0 {
            return false;
        }
        let failed = self.failed.fetch_add(failed, Ordering::Relaxed).saturating_add(failed);
        let Some(safeguard) = safeguard else { return false };
        let share = u64::from(failed) * 100;
        let is_too_much = runs >= safeguard.min_runs.max(1)
            && share > u64::from(safeguard.max_failed_percent) * u64::from(runs);
        is_too_much && !self.reported.swap(true, Ordering::Relaxed)
    }

    /// What was reported came to nothing: it may be reported again.
    pub fn again(&self) {
        self.reported.store(false, Ordering::Relaxed);
    }

    /// Runs and failures within the window that `now` is in.
    pub fn within_window(&self, now: u64) -> (u32, u32) {
        if now.saturating_sub(self.since.load(Ordering::Relaxed)) >= WINDOW {
            return (0, 0);
        }
        (self.runs.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAFEGUARD: Safeguard = Safeguard { max_failed_percent: 10, min_runs: 20 };

    /// Which of these runs, 1 for a failure, trips.
    fn trips(failures: &Failures, start: u64, runs: &[u32]) -> Option<usize> {
        let count = |(at, failed): (usize, &u32)| {
            failures.count(start + at as u64, 1, *failed, Some(&SAFEGUARD))
        };
        runs.iter().enumerate().map(count).position(|tripped| tripped)
    }

    #[test]
    fn more_than_the_share_of_enough_runs_is_too_often() {
        let failures = Failures::default();
        // Two of twenty are a tenth, and not more.
        let mut runs = [0; 20];
        (runs[3], runs[19]) = (1, 1);
        assert_eq!(trips(&failures, WINDOW, &runs), None);
        assert_eq!(failures.within_window(WINDOW + 20), (20, 2));
        assert_eq!(trips(&failures, WINDOW + 20, &[1]), Some(0));
        // Once.
        assert_eq!(trips(&failures, WINDOW + 21, &[1; 30]), None);
        failures.again();
        assert_eq!(trips(&failures, WINDOW + 51, &[1]), Some(0));
    }

    #[test]
    fn few_runs_prove_nothing() {
        assert_eq!(trips(&Failures::default(), WINDOW, &[1; 19]), None);
        assert_eq!(trips(&Failures::default(), WINDOW, &[1; 20]), Some(19));
    }

    #[test]
    fn a_window_ends() {
        let failures = Failures::default();
        assert_eq!(trips(&failures, WINDOW, &[1; 19]), None);
        assert_eq!(trips(&failures, 2 * WINDOW, &[1; 19]), None);
        assert_eq!(failures.within_window(3 * WINDOW), (0, 0));
    }

    #[test]
    fn who_did_not_choose_it_is_not_rolled_back() {
        let failures = Failures::default();
        assert!(!(0..100).any(|at| failures.count(WINDOW + at, 1, 1, None)));
        assert_eq!(failures.within_window(WINDOW + 100), (100, 100));
    }
}
