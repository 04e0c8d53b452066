//! The task that checks Vault's health: first Vault itself, then the token. It changes nothing but
//! what is reported, and closes the breaker when all is well.

use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::connection::Connection;
use super::health::CHECK_TIMEOUT;
use super::shared::{Check, Command, Shared, Verdict, stopped};
use super::{State, VaultError};

/// The longest pause between checks while Vault is not usable, so that its return is noticed.
const ALERT: Duration = Duration::from_secs(1);

pub(super) struct Monitor {
    shared: Arc<Shared>,
    probe: Connection,
    stop: watch::Receiver<bool>,
    /// What was logged last: the state and the code of its error.
    logged: (State, &'static str),
}

impl Monitor {
    pub fn new(shared: Arc<Shared>, stop: watch::Receiver<bool>) -> Self {
        let probe = shared.connector.probe();
        Self { shared, probe, stop, logged: (State::Unknown, "") }
    }

    /// Checks at once, then periodically and on demand, until told to stop.
    pub async fn run(mut self) {
        loop {
            let shared = Arc::clone(&self.shared);
            let mut stop = self.stop.clone();
            let round = async {
                let state = self.check().await;
                let period = shared.config.health_period;
                let pause = if state.is_usable() { period } else { period.min(ALERT) };
                tokio::select! {
                    () = shared.check_wanted.notified() => {}
                    () = sleep(pause) => {}
                }
            };
            tokio::select! {
                biased;
                () = stopped(&mut stop) => return,
                () = round => {}
            }
        }
    }

    async fn check(&mut self) -> State {
        let started = Instant::now();
        let number = self.shared.checks_begun.fetch_add(1, SeqCst) + 1;
        let timeout = self.shared.config.timeout.min(CHECK_TIMEOUT);
        let health = self.shared.health(&self.probe, timeout).await;
        let result = match health.state {
            Ok(state) => self.check_token(Instant::now() + timeout).await.map(|()| state),
            Err(error) => Err(error),
        };
        let state = match &result {
            Ok(state) => *state,
            Err(VaultError::Sealed) => State::Sealed,
            Err(_) => State::Unhealthy,
        };
        if let Err(error) = &result {
            self.shared.remember(error);
        }
        {
            let mut check = self.shared.check.lock().unwrap_or_else(PoisonError::into_inner);
            *check = Check {
                state,
                at: Some(SystemTime::now()),
                took: Some(started.elapsed()),
                version: health.version.or_else(|| check.version.take()),
            };
        }
        if state.is_usable() {
            self.shared.breaker.close();
        }
        self.log(state, result.err().as_ref());
        self.shared.checks.send_replace(number);
        state
    }

    /// Whether Vault accepts the token; one that it does not is replaced where that is possible.
    async fn check_token(&self, deadline: Instant) -> Result<(), VaultError> {
        let session = self.shared.session(deadline).await?;
        let before = session.lease.load_full();
        match self.shared.look_up(&session.connection, deadline).await {
            Ok(lease) => {
                // Somebody else may have renewed it, or time may have passed unseen. If this host
                // renewed it meanwhile, the answer is older than what is known.
                let known = session.lease.compare_and_swap(&before, Arc::new(lease));
                if !Arc::ptr_eq(&known, &before) {
                    return Ok(());
                }
                let sooner = match (before.expires(), lease.expires()) {
                    (Some(before), Some(now)) => now + Duration::from_secs(2) < before,
                    (before, now) => before.is_none() && now.is_some(),
                };
                if sooner {
                    let _ = self.shared.commands.send(Command::Replan);
                }
                Ok(())
            }
            Err(VaultError::TokenInvalid { .. }) => {
                match self.shared.refresh(session.epoch, deadline).await {
                    Verdict::Replaced => {
                        let session = self.shared.session(deadline).await?;
                        self.shared.look_up(&session.connection, deadline).await.map(|_| ())
                    }
                    Verdict::Valid => Ok(()),
                    Verdict::Failed(error) => Err(error),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Logs a state once, when it begins.
    fn log(&mut self, state: State, error: Option<&VaultError>) {
        let now = (state, error.map_or("", VaultError::code));
        if now == self.logged {
            return;
        }
        let before = self.logged.0.as_str();
        self.logged = now;
        let state = state.as_str();
        match error {
            None => tracing::info!(state, before, "Vault is {state}"),
            Some(error) => {
                tracing::warn!(state, before, code = error.code(), %error, "Vault is {state}");
            }
        }
    }
}
