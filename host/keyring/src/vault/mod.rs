//! A connection to HashiCorp Vault or OpenBao: the HTTP client, the login and its renewal, the
//! resilience of calls, and the monitor of Vault's health.
//!
//! It owns the token and everything that is said to Vault about it; one pool of connections for
//! the life of the process; the retries, the limit on concurrent calls and the circuit breaker;
//! and the counts of requests. It never knows what a record means, never caches one, never holds a
//! lock across a request, and never lets a token, a value or the text of one of Vault's answers
//! into an error or a log line.
//!
//! The token's policy needs, beside what the records need, `read` on `auth/token/lookup-self` and
//! `update` on `auth/token/renew-self` and `auth/token/revoke-self`; Vault's `default` policy
//! grants all three.

mod breaker;
mod call;
mod classify;
mod config;
mod connection;
mod error;
mod file;
mod health;
mod keeper;
mod login;
mod monitor;
mod operation;
mod plan;
mod raw;
mod secret_path;
mod session;
mod shared;
mod statistics;
mod status;
#[cfg(test)]
mod tests;

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub(crate) use call::Call;
pub use config::{Auth, BreakerConfig, KUBERNETES_JWT_FILE, Tls, VaultConfig};
pub(crate) use connection::Connection;
pub use error::VaultError;
pub use operation::{Operation, Outcome};
pub(crate) use raw::Raw;
pub use secret_path::SecretPath;
pub use statistics::{LATENCY_BOUNDS, Latency, Statistics};
pub use status::{LastError, Requests, State, Status, TokenStatus};

use connection::Connector;
use keeper::Keeper;
use monitor::Monitor;
use shared::{Command, Login, Shared, stopped};

/// A connection to Vault. Clones are handles to the same one. When the last is dropped, its tasks
/// end; [`Vault::shutdown`] is the clean way, because it also revokes the token.
#[derive(Clone)]
pub struct Vault(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let tasks = std::mem::take(self.tasks.get_mut().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.abort();
        }
    }
}

impl Vault {
    /// Checks the settings, reads the TLS files, and starts the tasks that log in and that watch
    /// Vault's health. It does not wait for Vault, which may be away: calls fail with the reason
    /// until it is there. Must be called inside a Tokio runtime. Fails with
    /// [`VaultError::Config`].
    pub fn start(config: VaultConfig) -> Result<Self, VaultError> {
        let runtime = Handle::try_current().map_err(|_| VaultError::Config {
            setting: "vault",
            reason: "a connection is started inside a Tokio runtime only".to_owned(),
        })?;
        let connector = Connector::new(&config)?;
        let (commands, queue) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared::new(config, connector, commands));
        let stop = watch::Sender::new(false);
        let keeper = Keeper::new(Arc::clone(&shared), queue, stop.subscribe());
        let monitor = Monitor::new(Arc::clone(&shared), stop.subscribe());
        let tasks = vec![runtime.spawn(keeper.run()), runtime.spawn(monitor.run())];
        Ok(Self(Arc::new(Inner { shared, stop, tasks: Mutex::new(tasks) })))
    }

    /// What the connection was made from.
    pub(crate) fn config(&self) -> &VaultConfig {
        &self.0.shared.config
    }

    /// How things stand, without asking Vault.
    pub fn status(&self) -> Status {
        let shared = &self.0.shared;
        let check = shared.last_check();
        let warning = shared.config.expiry_warning;
        Status {
            state: check.state,
            last_check: check.at,
            check_duration: check.took,
            last_error: shared.last_error(),
            token: shared.session.load().as_ref().map(|session| session.status(warning)),
            requests: shared.counters.requests(),
            version: check.version,
        }
    }

    /// Checks Vault's health and the token now, and returns how things stand then. All who ask
    /// while a check is under way share the next one, which begins when that one ends. After
    /// [`Vault::shutdown`] nothing is checked any more.
    pub async fn check_now(&self) -> Status {
        let mut checks = self.0.shared.checks.subscribe();
        let mut stop = self.0.stop.subscribe();
        let wanted = self.0.shared.checks_begun.load(SeqCst) + 1;
        self.0.shared.check_wanted.notify_one();
        tokio::select! {
            biased;
            () = stopped(&mut stop) => {}
            _ = checks.wait_for(|ended| *ended >= wanted) => {}
        }
        self.status()
    }

    /// Renews the token now, by `increment` or the configured time, or replaces one that the
    /// login method can replace and Vault does not renew. Fails with
    /// [`VaultError::TokenNotRenewable`] when there is nothing to renew.
    pub async fn renew_now(&self, increment: Option<Duration>) -> Result<TokenStatus, VaultError> {
        let shared = &self.0.shared;
        let (reply, result) = oneshot::channel();
        if shared.commands.send(Command::Renew { increment, reply }).is_err() {
            return Err(VaultError::ShutDown);
        }
        match timeout(shared.config.timeout, result).await {
            Ok(Ok(result)) => result?,
            Ok(Err(_)) => return Err(VaultError::ShutDown),
            Err(_) => {
                let path = "auth/token/renew-self".to_owned();
                return Err(VaultError::Timeout { path, after: shared.config.timeout });
            }
        }
        let session = shared.session.load_full().ok_or(VaultError::NotLoggedIn)?;
        Ok(session.status(shared.config.expiry_warning))
    }

    /// The counts since the start.
    pub fn statistics(&self) -> Statistics {
        self.0.shared.counters.snapshot(self.0.shared.breaker.is_open())
    }

    /// Waits until there is a login and Vault is usable. Waits for ever after
    /// [`Vault::shutdown`].
    pub async fn wait_ready(&self) {
        let mut checks = self.0.shared.checks.subscribe();
        loop {
            let status = self.status();
            if status.state.is_usable() && status.token.is_some() {
                return;
            }
            // The sender lives as long as this handle.
            let _ = checks.changed().await;
        }
    }

    /// Ends the tasks and revokes the tokens that were obtained by logging in; a token that was
    /// given stays valid. Takes a few seconds at most. Calls made later fail with
    /// [`VaultError::ShutDown`]. A second call does nothing.
    pub async fn shutdown(&self) {
        const LONGEST: Duration = Duration::from_secs(5);
        self.0.shared.login.send_replace(Login::Failed(VaultError::ShutDown));
        self.0.stop.send_replace(true);
        let tasks =
            std::mem::take(&mut *self.0.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for mut task in tasks {
            if timeout(LONGEST, &mut task).await.is_err() {
                task.abort();
            }
        }
        self.0.shared.session.store(None);
    }
}
