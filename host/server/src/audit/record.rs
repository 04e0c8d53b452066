//! The entry of the request that is being handled, where its handler finds it.
//!
//! It travels with the task that handles the request, not in arguments: no handler can leave it out,
//! and one that is given up, panics or loses its caller still leaves an entry.

use std::cell::RefCell;
use std::time::Instant;

use axum::http::Request;
use keyward_audit::{Audit, Entry, Slot, Stalled};
use keyward_keyring::origin::Origin;

use super::{Operation, decision};
use crate::clock;
use crate::errors::Code;
use crate::net::Peer;

/// Status of a request that nobody waited for any more. None was sent.
const ABANDONED: u16 = 499;

tokio::task_local! {
    static RECORD: RefCell<Record>;
}

/// An entry in the making. It is handed over at the latest when this is dropped.
pub struct Record {
    entry: Box<Entry>,
    slot: Option<Slot>,
    start: Instant,
}

impl Record {
    /// Of a request that has just arrived; its place in the log comes with
    /// [`reserve`](Self::reserve).
    pub fn of<B>(request: &Request<B>, origin: &Origin) -> Self {
        let Operation { name, tenant, key } = Operation::of(request.method(), request.uri().path());
        let mut entry = Box::new(Entry {
            time_ms: clock::unix_ms(),
            request_id: origin.request_id.clone(),
            trace_id: origin.trace_id.clone(),
            tenant: tenant.map(Into::into),
            operation: name,
            client: request.extensions().get::<Peer>().map(|peer| peer.0.ip().to_canonical()),
            ..Entry::default()
        });
        if let Some(key) = key {
            entry.uses(key, None);
        }
        Self { entry, slot: None, start: Instant::now() }
    }

    /// Takes a place in the log, before anything is done.
    pub async fn reserve(mut self, audit: &Audit) -> Result<Self, Stalled> {
        self.slot = Some(audit.reserve().await?);
        Ok(self)
    }

    /// Hands the entry over. On an error it is not on disk yet, and had to be.
    pub async fn submit(mut self, status: u16, code: Option<Code>) -> Result<(), Stalled> {
        self.finish(status, code);
        let entry = std::mem::take(&mut self.entry);
        match self.slot.take() {
            Some(slot) => slot.submit(entry).await,
            None => Ok(()),
        }
    }

    fn finish(&mut self, status: u16, code: Option<Code>) {
        let entry = &mut self.entry;
        entry.status = status;
        entry.code = code.map(|code| code.as_str().into());
        if entry.policy.is_some()
            && let Some(decision) = code.and_then(decision)
        {
            entry.decision = Some(decision);
        }
        entry.duration_us = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
    }

    fn hand_over(&mut self) {
        if let Some(slot) = self.slot.take() {
            slot.submit_now(std::mem::take(&mut self.entry));
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if self.slot.is_none() {
            return;
        }
        let (status, code) = if self.entry.is_end {
            (self.entry.status, "broken_off")
        } else {
            (ABANDONED, "abandoned")
        };
        self.finish(status, None);
        self.entry.code = Some(code.into());
        self.hand_over();
    }
}

/// Runs `work`, which finds the record by [`note`].
pub async fn within<F: Future>(record: Option<Record>, work: F) -> (F::Output, Option<Record>) {
    let Some(record) = record else {
        return (work.await, None);
    };
    let mut scoped = std::pin::pin!(RECORD.scope(RefCell::new(record), work));
    let done = scoped.as_mut().await;
    (done, scoped.take_value().map(RefCell::into_inner))
}

/// Changes the entry of the request being handled, if it has one.
pub fn note(change: impl FnOnce(&mut Entry)) {
    // An error: nothing is recorded of this.
    let _ = RECORD.try_with(|record| change(&mut record.borrow_mut().entry));
}

/// The record of the end of an answer that is sent piece by piece, with what is known by now.
pub fn ending() -> Option<Record> {
    let copy = |record: &RefCell<Record>| {
        let record = record.borrow();
        let slot = record.slot.as_ref()?.another();
        let mut entry = record.entry.clone();
        (entry.is_end, entry.status) = (true, 200);
        Some(Record { entry, slot: Some(slot), start: record.start })
    };
    RECORD.try_with(copy).ok().flatten()
}

/// Hands over the entry of the end of an answer that was sent piece by piece; `code` says what ended
/// it early.
pub fn end(record: Option<Record>, code: Option<Code>) {
    if let Some(mut record) = record {
        record.finish(record.entry.status, code);
        record.hand_over();
    }
}
