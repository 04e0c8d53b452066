//! Changing a key's settings: the bounds of its versions, and what is said about it.

use std::sync::Arc;

use super::lifecycle::Step;
use super::{Inner, Keyring, to_the_end};
use crate::about::KeyEdit;
use crate::error::KeyringError;
use crate::history::{Action, Author, Cause};
use crate::key::Key;
use crate::names::{KeyName, TenantName};

impl Keyring {
    /// Does the edits, all or none. Succeeds when everything is so already. Returns the key as it
    /// then is.
    ///
    /// From then on versions below [`KeyEdit::min_decrypt_version`] are refused wherever one is
    /// asked for, and let go of in memory; lowering the bound lets them be used again. Other hosts
    /// follow when they learn of the change.
    ///
    /// Fails with [`KeyringError::KeyNotFound`], [`KeyringError::KeyDeleted`],
    /// [`KeyringError::KeyDestroyed`], [`KeyringError::OutOfRange`],
    /// [`KeyringError::KeyNotExportable`], [`KeyringError::InvalidName`] (field `labels`, `owner`, `description`, `actor` or `reason`) or
    /// [`KeyringError::Conflict`].
    pub async fn edit_key(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        edit: KeyEdit,
        by: impl Into<Author<'_>>,
    ) -> Result<Arc<Key>, KeyringError> {
        let cause = Cause::of(by)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        to_the_end(async move { inner.edit_key(&tenant, &name, &edit, &cause).await }).await
    }
}

impl Inner {
    async fn edit_key(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        edit: &KeyEdit,
        cause: &Cause,
    ) -> Result<Arc<Key>, KeyringError> {
        let key = self.read_key(tenant, name).await?;
        let (newest, step) = self.change_key(key, |key| apply(edit, key, cause)).await?;
        if step == Step::Write {
            let (min_decrypt, min_encrypt) =
                (newest.min_decrypt_version(), newest.min_encrypt_version());
            let by = &cause.actor;
            tracing::info!(%tenant, key = %name, min_decrypt, min_encrypt, by, "key settings changed");
        }
        self.changed(&newest).await;
        Ok(Arc::new(newest))
    }
}

fn apply(edit: &KeyEdit, key: &mut Key, cause: &Cause) -> Result<Step, KeyringError> {
    key.check_kept()?;
    let (decrypt, encrypt) = (edit.min_decrypt_version, edit.min_encrypt_version);
    let before = key.bounds;
    let bounds = before.edited(decrypt, encrypt, key.current_version)?;
    let about = edit.about(&key.about)?;
    let mut step = Step::Nothing;
    if bounds.min_decrypt != before.min_decrypt {
        key.note(cause, Action::MinDecrypt, Some(bounds.min_decrypt));
        step = Step::Write;
    }
    if bounds.own_min_encrypt != before.own_min_encrypt {
        key.note(cause, Action::MinEncrypt, Some(bounds.min_encrypt()));
        step = Step::Write;
    }
    let exportable = edit.exportable.apply(Some(key.exportable)).unwrap_or(false);
    if exportable && !key.exportable {
        return Err(KeyringError::KeyNotExportable { key: key.name.to_string() });
    }
    if exportable != key.exportable {
        key.note(cause, Action::NotExportable, None);
        step = Step::Write;
    }
    if about != key.about {
        key.note(cause, Action::Attributes, None);
        step = Step::Write;
    }
    (key.bounds, key.about, key.exportable) = (bounds, about, exportable);
    Ok(step)
}
