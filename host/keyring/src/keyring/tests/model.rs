//! Any sequence of what may be done to a key, against a model of it.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::embedded::{EmbeddedStore, RootKeySource};
use crate::history::Action as Noted;
use crate::key::KeyState;
use crate::receipt::Extent;

#[derive(Clone, Debug)]
pub(crate) enum Action {
    Create,
    Rotate,
    Rollback(u32),
    DestroyVersion(u32),
    Enable(bool),
    Bound(Edit<u32>, Edit<u32>),
    Owner(bool),
    Trim(u32),
    /// With a window that is over at once, or not soon.
    Delete(bool),
    Restore,
    Purge,
    Destroy,
}

impl Action {
    /// The same about a number near the highest one there is: what was drawn is how far below the
    /// next.
    fn near(&self, highest: u32) -> Self {
        let number = |back: u32| (highest + 1).saturating_sub(back);
        let bound = |edit: Edit<u32>| match edit {
            Edit::Set(back) => Edit::Set(number(back)),
            edit => edit,
        };
        match self {
            Self::Rollback(back) => Self::Rollback(number(*back)),
            Self::DestroyVersion(back) => Self::DestroyVersion(number(*back)),
            Self::Trim(back) => Self::Trim(number(*back)),
            Self::Bound(decrypt, encrypt) => Self::Bound(bound(*decrypt), bound(*encrypt)),
            other => other.clone(),
        }
    }
}

pub(crate) fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => Just(Action::Create),
        5 => Just(Action::Rotate),
        3 => (0_u32..6).prop_map(Action::Rollback),
        2 => (0_u32..6).prop_map(Action::DestroyVersion),
        2 => any::<bool>().prop_map(Action::Enable),
        3 => (edit(), edit()).prop_map(|(decrypt, encrypt)| Action::Bound(decrypt, encrypt)),
        2 => any::<bool>().prop_map(Action::Owner),
        2 => (0_u32..6).prop_map(Action::Trim),
        1 => any::<bool>().prop_map(Action::Delete),
        2 => Just(Action::Restore),
        1 => Just(Action::Purge),
        1 => Just(Action::Destroy),
    ]
}

fn edit() -> impl Strategy<Value = Edit<u32>> {
    prop_oneof![2 => Just(Edit::Keep), 1 => Just(Edit::Remove), 4 => (0_u32..6).prop_map(Edit::Set)]
}

#[derive(Clone, Debug, Default)]
struct Model {
    /// The versions of the key there is, and those of them destroyed; `None` when there is none.
    key: Option<Life>,
    highest: u32,
    /// What there are receipts of: whether of the whole key, and the versions.
    receipts: Vec<(Extent, Vec<u32>)>,
}

#[derive(Clone, Debug, Default)]
struct Life {
    versions: BTreeSet<u32>,
    destroyed: BTreeSet<u32>,
    current: u32,
    disabled: bool,
    /// Whether the window is over.
    deleted: Option<bool>,
    min_decrypt: u32,
    /// None: as `min_decrypt`.
    min_encrypt: Option<u32>,
    owner: bool,
    history: Vec<(Noted, Option<u32>)>,
}

impl Life {
    /// The receipt of the whole key.
    fn end(self) -> (Extent, Vec<u32>) {
        (Extent::Key, self.versions.into_iter().collect())
    }

    fn bound(&mut self, decrypt: Edit<u32>, encrypt: Edit<u32>) -> Result<(), &'static str> {
        let min_decrypt = match decrypt {
            Edit::Keep => self.min_decrypt,
            Edit::Remove => 1,
            Edit::Set(bound) => bound,
        };
        let min_encrypt = match encrypt {
            Edit::Keep => self.min_encrypt,
            Edit::Remove => None,
            Edit::Set(bound) => Some(bound),
        };
        let encrypts_from = min_encrypt.unwrap_or(min_decrypt);
        if min_decrypt < 1 || encrypts_from < min_decrypt || self.current < encrypts_from {
            return Err("out-of-range");
        }
        if min_decrypt != self.min_decrypt {
            self.history.push((Noted::MinDecrypt, Some(min_decrypt)));
        }
        if min_encrypt != self.min_encrypt {
            self.history.push((Noted::MinEncrypt, Some(encrypts_from)));
        }
        (self.min_decrypt, self.min_encrypt) = (min_decrypt, min_encrypt);
        Ok(())
    }

    /// Gives the versions that are destroyed only now.
    fn trim(&mut self, to: u32) -> Result<Vec<u32>, &'static str> {
        if to > self.min_decrypt {
            return Err("key-trim-too-high");
        }
        let gone: BTreeSet<u32> = self.versions.range(..to).copied().collect();
        let newly: Vec<u32> = gone.difference(&self.destroyed).copied().collect();
        if !newly.is_empty() {
            self.history.push((Noted::Trim, Some(to)));
        }
        self.destroyed.extend(gone);
        Ok(newly)
    }
}

impl Model {
    /// The code of the error there must be, or what happens.
    fn apply(&mut self, action: &Action) -> Result<(), &'static str> {
        if matches!(action, Action::Create) {
            if self.key.is_some() {
                return Err("key-exists");
            }
            self.highest += 1;
            let current = self.highest;
            let versions = BTreeSet::from([current]);
            let history = vec![(Noted::Create, Some(current))];
            self.key = Some(Life { versions, current, min_decrypt: 1, history, ..Life::default() });
            return Ok(());
        }
        if matches!(action, Action::Trim(0)) {
            return Err("out-of-range");
        }
        if matches!(action, Action::Purge) {
            let purged = self.key.take_if(|key| key.deleted == Some(true));
            self.receipts.extend(purged.map(Life::end));
            return Ok(());
        }
        let key = self.key.as_mut().ok_or("key-not-found")?;
        match (action, key.deleted) {
            (Action::Destroy, _) => {
                self.receipts.extend(self.key.take().map(Life::end));
                return Ok(());
            }
            (Action::Restore, None) => return Err("key-not-deleted"),
            (Action::Restore, Some(true)) => return Err("key-restore-window-over"),
            (Action::Restore, Some(false)) => {
                key.deleted = None;
                key.history.push((Noted::Restore, None));
                return Ok(());
            }
            (_, Some(_)) => return Err("key-deleted"),
            (_, None) => {}
        }
        match action {
            Action::Rotate => {
                self.highest += 1;
                key.versions.insert(self.highest);
                key.current = self.highest;
                key.history.push((Noted::Rotate, Some(self.highest)));
            }
            Action::Rollback(to) | Action::DestroyVersion(to) if !key.versions.contains(to) => {
                return Err("key-version-not-found");
            }
            Action::Rollback(to) | Action::DestroyVersion(to) if key.destroyed.contains(to) => {
                return Err("key-version-destroyed");
            }
            Action::Rollback(to) if *to == key.current => {}
            Action::Rollback(to) if *to < key.min_encrypt.unwrap_or(key.min_decrypt) => {
                return Err("key-version-below-min-encrypt");
            }
            Action::Rollback(to) => {
                key.current = *to;
                key.history.push((Noted::Rollback, Some(*to)));
            }
            Action::DestroyVersion(of) if *of == key.current => {
                return Err("key-version-is-current");
            }
            Action::DestroyVersion(of) => {
                key.destroyed.insert(*of);
                self.receipts.push((Extent::Versions, vec![*of]));
                key.history.push((Noted::DestroyVersion, Some(*of)));
            }
            Action::Enable(enabled) => {
                if key.disabled == *enabled {
                    let noted = if *enabled { Noted::Enable } else { Noted::Disable };
                    key.history.push((noted, None));
                }
                key.disabled = !enabled;
            }
            Action::Bound(decrypt, encrypt) => return key.bound(*decrypt, *encrypt),
            Action::Owner(owned) => {
                if key.owner != *owned {
                    key.history.push((Noted::Attributes, None));
                }
                key.owner = *owned;
            }
            Action::Trim(to) => {
                let gone = key.trim(*to)?;
                self.receipts.extend((!gone.is_empty()).then_some((Extent::Versions, gone)));
            }
            Action::Delete(at_once) => {
                key.deleted = Some(*at_once);
                key.history.push((Noted::Delete, None));
            }
            _ => unreachable!(),
        }
        Ok(())
    }
}

async fn perform(ring: &Keyring, action: &Action) -> Result<(), KeyringError> {
    let (tenant, name) = (tenant(), orders());
    match *action {
        Action::Create => create(ring).await.map(drop),
        Action::Rotate => ring.rotate(&tenant, &name, "x").await.map(drop),
        Action::Rollback(to) => ring.rollback(&tenant, &name, to, "x").await.map(drop),
        Action::DestroyVersion(of) => ring.destroy_version(&tenant, &name, of, "x").await.map(drop),
        Action::Enable(enabled) => ring.set_enabled(&tenant, &name, enabled, "x").await.map(drop),
        Action::Bound(min_decrypt_version, min_encrypt_version) => {
            let edit = KeyEdit { min_decrypt_version, min_encrypt_version, ..KeyEdit::default() };
            ring.edit_key(&tenant, &name, edit, "x").await.map(drop)
        }
        Action::Owner(is_set) => {
            let owner = if is_set { Edit::Set("me".to_owned()) } else { Edit::Remove };
            let edit = KeyEdit { owner, ..KeyEdit::default() };
            ring.edit_key(&tenant, &name, edit, "x").await.map(drop)
        }
        Action::Trim(to) => ring.trim(&tenant, &name, to, "x").await.map(drop),
        Action::Delete(at_once) => {
            let window = if at_once { Duration::ZERO } else { Duration::from_hours(1) };
            ring.delete_key(&tenant, &name, "x", window).await.map(drop)
        }
        Action::Restore => ring.restore_key(&tenant, &name, "x").await.map(drop),
        Action::Purge => ring.purge_due(crate::record::now_ms()).await.map(drop),
        Action::Destroy => ring.destroy_key(&tenant, &name, "x").await.map(drop),
    }
}

async fn agree(ring: &Keyring, model: &Model) {
    let found = ring.key(&tenant(), &orders()).await;
    if !model.receipts.is_empty() {
        let public = ring.receipt_key().await.unwrap();
        let shown = receipts(ring).await.into_iter().map(|receipt| {
            receipt.verify(&public).unwrap();
            let versions = receipt.destroyed.versions.iter().map(|gone| gone.version).collect();
            (receipt.destroyed.extent, versions)
        });
        // Those of one millisecond are in no order.
        let sorted = |mut them: Vec<(Extent, Vec<u32>)>| {
            them.sort_by_key(|(extent, versions)| (versions.clone(), extent.name()));
            them
        };
        assert_eq!(sorted(shown.collect()), sorted(model.receipts.clone()));
    }
    let Some(life) = &model.key else {
        assert_eq!(found.unwrap_err().code(), "key-not-found");
        return;
    };
    let key = found.unwrap();
    let listed: BTreeSet<u32> = key.versions().iter().map(|info| info.version).collect();
    assert_eq!((&listed, key.current_version()), (&life.versions, life.current));
    let state = match (life.deleted, life.disabled) {
        (Some(_), _) => KeyState::Deleted,
        (None, true) => KeyState::Disabled,
        (None, false) => KeyState::Enabled,
    };
    assert_eq!(key.state(), state);
    let bounds = (life.min_decrypt, life.min_encrypt.unwrap_or(life.min_decrypt));
    assert_eq!((key.min_decrypt_version(), key.min_encrypt_version()), bounds);
    assert_eq!(key.about().owner.is_some(), life.owner);
    let alive = life.versions.difference(&life.destroyed).next().copied();
    assert_eq!(key.min_available_version(), alive);
    let noted: Vec<_> = key.history().iter().map(|entry| (entry.action, entry.version)).collect();
    assert_eq!(noted, life.history);
    let is_listed = !ring.list_keys(&tenant()).await.unwrap().is_empty();
    assert_eq!(is_listed, life.deleted.is_none());
    for version in 0..=model.highest + 1 {
        let expected = if !life.versions.contains(&version) {
            Some("key-version-not-found")
        } else if life.deleted.is_some() {
            Some("key-deleted")
        } else if life.destroyed.contains(&version) {
            Some("key-version-destroyed")
        } else if life.disabled {
            Some("key-disabled")
        } else if version < life.min_decrypt {
            Some("key-version-below-min-decrypt")
        } else {
            None
        };
        let answer = ring.version(&key, version).await.err().map(|error| error.code());
        assert_eq!(answer, expected, "version {version}");
        let encrypts = key.check_encrypts(version).is_ok();
        assert_eq!(encrypts, version >= bounds.1, "version {version}");
    }
}

/// Does it all to a key in the store, and compares after each step.
pub(crate) async fn follow(store: Arc<dyn Store>, actions: &[Action]) {
    let ring = over(store.clone());
    ring.create_tenant(&tenant()).await.unwrap();
    let mut model = Model::default();
    for action in actions {
        let action = &action.near(model.highest);
        let expected = model.apply(action);
        let done = perform(&ring, action).await.map_err(|error| error.code());
        assert_eq!(done, expected, "{action:?}");
        agree(&ring, &model).await;
        agree(&over(store.clone()), &model).await;
    }
}

pub(crate) fn run(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn a_key_in_memory_is_as_the_model(actions in prop::collection::vec(action(), 1..25)) {
        run(follow(Arc::new(MemoryStore::default()), &actions));
    }
}

proptest! {
    // Each write of this store waits for the disk.
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn a_key_in_the_embedded_store_is_as_the_model(
        actions in prop::collection::vec(action(), 1..25),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let source = RootKeySource::File(directory.path().join("root.key"));
        run(follow(Arc::new(EmbeddedStore::open(directory.path(), &source).unwrap()), &actions));
    }
}
