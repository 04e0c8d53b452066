//! Who works next, when several tenants want to.
//!
//! A tenant that is alone is never held up. When others are there, one that used more than half of
//! its fair share of the processors lately takes *turns*: at most one less of its kind work at once
//! than there are workers, and who has to wait is parked, outside of the runtime's queue, and woken
//! in the order of start-time fair queueing (Goyal, Vin and Cheng, 1996), weighted. So one worker is
//! always on its way back to the sockets, and a request of a tenant below its share meets a short
//! queue however long the others' are. A turn ends whenever the request waits for something else.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::tenants::TenantState;
use super::usage::{Clock, Nanos, Presence, WINDOW};

/// Hands out turns.
pub struct Turns {
    workers: u64,
    /// Turns at once.
    places: usize,
    clock: Clock,
    presence: Presence,
    line: Mutex<Line>,
}

/// A place in the line: virtual start, then order of arrival.
type Ticket = (Nanos, u64);

#[derive(Default)]
struct Line {
    taken: usize,
    virtual_time: Nanos,
    next: u64,
    waiting: BTreeMap<Ticket, Waker>,
    /// Whose turn it is, and who was not told yet.
    called: HashSet<Ticket>,
}

/// One request's turns, one after the other.
pub struct Turn {
    turns: Arc<Turns>,
    tenant: Arc<TenantState>,
    hold: Hold,
}

enum Hold {
    /// Not working.
    Idle,
    /// Working since then; with a place, or without one.
    Working { since: Nanos, has_place: bool },
    /// Parked.
    Parked(Ticket),
}

impl Turns {
    /// For a runtime with so many threads.
    pub fn new(workers: usize) -> Arc<Self> {
        Arc::new(Self {
            workers: workers.max(1) as u64,
            places: workers.saturating_sub(1).max(1),
            clock: Clock::default(),
            presence: Presence::default(),
            line: Mutex::default(),
        })
    }

    /// For a request of the tenant.
    pub fn of(self: &Arc<Self>, tenant: &Arc<TenantState>) -> Turn {
        Turn { turns: Arc::clone(self), tenant: Arc::clone(tenant), hold: Hold::Idle }
    }

    /// How many requests are parked.
    pub fn parked(&self) -> usize {
        self.line().waiting.len()
    }

    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the tenant has to take turns.
    fn is_above_share(&self, now: Nanos, tenant: &TenantState) -> bool {
        let tenants = u64::from(self.presence.see(now, &tenant.usage));
        if tenants <= 1 {
            return false;
        }
        let weight = u64::from(tenant.weight());
        let all = self.workers * u64::try_from(WINDOW.as_nanos()).unwrap_or(u64::MAX);
        let share = all * weight / (tenants - 1 + weight);
        tenant.usage.recent(now) > share / 2
    }

    /// Gives a place on, or back.
    fn pass_on(line: &mut Line) {
        if let Some((ticket, waker)) = line.waiting.pop_first() {
            line.virtual_time = line.virtual_time.max(ticket.0);
            line.called.insert(ticket);
            waker.wake();
        } else {
            line.taken -= 1;
        }
    }
}

impl Turn {
    /// Waits until the request may work; at once while it does.
    pub fn poll_take(&mut self, cx: &Context<'_>) -> Poll<()> {
        match self.hold {
            Hold::Working { .. } => return Poll::Ready(()),
            Hold::Idle => {
                let now = self.turns.clock.now();
                if !self.turns.is_above_share(now, &self.tenant) {
                    self.hold = Hold::Working { since: now, has_place: false };
                    return Poll::Ready(());
                }
                let mut line = self.turns.line();
                if line.taken < self.turns.places {
                    line.taken += 1;
                    drop(line);
                    self.hold = Hold::Working { since: now, has_place: true };
                    return Poll::Ready(());
                }
                let ticket = (self.tenant.start(line.virtual_time), line.next);
                line.next += 1;
                line.waiting.insert(ticket, cx.waker().clone());
                drop(line);
                self.hold = Hold::Parked(ticket);
            }
            Hold::Parked(ticket) => {
                let mut line = self.turns.line();
                if line.called.remove(&ticket) {
                    drop(line);
                    let since = self.turns.clock.now();
                    self.hold = Hold::Working { since, has_place: true };
                    return Poll::Ready(());
                }
                if let Some(waker) = line.waiting.get_mut(&ticket) {
                    waker.clone_from(cx.waker());
                }
            }
        }
        Poll::Pending
    }

    /// The request waits for something else, or is done.
    pub fn end(&mut self) {
        match std::mem::replace(&mut self.hold, Hold::Idle) {
            Hold::Idle => {}
            Hold::Working { since, has_place } => {
                let now = self.turns.clock.now();
                self.tenant.usage.add(now, now.saturating_sub(since));
                if has_place {
                    Turns::pass_on(&mut self.turns.line());
                }
            }
            Hold::Parked(ticket) => {
                let mut line = self.turns.line();
                if line.waiting.remove(&ticket).is_none() && line.called.remove(&ticket) {
                    Turns::pass_on(&mut line);
                }
            }
        }
    }

    /// The same without giving up a place in the line.
    pub fn pause(&mut self) {
        if !matches!(self.hold, Hold::Parked(_)) {
            self.end();
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use proptest::prelude::*;

    use super::super::tenants::tests::tenant;
    use super::*;

    /// Turns in a server where somebody else is there, too.
    fn turns(workers: usize) -> Arc<Turns> {
        let turns = Turns::new(workers);
        turns.presence.see(turns.clock.now(), &tenant(1).usage);
        turns
    }

    /// A tenant that used all there is, in a window that does not end.
    fn greedy(turns: &Turns, weight: u32) -> Arc<TenantState> {
        let tenant = tenant(weight);
        tenant.usage.add(turns.clock.now() + 3_600_000_000_000, 10_000_000_000);
        tenant
    }

    fn takes(turn: &mut Turn) -> bool {
        turn.poll_take(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn who_is_alone_never_waits() {
        let turns = Turns::new(2);
        let alone = greedy(&turns, 1);
        let mut all: Vec<Turn> = (0..100).map(|_| turns.of(&alone)).collect();
        assert!(all.iter_mut().all(takes));
    }

    #[test]
    fn who_is_below_its_share_passes_those_who_wait() {
        let turns = turns(3);
        let (greedy, modest) = (greedy(&turns, 1), tenant(1));
        let mut all: Vec<Turn> = (0..5).map(|_| turns.of(&greedy)).collect();
        assert_eq!(all.iter_mut().filter_map(|turn| takes(turn).then_some(())).count(), 2);
        assert_eq!(turns.parked(), 3);
        assert!(takes(&mut turns.of(&modest)));
        // A turn that ends is the next one's, and one that is given up is nobody's.
        drop(all.remove(2));
        all[0].end();
        assert!(!takes(&mut all[3]) && takes(&mut all[2]));
        // Called, and gone before it heard of it.
        all[1].end();
        drop(all);
        let line = turns.line();
        assert_eq!((line.taken, line.waiting.len(), line.called.len()), (0, 0, 0));
    }

    #[test]
    fn a_pause_keeps_the_place_in_the_line() {
        let turns = turns(2);
        let greedy = greedy(&turns, 1);
        let (mut first, mut second, mut third) =
            (turns.of(&greedy), turns.of(&greedy), turns.of(&greedy));
        assert!(takes(&mut first) && !takes(&mut second) && !takes(&mut third));
        second.pause();
        first.pause();
        assert!(!takes(&mut third) && takes(&mut second));
    }

    #[test]
    fn turns_go_round_by_weight() {
        let turns = turns(2);
        let (one, heavy) = (greedy(&turns, 1), greedy(&turns, 3));
        let mut working = turns.of(&one);
        assert!(takes(&mut working));
        let mut parked: Vec<(u32, Turn)> = Vec::new();
        for _ in 0..40 {
            parked.push((1, turns.of(&one)));
        }
        for _ in 0..40 {
            parked.push((3, turns.of(&heavy)));
        }
        assert!(parked.iter_mut().all(|(_, turn)| !takes(turn)));
        let mut order = Vec::new();
        drop(working);
        while order.len() < 40 {
            let at = parked.iter_mut().position(|(_, turn)| takes(turn)).unwrap();
            order.push(parked.remove(at).0);
        }
        let heavy = order.iter().filter(|weight| **weight == 3).count();
        assert!((28..=32).contains(&heavy), "{heavy} of 40: {order:?}");
    }

    proptest! {
        /// Whatever comes, goes, waits and gives up: no place is lost or given twice, and nobody
        /// waits while there is one.
        #[test]
        fn places_are_neither_lost_nor_given_twice(
            steps in prop::collection::vec((0_usize..12, 0_u8..4), 1..300)
        ) {
            let turns = turns(4);
            let tenants: Vec<_> = (0..3).map(|_| greedy(&turns, 1)).collect();
            let mut all: Vec<Turn> = (0..12).map(|at| turns.of(&tenants[at % 3])).collect();
            for (at, step) in steps {
                match step {
                    0 | 1 => drop(takes(&mut all[at])),
                    2 => all[at].end(),
                    _ => all[at] = turns.of(&tenants[at % 3]),
                }
                let working = all
                    .iter()
                    .filter(|it| matches!(it.hold, Hold::Working { has_place: true, .. }))
                    .count();
                let line = turns.line();
                prop_assert_eq!(line.taken, working + line.called.len());
                prop_assert!(line.taken <= 3);
                prop_assert!(line.waiting.is_empty() || line.taken == 3);
            }
            drop(all);
            let line = turns.line();
            prop_assert_eq!((line.taken, line.waiting.len(), line.called.len()), (0, 0, 0));
        }
    }
}
