//! What was looked for a moment ago and was not there.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long it is remembered that something is not there. What another host creates is seen after
/// that at the latest; what this host creates, at once.
pub const REMEMBERED: Duration = Duration::from_secs(1);

/// The most things remembered as absent. Beyond that the oldest are forgotten early.
pub const MOST: usize = 4_096;

/// Remembers for a while, of some thousands of things, that they are not in the store, so that
/// who asks for them again and again does not have it read as often.
pub struct Absences<K> {
    known: Mutex<Known<K>>,
}

struct Known<K> {
    until: HashMap<K, Instant>,
    /// What is in `until`, oldest first; also what was in it and was forgotten.
    order: VecDeque<(Instant, K)>,
    forgotten: u64,
}

/// When a look-up began; see [`Absences::begin`].
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    at: Instant,
    forgotten: u64,
}

impl<K> Default for Absences<K> {
    fn default() -> Self {
        let (until, order) = (HashMap::new(), VecDeque::new());
        Self { known: Mutex::new(Known { until, order, forgotten: 0 }) }
    }
}

impl<K: Clone + Eq + Hash> Absences<K> {
    fn known(&self) -> MutexGuard<'_, Known<K>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// To be called before the store is asked.
    pub fn begin(&self) -> Begun {
        Begun { at: Instant::now(), forgotten: self.known().forgotten }
    }

    /// The store, asked after `begun`, does not have it. That is not remembered if anything was
    /// forgotten since: it may be what has just been created.
    pub fn note(&self, thing: K, begun: Begun) {
        let mut known = self.known();
        let until = begun.at + REMEMBERED;
        if known.forgotten != begun.forgotten {
            return;
        }
        let now = Instant::now();
        while known.order.front().is_some_and(|(end, _)| *end <= now) || known.order.len() >= MOST {
            known.drop_oldest();
        }
        known.until.insert(thing.clone(), until);
        known.order.push_back((until, thing));
    }

    /// Whether it is known not to be there.
    pub fn has(&self, thing: &K) -> bool {
        self.known().until.get(thing).is_some_and(|until| Instant::now() < *until)
    }

    /// It was created, or may have been. Nothing that a look-up under way finds absent is
    /// remembered.
    pub fn forget(&self, thing: &K) {
        let mut known = self.known();
        known.forgotten += 1;
        known.until.remove(thing);
    }

    /// As [`forget`](Self::forget), for everything.
    pub fn forget_all(&self) {
        let mut known = self.known();
        known.forgotten += 1;
        known.until.clear();
        known.order.clear();
    }

    #[cfg(test)]
    pub(crate) fn sizes(&self) -> (usize, usize) {
        let known = self.known();
        (known.until.len(), known.order.len())
    }
}

impl<K: Clone + Eq + Hash> Known<K> {
    fn drop_oldest(&mut self) {
        if let Some((end, thing)) = self.order.pop_front()
            && self.until.get(&thing) == Some(&end)
        {
            self.until.remove(&thing);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absence_is_remembered_for_a_while() {
        let absences = Absences::default();
        absences.note(1, absences.begin());
        assert!(absences.has(&1) && !absences.has(&2));
        std::thread::sleep(REMEMBERED / 2);
        let begun = absences.begin();
        std::thread::sleep(REMEMBERED / 2);
        assert!(!absences.has(&1));
        // What counts is when the store was asked.
        absences.note(2, begun);
        assert!(absences.has(&2));
        std::thread::sleep(REMEMBERED / 2);
        assert!(!absences.has(&2));
        absences.note(3, absences.begin());
        assert_eq!(absences.sizes(), (1, 1));
    }

    #[test]
    fn what_is_created_during_a_look_up_is_not_remembered_as_absent() {
        let absences = Absences::default();
        let forget_one = |it: &Absences<u8>| it.forget(&1);
        let forget_all = |it: &Absences<u8>| it.forget_all();
        for (forget, is_other_kept) in [(forget_one as fn(&_), true), (forget_all, false)] {
            let begun = absences.begin();
            forget(&absences);
            absences.note(1, begun);
            assert!(!absences.has(&1));
            absences.note(1, absences.begin());
            absences.note(2, absences.begin());
            forget(&absences);
            assert_eq!((absences.has(&1), absences.has(&2)), (false, is_other_kept));
        }
    }

    #[test]
    fn the_number_of_things_is_bounded() {
        let absences = Absences::default();
        for thing in 0..3 * MOST {
            absences.note(thing, absences.begin());
            absences.note(thing, absences.begin());
            absences.forget(&(thing / 2));
        }
        let (things, order) = absences.sizes();
        assert!(things <= MOST && order <= MOST, "{things} and {order}");
        assert!(absences.has(&(3 * MOST - 1)));
    }
}
