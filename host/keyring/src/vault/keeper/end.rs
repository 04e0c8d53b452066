//! How tokens end: announced when nothing can prevent it, revoked when they are this process's own.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::Keeper;
use crate::vault::VaultError;
use crate::vault::session::Session;
use crate::vault::shared::Login;

impl Keeper {
    /// Says once that the token will end and nothing here can prevent it.
    pub(super) fn announce_end(&mut self, session: &Session) {
        if self.announced == session.epoch {
            return;
        }
        self.announced = session.epoch;
        let ttl = session.status(Duration::ZERO).ttl.unwrap_or_default().as_secs();
        tracing::warn!(
            source = session.source,
            ttl,
            "the token ends in {ttl} s and cannot be extended further; give another in time"
        );
    }

    pub(super) async fn revoke_retired(&mut self, now: Instant) {
        while let Some(at) = self.retired.iter().position(|(due, _)| *due <= now) {
            let (_, session) = self.retired.swap_remove(at);
            self.revoke(&session).await;
        }
    }

    async fn revoke(&self, session: &Session) {
        if session.own && !session.lease.load().batch && !session.is_expired() {
            // A token that is already gone is as good as revoked.
            if let Err(error) = self.shared.revoke(&session.connection).await {
                tracing::debug!(code = error.code(), "a token was not revoked");
            }
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
