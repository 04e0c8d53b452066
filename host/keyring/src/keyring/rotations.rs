//! Waiting of one key that wait at the same time are done together: one read of the metadata, a
//! number of its own for each, and one write. So the rotations of one host never race each other,
//! only those of other hosts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::Inner;
use crate::error::KeyringError;
use crate::history::Cause;
use crate::key::VersionInfo;
use crate::names::{KeyName, TenantName};
use crate::store::StoreError;

/// The most that are done together: the first waits for the last.
const TOGETHER: usize = 32;

type Name = (TenantName, KeyName);

/// A rotation that somebody waits for.
pub(super) struct Wanted {
    /// Who wants it, and why.
    pub(super) cause: Cause,
    /// What its version is for.
    pub(super) description: String,
    pub(super) answer: oneshot::Sender<Result<VersionInfo, KeyringError>>,
}

/// The rotations that wait, by key. A key has an entry for as long as a task works on it.
#[derive(Default)]
pub(super) struct Waiting {
    waiting: Mutex<HashMap<Name, Vec<Wanted>>>,
}

impl Waiting {
    fn waiting(&self) -> MutexGuard<'_, HashMap<Name, Vec<Wanted>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rotation; true when no task works on the key yet.
    fn add(&self, name: &Name, wanted: Wanted) -> bool {
        let mut waiting = self.waiting();
        if let Some(others) = waiting.get_mut(name) {
            others.push(wanted);
            return false;
        }
        waiting.insert(name.clone(), vec![wanted]);
        true
    }

    /// The next ones to do together; `None` when there are none, and then the key's entry is gone.
    fn take(&self, name: &Name) -> Option<Vec<Wanted>> {
        let mut waiting = self.waiting();
        let all = waiting.get_mut(name).filter(|all| !all.is_empty());
        let Some(all) = all else {
            waiting.remove(name);
            return None;
        };
        Some(all.drain(..all.len().min(TOGETHER)).collect())
    }
}

/// Removes a key's entry when its task ends before it is done, by a panic or with the runtime. Who
/// waits then learns of it.
struct Working {
    inner: Arc<Inner>,
    name: Name,
    done: bool,
}

impl Drop for Working {
    fn drop(&mut self) {
        if !self.done {
            self.inner.rotations.waiting().remove(&self.name);
        }
    }
}

impl Inner {
    pub(super) async fn create_version(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        cause: Cause,
        description: String,
    ) -> Result<VersionInfo, KeyringError> {
        let name = (tenant.clone(), name.clone());
        let (answer, answered) = oneshot::channel();
        if self.rotations.add(&name, Wanted { cause, description, answer }) {
            tokio::spawn(work(Working { inner: Arc::clone(self), name, done: false }));
        }
        answered.await.unwrap_or_else(|_| {
            let reason = "the rotation was interrupted".to_owned();
            Err(StoreError::Unavailable { reason }.into())
        })
    }
}

async fn work(mut working: Working) {
    let (tenant, name) = working.name.clone();
    while let Some(wanted) = working.inner.rotations.take(&working.name) {
        working.inner.rotate_together(&tenant, &name, wanted).await;
    }
    // The entry is gone, or belongs to another task already.
    working.done = true;
}
