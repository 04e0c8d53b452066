//! Deleting a key in the way that can be undone, and undoing it.

use std::sync::Arc;
use std::time::Duration;

use super::lifecycle::Step;
use super::{Inner, Keyring, to_the_end};
use crate::cache::millis;
use crate::error::KeyringError;
use crate::history::{Action, Author, Cause};
use crate::key::{Deletion, Key};
use crate::names::{KeyName, TenantName};

/// For how long a deleted key can be restored, unless its deletion says otherwise: seven days.
pub const DEFAULT_RESTORE_WINDOW: Duration = Duration::from_hours(7 * 24);

impl Keyring {
    /// Deletes the key: it neither encrypts nor decrypts any more, and is listed only by
    /// [`Keyring::list_deleted_keys`]. For `window` it can be restored; then
    /// [`Keyring::purge_due`] destroys it. Until then its name is taken. Returns the key as it
    /// then is.
    ///
    /// Fails with [`KeyringError::KeyNotFound`], [`KeyringError::KeyDeleted`] when it is deleted
    /// already, [`KeyringError::KeyDestroyed`], [`KeyringError::InvalidName`] (field `actor` or `reason`) or
    /// [`KeyringError::Conflict`].
    pub async fn delete_key(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        by: impl Into<Author<'_>>,
        window: Duration,
    ) -> Result<Arc<Key>, KeyringError> {
        let cause = Cause::of(by)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        to_the_end(async move { inner.delete_key(&tenant, &name, &cause, window).await }).await
    }

    /// Restores a deleted key: it is again as it was before, enabled or disabled. Returns it as it
    /// then is.
    ///
    /// Fails with [`KeyringError::KeyNotFound`], also when it was purged,
    /// [`KeyringError::KeyNotDeleted`], [`KeyringError::RestoreWindowOver`],
    /// [`KeyringError::KeyDestroyed`], [`KeyringError::InvalidName`] (field `actor` or `reason`) or
    /// [`KeyringError::Conflict`].
    pub async fn restore_key(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        by: impl Into<Author<'_>>,
    ) -> Result<Arc<Key>, KeyringError> {
        let cause = Cause::of(by)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        to_the_end(async move { inner.restore_key(&tenant, &name, &cause).await }).await
    }
}

impl Inner {
    async fn delete_key(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        cause: &Cause,
        window: Duration,
    ) -> Result<Arc<Key>, KeyringError> {
        let purge_at = cause.at.saturating_add(millis(window));
        let deletion = Deletion { at: cause.at, by: cause.actor.clone(), purge_at };
        let key = self.read_key(tenant, name).await?;
        let (newest, _) = self
            .change_key(key, |key| {
                key.check_kept()?;
                key.deleted = Some(deletion.clone());
                key.note(cause, Action::Delete, None);
                Ok(Step::Write)
            })
            .await?;
        tracing::info!(%tenant, key = %name, purge_at, by = cause.actor, "key deleted");
        self.changed(&newest).await;
        Ok(Arc::new(newest))
    }

    async fn restore_key(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        cause: &Cause,
    ) -> Result<Arc<Key>, KeyringError> {
        let key = self.read_key(tenant, name).await?;
        let (newest, _) = self
            .change_key(key, |found| {
                let key = found.name.to_string();
                if found.destruction.is_some() {
                    return Err(KeyringError::KeyDestroyed { key });
                }
                match &found.deleted {
                    None => Err(KeyringError::KeyNotDeleted { key }),
                    Some(Deletion { purge_at, .. }) if *purge_at <= cause.at => {
                        Err(KeyringError::RestoreWindowOver { key, purge_at: *purge_at })
                    }
                    Some(_) => {
                        found.deleted = None;
                        found.note(cause, Action::Restore, None);
                        Ok(Step::Write)
                    }
                }
            })
            .await?;
        tracing::info!(%tenant, key = %name, by = cause.actor, "key restored");
        self.changed(&newest).await;
        Ok(Arc::new(newest))
    }
}
