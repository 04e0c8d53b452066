//! One pass over an archive against a store: to see what differs, or to write it.
//!
//! A key's records are written in the order that nobody finds it half done: its material, then its
//! id, then the metadata that makes it exist, or that lists the versions added.

use std::collections::{BTreeSet, HashSet};

use zeroize::Zeroizing;

use super::difference::{Difference, KeyAction, KeyDifference, Reason};
use super::document::Document;
use super::error::BackupError;
use super::frame::{Frame, Kind};
use super::{gather, scope, walk};
use crate::store::{Store, StoreError};

/// How many lost races for a key's metadata to accept.
const ATTEMPTS: usize = 100;

/// What to do with what differs.
pub(super) enum Mode {
    /// Nothing.
    Look,
    /// Create what is missing.
    Write {
        /// Whether to replace what is in conflict.
        replace: bool,
        /// Paths of keys to leave alone.
        keep: HashSet<String>,
    },
}

/// A pass under way.
pub(super) struct Pass<'a> {
    store: &'a dyn Store,
    mode: Mode,
    key: Option<OpenKey>,
    difference: Difference,
    written: u64,
}

/// The key whose parts follow.
struct OpenKey {
    path: String,
    tenant: String,
    name: String,
    metadata: Zeroizing<Vec<u8>>,
    archived: Document,
    fate: Fate,
    /// The versions whose material the archive has.
    seen: BTreeSet<u32>,
    repaired: BTreeSet<u32>,
    clashes: BTreeSet<u32>,
    /// Whether a record beside metadata and material is missing.
    is_partial: bool,
}

enum Fate {
    Create,
    /// The same key is there, with this metadata.
    Extend(Document, u64),
    Conflict(Reason),
    /// Left as it is.
    Keep,
}

/// What is to be done with a record.
enum Verdict {
    Create,
    Equal,
    /// Another value, of this revision.
    Differs(u64),
}

impl<'a> Pass<'a> {
    pub(super) fn new(store: &'a dyn Store, mode: Mode) -> Self {
        Self { store, mode, key: None, difference: Difference::default(), written: 0 }
    }

    pub(super) async fn frame(&mut self, frame: Frame) -> Result<(), BackupError> {
        match frame.kind {
            Kind::Part => return self.part(frame).await,
            Kind::Key => {
                self.close_key().await?;
                self.open_key(frame).await?;
            }
            Kind::Record => {
                self.close_key().await?;
                self.record(frame).await?;
            }
            Kind::End => {}
        }
        Ok(())
    }

    /// Ends the pass. Gives what differed, and how many records were written.
    pub(super) async fn finish(mut self) -> Result<(Difference, u64), BackupError> {
        self.close_key().await?;
        Ok((self.difference, self.written))
    }

    fn is_writing(&self) -> bool {
        matches!(self.mode, Mode::Write { .. })
    }

    fn is_replacing(&self) -> bool {
        matches!(self.mode, Mode::Write { replace: true, .. })
    }

    fn keeps(&self, path: &str) -> bool {
        matches!(&self.mode, Mode::Write { keep, .. } if keep.contains(path))
    }

    async fn compare(&self, path: &str, value: &[u8]) -> Result<Verdict, BackupError> {
        Ok(match self.store.get(path).await? {
            None => Verdict::Create,
            Some(found) if found.value.as_slice() == value => Verdict::Equal,
            Some(found) => Verdict::Differs(found.revision),
        })
    }

    /// Creates a record unless an equal one is there by now.
    async fn create(&mut self, path: &str, value: &[u8]) -> Result<(), BackupError> {
        match self.store.create(path, value).await {
            Ok(_) => {
                self.written += 1;
                Ok(())
            }
            Err(StoreError::Exists { .. }) => match self.compare(path, value).await? {
                Verdict::Equal => Ok(()),
                _ => Err(BackupError::Changed { path: path.to_owned() }),
            },
            Err(error) => Err(error.into()),
        }
    }

    async fn replace(
        &mut self,
        path: &str,
        value: &[u8],
        revision: u64,
    ) -> Result<(), BackupError> {
        match self.store.replace(path, value, revision).await {
            Ok(_) => {
                self.written += 1;
                Ok(())
            }
            Err(StoreError::RevisionMismatch { path, .. }) => Err(BackupError::Changed { path }),
            Err(error) => Err(error.into()),
        }
    }

    async fn record(&mut self, frame: Frame) -> Result<(), BackupError> {
        let Frame { path, value, .. } = frame;
        let verdict = self.compare(&path, &value).await?;
        match verdict {
            Verdict::Create if self.is_writing() => self.create(&path, &value).await?,
            Verdict::Differs(revision) if self.is_replacing() => {
                self.replace(&path, &value, revision).await?;
            }
            _ => {}
        }
        let records = self.difference.records(&path);
        match verdict {
            Verdict::Create => records.create.push(path),
            Verdict::Equal => records.equal += 1,
            Verdict::Differs(_) => records.conflict.push(path),
        }
        Ok(())
    }

    async fn open_key(&mut self, frame: Frame) -> Result<(), BackupError> {
        const STRANGE: BackupError = BackupError::Damaged("a key in it cannot be read");
        let Frame { path, value: metadata, .. } = frame;
        let archived = Document::parse(&metadata).ok_or(STRANGE)?;
        let (tenant, name) = scope::key_at(&path).ok_or(STRANGE)?;
        let (tenant, name) = (tenant.to_owned(), name.to_owned());
        let fate = match self.store.get(&path).await? {
            None => Fate::Create,
            Some(found) => match Document::parse(&found.value) {
                Some(document) if document.id() == archived.id() => {
                    Fate::Extend(document, found.revision)
                }
                other if self.is_replacing() && !self.keeps(&path) => {
                    self.remove_key(&tenant, &name, &path, other.as_ref()).await?;
                    Fate::Create
                }
                _ => Fate::Conflict(Reason::OtherKey),
            },
        };
        if self.is_replacing() && !self.keeps(&path) && matches!(fate, Fate::Create) {
            self.remove_leftovers(&path, &archived).await?;
        }
        let fate = match (&self.mode, fate) {
            (Mode::Write { .. }, _) if self.keeps(&path) => Fate::Keep,
            (Mode::Write { .. }, Fate::Conflict(_)) => return Err(BackupError::Changed { path }),
            (_, fate) => fate,
        };
        let (seen, repaired, clashes) = Default::default();
        self.key = Some(OpenKey {
            path,
            tenant,
            name,
            metadata,
            archived,
            fate,
            seen,
            repaired,
            clashes,
            is_partial: false,
        });
        Ok(())
    }

    /// Removes another key of the same name: its metadata first, so that nobody finds a part of it.
    async fn remove_key(
        &self,
        tenant: &str,
        name: &str,
        path: &str,
        document: Option<&Document>,
    ) -> Result<(), BackupError> {
        self.store.delete(path).await?;
        for below in walk::below(self.store, path).await? {
            self.store.delete(&below).await?;
        }
        if let Some(document) = document {
            let id = gather::id_path(tenant, document);
            let found = self.store.get(&id).await?;
            if found.is_some_and(|found| found.value.as_slice() == name.as_bytes()) {
                self.store.delete(&id).await?;
            }
        }
        Ok(())
    }

    /// Removes material that neither the store's key nor the archive's lists, such as that of another
    /// key whose removal was interrupted.
    async fn remove_leftovers(&self, key: &str, archived: &Document) -> Result<(), BackupError> {
        for path in walk::below(self.store, key).await? {
            let Some(version) = gather::version_of(key, &path) else { continue };
            if !archived.lists(version) || archived.is_destroyed(version) {
                self.store.delete(&path).await?;
            }
        }
        Ok(())
    }

    async fn part(&mut self, frame: Frame) -> Result<(), BackupError> {
        const STRANGE: BackupError = BackupError::Damaged("a record in it belongs to no key");
        let Frame { path, value, .. } = frame;
        let mut key = self.key.take().ok_or(STRANGE)?;
        let done = self.part_of(&mut key, &path, &value).await;
        self.key = Some(key);
        done
    }

    async fn part_of(
        &mut self,
        key: &mut OpenKey,
        path: &str,
        value: &[u8],
    ) -> Result<(), BackupError> {
        if matches!(key.fate, Fate::Keep | Fate::Conflict(_)) {
            return Ok(());
        }
        let version = gather::version_of(&key.path, path);
        key.seen.extend(version);
        if let (Fate::Extend(here, _), Some(version)) = (&key.fate, version) {
            if here.is_destroyed(version) {
                // It stays so.
                return Ok(());
            }
            let (ours, theirs) = (here.fingerprint(version), key.archived.fingerprint(version));
            if ours.is_some() && theirs.is_some() && ours != theirs {
                key.clashes.insert(version);
                return Ok(());
            }
        }
        let is_id = path == gather::id_path(&key.tenant, &key.archived);
        match (self.compare(path, value).await?, &key.fate) {
            (Verdict::Equal, _) => {}
            (Verdict::Create, fate) => {
                if let Fate::Extend(here, _) = fate {
                    match version {
                        Some(version) if here.lists(version) => {
                            key.repaired.insert(version);
                        }
                        Some(_) => {}
                        None => key.is_partial = true,
                    }
                }
                if self.is_writing() {
                    self.create(path, value).await?;
                }
            }
            (Verdict::Differs(_), _) if is_id => {
                if self.is_writing() {
                    return Err(BackupError::Changed { path: path.to_owned() });
                }
                key.fate = Fate::Conflict(Reason::IdTaken);
            }
            (Verdict::Differs(_), Fate::Extend(..)) => {
                // Of other records the store has the newer ones.
                key.clashes.extend(version);
            }
            (Verdict::Differs(revision), _) => {
                if self.is_replacing() {
                    self.replace(path, value, revision).await?;
                } else if self.is_writing() {
                    return Err(BackupError::Changed { path: path.to_owned() });
                } else {
                    key.fate = Fate::Conflict(Reason::Leftover);
                }
            }
        }
        Ok(())
    }

    async fn close_key(&mut self) -> Result<(), BackupError> {
        let Some(mut key) = self.key.take() else { return Ok(()) };
        if self.is_replacing() && !key.clashes.is_empty() {
            return Err(BackupError::Clash { path: key.path });
        }
        let repaired: Vec<u32> = key.repaired.iter().copied().collect();
        let action = match &mut key.fate {
            Fate::Keep => return Ok(()),
            Fate::Conflict(reason) => KeyAction::Conflict(*reason),
            Fate::Create => {
                if self.is_writing() {
                    self.create(&key.path, &key.metadata).await?;
                }
                KeyAction::Create
            }
            Fate::Extend(here, _) if !self.is_writing() => {
                let added =
                    here.add(&key.archived, &without(&key.archived, &key.seen, &key.clashes));
                KeyAction::Extend { added, repaired }
            }
            Fate::Extend(here, revision) => {
                let without = without(&key.archived, &key.seen, &key.clashes);
                let (here, revision) = (here.clone(), *revision);
                let added = self.extend(&key.path, here, revision, &key.archived, &without).await?;
                if !repaired.is_empty() {
                    self.forget_destroyed(&key.path, &repaired).await?;
                }
                KeyAction::Extend { added, repaired }
            }
        };
        let clashes: Vec<u32> = key.clashes.into_iter().collect();
        let tenant = self.difference.tenants.entry(key.tenant).or_default();
        let is_equal = !key.is_partial
            && clashes.is_empty()
            && matches!(&action, KeyAction::Extend { added, repaired } if added.is_empty() && repaired.is_empty());
        if is_equal {
            tenant.equal_keys += 1;
        } else {
            let versions = key.archived.count();
            let (name, path) = (key.name, key.path);
            tenant.keys.push(KeyDifference { name, path, versions, action, clashes });
        }
        Ok(())
    }

    /// Lists the archive's versions in the store's metadata, again on what others write meanwhile.
    async fn extend(
        &mut self,
        path: &str,
        mut here: Document,
        mut revision: u64,
        archived: &Document,
        without: &BTreeSet<u32>,
    ) -> Result<Vec<u32>, BackupError> {
        let changed = || BackupError::Changed { path: path.to_owned() };
        for _ in 0..ATTEMPTS {
            let added = here.add(archived, without);
            if added.is_empty() {
                return Ok(added);
            }
            match self.store.replace(path, &here.encode(), revision).await {
                Ok(_) => {
                    self.written += 1;
                    return Ok(added);
                }
                Err(StoreError::RevisionMismatch { .. }) => {
                    let found = self.store.get(path).await?.ok_or_else(changed)?;
                    let now = Document::parse(&found.value);
                    here = now.filter(|now| now.id() == archived.id()).ok_or_else(changed)?;
                    revision = found.revision;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(changed())
    }

    /// Removes material that was written for versions which were destroyed meanwhile.
    async fn forget_destroyed(&self, path: &str, versions: &[u32]) -> Result<(), BackupError> {
        let found = self.store.get(path).await?;
        let Some(here) = found.and_then(|found| Document::parse(&found.value)) else {
            return Ok(());
        };
        for version in versions.iter().filter(|version| here.is_destroyed(**version)) {
            self.store.delete(&gather::version_path(path, *version)).await?;
        }
        Ok(())
    }
}

/// The versions not to list: those that clash, and those whose material the archive lacks.
fn without(archived: &Document, seen: &BTreeSet<u32>, clashes: &BTreeSet<u32>) -> BTreeSet<u32> {
    let lost = archived.alive().filter(|version| !seen.contains(version));
    lost.chain(clashes.iter().copied()).collect()
}
