//! How tokens end: announced when nothing can prevent it, revoked when they are this process's own.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Keeper;
use crate::vault::VaultError;
use crate::vault::session::Session;
use crate::vault::shared::Login;

/// The end of the current token that nothing here can prevent.
#[derive(Default)]
pub(super) struct Ending {
    /// When to say so; `None` when there is nothing to say.
    pub due: Option<Instant>,
    /// The session of which it was said.
    announced: u64,
}

impl Keeper {
    /// Notes that the token will end and cannot be extended further.
    pub(super) fn expect_end(&mut self, session: &Session) {
        if self.ending.announced != session.epoch {
            let warning = self.shared.config.expiry_warning;
            self.ending.due = session.lease.load().expires().map(|expires| {
                let now = Instant::now();
                now + expires.saturating_duration_since(now).saturating_sub(warning)
            });
        }
    }

    /// Says once for each token that it will end, as early as the expiry warning asks.
    pub(super) fn announce_end(&mut self, now: Instant) {
        if self.ending.due.is_none_or(|due| due > now) {
            return;
        }
        self.ending.due = None;
        let Some(session) = self.session() else { return };
        let status = session.status(self.shared.config.expiry_warning);
        match status.ttl {
            Some(ttl) if status.expires_soon => {
                self.ending.announced = session.epoch;
                let (source, ttl) = (status.source, ttl.as_secs());
                tracing::warn!(
                    source,
                    ttl,
                    "the token ends in {ttl} s and cannot be extended; give another in time"
                );
            }
            // Somebody else extended it meanwhile.
            _ => self.expect_end(&session),
        }
    }

    pub(super) async fn revoke_retired(&mut self, now: Instant) {
        while let Some(at) = self.retired.iter().position(|(due, _)| *due <= now) {
            let (_, session) = self.retired.swap_remove(at);
            self.revoke(&session).await;
        }
    }

    async fn revoke(&self, session: &Session) {
        if session.own
            && !session.lease.load().batch
            && let Err(error) = self.shared.revoke(&session.connection).await
        {
            tracing::debug!(code = error.code(), "a token was not revoked");
        }
    }

    pub(super) async fn leave(mut self) {
        const LONGEST: Duration = Duration::from_secs(3);
        self.shared.login.send_replace(Login::Failed(VaultError::ShutDown));
        let mut sessions: Vec<_> = self.retired.drain(..).map(|(_, session)| session).collect();
        sessions.extend(self.shared.session.swap(None));
        let all = async {
            for session in &sessions {
                self.revoke(session).await;
            }
        };
        if timeout(LONGEST, all).await.is_err() {
            tracing::warn!("Vault did not answer in time; tokens of this process end by their TTL");
        }
    }
}
