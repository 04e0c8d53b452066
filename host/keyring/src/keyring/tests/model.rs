//! Any sequence of what may be done to a key, against a model of it.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::embedded::{EmbeddedStore, RootKeySource};
use crate::key::KeyState;

#[derive(Clone, Debug)]
enum Action {
    Create,
    Rotate,
    Rollback(u32),
    DestroyVersion(u32),
    Enable(bool),
    /// With a window that is over at once, or not soon.
    Delete(bool),
    Restore,
    Purge,
    Destroy,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        3 => Just(Action::Create),
        3 => Just(Action::Rotate),
        2 => (0_u32..8).prop_map(Action::Rollback),
        2 => (0_u32..8).prop_map(Action::DestroyVersion),
        2 => any::<bool>().prop_map(Action::Enable),
        2 => any::<bool>().prop_map(Action::Delete),
        2 => Just(Action::Restore),
        1 => Just(Action::Purge),
        1 => Just(Action::Destroy),
    ]
}

#[derive(Clone, Debug, Default)]
struct Model {
    /// The versions of the key there is, and those of them destroyed; `None` when there is none.
    key: Option<Life>,
    highest: u32,
}

#[derive(Clone, Debug, Default)]
struct Life {
    versions: BTreeSet<u32>,
    destroyed: BTreeSet<u32>,
    current: u32,
    disabled: bool,
    /// Whether the window is over.
    deleted: Option<bool>,
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
            self.key = Some(Life { versions, current, ..Life::default() });
            return Ok(());
        }
        if matches!(action, Action::Purge) {
            self.key.take_if(|key| key.deleted == Some(true));
            return Ok(());
        }
        let key = self.key.as_mut().ok_or("key-not-found")?;
        match (action, key.deleted) {
            (Action::Destroy, _) => {
                self.key = None;
                return Ok(());
            }
            (Action::Restore, None) => return Err("key-not-deleted"),
            (Action::Restore, Some(true)) => return Err("key-restore-window-over"),
            (Action::Restore, Some(false)) => {
                key.deleted = None;
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
            }
            Action::Rollback(to) | Action::DestroyVersion(to) if !key.versions.contains(to) => {
                return Err("key-version-not-found");
            }
            Action::Rollback(to) | Action::DestroyVersion(to) if key.destroyed.contains(to) => {
                return Err("key-version-destroyed");
            }
            Action::Rollback(to) => key.current = *to,
            Action::DestroyVersion(of) if *of == key.current => {
                return Err("key-version-is-current");
            }
            Action::DestroyVersion(of) => {
                key.destroyed.insert(*of);
            }
            Action::Enable(enabled) => key.disabled = !enabled,
            Action::Delete(at_once) => key.deleted = Some(*at_once),
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
        Action::DestroyVersion(of) => ring.destroy_version(&tenant, &name, of, "x").await,
        Action::Enable(enabled) => ring.set_enabled(&tenant, &name, enabled, "x").await.map(drop),
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
        } else {
            None
        };
        let answer = ring.version(&key, version).await.err().map(|error| error.code());
        assert_eq!(answer, expected, "version {version}");
    }
}

async fn follow(store: Arc<dyn Store>, actions: &[Action]) {
    let ring = over(store.clone());
    ring.create_tenant(&tenant()).await.unwrap();
    let mut model = Model::default();
    for action in actions {
        let expected = model.apply(action);
        let done = perform(&ring, action).await.map_err(|error| error.code());
        assert_eq!(done, expected, "{action:?}");
        agree(&ring, &model).await;
        agree(&over(store.clone()), &model).await;
    }
}

fn run(future: impl Future<Output = ()>) {
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
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]
    #[test]
    fn a_key_in_the_embedded_store_is_as_the_model(
        actions in prop::collection::vec(action(), 1..20),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let source = RootKeySource::File(directory.path().join("root.key"));
        run(follow(Arc::new(EmbeddedStore::open(directory.path(), &source).unwrap()), &actions));
    }
}
