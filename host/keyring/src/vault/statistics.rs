//! Counts and latencies of requests, kept without a lock.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::{Operation, Outcome, Requests};

/// Upper bounds of the latency histogram's buckets, in seconds; one more bucket has no bound.
pub const LATENCY_BOUNDS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The latencies of one operation.
#[derive(Clone, Debug)]
pub struct Latency {
    /// The operation.
    pub operation: Operation,
    /// [`LATENCY_BOUNDS`].
    pub bounds_seconds: &'static [f64],
    /// Requests per bucket, not cumulative; one longer than `bounds_seconds`.
    pub counts: Vec<u64>,
    /// The sum of all latencies.
    pub sum: Duration,
}

/// Counts since the start.
#[derive(Clone, Debug)]
pub struct Statistics {
    /// Requests by operation and outcome; pairs that never occurred are left out. A call counts
    /// once, however often it was tried.
    pub by_operation: Vec<(Operation, Outcome, u64)>,
    /// Latencies of requests that were sent, retries included, per operation that occurred.
    pub latency: Vec<Latency>,
    /// Tries after the first.
    pub retries: u64,
    /// Whether calls are suspended now.
    pub breaker_open: bool,
    /// Successful logins, the first read of a given token among them.
    pub logins: u64,
    /// Failed logins.
    pub login_failures: u64,
    /// Successful renewals.
    pub renewals: u64,
    /// Failed renewals.
    pub renewal_failures: u64,
}

const BUCKETS: usize = LATENCY_BOUNDS.len() + 1;
const OPERATIONS: usize = Operation::ALL.len();
const OUTCOMES: usize = Outcome::ALL.len();

#[derive(Default)]
struct PerOperation {
    outcomes: [AtomicU64; OUTCOMES],
    buckets: [AtomicU64; BUCKETS],
    nanoseconds: AtomicU64,
}

/// The counters behind [`Statistics`] and [`Requests`].
#[derive(Default)]
pub(super) struct Counters {
    operations: [PerOperation; OPERATIONS],
    pub retries: AtomicU64,
    pub logins: AtomicU64,
    pub login_failures: AtomicU64,
    pub renewals: AtomicU64,
    pub renewal_failures: AtomicU64,
}

impl Counters {
    /// Counts one request.
    pub fn record(&self, operation: Operation, outcome: Outcome, took: Duration) {
        let counters = &self.operations[operation as usize];
        counters.outcomes[outcome as usize].fetch_add(1, Relaxed);
        if outcome == Outcome::NotSent {
            return;
        }
        let seconds = took.as_secs_f64();
        let bucket = LATENCY_BOUNDS.partition_point(|bound| *bound < seconds);
        counters.buckets[bucket].fetch_add(1, Relaxed);
        let nanoseconds = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        counters.nanoseconds.fetch_add(nanoseconds, Relaxed);
    }

    pub fn requests(&self) -> Requests {
        let mut requests = Requests::default();
        let mut nanoseconds = 0u64;
        for counters in &self.operations {
            for outcome in Outcome::ALL {
                let count = counters.outcomes[outcome as usize].load(Relaxed);
                if outcome.is_success() {
                    requests.successful += count;
                } else if outcome != Outcome::NotSent {
                    requests.failed += count;
                }
            }
            nanoseconds = nanoseconds.saturating_add(counters.nanoseconds.load(Relaxed));
        }
        requests.total = requests.successful + requests.failed;
        let average = nanoseconds.checked_div(requests.total).unwrap_or(0);
        requests.average = Duration::from_nanos(average);
        requests
    }

    pub fn snapshot(&self, breaker_open: bool) -> Statistics {
        let mut by_operation = Vec::new();
        let mut latency = Vec::new();
        for operation in Operation::ALL {
            let counters = &self.operations[operation as usize];
            for outcome in Outcome::ALL {
                let count = counters.outcomes[outcome as usize].load(Relaxed);
                if count > 0 {
                    by_operation.push((operation, outcome, count));
                }
            }
            let counts: Vec<u64> = counters.buckets.iter().map(|b| b.load(Relaxed)).collect();
            if counts.iter().any(|count| *count > 0) {
                let sum = Duration::from_nanos(counters.nanoseconds.load(Relaxed));
                latency.push(Latency { operation, bounds_seconds: &LATENCY_BOUNDS, counts, sum });
            }
        }
        Statistics {
            by_operation,
            latency,
            retries: self.retries.load(Relaxed),
            breaker_open,
            logins: self.logins.load(Relaxed),
            login_failures: self.login_failures.load(Relaxed),
            renewals: self.renewals.load(Relaxed),
            renewal_failures: self.renewal_failures.load(Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_once_and_the_average_is_the_mean() {
        let counters = Counters::default();
        let ms = Duration::from_millis;
        counters.record(Operation::KvRead, Outcome::Ok, ms(10));
        counters.record(Operation::KvRead, Outcome::NotFound, ms(20));
        counters.record(Operation::KvWrite, Outcome::Timeout, ms(60));
        counters.record(Operation::KvWrite, Outcome::NotSent, ms(900));
        let requests = counters.requests();
        assert_eq!((requests.total, requests.successful, requests.failed), (3, 2, 1));
        assert_eq!(requests.average, ms(30));
        let statistics = counters.snapshot(false);
        assert_eq!(statistics.by_operation.len(), 4);
        let read = &statistics.latency[0];
        assert_eq!((read.operation, read.sum), (Operation::KvRead, ms(30)));
        assert_eq!(read.counts.len(), read.bounds_seconds.len() + 1);
        assert_eq!((read.counts[3], read.counts[4]), (1, 1), "{:?}", read.counts);
    }

    #[test]
    fn no_average_before_the_first_request() {
        assert_eq!(Counters::default().requests(), Requests::default());
    }

    #[test]
    fn every_operation_and_outcome_has_its_own_place_and_name() {
        let mut names: Vec<_> = Operation::ALL.iter().map(|o| o.as_str()).collect();
        names.extend(Outcome::ALL.iter().map(|o| o.as_str()));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), OPERATIONS + OUTCOMES);
        assert!(Operation::ALL.iter().enumerate().all(|(at, o)| at == *o as usize));
        assert!(Outcome::ALL.iter().enumerate().all(|(at, o)| at == *o as usize));
    }
}
