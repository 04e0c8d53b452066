//! What one tenant's policies may use, and what they used: instances, CPU time by the second, and
//! bounds of each run below the host's own.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// What was used since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// Instances at this moment.
    pub instances: u32,
    /// Runs.
    pub runs: u64,
    /// CPU time of them together.
    pub cpu: Duration,
    /// Calls of host functions.
    pub host_calls: u64,
    /// The most linear memory that one of them had, in bytes.
    pub peak_memory_bytes: usize,
}

impl Used {
    pub(super) fn add(&mut self, other: &Self) {
        self.instances += other.instances;
        self.runs += other.runs;
        self.cpu += other.cpu;
        self.host_calls += other.host_calls;
        self.peak_memory_bytes = self.peak_memory_bytes.max(other.peak_memory_bytes);
    }
}

/// What a tenant has no more of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spent {
    /// All its instances are in use.
    Instances(u32),
    /// Its CPU time is used up for so long.
    Cpu {
        /// What it has.
        per_second: Duration,
        /// When there is some again.
        wait: Duration,
    },
}

const NONE: u32 = u32::MAX;

/// One tenant's bounds and meters.
pub struct Account {
    start: Instant,
    instances: AtomicU32,
    /// Nanoseconds for each second; 0: unbounded.
    cpu: AtomicU64,
    /// When all CPU time used will be made good, in nanoseconds since the start.
    paid_at: AtomicU64,
    running: AtomicU32,
    runs: AtomicU64,
    cpu_used: AtomicU64,
    calls_made: AtomicU64,
    peak_memory: AtomicUsize,
}

const SECOND: u64 = 1_000_000_000;

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Default for Account {
    /// Without bounds.
    fn default() -> Self {
        Self {
            start: Instant::now(),
            instances: AtomicU32::new(NONE),
            cpu: AtomicU64::new(0),
            paid_at: AtomicU64::new(0),
            running: AtomicU32::new(0),
            runs: AtomicU64::new(0),
            cpu_used: AtomicU64::new(0),
            calls_made: AtomicU64::new(0),
            peak_memory: AtomicUsize::new(0),
        }
    }
}

impl Account {
    /// Sets how many run at once, and what they use in each second together, from now on.
    pub fn set(&self, instances: Option<u32>, cpu_per_second: Option<Duration>) {
        self.instances.store(instances.unwrap_or(NONE), Ordering::Relaxed);
        self.cpu.store(cpu_per_second.map_or(0, nanos), Ordering::Relaxed);
    }

    /// Counts what an instance called and had.
    pub fn had(&self, host_calls: u32, memory_bytes: usize) {
        self.calls_made.fetch_add(host_calls.into(), Ordering::Relaxed);
        self.peak_memory.fetch_max(memory_bytes, Ordering::Relaxed);
    }

    /// What was used so far.
    pub fn used(&self) -> Used {
        Used {
            instances: self.running.load(Ordering::Relaxed),
            runs: self.runs.load(Ordering::Relaxed),
            cpu: Duration::from_nanos(self.cpu_used.load(Ordering::Relaxed)),
            host_calls: self.calls_made.load(Ordering::Relaxed),
            peak_memory_bytes: self.peak_memory.load(Ordering::Relaxed),
        }
    }

    /// Begins a run, if there is an instance left, and CPU time.
    fn begin(&self) -> Result<Running<'_>, Spent> {
        if let Some(wait) = self.debt(nanos(self.start.elapsed())) {
            let per_second = Duration::from_nanos(self.cpu.load(Ordering::Relaxed));
            return Err(Spent::Cpu { per_second, wait });
        }
        let before = self.running.fetch_add(1, Ordering::Relaxed);
        // Taken back when dropped.
        let running = Running(self);
        let bound = self.instances.load(Ordering::Relaxed);
        if before >= bound {
            return Err(Spent::Instances(bound));
        }
        self.runs.fetch_add(1, Ordering::Relaxed);
        Ok(running)
    }

    /// Has a policy run, if it may, and counts the time that takes while it does not wait.
    pub async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Spent> {
        let running = self.begin()?;
        let mut work = pin!(work);
        let done = poll_fn(|cx| {
            let start = Instant::now();
            let polled = work.as_mut().poll(cx);
            self.charge(nanos(self.start.elapsed()), nanos(start.elapsed()));
            polled
        });
        let done = done.await;
        drop(running);
        Ok(done)
    }

    /// How long until less than a second's worth of CPU time is owed.
    fn debt(&self, now: u64) -> Option<Duration> {
        if self.cpu.load(Ordering::Relaxed) == 0 {
            return None;
        }
        let over = self.paid_at.load(Ordering::Relaxed).saturating_sub(now.saturating_add(SECOND));
        (over > 0).then(|| Duration::from_nanos(over))
    }

    fn charge(&self, now: u64, used: u64) {
        self.cpu_used.fetch_add(used, Ordering::Relaxed);
        let per_second = self.cpu.load(Ordering::Relaxed);
        if per_second == 0 {
            return;
        }
        let cost = u128::from(used) * u128::from(SECOND) / u128::from(per_second);
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        let pay = |paid_at: u64| Some(paid_at.max(now).saturating_add(cost));
        let _ = self.paid_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, pay);
    }
}

/// A run. Over when dropped.
struct Running<'a>(&'a Account);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instances_are_given_back() {
        let account = Account::default();
        account.set(Some(2), None);
        let (one, two) = (account.begin().ok().unwrap(), account.begin().ok().unwrap());
        assert_eq!(account.begin().err(), Some(Spent::Instances(2)));
        drop(one);
        drop(account.begin().ok().unwrap());
        drop(two);
        assert_eq!((account.used().instances, account.used().runs), (0, 3));
    }

    #[test]
    fn cpu_time_is_made_good_by_the_second() {
        let half = Duration::from_millis(500);
        let account = Account::default();
        account.set(None, Some(half));
        assert_eq!(account.debt(0), None);
        // Half a second is a second's worth.
        account.charge(0, SECOND / 2);
        assert_eq!(account.debt(0), None);
        account.charge(0, SECOND / 4);
        assert_eq!(account.debt(0), Some(half));
        assert_eq!(account.debt(SECOND / 4), Some(half / 2));
        assert_eq!(account.debt(SECOND / 2), None);
        assert!(
            matches!(account.begin().err(), Some(Spent::Cpu { per_second, .. }) if per_second == half)
        );
        // Idle time is not saved up.
        account.charge(10 * SECOND, SECOND);
        assert_eq!(account.debt(10 * SECOND), Some(Duration::from_secs(1)));
        assert_eq!(account.used().cpu, Duration::from_millis(1_750));
        account.set(None, None);
        assert_eq!(account.debt(10 * SECOND), None);
    }
}
