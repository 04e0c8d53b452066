//! Figures of a log, since its start.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

/// Figures of a log, since its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Entries written, those about the log itself included.
    pub entries: u64,
    /// The sequence number of the last entry in the files.
    pub written: u64,
    /// Bytes written.
    pub bytes: u64,
    /// Requests that were served without an entry.
    pub shed: u64,
    /// Requests that found no place for their entry at once.
    pub stalls: u64,
    /// Requests that were refused for that.
    pub refused: u64,
    /// Writes that failed and were tried again.
    pub write_failures: u64,
    /// Files begun.
    pub files: u64,
    /// Entries in memory, those of requests under way included.
    pub queued: u64,
    /// Entries that the last checkpoint covers.
    pub checkpoint_size: u64,
    /// When it was signed, in milliseconds since the Unix epoch; 0: there is none yet.
    pub checkpoint_ms: u64,
}

/// The same, being counted.
#[derive(Default)]
pub(crate) struct Counters {
    pub entries: AtomicU64,
    /// The sequence number of the last entry in the files, for those who wait for more.
    pub written: watch::Sender<u64>,
    pub bytes: AtomicU64,
    pub shed: AtomicU64,
    pub stalls: AtomicU64,
    pub refused: AtomicU64,
    pub write_failures: AtomicU64,
    pub files: AtomicU64,
    pub checkpoint_size: AtomicU64,
    pub checkpoint_ms: AtomicU64,
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

impl Counters {
    pub(crate) fn read(&self, queued: u64) -> Statistics {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Statistics {
            entries: get(&self.entries),
            written: *self.written.borrow(),
            bytes: get(&self.bytes),
            shed: get(&self.shed),
            stalls: get(&self.stalls),
            refused: get(&self.refused),
            write_failures: get(&self.write_failures),
            files: get(&self.files),
            queued,
            checkpoint_size: get(&self.checkpoint_size),
            checkpoint_ms: get(&self.checkpoint_ms),
        }
    }
}
