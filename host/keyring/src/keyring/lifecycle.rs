//! What may happen to a key after its creation: roll back, destroy a version, disable, enable.
//! Each is one compare-and-set of the metadata, decided anew whenever somebody else was faster.

use std::sync::Arc;

use super::Inner;
use crate::error::KeyringError;
use crate::history::{Action, Cause};
use crate::key::{Key, VersionInfo};
use crate::names::{KeyName, TenantName};
use crate::receipt::Receipt;
use crate::record;
use crate::store::StoreError;

/// How many lost races for the metadata to accept.
const ATTEMPTS: usize = 1000;

/// What a change finds to do.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Step {
    /// The metadata was changed: write it.
    Write,
    /// It is as wanted already.
    Nothing,
}

fn listed(key: &mut Key, version: u32) -> Result<&mut VersionInfo, KeyringError> {
    let name = key.name.to_string();
    let not_found = KeyringError::VersionNotFound { key: name, version };
    key.version_info_mut(version).ok_or(not_found)
}

impl Inner {
    /// Applies `change` to the key's metadata, again on what others wrote meanwhile, and returns
    /// the metadata as it then is in the store, and whether it was written.
    pub(super) async fn change_key(
        self: &Arc<Self>,
        mut key: Key,
        change: impl Fn(&mut Key) -> Result<Step, KeyringError>,
    ) -> Result<(Key, Step), KeyringError> {
        let path = record::key_path(&key.tenant, &key.name);
        for _ in 0..ATTEMPTS {
            let step = change(&mut key)?;
            if step == Step::Nothing {
                return Ok((key, step));
            }
            let value = record::encode_key(&path, &key)?;
            match self.store.replace(&path, &value, key.revision).await {
                Ok(revision) => {
                    key.revision = revision;
                    return Ok((key, step));
                }
                Err(StoreError::RevisionMismatch { .. }) => {
                    let now = self.read_key(&key.tenant, &key.name).await?;
                    if now.id != key.id {
                        return Err(KeyringError::KeyNotFound { key: key.name.to_string() });
                    }
                    key = now;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeyringError::Conflict { key: key.name.to_string() })
    }

    pub(super) async fn rollback(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        target: u32,
        cause: &Cause,
    ) -> Result<Arc<Key>, KeyringError> {
        let key = self.read_key(tenant, name).await?;
        let (newest, _) = self
            .change_key(key, |key| {
                key.check_kept()?;
                if listed(key, target)?.destroyed.is_some() {
                    let key = key.name.to_string();
                    return Err(KeyringError::VersionDestroyed { key, version: target });
                }
                if key.current_version == target {
                    return Ok(Step::Nothing);
                }
                key.check_encrypts(target)?;
                key.current_version = target;
                key.note(cause, Action::Rollback, Some(target));
                Ok(Step::Write)
            })
            .await?;
        tracing::info!(%tenant, key = %name, version = target, by = cause.actor, "key rolled back");
        self.changed(&newest).await;
        Ok(Arc::new(newest))
    }

    pub(super) async fn destroy_version(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        version: u32,
        cause: &Cause,
    ) -> Result<Receipt, KeyringError> {
        let key = self.read_key(tenant, name).await?;
        let (mut newest, step) = self
            .change_key(key, |key| {
                key.check_kept()?;
                let is_current = key.current_version == version;
                let info = listed(key, version)?;
                if info.destroyed.is_some() {
                    return Ok(Step::Nothing);
                }
                if is_current {
                    let key = key.name.to_string();
                    return Err(KeyringError::VersionIsCurrent { key, version });
                }
                info.destroyed = Some(cause.stamp());
                key.owe(cause.stamp(), cause.reason.clone(), vec![version]);
                key.note(cause, Action::DestroyVersion, Some(version));
                Ok(Step::Write)
            })
            .await?;
        // From here on nobody uses it, even if its material stays for a while.
        self.changed(&newest).await;
        // A destruction that stopped half-way is finished; one that is complete cannot be repeated.
        let destroyed = || KeyringError::VersionDestroyed { key: name.to_string(), version };
        if step == Step::Nothing && !newest.owes(version) {
            let path = record::version_path(tenant, name, version);
            if self.store.get(&path).await?.is_none() {
                return Err(destroyed());
            }
            newest = self.owe(newest, &[version]).await?;
        }
        let (_, receipts) = self.settle(newest).await?;
        tracing::info!(%tenant, key = %name, version, by = cause.actor, "key version destroyed");
        receipts.into_iter().find(|receipt| receipt.names(version)).ok_or_else(destroyed)
    }

    pub(super) async fn set_enabled(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        enabled: bool,
        cause: &Cause,
    ) -> Result<Arc<Key>, KeyringError> {
        let key = self.read_key(tenant, name).await?;
        let (newest, _) = self
            .change_key(key, |key| {
                key.check_kept()?;
                if key.enabled() == enabled {
                    return Ok(Step::Nothing);
                }
                key.disabled = (!enabled).then(|| cause.stamp());
                let action = if enabled { Action::Enable } else { Action::Disable };
                key.note(cause, action, None);
                Ok(Step::Write)
            })
            .await?;
        tracing::info!(%tenant, key = %name, enabled, by = cause.actor, "key enabled or disabled");
        self.changed(&newest).await;
        Ok(Arc::new(newest))
    }
}
