//! The circuit breaker: after a row of failures calls fail at once, and one at a time is let
//! through to see whether Vault is back.
//!
//! A call counts once, after its retries, and only for what says that Vault cannot serve: no
//! connection, no answer in time, a server error. A sealed Vault says so at once and its callers
//! are better told that than that calls are suspended; so that does not count, nor does any answer
//! that blames the request.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::{BreakerConfig, VaultError};

enum Circuit {
    Closed { failures: u32 },
    Open { until: Instant, cause: &'static str },
    HalfOpen { cause: &'static str },
}

/// The breaker of one connection.
pub(super) struct Breaker {
    config: BreakerConfig,
    circuit: Mutex<Circuit>,
}

impl Breaker {
    pub fn new(config: BreakerConfig) -> Self {
        Self { config, circuit: Mutex::new(Circuit::Closed { failures: 0 }) }
    }

    /// Lets a call through, or fails with [`VaultError::CircuitOpen`]. The call must end in
    /// [`Pass::end`]; one that is dropped before counts as none.
    pub fn admit(&self) -> Result<Pass<'_>, VaultError> {
        let mut circuit = self.lock();
        match *circuit {
            Circuit::Closed { .. } => Ok(Pass { breaker: self, probe: false, ended: false }),
            Circuit::Open { until, cause } if until <= Instant::now() => {
                *circuit = Circuit::HalfOpen { cause };
                Ok(Pass { breaker: self, probe: true, ended: false })
            }
            Circuit::Open { cause, .. } | Circuit::HalfOpen { cause } => {
                Err(VaultError::CircuitOpen { cause })
            }
        }
    }

    /// Whether calls are suspended now.
    pub fn is_open(&self) -> bool {
        !matches!(*self.lock(), Circuit::Closed { .. })
    }

    /// Lets all calls through again: Vault was seen to be healthy.
    pub fn close(&self) {
        let was_open = {
            let mut circuit = self.lock();
            let was_open = !matches!(*circuit, Circuit::Closed { .. });
            *circuit = Circuit::Closed { failures: 0 };
            was_open
        };
        if was_open {
            tracing::info!("calls to Vault are resumed");
        }
    }

    fn fail(&self, probe: bool, cause: &'static str) {
        let opened = {
            let mut circuit = self.lock();
            let failures = match *circuit {
                Circuit::Closed { failures } => failures.saturating_add(1),
                Circuit::HalfOpen { .. } if probe => u32::MAX,
                // A call from before the breaker opened.
                Circuit::Open { .. } | Circuit::HalfOpen { .. } => return,
            };
            let opens = failures >= self.config.failures.max(1);
            *circuit = if opens {
                Circuit::Open { until: Instant::now() + self.config.open_for, cause }
            } else {
                Circuit::Closed { failures }
            };
            opens && !probe
        };
        if opened {
            tracing::warn!(cause, "calls to Vault are suspended after repeated failures");
        }
    }

    fn abandon(&self) {
        let mut circuit = self.lock();
        if let Circuit::HalfOpen { cause } = *circuit {
            *circuit = Circuit::Open { until: Instant::now(), cause };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Circuit> {
        self.circuit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that the breaker let through.
pub(super) struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
    ended: bool,
}

impl Pass<'_> {
    /// Counts how the call ended.
    pub fn end(mut self, error: Option<&VaultError>) {
        self.ended = true;
        match error {
            Some(error) if counts(error) => self.breaker.fail(self.probe, error.code()),
            // It never got as far as Vault.
            Some(VaultError::Busy { .. } | VaultError::NotLoggedIn) if !self.probe => {}
            Some(VaultError::Busy { .. } | VaultError::NotLoggedIn) => self.breaker.abandon(),
            _ => self.breaker.close(),
        }
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe && !self.ended {
            self.breaker.abandon();
        }
    }
}

fn counts(error: &VaultError) -> bool {
    matches!(
        error,
        VaultError::Unreachable { .. }
            | VaultError::Timeout { .. }
            | VaultError::ServerError { .. }
            | VaultError::NotVault { .. }
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Longer than a test takes between two steps.
    const OPEN_FOR: Duration = Duration::from_millis(200);

    fn failure() -> VaultError {
        VaultError::ServerError { path: "x".into(), status: 500 }
    }

    fn breaker() -> Breaker {
        Breaker::new(BreakerConfig { failures: 3, open_for: OPEN_FOR })
    }

    fn open(breaker: &Breaker) {
        for _ in 0..3 {
            breaker.admit().unwrap().end(Some(&failure()));
        }
    }

    #[test]
    fn opens_after_a_row_of_failures_and_names_the_cause() {
        let breaker = breaker();
        breaker.admit().unwrap().end(Some(&failure()));
        breaker.admit().unwrap().end(Some(&failure()));
        breaker.admit().unwrap().end(None);
        breaker.admit().unwrap().end(Some(&failure()));
        breaker.admit().unwrap().end(Some(&failure()));
        assert!(!breaker.is_open());
        breaker.admit().unwrap().end(Some(&failure()));
        let refused = breaker.admit().err();
        assert_eq!(refused, Some(VaultError::CircuitOpen { cause: "vault-server-error" }));
    }

    #[test]
    fn one_probe_at_a_time_closes_or_opens_it_again() {
        let breaker = breaker();
        open(&breaker);
        std::thread::sleep(OPEN_FOR);
        let probe = breaker.admit().unwrap();
        assert!(breaker.admit().is_err(), "a second probe");
        probe.end(Some(&failure()));
        assert!(breaker.admit().is_err(), "the probe failed");
        std::thread::sleep(OPEN_FOR);
        breaker.admit().unwrap().end(None);
        assert!(!breaker.is_open());
    }

    #[test]
    fn a_probe_that_is_dropped_makes_room_for_the_next() {
        let breaker = breaker();
        open(&breaker);
        std::thread::sleep(OPEN_FOR);
        drop(breaker.admit().unwrap());
        breaker.admit().unwrap().end(None);
        assert!(!breaker.is_open());
    }

    #[test]
    fn answers_that_blame_the_request_and_a_seal_never_open_it() {
        let breaker = breaker();
        let path = || "x".to_owned();
        for error in [
            VaultError::PermissionDenied { path: path(), capability: "read" },
            VaultError::NotFound { path: path() },
            VaultError::CasMismatch { path: path(), retried: false },
            VaultError::Rejected { path: path(), status: 400 },
            VaultError::RateLimited,
            VaultError::Sealed,
        ] {
            for _ in 0..10 {
                breaker.admit().unwrap().end(Some(&error));
            }
            assert!(!breaker.is_open(), "{error}");
        }
    }
}
