//! How keyrings over one store tell each other what changed.
//!
//! One record, [`PATH`], holds the number of the newest change, the generation, and names the last
//! changes up to it. Whoever changes something appends to it by compare-and-set; every keyring
//! polls it and drops what others changed since it looked last, or everything when the record does
//! not reach back that far. A creation is not announced, for absence is never cached.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use keyward_crypto::KeyId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{broadcast, oneshot};

use super::Inner;
use crate::change::Change;
use crate::error::KeyringError;
use crate::flight::Flights;
use crate::store::{Store, StoreError};

/// Where the record is.
const PATH: &str = "changes";
const FORMAT: u32 = 1;

/// How many changes the record names.
const KEPT: usize = 256;

/// How many lost races for the record to accept in one try.
const ATTEMPTS: usize = 100;

/// How many changes a subscriber may lag behind.
const EVENTS: usize = 1024;

/// The shortest and the longest pause before a change is announced again.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// The record.
#[derive(Debug, Deserialize, Serialize)]
struct Log {
    format: u32,
    /// Tells this record from one that was there before and is gone.
    incarnation: String,
    generation: u64,
    /// The newest changes, the last of them that of `generation`.
    changes: VecDeque<Value>,
}

impl Log {
    fn new() -> Result<Self, KeyringError> {
        let incarnation = KeyId::random()?.to_string();
        Ok(Self { format: FORMAT, incarnation, generation: 0, changes: VecDeque::new() })
    }

    fn parse(value: &[u8]) -> Result<Self, KeyringError> {
        let log: Option<Self> = serde_json::from_slice(value).ok();
        log.filter(|log| log.format == FORMAT && log.changes.len() as u64 <= log.generation)
            .ok_or_else(|| KeyringError::Corrupt { path: PATH.to_owned() })
    }

    fn append(&mut self, changes: &[Change]) {
        self.generation += changes.len() as u64;
        self.changes.extend(changes.iter().map(Change::to_json));
        let surplus = self.changes.len().saturating_sub(KEPT);
        self.changes.drain(..surplus);
    }

    /// The changes after generation `seen`, with their numbers, if the record reaches back so far.
    fn after(&self, seen: u64) -> Option<impl Iterator<Item = (u64, Change)>> {
        let first = self.generation - self.changes.len() as u64 + 1;
        (first <= seen.saturating_add(1) && seen <= self.generation).then(|| {
            (first..)
                .zip(&self.changes)
                .filter(move |(number, _)| *number > seen)
                .map(|(number, change)| (number, Change::from_json(change)))
        })
    }
}

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

    /// Appends the change to the record. Changes that wait while one is being written are then
    /// written together. Returns when the change is written, or will be once the store answers.
    pub(super) async fn announce(self: &Arc<Self>, change: Change) {
        if !self.shared {
            return;
        }
        let (done, written) = oneshot::channel();
        {
            let mut pending = self.pending();
            let done = (!pending.is_failing).then_some(done);
            pending.waiting.push((change, done));
            if !pending.is_writing {
                pending.is_writing = true;
                tokio::spawn(Arc::clone(self).write_pending());
            }
        }
        // The other end is dropped at once while the store fails.
        let _ = written.await;
    }

    async fn write_pending(self: Arc<Self>) {
        let mut changes: Vec<Change> = Vec::new();
        let mut pause = RETRY.0;
        loop {
            let waiting = {
                let mut pending = self.pending();
                if pending.waiting.is_empty() && changes.is_empty() {
                    pending.is_writing = false;
                    return;
                }
                std::mem::take(&mut pending.waiting)
            };
            let mut done = Vec::with_capacity(waiting.len());
            for (change, sender) in waiting {
                if !changes.contains(&change) {
                    changes.push(change);
                }
                done.extend(sender);
            }
            if changes.len() > KEPT {
                changes = vec![Change::Everything];
            }
            match self.append(&changes).await {
                Ok(()) => {
                    if std::mem::take(&mut self.pending().is_failing) {
                        tracing::info!("changes are announced to other hosts again");
                    }
                    changes.clear();
                    pause = RETRY.0;
                    for sender in done {
                        let _ = sender.send(());
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.pending().is_failing, true) {
                        tracing::warn!(
                            %error,
                            "a change could not be announced to other hosts, which see it when \
                             their cached entries expire; trying again"
                        );
                    }
                    drop(done);
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RETRY.1);
                }
            }
        }
    }

    async fn append(&self, changes: &[Change]) -> Result<(), KeyringError> {
        for _ in 0..ATTEMPTS {
            let found = self.store.get(PATH).await?;
            let mut log = match &found {
                None => Log::new()?,
                Some(found) => match Log::parse(&found.value) {
                    Ok(log) => log,
                    Err(error) => {
                        tracing::error!(%error, "the record of changes is begun anew");
                        Log::new()?
                    }
                },
            };
            log.append(changes);
            let value = serde_json::to_vec(&log)
                .map_err(|_| KeyringError::Corrupt { path: PATH.to_owned() })?;
            let written = match found {
                None => self.store.create(PATH, &value).await,
                Some(found) => self.store.replace(PATH, &value, found.revision).await,
            };
            match written {
                Ok(_) => {
                    let mut progress = self.progress();
                    let first = log.generation - changes.len() as u64 + 1;
                    let numbers = first..=log.generation;
                    progress.own.extend(numbers.map(|number| (log.incarnation.clone(), number)));
                    let surplus = progress.own.len().saturating_sub(2 * KEPT);
                    progress.own.drain(..surplus);
                    return Ok(());
                }
                Err(StoreError::Exists { .. } | StoreError::RevisionMismatch { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeyringError::Conflict { key: PATH.to_owned() })
    }

    /// What others changed between the place where this keyring is and the record as it was read,
    /// which is where it then is.
    fn advance(&self, log: Option<&Log>, begun: Instant) -> Vec<Change> {
        let everything = vec![Change::Everything];
        let mut progress = self.progress();
        progress.last_poll = Some(begun);
        let Some(log) = log else {
            let before = std::mem::replace(&mut progress.place, Place::Before);
            return if before == Place::Before { Vec::new() } else { everything };
        };
        let here = Place::At(log.incarnation.clone(), log.generation);
        let changes = match std::mem::replace(&mut progress.place, here) {
            Place::Before => log.after(0),
            Place::At(incarnation, seen) if incarnation == log.incarnation => log.after(seen),
            Place::Lost | Place::At(..) => None,
        };
        let Some(changes) = changes else { return everything };
        let own = |number| {
            progress.own.iter().any(|(of, mine)| *mine == number && *of == log.incarnation)
        };
        let mut named = Vec::new();
        for (number, change) in changes {
            if !own(number) && !named.contains(&change) {
                named.push(change);
            }
        }
        named
    }
}

impl Inner {
    /// Makes a change of a key effective here, and known elsewhere.
    pub(super) async fn changed(self: &Arc<Self>, newest: &crate::key::Key) {
        self.publish(newest).await;
        let (tenant, key) = (newest.tenant.clone(), newest.name.clone());
        self.generation.announce(Change::Key { tenant, key }).await;
    }

    pub(super) async fn poll(self: &Arc<Self>) -> Result<(), KeyringError> {
        if !self.generation.shared {
            return Ok(());
        }
        let inner = self.clone();
        let poll = self.generation.polls.join(&(), || ((), async move { inner.poll_once().await }));
        poll.await
    }

    async fn poll_once(self: &Arc<Self>) -> Result<(), KeyringError> {
        let generation = &self.generation;
        let begun = Instant::now();
        let found = self.store.get(PATH).await?;
        let log = match found.as_ref().map(|found| Log::parse(&found.value)).transpose() {
            Ok(log) => log,
            Err(error) => {
                let place = std::mem::replace(&mut generation.progress().place, Place::Lost);
                if place != Place::Lost {
                    self.apply(Change::Everything).await;
                }
                return Err(error);
            }
        };
        for change in generation.advance(log.as_ref(), begun) {
            self.apply(change).await;
        }
        Ok(())
    }

    async fn apply(self: &Arc<Self>, change: Change) {
        match &change {
            Change::Key { tenant, key } => self.caches.forget_key(tenant, key).await,
            Change::Tenant(tenant) => self.refresh_tenant(tenant).await,
            Change::Policy(_) | Change::Token(_) => {}
            Change::Everything => self.caches.clear().await,
        }
        // Nobody listening is no error.
        let _ = self.generation.events.send(change);
    }
}

/// Polls until `shutdown` resolves or the keyring is gone.
pub(super) fn start(
    inner: &Arc<Inner>,
    period: Duration,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    if !inner.generation.shared {
        return;
    }
    let weak = Arc::downgrade(inner);
    tokio::spawn(async move {
        let mut is_failing = false;
        let polling = async {
            while let Some(inner) = weak.upgrade() {
                match inner.poll().await {
                    Ok(()) if std::mem::take(&mut is_failing) => {
                        tracing::info!("changes made by other hosts are seen again");
                    }
                    Ok(()) => {}
                    Err(error) if !std::mem::replace(&mut is_failing, true) => {
                        tracing::warn!(%error, "changes made by other hosts are not seen now");
                    }
                    Err(_) => {}
                }
                drop(inner);
                tokio::time::sleep(period).await;
            }
        };
        tokio::select! {
            () = polling => {}
            () = shutdown => {}
        }
    });
}
