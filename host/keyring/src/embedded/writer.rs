//! The one thread that writes. It takes every change that waits, commits them together and then
//! answers each: callers at the same time share one wait for the disk.

use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use super::database::{Effect, Step};
use super::{Shared, sealing};
use crate::store::StoreError;

/// Changes that may wait before callers wait to hand theirs over.
const QUEUE: usize = 1024;
/// The most changes in one transaction.
const BATCH: usize = 256;

/// A change that a caller asks for.
pub(super) enum Change {
    Create { path: String, value: Zeroizing<Vec<u8>> },
    Replace { path: String, value: Zeroizing<Vec<u8>>, expected: u64 },
    Delete { path: String },
}

struct Job {
    change: Change,
    reply: oneshot::Sender<Result<u64, StoreError>>,
}

pub(super) struct Writer {
    // `None` only while it is dropped.
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

fn stopped() -> StoreError {
    StoreError::Unavailable { reason: "the writer has stopped; restart the process".to_owned() }
}

impl Writer {
    pub(super) fn start(shared: Arc<Shared>) -> Result<Self, StoreError> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new()
            .name("keyward-store".to_owned())
            .spawn(move || run(&shared, jobs))
            .map_err(|error| StoreError::Unavailable { reason: error.to_string() })?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Carries out the change and returns the revision it gave, or 0, once it is on disk.
    pub(super) async fn apply(&self, change: Change) -> Result<u64, StoreError> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(stopped)?;
        queue.send(Job { change, reply }).await.map_err(|_| stopped())?;
        answer.await.map_err(|_| stopped())?
    }
}

impl Drop for Writer {
    /// Finishes what was accepted.
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(shared: &Shared, mut jobs: mpsc::Receiver<Job>) {
    let mut damage = None;
    while let Some(first) = jobs.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(job) = jobs.try_recv()
        {
            batch.push(job);
        }
        let (changes, replies): (Vec<_>, Vec<_>) = batch
            .into_iter()
            .map(|Job { change, reply }| (Sealing { change, shared }, reply))
            .unzip();
        let outcome = match &damage {
            Some(error) => Err(StoreError::clone(error)),
            None => shared.database.commit(&changes),
        };
        drop(changes);
        match outcome {
            Ok(results) => {
                for (reply, result) in replies.into_iter().zip(results) {
                    let _ = reply.send(result); // the caller may have gone
                }
            }
            Err(error) => {
                for reply in replies {
                    let _ = reply.send(Err(error.clone()));
                }
                // A damaged database is not written to again.
                if matches!(error, StoreError::Corrupted { .. }) {
                    damage = Some(error);
                }
            }
        }
    }
}

struct Sealing<'a> {
    change: Change,
    shared: &'a Shared,
}

impl Step for Sealing<'_> {
    fn path(&self) -> &str {
        match &self.change {
            Change::Create { path, .. }
            | Change::Replace { path, .. }
            | Change::Delete { path } => path,
        }
    }

    fn decide(&self, found: Option<u64>, next: u64) -> Result<Effect, StoreError> {
        let seal = |path: &str, value: &[u8]| {
            sealing::seal(&self.shared.root_key, path, next, value).map(Effect::Put)
        };
        match &self.change {
            Change::Create { path, value } if found.is_none() => seal(path, value),
            Change::Create { path, .. } => Err(StoreError::Exists { path: path.clone() }),
            Change::Replace { path, value, expected } if found == Some(*expected) => {
                seal(path, value)
            }
            Change::Replace { path, expected, .. } => {
                Err(StoreError::RevisionMismatch { path: path.clone(), expected: *expected, found })
            }
            Change::Delete { .. } if found.is_some() => Ok(Effect::Remove),
            Change::Delete { .. } => Ok(Effect::Keep),
        }
    }
}
