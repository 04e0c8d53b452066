//! The task that keeps the login: it alone logs in, renews, replaces and revokes tokens, one thing
//! at a time, so that nothing needs a lock.

mod end;
mod refresh;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use self::end::Ending;
use self::refresh::Doubts;
use crate::vault::file::FileWatch;
use crate::vault::login::Grant;
use crate::vault::plan::{Backoff, Next, is_capped, plan};
use crate::vault::session::Session;
use crate::vault::shared::{Command, Login, Shared, stopped};
use crate::vault::{Auth, VaultError};

/// How long a replaced token stays valid for the calls that are in flight with it.
const GRACE: Duration = Duration::from_secs(10);

pub(super) struct Keeper {
    shared: Arc<Shared>,
    commands: mpsc::UnboundedReceiver<Command>,
    stop: watch::Receiver<bool>,
    file: Option<FileWatch>,
    next: Next,
    backoff: Backoff,
    epoch: u64,
    ending: Ending,
    retired: Vec<(Instant, Arc<Session>)>,
    doubts: Doubts,
}

impl Keeper {
    pub fn new(
        shared: Arc<Shared>,
        commands: mpsc::UnboundedReceiver<Command>,
        stop: watch::Receiver<bool>,
    ) -> Self {
        let file = match &shared.config.auth {
            Auth::TokenFile(path) => Some(FileWatch::new(path.clone())),
            _ => None,
        };
        Self {
            shared,
            commands,
            stop,
            file,
            next: Next::LogIn(Instant::now()),
            backoff: Backoff::default(),
            epoch: 0,
            ending: Ending::default(),
            retired: Vec::new(),
            doubts: Doubts::default(),
        }
    }

    /// Runs until told to stop, then revokes the tokens that are its own.
    pub async fn run(mut self) {
        loop {
            let wake = self.wake();
            let command = tokio::select! {
                biased;
                () = stopped(&mut self.stop) => break,
                command = self.commands.recv() => command,
                () = sleep_until(wake) => {
                    self.work().await;
                    continue;
                }
            };
            match command {
                Some(command) => self.obey(command).await,
                None => break,
            }
        }
        self.leave().await;
    }

    fn wake(&self) -> Instant {
        const LATEST: Duration = Duration::from_hours(24);
        [
            self.next.at(),
            self.file.as_ref().map(FileWatch::due),
            self.retired.iter().map(|(at, _)| *at).min(),
            self.ending.due,
        ]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or_else(|| Instant::now() + LATEST)
    }

    async fn obey(&mut self, command: Command) {
        match command {
            Command::Refresh { epoch, reply } => {
                let verdict = self.refresh(epoch).await;
                let _ = reply.send(verdict);
            }
            Command::Renew { increment, reply } => {
                let result = self.renew_on_demand(increment).await;
                let _ = reply.send(result);
            }
            Command::Replan => {
                if let Some(session) = self.session()
                    && self.backoff.is_first()
                {
                    self.next = plan(&session.lease.load(), self.can_replace());
                }
            }
        }
    }

    async fn work(&mut self) {
        let now = Instant::now();
        if self.file.as_ref().is_some_and(|file| file.due() <= now)
            && let Some(file) = &mut self.file
            && file.changed().await
        {
            tracing::info!("the token file changed");
            self.log_in().await;
        }
        match self.next {
            Next::LogIn(at) if at <= now => self.log_in().await,
            Next::Renew(at) if at <= now => match self.session() {
                Some(session) => {
                    let _ = self.renew(&session, self.shared.config.renew_increment).await;
                }
                None => self.log_in().await,
            },
            _ => {}
        }
        self.announce_end(now);
        self.revoke_retired(now).await;
    }

    fn session(&self) -> Option<Arc<Session>> {
        self.shared.session.load_full()
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.shared.config.timeout
    }

    /// Whether another login yields another token.
    fn can_replace(&self) -> bool {
        self.shared.config.auth.obtains_tokens()
    }

    async fn log_in(&mut self) {
        let source = self.shared.config.auth.name();
        match self.shared.log_in().await {
            Ok(grant) => {
                self.shared.counters.logins.fetch_add(1, Relaxed);
                self.install(grant);
                if !self.backoff.is_first() || self.epoch == 1 {
                    tracing::info!(source, "logged in to Vault");
                } else {
                    tracing::debug!(source, "logged in to Vault again");
                }
                self.backoff.reset();
            }
            Err(error) => {
                self.shared.counters.login_failures.fetch_add(1, Relaxed);
                self.shared.remember(&error);
                if self.backoff.is_first() {
                    tracing::warn!(source, code = error.code(), %error, "cannot log in to Vault");
                } else {
                    tracing::debug!(source, code = error.code(), "cannot log in to Vault");
                }
                self.next = Next::LogIn(Instant::now() + self.pause(&error));
                if self.session().is_none() {
                    self.shared.login.send_replace(Login::Failed(error));
                }
            }
        }
    }

    fn install(&mut self, grant: Grant) {
        let now = Instant::now();
        self.epoch += 1;
        if let Some(file) = &mut self.file {
            file.took(grant.token);
        }
        let session = Arc::new(Session {
            epoch: self.epoch,
            connection: grant.connection,
            first_ttl: grant.lease.ttl,
            obtained: now,
            served: AtomicBool::new(false),
            own: self.can_replace(),
            source: self.shared.config.auth.name(),
            lease: ArcSwap::from_pointee(grant.lease),
        });
        self.next = plan(&grant.lease, self.can_replace());
        self.ending.due = None;
        if let Some(old) = self.shared.session.swap(Some(Arc::clone(&session))) {
            self.retired.push((now + GRACE, old));
        }
        self.shared.login.send_replace(Login::In);
        self.shared.check_wanted.notify_one();
        if self.next == Next::Nothing && grant.lease.ttl.is_some() {
            self.expect_end(&session);
        }
    }

    async fn renew(&mut self, session: &Session, increment: Duration) -> Result<(), VaultError> {
        match self.shared.renew(&session.connection, increment).await {
            Ok(lease) => {
                self.shared.counters.renewals.fetch_add(1, Relaxed);
                self.backoff.reset();
                session.lease.store(Arc::new(lease));
                self.next = plan(&lease, self.can_replace());
                if is_capped(session, increment, &lease) || self.next == Next::Nothing {
                    if self.can_replace() {
                        self.log_in().await;
                    } else {
                        self.expect_end(session);
                    }
                }
                Ok(())
            }
            Err(error) => {
                self.shared.counters.renewal_failures.fetch_add(1, Relaxed);
                if self.backoff.is_first() {
                    tracing::warn!(code = error.code(), %error, "cannot renew the token");
                }
                let refused = matches!(
                    error,
                    VaultError::PermissionDenied { .. }
                        | VaultError::Rejected { .. }
                        | VaultError::NotFound { .. }
                );
                if refused && self.can_replace() {
                    self.backoff.reset();
                    self.log_in().await;
                } else {
                    self.next = Next::Renew(Instant::now() + self.pause(&error));
                }
                Err(error)
            }
        }
    }

    async fn renew_on_demand(&mut self, increment: Option<Duration>) -> Result<(), VaultError> {
        let Some(session) = self.session() else {
            self.log_in().await;
            return match &*self.shared.login.borrow() {
                Login::Failed(error) => Err(error.clone()),
                Login::In | Login::Pending => Ok(()),
            };
        };
        let lease = **session.lease.load();
        if lease.can_renew() {
            let increment = increment.unwrap_or(self.shared.config.renew_increment);
            return self.renew(&session, increment).await;
        }
        let reason = match lease.ttl {
            None => "it does not expire",
            Some(_) if self.can_replace() => {
                let before = self.epoch;
                self.log_in().await;
                if self.epoch > before {
                    return Ok(());
                }
                "it is not renewable, and the login for another one failed"
            }
            Some(_) if lease.batch => "it is a batch token",
            Some(_) => "it is not renewable",
        };
        Err(VaultError::TokenNotRenewable { origin: session.source, reason })
    }

    /// How long to wait after a failed login or renewal: little while nothing else works.
    fn pause(&mut self, error: &VaultError) -> Duration {
        const SHORT: Duration = Duration::from_secs(2);
        const LONG: Duration = Duration::from_secs(15);
        let spare = self.session().and_then(|session| {
            let lease = session.lease.load();
            Some(lease.expires()?.saturating_duration_since(Instant::now()))
        });
        let refused = matches!(
            error,
            VaultError::LoginFailed { .. }
                | VaultError::TokenInvalid { .. }
                | VaultError::PermissionDenied { .. }
                | VaultError::Rejected { .. }
        );
        let relaxed = refused || spare.is_some_and(|spare| spare > Duration::from_mins(2));
        self.backoff.next(if relaxed { LONG } else { SHORT })
    }
}
