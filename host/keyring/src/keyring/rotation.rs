//! Rotations that nobody calls for: by schedule, and when a version is used up.
//!
//! Any number of hosts look for keys that are due, so a key may be found due by several at once.
//! Each rotates only while the key, as it is when its metadata is changed, is still due and has the
//! current version that was. So one of them rotates; the material that another may have written in
//! the meantime is never listed and never used, as that of a rotation that died.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use futures_util::stream::{self, StreamExt};

use super::lifecycle::Step;
use super::{Inner, Keyring, LIST_CONCURRENCY, records_in, to_the_end};
use crate::error::KeyringError;
use crate::history::{Action, Author, Cause};
use crate::key::{Key, VersionInfo};
use crate::names::{KeyName, TenantName};
use crate::record;
use crate::rotation::{self, Rotation, RotationCause};
use crate::usage::{KeyUsage, VersionUsage};

/// Who rotates when nobody does.
const ACTOR: &str = "keyward:rotation";

/// A key that was rotated because it was due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotated {
    /// The tenant it belongs to.
    pub tenant: TenantName,
    /// Its name.
    pub key: KeyName,
    /// The version that is now current.
    pub version: u32,
    /// Why.
    pub cause: RotationCause,
}

/// What [`Keyring::rotate_due`] or [`Keyring::rotate_used_up`] did.
#[derive(Debug, Default)]
pub struct Rotations {
    /// The keys rotated.
    pub rotated: Vec<Rotated>,
    /// The keys of which that could not be found out or done; the next call tries again.
    pub failures: Vec<(TenantName, KeyName, KeyringError)>,
    /// The largest share of its budget that a current version has spent, of the keys that
    /// [`Keyring::rotate_used_up`] was given and did not rotate: 1 is all of it. None when none of
    /// them has a budget.
    pub budget_spent: Option<f64>,
}

impl Keyring {
    /// Sets when the key is rotated by itself; `None` leaves it to calls, and to the
    /// [default budget](crate::default_max_messages) of its algorithm. Returns the key as it then
    /// is.
    ///
    /// Fails with [`KeyringError::KeyNotFound`], [`KeyringError::KeyDeleted`],
    /// [`KeyringError::KeyDestroyed`], [`KeyringError::InvalidName`] (field `max_messages`, when
    /// the key's algorithm bears fewer, `actor` or `reason`) or [`KeyringError::Conflict`].
    pub async fn set_rotation(
        &self,
        tenant: &TenantName,
        name: &KeyName,
        rotation: Option<Rotation>,
        by: impl Into<Author<'_>>,
    ) -> Result<Arc<Key>, KeyringError> {
        let cause = Cause::of(by)?;
        let (inner, tenant, name) = (self.inner.clone(), tenant.clone(), name.clone());
        to_the_end(async move { inner.set_rotation(&tenant, &name, rotation, &cause).await }).await
    }

    /// Rotates every key that is due at `now` (milliseconds since the Unix epoch), by schedule or
    /// because its current version is used up. It reads every key's metadata from the store, and
    /// the record of use of those with a budget. Several hosts may call it at once; each key is
    /// rotated by one. A key that was due more than once since it was last rotated is rotated once.
    ///
    /// Fails when tenants or keys cannot be listed.
    pub async fn rotate_due(&self, now: u64) -> Result<Rotations, KeyringError> {
        let inner = self.inner.clone();
        let tenants = self.list_tenants().await?;
        to_the_end(async move {
            let mut rotations = Rotations::default();
            for tenant in tenants {
                inner.rotate_tenant(&tenant, now, &mut rotations).await?;
            }
            Ok(rotations)
        })
        .await
    }

    /// Rotates those of `keys`, with how each was used as [`Keyring::flush_usage`] gives it, whose
    /// current version is used up.
    pub async fn rotate_used_up(&self, keys: Vec<(TenantName, KeyName, KeyUsage)>) -> Rotations {
        let inner = self.inner.clone();
        let rotated = to_the_end(async move {
            let mut rotations = Rotations::default();
            for (tenant, name, usage) in keys {
                let spent = &mut rotations.budget_spent;
                let done = inner.rotate_if_used_up(&tenant, &name, &usage, spent).await;
                rotations.note(&tenant, &name, done);
            }
            Ok(rotations)
        });
        rotated.await.unwrap_or_default() // only if the runtime is shutting down
    }
}

impl Rotations {
    fn note(
        &mut self,
        tenant: &TenantName,
        name: &KeyName,
        done: Result<Option<Rotated>, KeyringError>,
    ) {
        match done {
            Ok(rotated) => self.rotated.extend(rotated),
            // Destroyed meanwhile.
            Err(KeyringError::KeyNotFound { .. }) => {}
            Err(error) => {
                tracing::warn!(%tenant, key = %name, %error, "a key that may be due could not be rotated");
                self.failures.push((tenant.clone(), name.clone(), error));
            }
        }
    }
}

impl Inner {
    async fn set_rotation(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        rotation: Option<Rotation>,
        cause: &Cause,
    ) -> Result<Arc<Key>, KeyringError> {
        let key = self.read_key(tenant, name).await?;
        let (newest, step) = self
            .change_key(key, |key| {
                key.check_kept()?;
                rotation.map_or(Ok(()), |rotation| rotation.check_for(key.algorithm))?;
                if key.rotation == rotation {
                    return Ok(Step::Nothing);
                }
                key.rotation = rotation;
                key.note(cause, Action::RotationPolicy, None);
                Ok(Step::Write)
            })
            .await?;
        if step == Step::Write {
            let policy = rotation.map_or("none".to_owned(), |rotation| rotation.to_string());
            tracing::info!(%tenant, key = %name, policy, by = cause.actor, "rotation policy changed");
            self.changed(&newest).await;
        }
        Ok(Arc::new(newest))
    }

    async fn rotate_tenant(
        self: &Arc<Self>,
        tenant: &TenantName,
        now: u64,
        rotations: &mut Rotations,
    ) -> Result<(), KeyringError> {
        let children = self.store.list(&record::keys_path(tenant)).await?;
        let names: Vec<KeyName> = records_in(&children).collect();
        let mut found = stream::iter(names)
            .map(|name| async move { (self.rotate_if_due(tenant, &name, now).await, name) })
            .buffered(LIST_CONCURRENCY);
        while let Some((done, name)) = found.next().await {
            rotations.note(tenant, &name, done);
        }
        Ok(())
    }

    async fn rotate_if_due(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        now: u64,
    ) -> Result<Option<Rotated>, KeyringError> {
        let key = self.read_key(tenant, name).await?;
        let is_scheduled = rotation::due(&key, &VersionUsage::default(), now).is_some();
        if is_scheduled || !key.enabled() || !rotation::has_budget(&key) {
            return self.rotate_key(key, &KeyUsage::default(), now).await;
        }
        let usage = self.usage_of(&key).await?;
        self.rotate_key(key, &usage, now).await
    }

    async fn rotate_if_used_up(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        usage: &KeyUsage,
        most_spent: &mut Option<f64>,
    ) -> Result<Option<Rotated>, KeyringError> {
        // It was just used, so it is cached. Whether it is due is decided by what the store has.
        let key = self.key(tenant, name).await?;
        let current = usage.version(key.current_version);
        let spent = rotation::budget_spent(&key, &current);
        let rotated = if rotation::due(&key, &current, 0).is_some() {
            let key = self.read_key(tenant, name).await;
            let rotated = match key {
                Ok(key) => self.rotate_key(key, usage, 0).await,
                Err(error) => Err(error),
            };
            // Rotated here or by another host: its current version is another.
            if rotated.is_ok() {
                return rotated;
            }
            rotated
        } else {
            Ok(None)
        };
        *most_spent = spent.into_iter().chain(*most_spent).reduce(f64::max);
        rotated
    }

    /// Rotates the key if it is due.
    async fn rotate_key(
        self: &Arc<Self>,
        key: Key,
        usage: &KeyUsage,
        now: u64,
    ) -> Result<Option<Rotated>, KeyringError> {
        let expected = key.current_version;
        let current = usage.version(expected);
        let Some(cause) = rotation::due(&key, &current, now) else { return Ok(None) };
        let still = |key: &Key| {
            key.current_version == expected && rotation::due(key, &current, now).is_some()
        };
        let (tenant, name) = (key.tenant.clone(), key.name.clone());
        let description = describe(&key, cause, &current);
        let by = Cause::of(Author { actor: ACTOR, reason: Some(&description) })?;
        let Some(made) = self.rotate_while(key, still, &by, &description).await? else {
            return Ok(None);
        };
        let (version, cause_name) = (made.version, cause.name());
        tracing::info!(%tenant, key = %name, version, from = expected, cause = cause_name, "key rotated");
        Ok(Some(Rotated { tenant, key: name, version, cause }))
    }

    /// Adds a version if `still` is true of the key, and is so when the version is listed.
    async fn rotate_while(
        self: &Arc<Self>,
        key: Key,
        still: impl Fn(&Key) -> bool,
        cause: &Cause,
        description: &str,
    ) -> Result<Option<VersionInfo>, KeyringError> {
        if !still(&key) {
            return Ok(None);
        }
        let highest = AtomicU32::new(key.highest_version());
        let made = self.new_material(&key, &highest, cause, description).await?;
        let (newest, step) = self
            .change_key(key, |key| {
                if !still(key) {
                    return Ok(Step::Nothing);
                }
                key.add_version(made.clone());
                key.note(cause, Action::Rotate, Some(made.version));
                Ok(Step::Write)
            })
            .await?;
        if step == Step::Nothing {
            return Ok(None);
        }
        self.changed(&newest).await;
        Ok(Some(made))
    }
}

/// What the new version says of why it is there.
fn describe(key: &Key, cause: RotationCause, used: &VersionUsage) -> String {
    match cause {
        RotationCause::Schedule => {
            let every = key.rotation.and_then(|rotation| rotation.every());
            let every = every.map(Rotation::show_every).unwrap_or_default();
            format!("rotated by schedule, every {every}")
        }
        RotationCause::Messages => format!("rotated after {} messages", used.sealed_messages),
        RotationCause::Bytes => format!("rotated after {} bytes", used.sealed_bytes),
    }
}
