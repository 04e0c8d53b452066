//! How keyrings over one store tell each other what changed.
//!
//! One record, `changes`, holds the number of the newest change, the generation, and names the last
//! changes up to it. Whoever changes something appends to it by compare-and-set; every keyring
//! polls it and drops what others changed since it looked last, or everything when the record does
//! not reach back that far. A creation is not announced, for absence is remembered for a second
//! at most.

mod announce;
mod log;
mod poll;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{broadcast, oneshot};

pub(super) use self::poll::start;
use crate::change::Change;
use crate::flight::Flights;
use crate::store::Store;

/// How many changes a subscriber may lag behind.
const EVENTS: usize = 1024;

/// Where a keyring is in the record.
#[derive(Clone, Debug, PartialEq)]
enum Place {
    /// Nothing is known: what is cached may be outdated.
    Lost,
    /// There was no record.
    Before,
    /// Everything up to this generation of this incarnation was dropped.
    At(String, u64),
}

struct Pending {
    waiting: Vec<(Change, Option<oneshot::Sender<()>>)>,
    is_writing: bool,
    is_failing: bool,
}

struct Progress {
    place: Place,
    /// The numbers of this keyring's own changes, which it need not drop again.
    own: VecDeque<(String, u64)>,
    last_poll: Option<Instant>,
}

pub(super) struct Generation {
    shared: bool,
    store: Arc<dyn Store>,
    pending: Mutex<Pending>,
    progress: Mutex<Progress>,
    events: broadcast::Sender<Change>,
    polls: Arc<Flights<(), (), ()>>,
}

impl Generation {
    pub(super) fn new(store: Arc<dyn Store>, shared: bool) -> Arc<Self> {
        Arc::new(Self {
            shared,
            store,
            pending: Mutex::new(Pending {
                waiting: Vec::new(),
                is_writing: false,
                is_failing: false,
            }),
            progress: Mutex::new(Progress {
                place: Place::Lost,
                own: VecDeque::new(),
                last_poll: None,
            }),
            events: broadcast::Sender::new(EVENTS),
            polls: Flights::new(),
        })
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn subscribe(&self) -> broadcast::Receiver<Change> {
        self.events.subscribe()
    }

    pub(super) fn since_last_poll(&self) -> Option<Duration> {
        self.progress().last_poll.map(|at| at.elapsed())
    }
}
