//! What to do about a login whose call was denied.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::Instant;

use super::Keeper;
use crate::vault::VaultError;
use crate::vault::shared::{Login, Verdict};

/// The shortest life of a token found dead before another login is made, after one did not help.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);

/// What is known about denials of the current login.
#[derive(Default)]
pub(super) struct Doubts {
    /// The last lookup after a denial.
    known: Option<(u64, Instant, Verdict)>,
    /// The pause between logins made because a token was found dead. It grows while they do not
    /// help, so that a token that may not look itself up does not have Vault flooded.
    pause: Duration,
}

impl Keeper {
    /// Looks into a login that was denied a call: a dead one is replaced where that is possible.
    /// One that is alive is replaced too, when it is old enough, because the policies of a role
    /// bind only later logins.
    pub(super) async fn refresh(&mut self, epoch: u64) -> Verdict {
        const REMEMBERED: Duration = Duration::from_secs(1);
        const OLD: Duration = Duration::from_mins(1);
        let Some(session) = self.session() else { return self.absent() };
        if session.epoch > epoch {
            return Verdict::Replaced;
        }
        let now = Instant::now();
        if let Some((known, at, verdict)) = &self.doubts.known
            && *known == epoch
            && now.duration_since(*at) < REMEMBERED
        {
            return verdict.clone();
        }
        if let Some(file) = &mut self.file
            && file.changed().await
        {
            self.log_in().await;
            if self.epoch > epoch {
                return Verdict::Replaced;
            }
        }
        let verdict = match self.shared.look_up(&session.connection, self.deadline()).await {
            Ok(_) => Verdict::Valid,
            Err(error) => Verdict::Failed(error),
        };
        let dead = matches!(&verdict, Verdict::Failed(VaultError::TokenInvalid { .. }));
        let age = now.duration_since(session.obtained);
        let proved_useful = session.served.load(Relaxed) && age >= SHORTEST_PAUSE;
        if age > OLD || proved_useful {
            self.doubts.pause = Duration::ZERO;
        }
        let wait = if dead { self.doubts.pause } else { OLD };
        let may_help = dead || matches!(verdict, Verdict::Valid);
        if self.can_replace() && may_help && age >= wait {
            self.log_in().await;
            if self.epoch > epoch {
                self.doubts.pause = (self.doubts.pause * 2).clamp(SHORTEST_PAUSE, OLD);
                return Verdict::Replaced;
            }
        }
        let verdict = match (verdict, &*self.shared.login.borrow()) {
            (Verdict::Failed(_), Login::Failed(error)) if dead => Verdict::Failed(error.clone()),
            (verdict, _) => verdict,
        };
        self.doubts.known = Some((epoch, Instant::now(), verdict.clone()));
        verdict
    }

    fn absent(&self) -> Verdict {
        match &*self.shared.login.borrow() {
            Login::Failed(error) => Verdict::Failed(error.clone()),
            Login::In | Login::Pending => Verdict::Failed(VaultError::NotLoggedIn),
        }
    }
}
