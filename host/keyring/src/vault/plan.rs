//! When the token is seen to next, and how long to wait after a failure.

use std::time::Duration;

use tokio::time::Instant;

use super::session::{Lease, Session};

/// What to do about the login, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing until somebody asks: the token does not expire, or nothing can be done about it.
    Nothing,
    /// Ask for more time.
    Renew(Instant),
    /// Get another token.
    LogIn(Instant),
}

impl Next {
    pub fn at(self) -> Option<Instant> {
        match self {
            Self::Nothing => None,
            Self::Renew(at) | Self::LogIn(at) => Some(at),
        }
    }
}

/// The plan for a login: at two thirds of its TTL, or a little earlier so that hosts that started
/// together spread out, it is renewed, or replaced when Vault does not renew it.
pub(super) fn plan(lease: &Lease, replaceable: bool) -> Next {
    /// Tokens near their end are not asked about more often than this.
    const SHORTEST: Duration = Duration::from_millis(250);
    let Some(ttl) = lease.ttl else { return Next::Nothing };
    let share = (2.0 - 0.15 * fastrand::f64()) / 3.0;
    let at = (lease.since + ttl.mul_f64(share)).max(Instant::now() + SHORTEST);
    if lease.can_renew() {
        Next::Renew(at)
    } else if replaceable {
        Next::LogIn(at)
    } else {
        Next::Nothing
    }
}

/// Whether a renewal gave less than was asked for, because the token nears its maximum TTL.
pub(super) fn is_capped(session: &Session, asked: Duration, granted: &Lease) -> bool {
    let (Some(granted), Some(first)) = (granted.ttl, session.first_ttl) else { return false };
    // Vault counts in whole seconds.
    granted + Duration::from_secs(1) < asked.min(first) || granted.is_zero()
}

/// Growing, random pauses between tries that fail.
#[derive(Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next pause: between half and all of 250 ms, 500 ms, 1 s … `longest`.
    pub fn next(&mut self, longest: Duration) -> Duration {
        let pause = Duration::from_millis(250 << self.failures.min(12)).min(longest);
        self.failures = self.failures.saturating_add(1);
        pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    pub fn reset(&mut self) {
        self.failures = 0;
    }

    pub fn is_first(&self) -> bool {
        self.failures == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(ttl: Option<u64>, renewable: bool, batch: bool) -> Lease {
        Lease { ttl: ttl.map(Duration::from_secs), renewable, batch, since: Instant::now() }
    }

    #[tokio::test(start_paused = true)]
    async fn renews_at_two_thirds_and_replaces_what_cannot_be_renewed() {
        let now = Instant::now();
        let at = |next: Next| next.at().unwrap() - now;
        for _ in 0..100 {
            let next = plan(&lease(Some(3600), true, false), true);
            assert!(matches!(next, Next::Renew(_)));
            assert!(at(next) <= Duration::from_mins(40), "{:?}", at(next));
            assert!(at(next) >= Duration::from_secs(2200), "{:?}", at(next));
        }
        assert!(matches!(plan(&lease(Some(60), false, false), true), Next::LogIn(_)));
        assert!(matches!(plan(&lease(Some(60), true, true), true), Next::LogIn(_)), "batch");
        assert_eq!(plan(&lease(Some(60), false, false), false), Next::Nothing);
        assert_eq!(plan(&lease(None, true, false), true), Next::Nothing);
        assert!(at(plan(&lease(Some(0), true, false), true)) > Duration::ZERO, "no busy loop");
    }

    #[test]
    fn pauses_grow_to_the_longest() {
        let longest = Duration::from_secs(2);
        let mut backoff = Backoff::default();
        assert!(backoff.next(longest) <= Duration::from_millis(250));
        for _ in 0..50 {
            backoff.next(longest);
        }
        let pause = backoff.next(longest);
        assert!(pause <= longest && pause >= longest / 2, "{pause:?}");
    }
}
