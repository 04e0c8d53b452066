//! Adding versions: material first, written once, then the metadata by compare-and-set.
//!
//! Whoever writes the material of a number owns that number, so two rotations never share one. A
//! rotation that stops in between leaves material that no metadata lists: later ones step over
//! its number, and it is never used. Numbers start above the highest ever listed, so that one whose
//! material was destroyed is not taken again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::stream::{self, StreamExt};
use keyward_crypto::KeyMaterial;

use super::Inner;
use super::lifecycle::Step;
use super::rotations::Wanted;
use crate::error::KeyringError;
use crate::generate::generate;
use crate::history::{Action, Cause};
use crate::key::{Key, VersionInfo};
use crate::names::{KeyName, TenantName};
use crate::record::{self, Material};
use crate::store::StoreError;

/// How many taken numbers to step over.
const ATTEMPTS: usize = 1000;

/// How much material is written at a time.
const CONCURRENCY: usize = 16;

/// What a new version is to have.
pub(super) struct Brought {
    pub(super) secret: KeyMaterial,
    /// Whether a caller brought it.
    pub(super) imported: bool,
}

impl Inner {
    /// Adds a version for each of those who want one, and tells each.
    pub(super) async fn rotate_together(
        self: &Arc<Self>,
        tenant: &TenantName,
        name: &KeyName,
        wanted: Vec<Wanted>,
    ) {
        let found = self.read_key(tenant, name).await;
        let key = match found.and_then(|key| key.check_kept().map(|()| key)) {
            Ok(key) => Arc::new(key),
            Err(error) => {
                for one in wanted {
                    let _ = one.answer.send(Err(error.clone()));
                }
                return;
            }
        };
        let highest = Arc::new(AtomicU32::new(key.highest_version()));
        let mut made: Vec<_> = stream::iter(wanted)
            .map(|one| {
                let (inner, key, highest) = (self.clone(), key.clone(), highest.clone());
                async move {
                    let Wanted { cause, description, .. } = &one;
                    let created = inner.new_material(&key, &highest, cause, description).await;
                    (created, one.cause, one.answer)
                }
            })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        let mut created: Vec<(VersionInfo, Cause)> = made
            .iter()
            .filter_map(|(created, cause, _)| Some((created.as_ref().ok()?.clone(), cause.clone())))
            .collect();
        created.sort_unstable_by_key(|(info, _)| info.version);
        if !created.is_empty() {
            match self.list_versions(Key::clone(&key), &created, Action::Rotate).await {
                Ok(newest) => self.changed(&newest).await,
                Err(error) => {
                    for (created, ..) in made.iter_mut().filter(|(created, ..)| created.is_ok()) {
                        *created = Err(error.clone());
                    }
                }
            }
        }
        for (created, _, answer) in made {
            let _ = answer.send(created);
        }
    }

    /// Writes new material like [`next_material`](Self::next_material).
    pub(super) async fn new_material(
        &self,
        key: &Key,
        highest: &AtomicU32,
        cause: &Cause,
        description: &str,
    ) -> Result<VersionInfo, KeyringError> {
        let secret = generate(key.algorithm).await?;
        let brought = Brought { secret, imported: false };
        self.next_material(key, highest, brought, &cause.actor, description).await
    }

    /// Writes material under the first free number above `highest`, which it then is.
    pub(super) async fn next_material(
        &self,
        key: &Key,
        highest: &AtomicU32,
        brought: Brought,
        actor: &str,
        description: &str,
    ) -> Result<VersionInfo, KeyringError> {
        let conflict = || KeyringError::Conflict { key: key.name.to_string() };
        let next = |number: u32| number.checked_add(1);
        let Brought { secret, imported } = brought;
        let created_at = record::now_ms();
        let mut material = Material { key_id: key.id, version: 0, created_at, imported, secret };
        for _ in 0..ATTEMPTS {
            let before = highest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
            let version = before.ok().and_then(next).ok_or_else(conflict)?;
            material.version = version;
            let path = record::version_path(&key.tenant, &key.name, version);
            match self.store.create(&path, &record::encode_material(&material)).await {
                Ok(_) => {
                    return Ok(VersionInfo {
                        version,
                        created_at,
                        created_by: Some(actor.to_owned()),
                        description: description.to_owned(),
                        destroyed: None,
                        imported,
                        fingerprint: Some(record::fingerprint(&material)),
                    });
                }
                Err(StoreError::Exists { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(conflict())
    }

    /// Adds the versions to the metadata. The highest becomes the current one unless a higher is
    /// already.
    pub(super) async fn list_versions(
        self: &Arc<Self>,
        key: Key,
        created: &[(VersionInfo, Cause)],
        action: Action,
    ) -> Result<Key, KeyringError> {
        let listed = self.change_key(key, |key| {
            key.check_kept()?;
            for (created, cause) in created {
                key.add_version(created.clone());
                key.note(cause, action, Some(created.version));
            }
            Ok(Step::Write)
        });
        Ok(listed.await?.0)
    }
}
