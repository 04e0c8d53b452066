//! Where the provider's keys come from: fetched in the background, never by a request itself. What
//! was fetched last is used on when the provider is away, for a while.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use reqwest::Client;
use tokio::sync::{Notify, watch};

use super::config::{JwtConfig, Source};
use super::keys::{KeySet, SetError};
use crate::outbound;

/// Longest a fetch may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest set, in bytes.
const MAX_SET: usize = 1 << 20;
/// Shortest time between two fetches, whatever tokens are presented.
const LEAST_PAUSE: Duration = Duration::from_secs(10);
/// Pause after a fetch that failed, if the period is not shorter.
const RETRY: Duration = Duration::from_secs(10);
/// Longest a request waits for a fetch that it asked for.
const PATIENCE: Duration = Duration::from_secs(3);

/// How the keys are looked for.
pub(super) struct Setup {
    from: From,
    refresh: Duration,
    max_stale: Duration,
}

enum From {
    Url(Client, String),
    File(PathBuf),
}

#[derive(Debug, thiserror::Error)]
enum FetchError {
    #[error("{0}")]
    Http(reqwest::Error),
    #[error("it answers {0}")]
    Status(u16),
    #[error("it has over {MAX_SET} bytes")]
    TooLarge,
    #[error("{0}")]
    File(#[from] io::Error),
    #[error("{0}")]
    Set(#[from] SetError),
}

impl std::convert::From<reqwest::Error> for FetchError {
    fn from(error: reqwest::Error) -> Self {
        // The address is said beside it.
        Self::Http(error.without_url())
    }
}

impl Setup {
    pub(super) fn of(config: &JwtConfig) -> Result<Self, String> {
        let from = match &config.source {
            Source::File(path) => From::File(path.clone()),
            Source::Url { url, ca_cert } => {
                let authorities = ca_cert.as_deref().map(|path| ("jwt.ca_cert", path));
                From::Url(outbound::client("jwt.jwks_url", TIMEOUT, authorities)?, url.clone())
            }
        };
        Ok(Self { from, refresh: config.refresh, max_stale: config.max_stale })
    }

    async fn fetch(&self) -> Result<Vec<u8>, FetchError> {
        match &self.from {
            From::File(path) => {
                let bytes = tokio::fs::read(path).await?;
                if bytes.len() > MAX_SET { Err(FetchError::TooLarge) } else { Ok(bytes) }
            }
            From::Url(client, url) => {
                let mut answer = client.get(url).send().await?;
                if answer.status() != 200 {
                    return Err(FetchError::Status(answer.status().as_u16()));
                }
                let mut bytes = Vec::new();
                while let Some(piece) = answer.chunk().await? {
                    if bytes.len() + piece.len() > MAX_SET {
                        return Err(FetchError::TooLarge);
                    }
                    bytes.extend_from_slice(&piece);
                }
                Ok(bytes)
            }
        }
    }

    /// How many keys there are at the moment.
    pub(super) async fn try_once(&self) -> Result<usize, String> {
        let read = async { Ok::<_, FetchError>(KeySet::read(&self.fetch().await?, 0)?.len()) };
        read.await.map_err(|error| format!("{}: {error}", self.shown()))
    }

    fn shown(&self) -> String {
        match &self.from {
            From::Url(_, url) => url.clone(),
            From::File(path) => path.display().to_string(),
        }
    }
}

/// How it is with the keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics {
    /// How many keys are in use; none: JWTs cannot be verified.
    pub keys: usize,
    /// Time since they were last fetched.
    pub age: Option<Duration>,
    /// Fetches that gave a usable set.
    pub fetched: u64,
    /// Fetches that did not.
    pub failed: u64,
    /// Whether the last one did not.
    pub is_failing: bool,
}

struct Current {
    set: Arc<KeySet>,
    json: Vec<u8>,
    fetched: Instant,
}

/// The keys in use.
pub(super) struct Keys {
    max_stale: Duration,
    current: ArcSwapOption<Current>,
    /// Wakes the task that fetches.
    wanted: Notify,
    /// Fetches that have ended.
    ended: watch::Sender<u64>,
    /// When the last one began, in ms since `start`, plus one; none: 0.
    began: AtomicU64,
    start: Instant,
    fetched: AtomicU64,
    failed: AtomicU64,
    /// Failures since the last success.
    failing: AtomicU64,
}

impl Keys {
    /// Starts to look for them, for as long as what is given lives.
    pub(super) fn start(setup: Setup) -> Arc<Self> {
        let keys = Arc::new(Self {
            max_stale: setup.max_stale,
            current: ArcSwapOption::empty(),
            wanted: Notify::new(),
            ended: watch::Sender::new(0),
            began: AtomicU64::new(0),
            start: Instant::now(),
            fetched: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            failing: AtomicU64::new(0),
        });
        tokio::spawn(follow(Arc::downgrade(&keys), setup));
        keys
    }

    /// The set in use, unless it is too old.
    pub(super) fn current(&self) -> Option<Arc<KeySet>> {
        let current = self.current.load();
        let current = current.as_ref()?;
        (current.fetched.elapsed() <= self.max_stale).then(|| Arc::clone(&current.set))
    }

    /// Waits for a fetch that begins now, unless one did a moment ago.
    pub(super) async fn look_again(&self) {
        let began = self.began.load(Ordering::Relaxed);
        let since = self.now().saturating_sub(began);
        if began > 0 && since < millis(LEAST_PAUSE) {
            return;
        }
        let mut ended = self.ended.subscribe();
        self.wanted.notify_one();
        // Whether it came in time is seen from the set.
        let _ = tokio::time::timeout(PATIENCE, ended.changed()).await;
    }

    /// As if the last fetch were long ago.
    #[cfg(test)]
    pub(super) fn look_now(&self) {
        self.began.store(0, Ordering::Relaxed);
    }

    pub(super) fn statistics(&self) -> Statistics {
        let current = self.current.load();
        Statistics {
            keys: self.current().map_or(0, |set| set.len()),
            age: current.as_ref().map(|current| current.fetched.elapsed()),
            fetched: self.fetched.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            is_failing: self.failing.load(Ordering::Relaxed) > 0,
        }
    }

    fn now(&self) -> u64 {
        millis(self.start.elapsed()) + 1
    }

    async fn fetch(&self, setup: &Setup) {
        self.began.store(self.now(), Ordering::Relaxed);
        match self.try_fetch(setup).await {
            Ok(()) => {
                self.fetched.fetch_add(1, Ordering::Relaxed);
                if self.failing.swap(0, Ordering::Relaxed) > 0 {
                    tracing::info!(
                        from = setup.shown(),
                        "the identity provider's keys are there again"
                    );
                }
            }
            Err(error) => {
                self.failed.fetch_add(1, Ordering::Relaxed);
                // Each outage is told once.
                if self.failing.fetch_add(1, Ordering::Relaxed) == 0 {
                    let from = setup.shown();
                    tracing::warn!(%error, from, "the identity provider's keys cannot be had; trying on");
                }
            }
        }
        self.ended.send_modify(|count| *count += 1);
    }

    async fn try_fetch(&self, setup: &Setup) -> Result<(), FetchError> {
        let json = setup.fetch().await?;
        let before = self.current.load_full();
        let set = match &before {
            // Verified tokens stay so.
            Some(before) if before.json == json => Arc::clone(&before.set),
            _ => {
                let generation = before.as_ref().map_or(0, |before| before.set.generation) + 1;
                let set = KeySet::read(&json, generation)?;
                tracing::info!(
                    from = setup.shown(),
                    keys = set.len(),
                    "the identity provider's keys were read"
                );
                Arc::new(set)
            }
        };
        self.current.store(Some(Arc::new(Current { set, json, fetched: Instant::now() })));
        Ok(())
    }
}

async fn follow(keys: Weak<Keys>, setup: Setup) {
    loop {
        let Some(this) = keys.upgrade() else { return };
        this.fetch(&setup).await;
        let is_failing = this.failing.load(Ordering::Relaxed) > 0;
        let pause = if is_failing { setup.refresh.min(RETRY) } else { setup.refresh };
        // It is let go of now and then, so that this ends with the rest.
        let until = Instant::now() + pause;
        let mut this = Some(this);
        while let Some(held) = this.take() {
            let step = until.saturating_duration_since(Instant::now()).min(Duration::from_secs(1));
            if step.is_zero() {
                break;
            }
            if tokio::time::timeout(step, held.wanted.notified()).await.is_ok() {
                break;
            }
            drop(held);
            this = keys.upgrade();
            if this.is_none() {
                return;
            }
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
