//! Where entries are sent beside the files: standard output, syslog, OTLP, a webhook.
//!
//! The files stay the truth. A sink reads along behind the writer and is given the very bytes of each
//! line; how far it came is kept beside the log, so that one that was away is given what it missed. Each
//! has a thread of its own: whatever it waits for, nobody else does.

mod http;
mod line;
mod otlp;
mod runner;
mod settings;
mod stdout;
mod syslog;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyward_audit::{Audit, Line, Pace};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use self::http::Http;
use self::runner::Runner;
pub use self::settings::{OtlpSettings, SinkSettings, WebhookSettings, headers};
use self::stdout::Stdout;
use self::syslog::Syslog;

/// How long an ordered end waits for sinks to be given the rest.
const LAST: Duration = Duration::from_secs(3);

/// Takes lines and brings them somewhere.
#[async_trait::async_trait]
trait Target: Send {
    /// Most lines it is given at once, at the moment.
    fn most(&self) -> usize;

    /// Brings all these lines where they belong.
    async fn deliver(&mut self, lines: &[Line]) -> Result<(), Failure>;
}

/// Why not all lines were taken. What is said is for the log: nothing secret, no address.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    reason: String,
    /// Lines that were.
    taken: usize,
    /// Lines before these that may have been lost with the connection and are to be given again.
    again: u64,
}

impl Failure {
    fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), taken: 0, again: 0 }
    }
}

/// An error and what led to it, in one line.
fn told(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

/// How a sink is.
#[derive(Default)]
struct State {
    /// The last entry it took.
    seq: AtomicU64,
    delivered: AtomicU64,
    failures: AtomicU64,
    skipped: AtomicU64,
    is_failing: AtomicBool,
}

/// Figures of a sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figures {
    /// `stdout`, `syslog`, `otlp` or `webhook`.
    pub name: &'static str,
    /// Entries it took since the start, those it was given again included.
    pub delivered: u64,
    /// Deliveries that failed and were tried again.
    pub failures: u64,
    /// Entries it was not given since the start.
    pub skipped: u64,
    /// Entries in the files that it did not take yet.
    pub lag: u64,
    /// Whether the last delivery failed.
    pub is_failing: bool,
}

/// The sinks of a log. They end with this.
pub struct Sinks {
    all: Vec<(&'static str, Arc<State>)>,
    max_lag: u64,
    /// Until when to be given the rest; none: there is no end.
    end: watch::Sender<Option<Instant>>,
    /// Closed when the last of them has ended.
    ended: Mutex<Option<mpsc::Receiver<()>>>,
}

/// A sink that cannot be set up, and what to do: one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SinkError(String);

impl Sinks {
    /// Starts the sinks of a log in `dir`.
    pub fn start(audit: &Audit, dir: &Path, settings: &SinkSettings) -> Result<Self, SinkError> {
        let mut targets: Vec<(&'static str, Box<dyn Target>)> = Vec::new();
        if settings.stdout {
            targets.push(("stdout", Box::new(Stdout::open()?)));
        }
        if let Some(address) = &settings.syslog {
            targets.push(("syslog", Box::new(Syslog::new(address.clone()))));
        }
        if let Some(otlp) = &settings.otlp {
            targets.push(("otlp", Box::new(Http::otlp(otlp, settings.ca_cert.as_deref())?)));
        }
        if let Some(webhook) = &settings.webhook {
            let target = Http::webhook(webhook, settings.ca_cert.as_deref())?;
            targets.push(("webhook", Box::new(target)));
        }
        let pace = settings.block.then(|| Arc::new(Pace::new(targets.len(), settings.max_lag)));
        let end = watch::Sender::new(None);
        let (alive, ended) = mpsc::channel(1);
        let mut all = Vec::new();
        for (index, (name, target)) in targets.into_iter().enumerate() {
            let state = Arc::new(State::default());
            let runner = Runner {
                name,
                dir: dir.to_owned(),
                audit: audit.clone(),
                target,
                state: Arc::clone(&state),
                pace: pace.clone().map(|pace| (pace, index)),
                max_lag: settings.max_lag,
                end: end.subscribe(),
                _alive: alive.clone(),
            };
            runner.start()?;
            all.push((name, state));
        }
        if let Some(pace) = pace {
            audit.keep_pace(pace);
        }
        Ok(Self { all, max_lag: settings.max_lag, end, ended: Mutex::new(Some(ended)) })
    }

    /// Figures of each.
    pub fn figures(&self, written: u64) -> Vec<Figures> {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let figures = |(name, state): &(&'static str, Arc<State>)| Figures {
            name,
            delivered: get(&state.delivered),
            failures: get(&state.failures),
            skipped: get(&state.skipped),
            lag: written.saturating_sub(get(&state.seq)),
            is_failing: state.is_failing.load(Ordering::Relaxed),
        };
        self.all.iter().map(figures).collect()
    }

    /// What is wrong with them, a sentence each.
    pub fn warnings(&self, written: u64) -> Vec<String> {
        let figures = self.figures(written).into_iter();
        let behind = figures.filter(|sink| sink.is_failing || sink.lag > self.max_lag);
        let said = behind.map(|Figures { name, lag, .. }| {
            format!("the audit sink {name} is {lag} entries behind; the log has the reason")
        });
        said.collect()
    }

    /// Gives them the rest, of a log that is closed, as far as they take it in time.
    pub async fn stop(&self) {
        self.end.send_replace(Some(Instant::now() + LAST));
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut ended) = ended {
            // One that hangs in a write ends with the process.
            let _ = tokio::time::timeout(LAST + Duration::from_millis(500), ended.recv()).await;
        }
    }
}

impl Drop for Sinks {
    fn drop(&mut self) {
        // None: it was stopped, or nothing is to be waited for.
        self.end.send_if_modified(|end| {
            let is_first = end.is_none();
            end.get_or_insert_with(Instant::now);
            is_first
        });
    }
}
