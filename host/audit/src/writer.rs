//! The one thread that writes: takes what has come together, turns it into lines, writes them at
//! once, and gives their places back.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::mpsc::{Receiver, TryRecvError};
use std::thread::Thread;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, oneshot};

use crate::entry::Entry;
use crate::event::{Event, Skip};
use crate::log::Log;
use crate::statistics::{Counters, add};
use crate::time;

/// Most entries written at once.
const BATCH: usize = 1024;
/// Pause between batches, so that a busy request path need not wake anybody, nor this thread push
/// one aside too often.
const NAP: Duration = Duration::from_millis(10);
/// Naps without an entry after which the thread goes to sleep until it is woken.
const NAPS: u32 = 3;
/// Longest sleep.
const SLEEP: Duration = Duration::from_secs(1);
/// Pauses after a write that failed.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_millis(500);
/// How long an ordered end tries to write what is there.
const LAST_TRY: Duration = Duration::from_secs(3);

/// What is handed to the thread.
pub(crate) enum Message {
    /// An entry, and who waits until it is on disk.
    Entry(Box<Entry>, Option<oneshot::Sender<()>>),
    /// Somebody who reads along was not given some entries.
    Skip(Skip),
    /// The end; answered when the log is closed.
    Close(oneshot::Sender<()>),
}

/// What the thread shares with those who hand over entries.
pub(crate) struct Shared {
    pub counters: Arc<Counters>,
    /// A place for each entry in memory.
    pub places: Semaphore,
    /// The thread sleeps until it is woken.
    pub sleeping: AtomicBool,
    /// Nobody waits for an answer any more.
    pub closing: AtomicBool,
    /// Requests without an entry that no entry tells of yet, and since when.
    pub lost: AtomicU64,
    pub lost_since_ms: AtomicU64,
}

impl Shared {
    /// Wakes the thread if it sleeps, after something was handed over.
    pub(crate) fn wake(&self, thread: &Thread) {
        // Pairs with the one before it goes to sleep: one of the two sees what the other did.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) {
            thread.unpark();
        }
    }

    /// Counts a request that has no entry.
    pub(crate) fn lose(&self) {
        add(&self.counters.shed, 1);
        let since = &self.lost_since_ms;
        if since.load(Ordering::Relaxed) == 0 {
            since.store(time::now_ms(), Ordering::Relaxed);
        }
        self.lost.fetch_add(1, Ordering::Relaxed);
    }
}

/// The thread's own.
pub(crate) struct Writer {
    pub log: Log,
    pub queue: Receiver<Message>,
    pub shared: Arc<Shared>,
    pub strict: bool,
    /// When to sign or rotate again after that failed.
    pub keep_after: Instant,
    /// Taken on the way to sleep.
    pub early: Option<Message>,
    /// Held as long as the log is written.
    pub lock: File,
}

impl Writer {
    /// Writes until it is told to close, or nobody is left who could hand anything over.
    pub(crate) fn run(mut self) {
        let mut waiting = Vec::new();
        let (mut naps, mut kept) = (0, true);
        let closing = loop {
            let (taken, ended) = self.take(&mut waiting);
            self.note_losses();
            if !self.write() {
                break ended;
            }
            self.shared.places.add_permits(taken);
            for waiting in waiting.drain(..) {
                // Who does not wait any more is no loss.
                let _ = waiting.send(());
            }
            if ended.is_some() {
                break ended;
            }
            if kept || self.keep_after < Instant::now() {
                kept = self.keep();
            }
            naps = if taken > 0 { 0 } else { naps + 1 };
            if taken < BATCH {
                self.rest(naps);
            }
        };
        self.close();
        drop(self.lock);
        if let Some(Ended(Some(answer))) = closing {
            let _ = answer.send(());
        }
    }

    /// Turns what is in the queue into lines; how many entries that were, and whether it has ended.
    fn take(&mut self, waiting: &mut Vec<oneshot::Sender<()>>) -> (usize, Option<Ended>) {
        let mut taken = 0;
        while taken < BATCH {
            match self.early.take().map_or_else(|| self.queue.try_recv(), Ok) {
                Ok(Message::Entry(entry, waits)) => {
                    // The time of the request, not of the writing.
                    self.log.append(&Event::Request(&entry), entry.time_ms);
                    waiting.extend(waits);
                    taken += 1;
                }
                Ok(Message::Skip(skip)) => self.log.append(&Event::Skip(&skip), time::now_ms()),
                Ok(Message::Close(answer)) => return (taken, Some(Ended(Some(answer)))),
                Err(TryRecvError::Empty) => return (taken, None),
                Err(TryRecvError::Disconnected) => return (taken, Some(Ended(None))),
            }
        }
        (taken, None)
    }

    /// Signs and rotates where it is time for that; a failure is tried again a little later.
    fn keep(&mut self) -> bool {
        let kept = self.log.keep();
        if let Err(error) = &kept {
            self.failed(error);
            self.keep_after = Instant::now() + LAST_PAUSE;
        }
        kept.is_ok()
    }

    /// An entry for those that have none.
    fn note_losses(&mut self) {
        if self.shared.lost.load(Ordering::Relaxed) == 0 {
            return;
        }
        let count = self.shared.lost.swap(0, Ordering::Relaxed);
        let until_ms = time::now_ms();
        let from_ms = match self.shared.lost_since_ms.swap(0, Ordering::Relaxed) {
            0 => until_ms,
            since => since,
        };
        self.log.append(&Event::Lost { count, from_ms, until_ms }, until_ms);
    }

    /// Writes the lines, however long that takes; false if it was given up at the end.
    fn write(&mut self) -> bool {
        let (mut pause, mut ending) = (FIRST_PAUSE, None);
        while let Err(error) = self.log.flush(self.strict) {
            self.failed(&error);
            if self.shared.closing.load(Ordering::Relaxed)
                && ending.get_or_insert_with(Instant::now).elapsed() > LAST_TRY
            {
                return false;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(LAST_PAUSE);
        }
        true
    }

    fn failed(&self, error: &std::io::Error) {
        // Not each time: the disk may stay full for long.
        let count = self.shared.counters.write_failures.fetch_add(1, Ordering::Relaxed);
        if count.is_multiple_of(10) {
            tracing::error!(%error, "the audit log cannot be written; trying again");
        }
    }

    /// Waits for more: briefly while there is much to do, else until it is woken.
    fn rest(&mut self, naps: u32) {
        if !self.strict && naps < NAPS {
            // Only the end cuts this short.
            return std::thread::park_timeout(NAP);
        }
        self.shared.sleeping.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        match self.queue.try_recv() {
            Ok(message) => self.early = Some(message),
            Err(TryRecvError::Empty) => {
                std::thread::park_timeout(self.log.idle_for().clamp(NAP, SLEEP));
            }
            // The next look says so, too.
            Err(TryRecvError::Disconnected) => {}
        }
        self.shared.sleeping.store(false, Ordering::Relaxed);
    }

    fn close(&mut self) {
        if let Err(error) = self.log.stop() {
            tracing::error!(%error, "the audit log could not be closed in order");
        }
    }
}

/// The queue's end, and who waits for it.
struct Ended(Option<oneshot::Sender<()>>);
