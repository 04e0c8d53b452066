//! Steady traffic from several threads, and what became of each request.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Answer;

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// HTTP status, 0 when no answer came.
    pub status: u16,
    /// The problem's code, or what the client said.
    pub code: String,
    /// The problem's detail.
    pub detail: String,
    /// Whether it said when to try again.
    pub retry_after: bool,
}

/// What became of a request: nothing, or why it failed.
pub type Outcome = Result<(), Failure>;

/// An answer that is as expected, or the failure it is.
pub fn expect(answer: Result<Answer, ureq::Error>, status: u16) -> Result<Answer, Failure> {
    let answer = answer.map_err(|error| Failure {
        status: 0,
        code: error.to_string(),
        detail: String::new(),
        retry_after: false,
    })?;
    if answer.status == status {
        return Ok(answer);
    }
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text = |member: &str| body[member].as_str().unwrap_or_default().to_owned();
    Err(Failure {
        status: answer.status,
        code: text("code"),
        detail: text("detail"),
        retry_after: !answer.header("retry-after").is_empty(),
    })
}

/// A request that was made.
#[derive(Clone, Debug)]
pub struct Sample {
    /// What kind of request.
    pub kind: &'static str,
    /// When it was sent.
    pub at: Instant,
    /// How long the answer took.
    pub took: Duration,
    /// What became of it.
    pub outcome: Outcome,
}

/// Traffic that flows until it is stopped.
#[derive(Default)]
pub struct Load {
    ended: Arc<AtomicBool>,
    samples: Arc<Mutex<Vec<Sample>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts a thread that makes such a request, waits `pause`, and so on.
    pub fn add(
        &mut self,
        kind: &'static str,
        pause: Duration,
        request: impl FnMut() -> Outcome + Send + 'static,
    ) {
        self.add_behind(&Arc::default(), kind, pause, request);
    }

    /// The same; no request begins while somebody else holds the gate, and that wait is not the
    /// request's.
    pub fn add_behind(
        &mut self,
        gate: &Arc<Mutex<()>>,
        kind: &'static str,
        pause: Duration,
        mut request: impl FnMut() -> Outcome + Send + 'static,
    ) {
        let (ended, samples) = (Arc::clone(&self.ended), Arc::clone(&self.samples));
        let gate = Arc::clone(gate);
        self.threads.push(std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let open = gate.lock().unwrap();
                let at = Instant::now();
                let outcome = request();
                let sample = Sample { kind, at, took: at.elapsed(), outcome };
                drop(open);
                samples.lock().unwrap().push(sample);
                std::thread::sleep(pause);
            }
        }));
    }

    /// All requests so far.
    pub fn samples(&self) -> Vec<Sample> {
        self.samples.lock().unwrap().clone()
    }

    /// Waits until a request of this kind that was sent from now on succeeds; how long that took,
    /// none if it takes longer than `limit`.
    pub fn until_success(&self, kind: &str, limit: Duration) -> Option<Duration> {
        let start = Instant::now();
        while start.elapsed() < limit {
            let samples = self.samples.lock().unwrap();
            let good = samples.iter().rev().take_while(|it| it.at + it.took >= start);
            let mut good = good.filter(|it| it.kind == kind && it.at >= start);
            if good.any(|it| it.outcome.is_ok()) {
                return Some(start.elapsed());
            }
            drop(samples);
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    /// Ends the traffic; all requests there were.
    #[track_caller]
    pub fn stop(mut self) -> Vec<Sample> {
        self.ended.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
        self.samples()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Requests of one kind, counted.
#[derive(Clone, Debug, Default)]
pub struct Count {
    /// All of them.
    pub total: usize,
    /// Those that failed, by status and code.
    pub failed: BTreeMap<String, usize>,
    /// The longest that a failure took.
    pub slowest_failure: Duration,
    /// The slowest of all.
    pub slowest: Duration,
    /// The one in the middle, by the time it took.
    pub median: Duration,
}

impl Count {
    /// How many failed.
    pub fn failures(&self) -> usize {
        self.failed.values().sum()
    }

    /// Counts the requests of one kind sent between two moments.
    pub fn of(samples: &[Sample], kind: &str, from: Instant, to: Instant) -> Self {
        let mut count = Self::default();
        let mut times = Vec::new();
        for sample in samples.iter().filter(|it| it.kind == kind && (from..to).contains(&it.at)) {
            count.total += 1;
            times.push(sample.took);
            if let Err(failure) = &sample.outcome {
                let cause = format!("{} {}", failure.status, failure.code);
                *count.failed.entry(cause).or_default() += 1;
                count.slowest_failure = count.slowest_failure.max(sample.took);
            }
        }
        times.sort_unstable();
        count.median = times.get(times.len() / 2).copied().unwrap_or_default();
        count.slowest = times.last().copied().unwrap_or_default();
        count
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut causes = String::new();
        for (cause, count) in &self.failed {
            write!(causes, "; {count} x {cause}")?;
        }
        write!(f, "{} requests, {} failed{causes}", self.total, self.failures())?;
        if self.failures() > 0 {
            write!(f, "; slowest failure {} ms", self.slowest_failure.as_millis())?;
        }
        write!(
            f,
            "; slowest {} ms, median {} ms",
            self.slowest.as_millis(),
            self.median.as_millis()
        )?;
        Ok(())
    }
}
