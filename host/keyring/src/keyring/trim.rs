//! Trimming a key: every version below one is destroyed.
//!
//! Like the destruction of one version, in two steps: the metadata says that the versions are
//! destroyed, by compare-and-set, and then their material is removed and the
//! [receipt](super::receipts) written. Only versions that no longer decrypt are trimmed, so nobody is
//! using one while it goes.

use std::sync::Arc;

use super::lifecycle::Step;
use super::{Inner, Keyring, to_the_end};
use crate::error::KeyringError;
use crate::history::{Action, Author, Cause};
use crate::key::{Key, VersionInfo};
use crate::names::{KeyName, TenantName};
use crate::receipt::Receipt;

/// What a trim did.
#[derive(Clone, Debug)]
pub struct Trimmed {
    /// The key as it then is.
    pub key: Arc<Key>,
    /// The receipts for what was destroyed; none when it was before. They may be for a destruction
    /// that stopped half-way earlier, too.
    pub receipts: Vec<Receipt>,
}

impl Keyring {
    /// Destroys every version below `min_available` for good, as [`Keyring::destroy_version`] does
    /// with one. `min_available` is at most [`Key::min_decrypt_version`]. Succeeds when they are
    /// destroyed already.
    ///
    /// When the store fails half-way, the same call finishes it later. Fails with
    /// [`KeyringError::KeyNotFound`], [`KeyringError::KeyDeleted`], [`KeyringError::KeyDestroyed`],
    /// [`KeyringError::OutOfRange`] for 0, [`KeyringError::TrimTooHigh`],
    /// [`KeyringError::InvalidName`] (field `actor` or `reason`) or [`KeyringError::Conflict`].
    pub async fn trim(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        min_available: u32,
        by: impl Into<Author<'_>>,
    ) -> Result<Trimmed, KeyringError> {
        self.trim_unless(tenant, name, min_available, |_| false, by).await
    }

    /// The same, unless `in_use` says that somebody still needs one of the versions: then nothing
    /// is destroyed. `in_use` is asked for each version to be destroyed, again whenever the key
    /// changed meanwhile, and must not block.
    ///
    /// Fails like [`Keyring::trim`], and with [`KeyringError::VersionInUse`].
    pub async fn trim_unless(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        min_available: u32,
        in_use: impl Fn(&VersionInfo) -> bool + Send + Sync + 'static,
        by: impl Into<Author<'_>>,
    ) -> Result<Trimmed, KeyringError> {
        let cause = Cause::of(by)?;
        if min_available == 0 {
            let field = "min_available_version";
            return Err(KeyringError::OutOfRange { field, min: 1, max: u32::MAX });
        }
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        to_the_end(async move { inner.trim(&tenant, &name, min_available, in_use, &cause).await })
            .await
    }
}

impl Inner {
    async fn trim(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        min_available: u32,
        in_use: impl Fn(&VersionInfo) -> bool + Send + Sync,
        cause: &Cause,
    ) -> Result<Trimmed, KeyringError> {
        let key = self.read_key(tenant, name).await?;
        let (newest, step) =
            self.change_key(key, |key| mark(key, min_available, &in_use, cause)).await?;
        // From here on nobody uses them, even if their material stays for a while.
        self.changed(&newest).await;
        // Also what a destruction left that is owed no receipt. A number that is not listed may be
        // that of a rotation under way on another host: it stays.
        let stored = self.stored_versions(&newest).await?;
        let is_left = |number: &u32| {
            let info = newest.version_info(*number).filter(|info| info.version < min_available);
            info.is_some_and(|info| info.destroyed.is_some()) && !newest.owes(*number)
        };
        let left: Vec<u32> = stored.into_iter().filter(is_left).collect();
        let newest = self.owe(newest, &left).await?;
        let (newest, receipts) = self.settle(newest).await?;
        if step == Step::Write {
            tracing::info!(%tenant, key = %name, min_available, by = cause.actor, "key trimmed");
        }
        Ok(Trimmed { key: Arc::new(newest), receipts })
    }
}

/// Says in the metadata that the versions below are destroyed.
fn mark(
    key: &mut Key,
    min_available: u32,
    in_use: impl Fn(&VersionInfo) -> bool,
    cause: &Cause,
) -> Result<Step, KeyringError> {
    key.check_kept()?;
    let name = key.name.to_string();
    let min_decrypt = key.bounds.min_decrypt;
    if min_available > min_decrypt {
        return Err(KeyringError::TrimTooHigh { key: name, min_available, min_decrypt });
    }
    let mut gone = Vec::new();
    let below = key.versions.iter_mut().take_while(|info| info.version < min_available);
    for info in below.filter(|info| info.destroyed.is_none()) {
        if in_use(info) {
            return Err(KeyringError::VersionInUse { key: name, version: info.version });
        }
        info.destroyed = Some(cause.stamp());
        gone.push(info.version);
    }
    if gone.is_empty() {
        return Ok(Step::Nothing);
    }
    key.owe(cause.stamp(), cause.reason.clone(), gone);
    key.note(cause, Action::Trim, Some(min_available));
    Ok(Step::Write)
}
