//! Requests of each token, whoever it belongs to.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Instant;

use dashmap::DashMap;

use super::rate::{Bucket, Over, Rate};

/// Most tokens that have a bucket each; more share one until some are forgotten. Each takes some 200
/// bytes.
const MAX_TOKENS: usize = 200_000;

struct Token {
    bucket: Bucket,
    /// When it was last presented, in whole seconds since the start.
    last: AtomicU64,
}

/// A bucket for each token that is in use.
pub struct TokenBuckets {
    rate: Rate,
    max: usize,
    start: Instant,
    known: DashMap<Box<str>, Token>,
    /// Of them; to count them takes every lock.
    count: AtomicUsize,
    /// Of all that have none of their own.
    others: Bucket,
}

impl TokenBuckets {
    /// Each token at this rate.
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            max: MAX_TOKENS,
            start: Instant::now(),
            known: DashMap::new(),
            count: AtomicUsize::new(0),
            others: Bucket::new(rate),
        }
    }

    /// The rate of each.
    pub fn rate(&self) -> Rate {
        self.rate
    }

    /// Takes one of the token with this identifier; what is left.
    pub fn take(&self, id: &str) -> Result<u32, Over> {
        let now = self.start.elapsed().as_secs();
        if let Some(token) = self.known.get(id) {
            if token.last.load(Ordering::Relaxed) != now {
                token.last.store(now, Ordering::Relaxed);
            }
            return token.bucket.take(NonZeroU32::MIN);
        }
        if self.count.load(Ordering::Relaxed) >= self.max {
            return self.others.take(NonZeroU32::MIN);
        }
        let token = self.known.entry(id.into()).or_insert_with(|| {
            self.count.fetch_add(1, Ordering::Relaxed);
            Token { bucket: Bucket::new(self.rate), last: AtomicU64::new(now) }
        });
        token.bucket.take(NonZeroU32::MIN)
    }

    /// Forgets tokens whose buckets are full again: they are as if they had never been presented.
    pub fn sweep(&self) {
        let now = self.start.elapsed().as_secs();
        let window = self.rate.window().as_secs() + 1;
        self.known.retain(|_, token| {
            let stays = now.saturating_sub(token.last.load(Ordering::Relaxed)) <= window;
            if !stays {
                self.count.fetch_sub(1, Ordering::Relaxed);
            }
            stays
        });
        self.known.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_token_has_its_own() {
        let buckets = TokenBuckets::new("2/h".parse().unwrap());
        assert_eq!(buckets.take("a"), Ok(1));
        assert_eq!(buckets.take("a"), Ok(0));
        assert!(buckets.take("a").is_err());
        assert_eq!(buckets.take("b"), Ok(1));
    }

    #[test]
    fn however_many_there_are_memory_is_bounded() {
        let buckets = TokenBuckets { max: 2, ..TokenBuckets::new("2/h".parse().unwrap()) };
        for id in ["a", "b"] {
            assert_eq!(buckets.take(id), Ok(1));
        }
        assert_eq!(buckets.take("c"), Ok(1));
        assert_eq!(buckets.take("d"), Ok(0), "shared with c");
        assert!(buckets.take("e").is_err());
        assert_eq!(buckets.take("a"), Ok(0), "still its own");
        assert_eq!(buckets.known.len(), 2);
    }

    #[test]
    fn a_token_is_forgotten_when_its_bucket_is_full() {
        let Some(start) = Instant::now().checked_sub(Duration::from_secs(100)) else { return };
        let buckets = TokenBuckets { start, ..TokenBuckets::new("2/m".parse().unwrap()) };
        for (id, last) in [("old", 38), ("new", 40)] {
            buckets.take(id).unwrap();
            buckets.known.get(id).unwrap().last.store(last, Ordering::Relaxed);
        }
        buckets.sweep();
        assert!(buckets.known.contains_key("new") && !buckets.known.contains_key("old"));
        assert_eq!(buckets.count.load(Ordering::Relaxed), 1);
    }
}
