//! Counters that many threads write and the flush empties.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::tally::{KeyUsage, Span, VersionUsage};
use crate::record;

/// What was counted of one version and not taken out yet: one cache line. Times are in
/// milliseconds since the Unix epoch, 0 for none.
#[derive(Default)]
#[repr(align(64))]
struct Counters {
    sealed_messages: AtomicU64,
    sealed_bytes: AtomicU64,
    sealed_first: AtomicU64,
    sealed_last: AtomicU64,
    opened_messages: AtomicU64,
    opened_first: AtomicU64,
    opened_last: AtomicU64,
}

/// Counts the uses of one version of one key. Clones count together.
#[derive(Clone)]
pub struct Meter(Arc<Counters>);

impl Meter {
    /// Counts a message of `bytes` that was sealed.
    pub fn sealed(&self, bytes: usize) {
        let Counters { sealed_first, sealed_last, sealed_messages, .. } = &*self.0;
        touch(sealed_first, sealed_last, record::now_ms());
        sealed_messages.fetch_add(1, Ordering::Relaxed);
        self.sealed_more(bytes);
    }

    /// Counts more bytes of a message that is counted already.
    pub fn sealed_more(&self, bytes: usize) {
        self.0.sealed_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts a message that was opened.
    pub fn opened(&self) {
        let Counters { opened_first, opened_last, opened_messages, .. } = &*self.0;
        touch(opened_first, opened_last, record::now_ms());
        opened_messages.fetch_add(1, Ordering::Relaxed);
    }
}

/// Notes a use. Only the first of a second writes: then a message costs no more than its counts.
fn touch(first: &AtomicU64, last: &AtomicU64, now: u64) {
    if last.load(Ordering::Relaxed) / 1000 != now / 1000 {
        last.store(now, Ordering::Relaxed);
        let _ = first.compare_exchange(0, now, Ordering::Relaxed, Ordering::Relaxed);
    }
}

impl Counters {
    fn read(&self, read: impl Fn(&AtomicU64) -> u64) -> VersionUsage {
        let span = |first: &AtomicU64, last: &AtomicU64| {
            let (first, last) = (read(first), read(last));
            // One of the two may have been written since the other was taken out.
            let is_used = first != 0 || last != 0;
            let first = if first == 0 { last } else { first };
            is_used.then(|| Span { first, last: last.max(first) })
        };
        VersionUsage {
            sealed_messages: read(&self.sealed_messages),
            sealed_bytes: read(&self.sealed_bytes),
            sealed: span(&self.sealed_first, &self.sealed_last),
            opened_messages: read(&self.opened_messages),
            opened: span(&self.opened_first, &self.opened_last),
        }
    }
}

/// The counters of every version of one key.
#[derive(Default)]
pub(crate) struct KeyMeter {
    /// By number, rising.
    versions: ArcSwap<Vec<(u32, Meter)>>,
}

impl KeyMeter {
    /// The meter of this version.
    pub(crate) fn version(&self, version: u32) -> Meter {
        if let Some(found) = find(&self.versions.load(), version) {
            return found;
        }
        let new = Meter(Arc::default());
        self.versions.rcu(|versions| {
            let mut versions = Vec::clone(versions);
            // Another thread may have been faster.
            if let Err(place) = versions.binary_search_by_key(&version, |(number, _)| *number) {
                versions.insert(place, (version, new.clone()));
            }
            versions
        });
        find(&self.versions.load(), version).unwrap_or(new)
    }

    /// Takes out what was counted.
    pub(crate) fn take(&self, into: &mut KeyUsage) {
        for (version, meter) in self.versions.load().iter() {
            into.add(*version, &meter.0.read(|counter| counter.swap(0, Ordering::Relaxed)));
        }
    }

    /// Adds what was counted to `into` and leaves it.
    pub(crate) fn peek(&self, into: &mut KeyUsage) {
        for (version, meter) in self.versions.load().iter() {
            into.add(*version, &meter.0.read(|counter| counter.load(Ordering::Relaxed)));
        }
    }

    /// Whether nobody can count any more, as far as that is known, and nothing was.
    pub(crate) fn is_done(&mut self) -> bool {
        // Exclusive access to each shows that no meter is in other hands, and makes what was
        // counted in other threads visible here.
        let mut versions = self.versions.load_full();
        self.versions.store(Arc::default());
        let unused = Arc::get_mut(&mut versions).is_some_and(|versions| {
            versions.iter_mut().all(|(_, meter)| {
                Arc::get_mut(&mut meter.0).is_some_and(|counters| {
                    counters.read(|counter| counter.load(Ordering::Relaxed)).is_empty()
                })
            })
        });
        if !unused {
            self.versions.store(versions);
        }
        unused
    }
}

fn find(versions: &[(u32, Meter)], version: u32) -> Option<Meter> {
    let place = versions.binary_search_by_key(&version, |(number, _)| *number).ok()?;
    versions.get(place).map(|(_, meter)| meter.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_threads_count_at_once_is_all_taken_out_once() {
        const EACH: u64 = 20_000;
        let key = KeyMeter::default();
        let mut taken = KeyUsage::default();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        for number in 0..EACH {
                            let meter = key.version(1 + u32::from(number % 2 == 0));
                            meter.sealed(3);
                            meter.opened();
                        }
                    })
                })
                .collect();
            while !threads.iter().all(std::thread::ScopedJoinHandle::is_finished) {
                key.take(&mut taken);
            }
        });
        key.take(&mut taken);
        for version in [1, 2] {
            let usage = taken.version(version);
            assert_eq!(usage.sealed_messages, 2 * EACH);
            assert_eq!(usage.sealed_bytes, 6 * EACH);
            assert_eq!(usage.opened_messages, 2 * EACH);
            let (sealed, opened) = (usage.sealed.unwrap(), usage.opened.unwrap());
            assert!(sealed.first <= sealed.last && opened.first <= opened.last);
            assert!(sealed.first > 1_700_000_000_000);
        }
    }

    #[test]
    fn a_key_is_done_when_nobody_can_count() {
        let mut key = KeyMeter::default();
        let meter = key.version(7);
        assert!(!key.is_done(), "somebody holds a meter");
        meter.sealed(1);
        drop(meter);
        assert!(!key.is_done(), "something is not taken out");
        let mut taken = KeyUsage::default();
        key.peek(&mut taken);
        assert_eq!(taken.version(7).sealed_messages, 1);
        let mut taken = KeyUsage::default();
        key.take(&mut taken);
        assert_eq!(taken.version(7).sealed_bytes, 1);
        assert!(key.is_done());
    }
}
