//! A rate as it is written, `100/s` or `100/s burst 200`, and a bucket that keeps to it.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock, QuantaInstant};
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::{InMemoryState, NotKeyed};
use governor::{InsufficientCapacity, NotUntil, Quota, RateLimiter};

/// Largest count and largest burst: what comes faster is not limited in earnest.
const MAX: u32 = 1_000_000;

/// So many in a period, and how many of them at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU32,
    per: Per,
    burst: NonZeroU32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Per {
    Second,
    Minute,
    Hour,
}

impl Per {
    const ALL: [(Self, &'static str, u64); 3] =
        [(Self::Second, "s", 1), (Self::Minute, "m", 60), (Self::Hour, "h", 3_600)];

    fn row(self) -> (&'static str, u64) {
        let found = Self::ALL.into_iter().find(|(per, ..)| *per == self);
        found.map_or(("s", 1), |(_, text, seconds)| (text, seconds))
    }
}

/// Not a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a rate such as `100/s`, `600/m` or `100/s burst 200`, of 1 to 1000000 each")]
pub struct NotARate;

impl FromStr for Rate {
    type Err = NotARate;

    fn from_str(text: &str) -> Result<Self, NotARate> {
        let number = |text: &str| {
            let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let number = digits.then(|| text.parse::<u32>().ok()).flatten();
            number.filter(|number| *number <= MAX).and_then(NonZeroU32::new).ok_or(NotARate)
        };
        let (rate, burst) = match text.split_once(" burst ") {
            Some((rate, burst)) => (rate, Some(number(burst.trim())?)),
            None => (text, None),
        };
        let (count, unit) = rate.trim().split_once('/').ok_or(NotARate)?;
        let count = number(count)?;
        let found = Per::ALL.into_iter().find(|(_, name, _)| *name == unit).ok_or(NotARate)?;
        Ok(Self { count, per: found.0, burst: burst.unwrap_or(count) })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.per.row().0)?;
        if self.burst == self.count { Ok(()) } else { write!(f, " burst {}", self.burst) }
    }
}

impl Rate {
    /// How many may come at once.
    pub fn burst(self) -> u32 {
        self.burst.get()
    }

    /// Time in which `cells` are made good, in whole seconds, rounded up.
    pub fn seconds_of(self, cells: u32) -> u64 {
        (u64::from(cells) * self.per.row().1).div_ceil(self.count.get().into())
    }

    /// Time in which an empty bucket is full again.
    pub fn window(self) -> Duration {
        Duration::from_secs(self.seconds_of(self.burst()))
    }

    pub(super) fn quota(self) -> Quota {
        let each = Duration::from_secs(self.per.row().1) / self.count.get();
        // A period of no time at all is what a count within bounds never gives.
        let quota = Quota::with_period(each.max(Duration::from_nanos(1)));
        quota.unwrap_or(Quota::per_second(self.count)).allow_burst(self.burst)
    }
}

/// That something is over its rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// It would pass after this time.
    Until(Duration),
    /// It never would: it is more than may come at once.
    Never,
}

pub(super) type Outcome = Result<StateSnapshot, NotUntil<QuantaInstant>>;

/// What is left, or how long to wait.
pub(super) fn outcome(
    outcome: Result<Outcome, InsufficientCapacity>,
    clock: &DefaultClock,
) -> Result<u32, Over> {
    match outcome {
        Ok(Ok(state)) => Ok(state.remaining_burst_capacity()),
        Ok(Err(over)) => Err(Over::Until(over.wait_time_from(clock.now()))),
        Err(InsufficientCapacity(_)) => Err(Over::Never),
    }
}

/// One rate and how much of it is used up.
pub struct Bucket {
    pub(super) rate: Rate,
    limiter: RateLimiter<NotKeyed, InMemoryState, DefaultClock, StateInformationMiddleware>,
}

impl Bucket {
    /// A full one.
    pub fn new(rate: Rate) -> Self {
        let limiter = RateLimiter::direct(rate.quota());
        Self { rate, limiter: limiter.with_middleware() }
    }

    /// Takes all of `cells` or none; what is left.
    pub fn take(&self, cells: NonZeroU32) -> Result<u32, Over> {
        outcome(self.limiter.check_n(cells), self.limiter.clock())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rate(text: &str) -> Rate {
        text.parse().unwrap()
    }

    #[test]
    fn rates_are_written_as_they_are_read() {
        for text in ["100/s", "600/m", "1/h", "100/s burst 200", "5/m burst 1", "1000000/s"] {
            assert_eq!(rate(text).to_string(), text);
        }
        assert_eq!(rate("7/s burst 7").to_string(), "7/s");
        for bad in ["", "100", "100/d", "0/s", "1000001/s", "-1/s", "+1/s", "1/s burst", "1/s 5"] {
            assert_eq!(bad.parse::<Rate>(), Err(NotARate), "{bad}");
        }
        assert_eq!("1/s burst 0".parse::<Rate>(), Err(NotARate));
    }

    #[test]
    fn a_bucket_gives_its_burst_and_says_when_there_is_more() {
        let one = NonZeroU32::MIN;
        let bucket = Bucket::new(rate("6/m burst 3"));
        assert_eq!([2, 1, 0].map(Ok), std::array::from_fn(|_| bucket.take(one)));
        let Err(Over::Until(wait)) = bucket.take(one) else { panic!("there was a fourth") };
        assert!(wait > Duration::from_secs(9) && wait <= Duration::from_secs(10), "{wait:?}");
        assert_eq!(bucket.take(NonZeroU32::new(4).unwrap()), Err(Over::Never));
        // What was refused took nothing.
        let bucket = Bucket::new(rate("6/m burst 3"));
        bucket.take(one).unwrap();
        assert!(bucket.take(NonZeroU32::new(3).unwrap()).is_err());
        assert_eq!(bucket.take(NonZeroU32::new(2).unwrap()), Ok(0));
    }

    #[test]
    fn windows() {
        assert_eq!(rate("100/s burst 250").window(), Duration::from_secs(3));
        assert_eq!(rate("6/m burst 3").seconds_of(2), 20);
        assert_eq!(rate("6/m").seconds_of(0), 0);
    }

    proptest! {
        #[test]
        fn any_text_is_a_rate_or_an_error(text in ".{0,20}") {
            if let Ok(rate) = text.parse::<Rate>() {
                prop_assert_eq!(rate.to_string().parse::<Rate>(), Ok(rate));
            }
        }
    }
}
