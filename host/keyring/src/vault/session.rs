//! A login: a token, its connection, and what Vault says about how long it lasts.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::time::Instant;

use super::TokenStatus;
use super::connection::Connection;

/// How long a token lasts, as last heard from Vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Lease {
    /// The time it was granted for; `None` for a token that does not expire.
    pub ttl: Option<Duration>,
    pub renewable: bool,
    pub batch: bool,
    /// When Vault said so; the TTL counts from here.
    pub since: Instant,
}

impl Lease {
    pub fn expires(&self) -> Option<Instant> {
        self.ttl.map(|ttl| self.since + ttl)
    }

    /// Whether asking Vault for more time can help.
    pub fn can_renew(&self) -> bool {
        self.ttl.is_some() && self.renewable && !self.batch
    }
}

/// One login.
pub(super) struct Session {
    /// Counts the logins; a later one has a higher number.
    pub epoch: u64,
    pub connection: Arc<Connection>,
    pub lease: ArcSwap<Lease>,
    /// The TTL at the login, which renewals are measured by.
    pub first_ttl: Option<Duration>,
    pub obtained: Instant,
    /// Whether a call succeeded with it.
    pub served: AtomicBool,
    /// Whether the token is this process's own, to be revoked when it is done with.
    pub own: bool,
    pub source: &'static str,
}

impl Session {
    pub fn status(&self, expiry_warning: Duration) -> TokenStatus {
        let lease = self.lease.load();
        let ttl = lease.expires().map(|expires| expires.saturating_duration_since(Instant::now()));
        TokenStatus {
            ttl,
            renewable: lease.renewable,
            expires_soon: ttl.is_some_and(|ttl| ttl < expiry_warning),
            source: self.source,
            batch: lease.batch,
        }
    }
}
