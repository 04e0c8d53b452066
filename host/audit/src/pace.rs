//! Requests that wait for those who read along.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

/// How far those who read along have come, for requests that are not to run away from them.
pub struct Pace {
    max_lag: u64,
    /// The sequence number that each has reached.
    reached: Box<[AtomicU64]>,
    moved: Notify,
}

impl Pace {
    /// Of `count` readers, none of which is to be more than `max_lag` entries behind.
    pub fn new(count: usize, max_lag: u64) -> Self {
        let reached = (0..count).map(|_| AtomicU64::new(0)).collect();
        Self { max_lag, reached, moved: Notify::new() }
    }

    /// One of them, counted from 0, has come to this entry.
    pub fn reached(&self, reader: usize, seq: u64) {
        if let Some(reached) = self.reached.get(reader) {
            reached.store(seq, Ordering::Relaxed);
            self.moved.notify_waiters();
        }
    }

    /// Whether one of them is too far behind the entry `head`.
    pub(crate) fn is_behind(&self, head: u64) -> bool {
        let behind =
            |seq: &AtomicU64| head.saturating_sub(seq.load(Ordering::Relaxed)) > self.max_lag;
        self.reached.iter().any(behind)
    }

    /// Waits until none is, by what `head` says then.
    pub(crate) async fn caught_up(&self, head: impl Fn() -> u64) {
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            // From here on no move is missed.
            moved.as_mut().enable();
            if !self.is_behind(head()) {
                return;
            }
            moved.await;
        }
    }
}
