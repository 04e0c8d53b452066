//! Remembers verified tokens: by the SHA-256 of their text, so that the hot path neither reads
//! the store nor allocates. Remembers for a moment which are none, so that a wrong token that is
//! presented again and again has the store read once a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keyward_keyring::{Absences, CacheConfig};
use moka::future::Cache;

use super::{Credential, TokenError};

const CAPACITY: u64 = 100_000;
/// How long a token is remembered beyond its time, for tenants whose outage contract asks for it.
/// An entry that only waits for an outage costs a few hundred bytes and is never believed without
/// one.
const REMEMBERED: Duration = Duration::from_hours(24 * 30);
/// The share of its time after which a token in use is looked up ahead, and how much later again
/// if that failed.
const AHEAD: (u32, u32) = (4, 5);
const AGAIN: u32 = 50;
/// Most lookups under way at a time that others can wait for.
const LOADS: u64 = 100_000;
/// The longest time what a lookup gave is shared with who comes late, should nobody end that.
const SHARED: Duration = Duration::from_secs(1);

type Hash = [u8; 32];

struct Entry {
    credential: Arc<Credential>,
    since: Instant,
    /// The age in milliseconds at which somebody should look it up ahead of time.
    ahead: AtomicU64,
    /// The minute since 1970 in which it was last used here, and the one last written down.
    used: AtomicU64,
    written: AtomicU64,
}

/// Milliseconds of a minute: how exactly it is known when a token was last used.
pub(super) const MINUTE: u64 = 60_000;

impl Entry {
    /// Notes a use, mostly without a write that other cores would notice.
    fn touch(&self, now: u64) {
        let minute = now / MINUTE;
        if self.used.load(Ordering::Relaxed) != minute {
            self.used.store(minute, Ordering::Relaxed);
        }
    }

    /// Whether the caller is the one to look it up ahead.
    fn is_due(&self, age: Duration, ttl: Duration) -> bool {
        let (age, due) = (millis(age), self.ahead.load(Ordering::Relaxed));
        let again = age.saturating_add(millis(ttl / AGAIN)).saturating_add(1);
        age >= due
            && self.ahead.compare_exchange(due, again, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What is known of a token.
pub(super) enum Found {
    /// Valid.
    Fresh(Arc<Credential>),
    /// Valid; who is told so should look it up again, without waiting.
    Ageing(Arc<Credential>),
    /// Was valid, and its time was over so long ago.
    Old { credential: Arc<Credential>, beyond: Duration },
    /// The store did not have it a moment ago.
    Absent,
    /// Never seen, or forgotten.
    Nothing,
}

#[derive(Clone)]
pub(super) struct Verified {
    ttl: Duration,
    entries: Cache<Hash, Arc<Entry>>,
    /// Lookups under way; what they give is in `entries` before it leaves this.
    loads: Cache<Hash, Option<Arc<Credential>>>,
    /// What the store did not have.
    absences: Arc<Absences<Hash>>,
    /// How often something was forgotten.
    forgotten: Arc<AtomicU64>,
}

impl Verified {
    pub(super) fn new(cache: &CacheConfig) -> Self {
        let remembered = cache.ttl.saturating_add(REMEMBERED);
        Self {
            ttl: cache.ttl,
            entries: Cache::builder().max_capacity(CAPACITY).time_to_live(remembered).build(),
            loads: Cache::builder().max_capacity(LOADS).time_to_live(SHARED).build(),
            absences: Arc::default(),
            forgotten: Arc::default(),
        }
    }

    /// What is known of a token that is presented at `now`, in ms since 1970.
    pub(super) async fn get(&self, hash: &Hash, now: u64) -> Found {
        let Some(entry) = self.entries.get(hash).await else {
            return if self.absences.has(hash) { Found::Absent } else { Found::Nothing };
        };
        entry.touch(now);
        let credential = Arc::clone(&entry.credential);
        let age = entry.since.elapsed();
        if let Some(beyond) = age.checked_sub(self.ttl) {
            return Found::Old { credential, beyond };
        }
        if entry.is_due(age, self.ttl) {
            return Found::Ageing(credential);
        }
        Found::Fresh(credential)
    }

    /// Waits for a lookup that is under way, or for `read`, and remembers what it gives. `now` is
    /// when the token was presented, in ms since 1970.
    pub(super) async fn load(
        &self,
        hash: Hash,
        now: u64,
        read: impl Future<Output = Result<Option<Arc<Credential>>, TokenError>>,
    ) -> Result<Option<Arc<Credential>>, TokenError> {
        let read = async {
            let forgotten = self.forgotten.load(Ordering::Acquire);
            let asked = self.absences.begin();
            let credential = read.await?;
            if let Some(credential) = &credential {
                let before = self.entries.get(&hash).await;
                let kept = |of: fn(&Entry) -> &AtomicU64| {
                    before.as_ref().map_or(0, |entry| of(entry).load(Ordering::Relaxed))
                };
                let entry = Entry {
                    credential: Arc::clone(credential),
                    since: Instant::now(),
                    ahead: AtomicU64::new(millis(self.ttl / AHEAD.1 * AHEAD.0)),
                    // Whoever has it looked up presents it.
                    used: AtomicU64::new(kept(|entry| &entry.used).max(now / MINUTE)),
                    written: AtomicU64::new(kept(|entry| &entry.written)),
                };
                // What was read before something was forgotten may be what is to be forgotten.
                if self.forgotten.load(Ordering::Acquire) == forgotten {
                    self.entries.insert(hash, Arc::new(entry)).await;
                }
            } else {
                self.entries.invalidate(&hash).await;
                self.absences.note(hash, asked);
            }
            Ok(credential)
        };
        let loaded = self.loads.try_get_with(hash, read).await;
        self.loads.invalidate(&hash).await;
        loaded.map_err(Arc::unwrap_or_clone)
    }

    /// When the token was last used here, in ms since 1970, as far as that is remembered.
    pub(super) async fn last_use(&self, hash: &Hash) -> Option<u64> {
        let entry = self.entries.get(hash).await?;
        Some(entry.used.load(Ordering::Relaxed)).filter(|minute| *minute > 0).map(|it| it * MINUTE)
    }

    /// The tokens used here since that was last written down: identifier, time in ms since 1970.
    /// From now on it counts as written.
    pub(super) fn take_uses(&self) -> Vec<(String, u64)> {
        let entries = self.entries.iter();
        let used = entries.filter_map(|(_, entry)| {
            let used = entry.used.load(Ordering::Relaxed);
            let written = entry.written.swap(used, Ordering::Relaxed);
            (used > written).then(|| (entry.credential.id.clone(), used * MINUTE))
        });
        used.collect()
    }

    /// A token with this hash was stored.
    pub(super) fn created(&self, hash: &Hash) {
        self.absences.forget(hash);
    }

    pub(super) async fn forget(&self, id: &str) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        // An identifier does not lead to a hash, and this is rare.
        self.absences.forget_all();
        let of_id = |entry: &Arc<Entry>| entry.credential.id == id;
        let hashes: Vec<_> =
            self.entries.iter().filter(|(_, entry)| of_id(entry)).map(|(hash, _)| hash).collect();
        for hash in hashes {
            self.entries.invalidate(hash.as_ref()).await;
        }
    }

    pub(super) fn forget_all(&self) {
        self.forgotten.fetch_add(1, Ordering::AcqRel);
        self.absences.forget_all();
        self.entries.invalidate_all();
    }
}

#[cfg(test)]
mod tests {
    use keyward_policy_host::Caller;

    use super::super::Reach;
    use super::*;

    fn credential(id: &str) -> Arc<Credential> {
        let caller = Caller { subject: "s".into(), roles: vec![], claims: vec![] };
        let (scope, expires_at) = Default::default();
        Arc::new(Credential { id: id.into(), reach: Reach::Operator, caller, scope, expires_at })
    }

    fn verified(ttl: Duration) -> Verified {
        Verified::new(&CacheConfig { ttl, ..CacheConfig::default() })
    }

    #[tokio::test]
    async fn who_asks_at_the_same_time_shares_one_lookup() {
        let verified = verified(Duration::from_mins(1));
        let reads = AtomicU64::new(0);
        let asks = (0..1_000).map(|_| {
            verified.load([1; 32], 0, async {
                reads.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(20)).await;
                Ok(Some(credential("a")))
            })
        });
        let answers = futures_util::future::join_all(asks).await;
        assert!(answers.iter().all(|answer| matches!(answer, Ok(Some(_)))));
        assert_eq!(reads.into_inner(), 1);
        assert!(matches!(verified.get(&[1; 32], 0).await, Found::Fresh(_)));
    }

    #[tokio::test]
    async fn a_token_ages_once_and_then_is_old() {
        let verified = verified(Duration::from_millis(500));
        verified.load([1; 32], 0, async { Ok(Some(credential("a"))) }).await.unwrap();
        assert!(matches!(verified.get(&[1; 32], 0).await, Found::Fresh(_)));
        tokio::time::sleep(Duration::from_millis(420)).await;
        assert!(matches!(verified.get(&[1; 32], 0).await, Found::Ageing(_)));
        assert!(matches!(verified.get(&[1; 32], 0).await, Found::Fresh(_)));
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(matches!(verified.get(&[1; 32], 0).await, Found::Old { .. }));
        verified.load([1; 32], 0, async { Ok(None) }).await.unwrap();
        assert!(matches!(verified.get(&[1; 32], 0).await, Found::Absent));
    }

    #[tokio::test]
    async fn what_is_no_token_is_remembered_for_a_second_and_forgotten_when_it_becomes_one() {
        let verified = verified(Duration::from_mins(1));
        let absent = async |hash: &Hash| matches!(verified.get(hash, 0).await, Found::Absent);
        for hash in [[1; 32], [2; 32], [3; 32]] {
            verified.load(hash, 0, async { Ok(None) }).await.unwrap();
            assert!(absent(&hash).await);
        }
        verified.created(&[1; 32]);
        assert!(!absent(&[1; 32]).await && absent(&[2; 32]).await);
        verified.forget("another").await;
        assert!(!absent(&[2; 32]).await);

        verified.load([3; 32], 0, async { Ok(None) }).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1_050)).await;
        assert!(!absent(&[3; 32]).await);

        // It was read before it was stored, and the read ends after.
        let under_way = verified.load([1; 32], 0, async {
            verified.created(&[1; 32]);
            Ok(None)
        });
        under_way.await.unwrap();
        assert!(!absent(&[1; 32]).await);
    }

    #[tokio::test]
    async fn what_is_forgotten_is_not_brought_back_by_a_lookup_under_way() {
        let verified = verified(Duration::from_mins(1));
        verified.load([1; 32], 0, async { Ok(Some(credential("a"))) }).await.unwrap();
        let under_way = verified.load([2; 32], 0, async {
            verified.forget("a").await;
            Ok(Some(credential("a")))
        });
        under_way.await.unwrap();
        assert!(matches!(verified.get(&[1; 32], 0).await, Found::Nothing));
        assert!(matches!(verified.get(&[2; 32], 0).await, Found::Nothing));
    }

    #[tokio::test]
    async fn uses_are_told_once_and_outlive_a_new_lookup() {
        let verified = verified(Duration::from_mins(1));
        let load = async |now| {
            verified.load([1; 32], now, async { Ok(Some(credential("a"))) }).await.unwrap();
        };
        load(5 * MINUTE).await;
        assert_eq!(verified.take_uses(), [("a".to_owned(), 5 * MINUTE)]);
        assert_eq!(verified.take_uses(), []);
        verified.get(&[1; 32], 5 * MINUTE + 1).await;
        assert_eq!(verified.take_uses(), [], "within the minute");
        verified.get(&[1; 32], 7 * MINUTE + 1).await;
        load(6 * MINUTE).await;
        assert_eq!(verified.last_use(&[1; 32]).await, Some(7 * MINUTE));
        assert_eq!(verified.take_uses(), [("a".to_owned(), 7 * MINUTE)]);
        assert_eq!(verified.last_use(&[2; 32]).await, None);
    }
}
