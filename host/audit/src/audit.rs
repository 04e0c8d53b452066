//! The log as the request path sees it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot, watch};

use crate::entry::Entry;
use crate::error::{AuditError, Stalled};
use crate::event::Skip;
use crate::log::Log;
use crate::pace::Pace;
use crate::sealed::{Auditors, Index};
use crate::settings::{OnStall, Settings};
use crate::statistics::{Counters, Statistics, add};
use crate::writer::{Message, Shared, Writer};
use crate::{KeyOf, dir, recover};

/// Messages beside entries that may be in the queue.
const OTHER_MESSAGES: usize = 16;

/// A log being written to. Cheap to clone; the last one to go closes the log.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    queue: SyncSender<Message>,
    thread: Thread,
    shared: Arc<Shared>,
    index: Index,
    capacity: usize,
    strict: bool,
    on_stall: OnStall,
    stall_timeout: Duration,
    /// Readers that requests wait for.
    pace: OnceLock<Arc<Pace>>,
}

/// A place for one entry, taken before anything is done.
pub struct Slot {
    audit: Audit,
    /// None: there was no place, and the request is served all the same.
    has_place: bool,
}

impl Audit {
    /// Opens the log in `settings.dir`, or begins one there, and starts its thread. What tells who did
    /// what is sealed to the auditors, if there are any. Blocks: it reads what was written since the last
    /// checkpoint.
    pub fn open(
        settings: &Settings,
        key_of: KeyOf<'_>,
        auditors: Option<Box<dyn Auditors>>,
    ) -> Result<Self, AuditError> {
        let lock = dir::acquire(&settings.dir)?;
        let counters = Arc::new(Counters::default());
        let (log, index) = recover::open(settings, key_of, auditors, Arc::clone(&counters))?;
        Self::start(settings, counters, log, index, lock)
    }

    pub(crate) fn start(
        settings: &Settings,
        counters: Arc<Counters>,
        log: Log,
        index: Index,
        lock: std::fs::File,
    ) -> Result<Self, AuditError> {
        let shared = Arc::new(Shared {
            counters,
            places: Semaphore::new(settings.queue),
            sleeping: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            lost: AtomicU64::new(0),
            lost_since_ms: AtomicU64::new(0),
        });
        let (sender, queue) = sync_channel(settings.queue + OTHER_MESSAGES);
        let writer = Writer {
            log,
            queue,
            shared: Arc::clone(&shared),
            strict: settings.strict,
            keep_after: Instant::now(),
            early: None,
            lock,
        };
        let thread = std::thread::Builder::new().name("audit".into()).spawn(|| writer.run());
        let thread = thread.map_err(AuditError::io(&settings.dir))?.thread().clone();
        Ok(Self(Arc::new(Inner {
            queue: sender,
            thread,
            shared,
            index,
            capacity: settings.queue,
            strict: settings.strict,
            on_stall: settings.on_stall,
            stall_timeout: settings.stall_timeout,
            pace: OnceLock::new(),
        })))
    }

    /// Takes a place for an entry. Without one, [`OnStall`] says whether to wait, and then refuse, or
    /// to go on. On an error nothing has been done, and nothing is to be done.
    pub async fn reserve(&self) -> Result<Slot, Stalled> {
        let slot = |has_place| Slot { audit: self.clone(), has_place };
        let inner = &*self.0;
        if let Some(pace) = inner.pace.get() {
            self.wait_for(pace).await?;
        }
        if let Ok(place) = inner.shared.places.try_acquire() {
            place.forget();
            return Ok(slot(true));
        }
        add(&inner.shared.counters.stalls, 1);
        if inner.on_stall == OnStall::Shed {
            return Ok(slot(false));
        }
        let waiting = tokio::time::timeout(inner.stall_timeout, inner.shared.places.acquire());
        if let Ok(Ok(place)) = waiting.await {
            place.forget();
            return Ok(slot(true));
        }
        add(&inner.shared.counters.refused, 1);
        Err(Stalled)
    }

    /// Waits for readers that are too far behind.
    async fn wait_for(&self, pace: &Pace) -> Result<(), Stalled> {
        let inner = &*self.0;
        let head = || *inner.shared.counters.written.borrow();
        if !pace.is_behind(head()) {
            return Ok(());
        }
        add(&inner.shared.counters.stalls, 1);
        if tokio::time::timeout(inner.stall_timeout, pace.caught_up(head)).await.is_err() {
            add(&inner.shared.counters.refused, 1);
            return Err(Stalled);
        }
        Ok(())
    }

    /// From now on requests wait for these readers, too, as long as for a place, and are refused then.
    /// Once.
    pub fn keep_pace(&self, pace: Arc<Pace>) {
        // A second call changes nothing.
        let _ = self.0.pace.set(pace);
    }

    /// The sequence number of the last entry in the files, as it grows.
    pub fn written(&self) -> watch::Receiver<u64> {
        self.0.shared.counters.written.subscribe()
    }

    /// Records that a reader was not given some entries; false if there is no room for that at the
    /// moment.
    pub fn skipped(&self, skip: Skip) -> bool {
        let is_taken = self.0.queue.try_send(Message::Skip(skip)).is_ok();
        self.0.shared.wake(&self.0.thread);
        is_taken
    }

    /// Finds sealed entries.
    pub fn index(&self) -> &Index {
        &self.0.index
    }

    /// Figures since the start.
    pub fn statistics(&self) -> Statistics {
        let free = self.0.shared.places.available_permits();
        let queued = self.0.capacity.saturating_sub(free) as u64;
        self.0.shared.counters.read(queued)
    }

    /// Writes what is there, signs it and closes the log. What is submitted later is dropped.
    pub async fn close(&self) {
        self.0.shared.closing.store(true, Ordering::Relaxed);
        let (answer, closed) = oneshot::channel();
        if self.0.queue.try_send(Message::Close(answer)).is_ok() {
            self.0.thread.unpark();
            // An error means that the thread has ended, which is the same.
            let _ = closed.await;
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::Relaxed);
        let (answer, _) = oneshot::channel();
        let _ = self.queue.try_send(Message::Close(answer));
        self.thread.unpark();
    }
}

impl Slot {
    /// A place for a second entry of the same request, without waiting. If there is none, that entry
    /// is counted as one without a place.
    #[must_use]
    pub fn another(&self) -> Self {
        let place = self.audit.0.shared.places.try_acquire();
        let has_place = place.is_ok();
        place.into_iter().for_each(tokio::sync::SemaphorePermit::forget);
        Self { audit: self.audit.clone(), has_place }
    }

    /// Hands the entry over. With [`Settings::strict`] this returns when it is on disk; on an error
    /// it is not yet, and will be once that is possible.
    pub async fn submit(self, entry: Box<Entry>) -> Result<(), Stalled> {
        let inner = Arc::clone(&self.audit.0);
        if !inner.strict {
            self.submit_now(entry);
            return Ok(());
        }
        let (answer, durable) = oneshot::channel();
        self.hand_over(entry, Some(answer));
        if let Ok(Ok(())) = tokio::time::timeout(inner.stall_timeout, durable).await {
            return Ok(());
        }
        add(&inner.shared.counters.refused, 1);
        Err(Stalled)
    }

    /// Hands the entry over, and waits for nothing.
    pub fn submit_now(self, entry: Box<Entry>) {
        self.hand_over(entry, None);
    }

    fn hand_over(mut self, entry: Box<Entry>, waits: Option<oneshot::Sender<()>>) {
        let inner = &*self.audit.0;
        if !self.has_place {
            return inner.shared.lose();
        }
        // Every place is one in the queue: it is full for nobody who has one.
        if inner.queue.try_send(Message::Entry(entry, waits)).is_ok() {
            self.has_place = false;
            inner.shared.wake(&inner.thread);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.has_place {
            self.audit.0.shared.places.add_permits(1);
        }
    }
}
