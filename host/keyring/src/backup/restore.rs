//! Restoring a backup: checked to its end before anything is changed, compared, then applied.

use std::io::{Read, Seek};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::archive;
use super::difference::{Difference, KeyAction, Reason};
use super::envelope::Identities;
use super::error::BackupError;
use super::frame::Frame;
use super::origin::{Origin, Signer};
use super::pass::{Mode, Pass};
use super::report::Summary;
use crate::store::{Store, StoreError};

/// What to do where the store has something else than the backup. Versions that the store's key
/// lacks are added in any case, and what the store says of its own key stays: which version is
/// current, which ones were destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conflict {
    /// Change nothing at all.
    Refuse,
    /// Keep the store's, and restore the rest.
    KeepExisting,
    /// Take the backup's. A key of the same name and another id is destroyed for that. Where the
    /// store has other material for the same version of the same key, nothing is changed at all.
    Replace,
}

/// What a restore did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Applied {
    /// How the store differed before.
    pub difference: Difference,
    /// How many records were written.
    pub written: u64,
}

/// A backup that was opened and found whole.
pub struct Restore<R> {
    file: Arc<File<R>>,
    summary: Summary,
}

struct File<R> {
    source: Mutex<R>,
    identities: Identities,
}

impl<R: Read + Seek + Send + 'static> Restore<R> {
    /// Opens a backup and reads all of it, so that nothing is restored from one that is damaged.
    /// With `origin` it must come from there.
    ///
    /// Fails with [`BackupError::Foreign`], [`BackupError::WrongIdentity`],
    /// [`BackupError::NewerFormat`], [`BackupError::Damaged`], [`BackupError::Truncated`],
    /// [`BackupError::WrongOrigin`] and [`BackupError::Io`].
    pub async fn open(
        source: R,
        identities: Identities,
        origin: Option<Origin>,
    ) -> Result<Self, BackupError> {
        let file = Arc::new(File { source: Mutex::new(source), identities });
        let reading = file.clone();
        let read = blocking(move || reading.read(|_| true)).await?;
        let summary = read.ok_or(BackupError::Truncated)?;
        match origin {
            Some(expected) if expected != summary.origin => Err(BackupError::WrongOrigin {
                expected: expected.to_string(),
                found: summary.origin.to_string(),
            }),
            _ => Ok(Self { file, summary }),
        }
    }

    /// What the backup holds.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// Whether it was made from this very store.
    pub async fn is_from(&self, store: &dyn Store) -> Result<bool, BackupError> {
        Ok(Signer::known(store).await? == Some(self.summary.origin))
    }

    /// How the store differs from the backup. Changes nothing.
    pub async fn plan(&self, store: &dyn Store) -> Result<Difference, BackupError> {
        Ok(self.pass(Pass::new(store, Mode::Look)).await?.0)
    }

    /// Restores the backup into the store. Hosts may serve from it meanwhile and never find a key
    /// half restored; afterwards they must be told ([`Change::Everything`](crate::Change), by
    /// [`Keyring::announce`](crate::Keyring::announce)), for they may have cached what was.
    ///
    /// Stopped half-way by a failure or a crash, the same call does what is left. Fails with
    /// [`BackupError::Conflicts`] and [`BackupError::Clash`] before anything is changed, with
    /// [`BackupError::Changed`] when others changed the same things meanwhile, and with
    /// [`BackupError::Store`].
    pub async fn apply(
        &self,
        store: &dyn Store,
        conflict: Conflict,
    ) -> Result<Applied, BackupError> {
        let difference = self.plan(store).await?;
        match conflict {
            Conflict::Refuse => {
                let mut conflicts = difference.conflicts();
                if let Some(first) = conflicts.next() {
                    let (first, count) = (first.to_owned(), 1 + conflicts.count() as u64);
                    return Err(BackupError::Conflicts { count, first });
                }
            }
            Conflict::KeepExisting => {}
            Conflict::Replace => {
                if let Some(path) = difference.clash() {
                    return Err(BackupError::Clash { path: path.to_owned() });
                }
            }
        }
        let replace = conflict == Conflict::Replace;
        let in_conflict = difference.keys().filter(|key| match key.action {
            KeyAction::Conflict(Reason::IdTaken) => true,
            KeyAction::Conflict(_) => !replace,
            _ => false,
        });
        let keep = in_conflict.map(|key| key.path.clone()).collect();
        let (_, written) = self.pass(Pass::new(store, Mode::Write { replace, keep })).await?;
        Ok(Applied { difference, written })
    }

    /// Leads a pass through the archive, one record in memory and one on the way.
    async fn pass(&self, mut pass: Pass<'_>) -> Result<(Difference, u64), BackupError> {
        let (frames, mut arriving) = mpsc::channel::<Frame>(1);
        let file = self.file.clone();
        let reading = tokio::task::spawn_blocking(move || {
            file.read(|frame| frames.blocking_send(frame).is_ok())
        });
        while let Some(frame) = arriving.recv().await {
            pass.frame(frame).await?;
        }
        let read = reading.await.map_err(|_| shutting_down())??;
        if read.as_ref() != Some(&self.summary) {
            return Err(BackupError::Damaged("it was changed while it was being restored"));
        }
        pass.finish().await
    }
}

impl<R: Read + Seek> File<R> {
    fn read(&self, each: impl FnMut(Frame) -> bool) -> Result<Option<Summary>, BackupError> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        archive::read(&mut *source, &self.identities, each)
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| shutting_down())?
}

fn shutting_down() -> BackupError {
    StoreError::Unavailable { reason: "the runtime is shutting down".to_owned() }.into()
}
