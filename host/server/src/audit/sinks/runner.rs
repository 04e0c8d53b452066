//! One sink at work: reads along, delivers, tries again, and keeps its place.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use keyward_audit::{Audit, Follower, Line, Pace, Place, Skip};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{Failure, SinkError, State, Target};

/// Most bytes of lines in memory, give or take one line.
const MOST_BYTES: usize = 1 << 20;
/// How often the place is written down, where it moves.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// Pauses after a delivery that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(30);

pub(super) struct Runner {
    pub name: &'static str,
    /// Of the log.
    pub dir: PathBuf,
    pub audit: Audit,
    pub target: Box<dyn Target>,
    pub state: Arc<State>,
    /// Requests that wait for it, and its number there.
    pub pace: Option<(Arc<Pace>, usize)>,
    pub max_lag: u64,
    pub end: watch::Receiver<Option<Instant>>,
    /// Dropped at the end.
    pub _alive: mpsc::Sender<()>,
}

impl Runner {
    /// Starts its thread.
    pub(super) fn start(self) -> Result<(), SinkError> {
        let name = self.name;
        let failed = |error: io::Error| SinkError(format!("the audit sink {name}: {error}"));
        let mut place = Kept::open(&self.dir, name).map_err(failed)?;
        let (follower, from) = Follower::resume(&self.dir, &place.place).map_err(failed)?;
        if from != place.place {
            let (was, seq) = (place.place.seq, from.seq);
            tracing::warn!(
                sink = name,
                was,
                from = seq,
                "the audit log lost lines that the sink took"
            );
            place.place = from;
        }
        // Of its own: it goes on when that of the server is busy, or has ended.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(failed)?;
        let work = Work {
            written: self.audit.written(),
            follower,
            place,
            waiting: VecDeque::new(),
            untold: None,
            runner: self,
        };
        let thread = std::thread::Builder::new().name(format!("audit-{name}"));
        work.moved();
        thread.spawn(move || runtime.block_on(work.run())).map_err(failed)?;
        Ok(())
    }
}

/// A place, and the file it is kept in.
struct Kept {
    place: Place,
    path: PathBuf,
    saved: Place,
    at: Instant,
}

impl Kept {
    fn open(dir: &Path, name: &str) -> io::Result<Self> {
        let path = dir.join(format!("sink-{name}"));
        let place = match Place::load(&path) {
            Ok(Some(place)) => place,
            Ok(None) => {
                let place = Place::newest(dir)?;
                place.save(&path)?;
                place
            }
            // It was given something: rather all of it twice than something never.
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(sink = name, "{} is damaged; sending all there is", path.display());
                Place::default()
            }
            Err(error) => return Err(error),
        };
        Ok(Self { saved: place.clone(), place, path, at: Instant::now() })
    }

    fn save(&mut self) -> io::Result<()> {
        if self.place != self.saved {
            self.place.save(&self.path)?;
            self.saved = self.place.clone();
        }
        self.at = Instant::now();
        Ok(())
    }
}

struct Work {
    runner: Runner,
    written: watch::Receiver<u64>,
    follower: Follower,
    place: Kept,
    /// Lines that were read and not taken yet.
    waiting: VecDeque<Line>,
    /// Entries that it was not given and no entry tells of yet.
    untold: Option<Skip>,
}

impl Work {
    async fn run(mut self) {
        let mut pause = FIRST_PAUSE;
        loop {
            self.keep();
            let head = *self.written.borrow_and_update();
            if head <= self.place.place.seq && self.waiting.is_empty() {
                if self.is_ending() || !self.wait_for_more().await {
                    break;
                }
                continue;
            }
            match self.step(head).await {
                Ok(()) => {
                    pause = FIRST_PAUSE;
                    if self.runner.state.is_failing.swap(false, Ordering::Relaxed) {
                        tracing::info!(
                            sink = self.runner.name,
                            "the audit sink takes entries again"
                        );
                    }
                }
                Err(failure) => {
                    self.failed(&failure);
                    if self.is_ending() {
                        break;
                    }
                    self.rest(pause).await;
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            }
        }
        self.tell();
        if self.untold.is_none()
            && let Err(error) = self.place.save()
        {
            tracing::warn!(sink = self.runner.name, %error, "cannot keep the audit sink's place");
        }
    }

    /// Delivers what comes next.
    async fn step(&mut self, head: u64) -> Result<(), Failure> {
        let unreadable = |error: io::Error| Failure::new(format!("cannot read the log: {error}"));
        self.leave_out(head).map_err(unreadable)?;
        let most = self.runner.target.most();
        if self.waiting.is_empty() {
            self.waiting = self.follower.read(most, MOST_BYTES).map_err(unreadable)?.into();
        }
        let lines = self.waiting.make_contiguous();
        let lines = &lines[..lines.len().min(most)];
        if lines.is_empty() {
            // The files have less than was said: somebody takes them away.
            return Err(Failure::new("the log has not got the entries it should have"));
        }
        let first = lines[0].seq;
        let delivered = {
            let delivering = self.runner.target.deliver(lines);
            tokio::select! {
                delivered = delivering => delivered,
                () = ended(&mut self.runner.end) => Err(Failure::new("the server ended")),
            }
        };
        let taken = match &delivered {
            Ok(()) => lines.len(),
            Err(failure) => failure.taken,
        };
        if taken > 0 {
            self.took(first, taken);
        }
        delivered
    }

    /// The first lines of those waiting were taken.
    fn took(&mut self, first: u64, taken: usize) {
        let before = self.place.place.seq;
        if first > before + 1 {
            let skip = Skip { sink: self.runner.name, first: before + 1, last: first - 1 };
            let count = skip.last - before;
            self.runner.state.skipped.fetch_add(count, Ordering::Relaxed);
            tracing::warn!(
                sink = self.runner.name,
                first = skip.first,
                last = skip.last,
                "the audit sink was not given these entries"
            );
            // Two at once are told as one.
            self.untold = Some(match self.untold.take() {
                Some(untold) => Skip { last: skip.last, ..untold },
                None => skip,
            });
        }
        if let Some(last) = self.waiting.drain(..taken).next_back() {
            self.place.place = last.place();
        }
        self.runner.state.delivered.fetch_add(taken as u64, Ordering::Relaxed);
        self.moved();
    }

    /// Leaves out the oldest if it is too far behind and nobody waits for it.
    fn leave_out(&mut self, head: u64) -> io::Result<()> {
        let next = self.waiting.front().map_or(self.place.place.seq, |line| line.seq - 1);
        if self.runner.pace.is_some() || head.saturating_sub(next) <= self.runner.max_lag {
            return Ok(());
        }
        self.waiting.clear();
        // Half of it, so that one that is slow has not to be told of each.
        self.follower = Follower::after(&self.runner.dir, head - self.runner.max_lag / 2)?;
        Ok(())
    }

    fn failed(&mut self, failure: &Failure) {
        let Failure { reason, again, .. } = failure;
        let state = &self.runner.state;
        state.failures.fetch_add(1, Ordering::Relaxed);
        // Each outage is told once.
        if !state.is_failing.swap(true, Ordering::Relaxed) {
            let sink = self.runner.name;
            tracing::warn!(sink, reason, "the audit sink does not take entries; trying on");
        }
        if *again > 0 {
            let back = self.place.place.seq.saturating_sub(*again);
            match Follower::after(&self.runner.dir, back) {
                Ok(follower) => {
                    self.waiting.clear();
                    self.follower = follower;
                }
                Err(error) => {
                    tracing::warn!(sink = self.runner.name, %error, "cannot go back in the log");
                }
            }
        }
    }

    /// Says how far it came to whoever waits for that.
    fn moved(&self) {
        let seq = self.place.place.seq;
        self.runner.state.seq.store(seq, Ordering::Relaxed);
        if let Some((pace, index)) = &self.runner.pace {
            pace.reached(*index, seq);
        }
    }

    /// Writes the place down where it is time for that; not before what it skips is in the log.
    fn keep(&mut self) {
        self.tell();
        if self.untold.is_some() || self.place.at.elapsed() < KEEP_EVERY {
            return;
        }
        if let Err(error) = self.place.save() {
            tracing::warn!(sink = self.runner.name, %error, "cannot keep the audit sink's place");
            self.place.at = Instant::now();
        }
    }

    /// Has the log tell of what was left out.
    fn tell(&mut self) {
        if let Some(skip) = self.untold.take()
            && !self.runner.audit.skipped(skip.clone())
        {
            self.untold = Some(skip);
        }
    }

    fn is_ending(&self) -> bool {
        self.runner.end.borrow().is_some()
    }

    /// Waits for more entries; false if there is nobody left who could write any.
    async fn wait_for_more(&mut self) -> bool {
        // The place of the last entry is written down as well.
        let keep = tokio::time::sleep(KEEP_EVERY);
        tokio::select! {
            changed = self.written.changed() => changed.is_ok(),
            _ = self.runner.end.changed() => true,
            () = keep, if self.untold.is_some() || self.place.place != self.place.saved => true,
        }
    }

    /// A pause, half of it by chance, unless the end comes.
    async fn rest(&mut self, pause: Duration) {
        let pause = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        let _ = tokio::time::timeout(pause, self.runner.end.changed()).await;
    }
}

/// Returns when the time for the rest is over.
async fn ended(end: &mut watch::Receiver<Option<Instant>>) {
    loop {
        let until = *end.borrow_and_update();
        match until {
            Some(until) => return tokio::time::sleep_until(until).await,
            None if end.changed().await.is_err() => return,
            None => {}
        }
    }
}
