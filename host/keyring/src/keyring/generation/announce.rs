//! Telling others: changes are appended to the record, those that wait together in one write.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::Generation;
use super::log::{KEPT, Log, PATH};
use crate::change::Change;
use crate::error::KeyringError;
use crate::store::StoreError;

/// How many lost races for the record to accept in one try.
const ATTEMPTS: usize = 100;

/// The shortest and the longest pause before a change is announced again.
const RETRY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

impl Generation {
    /// Appends the change to the record. Changes that wait while one is being written are then
    /// written together. Returns when the change is written, or will be once the store answers.
    pub(in crate::keyring) async fn announce(self: &Arc<Self>, change: Change) {
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
}
