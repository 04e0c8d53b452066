//! What a connection to Vault reports about itself.

use std::time::{Duration, SystemTime};

/// What the last health check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// No check has ended yet.
    Unknown,
    /// Vault is active and unsealed, and it accepts the token.
    Healthy,
    /// Vault cannot be reached, is not initialised, fails, or does not accept the token.
    Unhealthy,
    /// Vault is sealed.
    Sealed,
    /// A standby answers, forwards calls to the active node, and the token is accepted.
    Standby,
}

impl State {
    /// The state in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
            Self::Sealed => "sealed",
            Self::Standby => "standby",
        }
    }

    /// Whether calls can succeed: healthy, or a standby that forwards them.
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Healthy | Self::Standby)
    }
}

/// A connection to Vault at one moment. Nothing in it is secret.
#[derive(Clone, Debug)]
pub struct Status {
    /// What the last health check found.
    pub state: State,
    /// When that check ended; `None` before the first.
    pub last_check: Option<SystemTime>,
    /// How long that check took.
    pub check_duration: Option<Duration>,
    /// The last failure of a check, a login, a renewal or a call.
    pub last_error: Option<LastError>,
    /// The token in use; `None` before the first login.
    pub token: Option<TokenStatus>,
    /// The requests made, without health checks.
    pub requests: Requests,
    /// Vault's version, as it reports it.
    pub version: Option<String>,
}

/// A failure and its time.
#[derive(Clone, Debug)]
pub struct LastError {
    /// [`VaultError::code`](super::VaultError::code) of it.
    pub code: &'static str,
    /// What happened and what to do. Nothing in it is secret.
    pub message: String,
    /// When it happened.
    pub at: SystemTime,
}

/// The token in use. Nothing in it is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenStatus {
    /// How long it lasts from now; `None` for a token that does not expire.
    pub ttl: Option<Duration>,
    /// Whether Vault extends it.
    pub renewable: bool,
    /// Whether `ttl` is below the configured warning.
    pub expires_soon: bool,
    /// Where it came from: `token`, `token-file`, `approle` or `kubernetes`.
    pub source: &'static str,
    /// Whether it is a batch token.
    pub batch: bool,
}

/// Requests to Vault since the start: calls of the store, logins, renewals and revocations. Health
/// checks are not among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Requests {
    /// Successful and failed ones together.
    pub total: u64,
    /// Those that Vault answered, also with "not found" or "changed by another writer".
    pub successful: u64,
    /// All others. Calls that were never sent (suspended, no permit, not logged in) do not count.
    pub failed: u64,
    /// The mean time of a request, its retries included; zero before the first.
    pub average: Duration,
}
