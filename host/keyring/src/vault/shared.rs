//! What the handle of a connection and its tasks share.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};
use tokio::time::{Instant, timeout_at};
use vaultrs::error::ClientError;

use super::breaker::Breaker;
use super::classify::{Failure, Subject};
use super::connection::{Connection, Connector, quietly};
use super::session::Session;
use super::statistics::Counters;
use super::{LastError, Operation, Outcome, State, VaultConfig, VaultError};

/// Where the login stands.
#[derive(Clone)]
pub(super) enum Login {
    /// The first has not ended yet.
    Pending,
    /// There is a session.
    In,
    /// There is none, for this reason.
    Failed(VaultError),
}

/// What the task that keeps the login is asked for.
pub(super) enum Command {
    /// Vault denied a call made with the login `epoch`.
    Refresh { epoch: u64, reply: oneshot::Sender<Verdict> },
    /// Renew the token now.
    Renew { increment: Option<Duration>, reply: oneshot::Sender<Result<(), VaultError>> },
    /// The lease changed under us; plan anew.
    Replan,
}

/// What became of a login whose call was denied.
#[derive(Clone)]
pub(super) enum Verdict {
    /// There is a newer one; try again.
    Replaced,
    /// Vault accepts it; the call was denied by its policies.
    Valid,
    /// It is dead, and this is why there is no other.
    Failed(VaultError),
}

/// The last health check.
#[derive(Clone)]
pub(super) struct Check {
    pub state: State,
    pub at: Option<SystemTime>,
    pub took: Option<Duration>,
    pub version: Option<String>,
}

pub(super) struct Shared {
    pub config: VaultConfig,
    pub connector: Connector,
    /// Without a token, for logins.
    pub anonymous: Arc<Connection>,
    pub session: ArcSwapOption<Session>,
    pub login: watch::Sender<Login>,
    pub commands: mpsc::UnboundedSender<Command>,
    pub permits: Semaphore,
    pub breaker: Breaker,
    pub counters: Counters,
    pub check: Mutex<Check>,
    /// The number of the last health check that began.
    pub checks_begun: AtomicU64,
    /// The number of the last health check that ended.
    pub checks: watch::Sender<u64>,
    pub check_wanted: Notify,
    last_error: Mutex<Option<LastError>>,
    started: Instant,
    suspected_ms: AtomicU64,
}

impl Shared {
    pub fn new(
        config: VaultConfig,
        connector: Connector,
        commands: mpsc::UnboundedSender<Command>,
    ) -> Self {
        Self {
            anonymous: Arc::new(connector.connect("")),
            connector,
            session: ArcSwapOption::empty(),
            login: watch::Sender::new(Login::Pending),
            commands,
            permits: Semaphore::new(config.max_concurrent.min(Semaphore::MAX_PERMITS)),
            breaker: Breaker::new(config.breaker),
            counters: Counters::default(),
            check: Mutex::new(Check { state: State::Unknown, at: None, took: None, version: None }),
            checks_begun: AtomicU64::new(0),
            checks: watch::Sender::new(0),
            check_wanted: Notify::new(),
            last_error: Mutex::new(None),
            started: Instant::now(),
            suspected_ms: AtomicU64::new(0),
            config,
        }
    }

    /// One try of one request, up to `deadline`, unseen by logs.
    pub async fn attempt<T>(
        &self,
        operation: Operation,
        path: &str,
        deadline: Instant,
        request: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, Failure> {
        match timeout_at(deadline, quietly(request)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                Err(Subject { operation, path, config: &self.config }.classify(&error))
            }
            Err(_) => {
                let after = self.config.timeout;
                let error = VaultError::Timeout { path: path.to_owned(), after };
                Err(Failure { error, maybe_executed: true })
            }
        }
    }

    /// One request for the login itself: not held up by the breaker or by calls in flight, tried
    /// once, and counted.
    pub async fn request<T>(
        &self,
        operation: Operation,
        path: &str,
        request: impl Future<Output = Result<T, ClientError>>,
    ) -> Result<T, VaultError> {
        let started = Instant::now();
        let result = self
            .attempt(operation, path, started + self.config.timeout, request)
            .await
            .map_err(|failure| failure.error);
        self.count(operation, started, &result);
        result
    }

    /// Counts a request and remembers its failure. What was never sent says nothing of Vault: what
    /// stands in its way is remembered already.
    pub fn count<T>(&self, operation: Operation, started: Instant, result: &Result<T, VaultError>) {
        let outcome = result.as_ref().map_or_else(Outcome::of, |_| Outcome::Ok);
        self.counters.record(operation, outcome, started.elapsed());
        if let Err(error) = result
            && error.is_unavailable()
            && outcome != Outcome::NotSent
        {
            self.remember(error);
        }
    }

    /// Keeps `error` as the last one.
    pub fn remember(&self, error: &VaultError) {
        let error =
            LastError { code: error.code(), message: error.to_string(), at: SystemTime::now() };
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }

    pub fn last_error(&self) -> Option<LastError> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn last_check(&self) -> Check {
        self.check.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The login in use; waits for the first one up to `deadline`, and fails with its error as
    /// soon as there is one.
    pub async fn session(&self, deadline: Instant) -> Result<Arc<Session>, VaultError> {
        if let Some(session) = self.session.load_full() {
            return Ok(session);
        }
        let mut login = self.login.subscribe();
        let known = login.wait_for(|login| !matches!(login, Login::Pending));
        match timeout_at(deadline, known).await {
            Ok(Ok(login)) => match &*login {
                Login::Failed(error) => Err(error.clone()),
                Login::In | Login::Pending => {
                    self.session.load_full().ok_or(VaultError::NotLoggedIn)
                }
            },
            Ok(Err(_)) => Err(VaultError::ShutDown),
            Err(_) => Err(VaultError::NotLoggedIn),
        }
    }

    /// Has the login `epoch` looked into, because Vault denied a call made with it.
    pub async fn refresh(&self, epoch: u64, deadline: Instant) -> Verdict {
        if self.session.load().as_ref().is_some_and(|session| session.epoch > epoch) {
            return Verdict::Replaced;
        }
        let (reply, verdict) = oneshot::channel();
        if self.commands.send(Command::Refresh { epoch, reply }).is_err() {
            return Verdict::Failed(VaultError::ShutDown);
        }
        match timeout_at(deadline, verdict).await {
            Ok(Ok(verdict)) => verdict,
            Ok(Err(_)) => Verdict::Failed(VaultError::ShutDown),
            Err(_) => {
                let path = "auth/token/lookup-self".to_owned();
                Verdict::Failed(VaultError::Timeout { path, after: self.config.timeout })
            }
        }
    }

    /// Has Vault's health checked soon, because a call failed; at most once a second.
    pub fn suspect(&self) {
        const PAUSE_MS: u64 = 1000;
        let now = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let last = self.suspected_ms.load(Ordering::Relaxed);
        let due = last == 0 || now >= last.saturating_add(PAUSE_MS);
        let ours = || {
            let new = now.max(1);
            self.suspected_ms
                .compare_exchange(last, new, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
        };
        if due && ours() {
            self.check_wanted.notify_one();
        }
    }
}

/// Resolves when the tasks are to end, or their handle is gone.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}
