use super::*;
use crate::backup::{Conflict, KeyAction, Reason};

/// A store that was restored from the backup of another, and the backup.
async fn twins(owner: &Owner) -> (Arc<MemoryStore>, Arc<MemoryStore>, Vec<u8>) {
    let (first, second) = (populated().await, Arc::new(MemoryStore::default()));
    let bytes = owner.all_of(&*first).await;
    owner.open(&bytes).await.unwrap().apply(&*second, Conflict::Refuse).await.unwrap();
    (first, second, bytes)
}

#[tokio::test]
async fn a_dry_run_changes_nothing() {
    let owner = Owner::new();
    let (_, store, bytes) = twins(&owner).await;
    let restore = owner.open(&bytes).await.unwrap();
    let empty = MemoryStore::default();
    let difference = restore.plan(&empty).await.unwrap();
    assert!(contents(&empty).await.is_empty() && empty.list("").await.unwrap().is_empty());
    assert_eq!(difference.tenants["demo"].keys.len(), 2);
    let text = difference.to_string();
    assert!(text.contains("+ tenant demo, key orders: 3 versions\n"), "{text}");
    assert!(text.contains("+ tokens/03\n") && text.contains("keys: 4 to create"), "{text}");
    let before = contents(&*store).await;
    let difference = restore.plan(&*store).await.unwrap();
    assert!(difference.is_empty());
    assert_eq!(difference.tenants["demo"].equal_keys, 2);
    assert_eq!(contents(&*store).await, before);
    // Applied again, it writes nothing either.
    for conflict in [Conflict::Refuse, Conflict::KeepExisting, Conflict::Replace] {
        assert_eq!(restore.apply(&*store, conflict).await.unwrap().written, 0);
    }
}

#[tokio::test]
async fn newer_versions_and_destructions_of_the_store_stay() {
    let owner = Owner::new();
    let (_, store, bytes) = twins(&owner).await;
    let here = ring(&store);
    rotate(&here, "demo", "orders").await;
    destroy(&here, "demo", "orders", 1).await;
    let before = contents(&*store).await;
    let restore = owner.open(&bytes).await.unwrap();
    // Not even for a moment is the material there again.
    assert!(restore.plan(&*store).await.unwrap().is_empty());
    for conflict in [Conflict::Refuse, Conflict::KeepExisting, Conflict::Replace] {
        assert_eq!(restore.apply(&*store, conflict).await.unwrap().written, 0);
        assert_eq!(contents(&*store).await, before);
    }
}

#[tokio::test]
async fn lost_versions_come_back_and_lost_material_too() {
    let owner = Owner::new();
    let (first, store, _) = twins(&owner).await;
    let there = ring(&first);
    rotate(&there, "demo", "orders").await;
    rotate(&there, "demo", "orders").await;
    destroy(&there, "demo", "orders", 4).await;
    let texts = ciphertexts(&there).await;
    store.delete("tenants/demo/keys/mail/versions/1").await.unwrap();
    let bytes = owner.all_of(&*first).await;
    let restore = owner.open(&bytes).await.unwrap();
    let applied = restore.apply(&*store, Conflict::Refuse).await.unwrap();
    let keys = &applied.difference.tenants["demo"].keys;
    let action = |name: &str| &keys.iter().find(|key| key.name == name).unwrap().action;
    let (added, repaired) = (vec![4, 5], vec![]);
    assert_eq!(*action("orders"), KeyAction::Extend { added, repaired });
    let (added, repaired) = (vec![], vec![1]);
    assert_eq!(*action("mail"), KeyAction::Extend { added, repaired });
    let here = ring(&store);
    open_all(&here, &texts).await;
    let orders = here.key(&tenant("demo"), &key("orders")).await.unwrap();
    assert_eq!(orders.current_version(), 3);
    assert!(orders.version_info(4).unwrap().destroyed.is_some());
}

#[tokio::test]
async fn other_records_are_kept_or_replaced_as_wanted() {
    let owner = Owner::new();
    let (_, store, bytes) = twins(&owner).await;
    let original = contents(&*store).await;
    let path = "tenants/demo/policy";
    let revision = store.get(path).await.unwrap().unwrap().revision;
    store.replace(path, b"another", revision).await.unwrap();
    store.delete("tokens/01").await.unwrap();
    let before = contents(&*store).await;
    let restore = owner.open(&bytes).await.unwrap();
    let error = restore.apply(&*store, Conflict::Refuse).await.unwrap_err();
    assert_eq!(error, BackupError::Conflicts { count: 1, first: path.to_owned() });
    assert_eq!(contents(&*store).await, before);
    assert_eq!(restore.apply(&*store, Conflict::KeepExisting).await.unwrap().written, 1);
    assert_eq!(contents(&*store).await[path], b"another");
    assert_eq!(restore.apply(&*store, Conflict::Replace).await.unwrap().written, 1);
    assert_eq!(contents(&*store).await, original);
}

#[tokio::test]
async fn another_key_of_the_same_name_is_replaced_only_when_that_is_wanted() {
    let (owner, source) = (Owner::new(), populated().await);
    let bytes = owner.all_of(&*source).await;
    let texts = ciphertexts(&ring(&source)).await;
    let store = Arc::new(MemoryStore::default());
    let here = ring(&store);
    here.create_tenant(&tenant("demo")).await.unwrap();
    create(&here, "demo", "orders").await;
    for _ in 0..4 {
        rotate(&here, "demo", "orders").await;
    }
    let before = contents(&*store).await;
    let restore = owner.open(&bytes).await.unwrap();
    let difference = restore.plan(&*store).await.unwrap();
    let found = &difference.tenants["demo"].keys[1];
    assert_eq!(found.action, KeyAction::Conflict(Reason::OtherKey));
    assert!(
        difference.to_string().contains("! tenant demo, key orders: the store has another key")
    );
    // The tenant's record is another as well.
    assert_eq!(difference.conflicts().count(), 2);
    let refused = restore.apply(&*store, Conflict::Refuse).await.unwrap_err();
    assert_eq!(refused.code(), "restore-conflicts");
    assert_eq!(contents(&*store).await, before);

    restore.apply(&*store, Conflict::KeepExisting).await.unwrap();
    let kept = contents(&*store).await;
    assert!(before.iter().all(|(path, value)| kept[path] == *value));
    assert!(kept.contains_key("tenants/demo/keys/mail"));

    restore.apply(&*store, Conflict::Replace).await.unwrap();
    assert_eq!(contents(&*store).await, contents(&*source).await);
    open_all(&ring(&store), &texts).await;
}

#[tokio::test]
async fn material_under_the_same_number_is_never_replaced() {
    let owner = Owner::new();
    let (first, store, _) = twins(&owner).await;
    // Both went on from the same state, so that each has a version 4 of its own.
    rotate(&ring(&first), "demo", "orders").await;
    rotate(&ring(&first), "demo", "orders").await;
    let here = ring(&store);
    rotate(&here, "demo", "orders").await;
    let texts = ciphertexts(&here).await;
    let bytes = owner.all_of(&*first).await;
    let before = contents(&*store).await;
    let restore = owner.open(&bytes).await.unwrap();
    let difference = restore.plan(&*store).await.unwrap();
    assert_eq!(difference.tenants["demo"].keys[0].clashes, [4]);
    let refused = restore.apply(&*store, Conflict::Refuse).await.unwrap_err();
    assert_eq!(refused.code(), "restore-conflicts");
    let refused = restore.apply(&*store, Conflict::Replace).await.unwrap_err();
    assert_eq!(refused.code(), "restore-clash");
    assert_eq!(contents(&*store).await, before);
    restore.apply(&*store, Conflict::KeepExisting).await.unwrap();
    let here = ring(&store);
    open_all(&here, &texts).await;
    let orders = here.key(&tenant("demo"), &key("orders")).await.unwrap();
    assert!(orders.has_version(5) && orders.current_version() == 4);
}

#[tokio::test]
async fn material_of_an_unfinished_creation_is_a_conflict() {
    let (owner, source) = (Owner::new(), populated().await);
    let bytes = owner.all_of(&*source).await;
    let store = Arc::new(MemoryStore::default());
    let path = "tenants/demo/keys/orders/versions/1";
    store.create(path, b"left over").await.unwrap();
    let restore = owner.open(&bytes).await.unwrap();
    let difference = restore.plan(&*store).await.unwrap();
    assert_eq!(difference.tenants["demo"].keys[1].action, KeyAction::Conflict(Reason::Leftover));
    restore.apply(&*store, Conflict::KeepExisting).await.unwrap();
    assert!(store.get("tenants/demo/keys/orders").await.unwrap().is_none());
    restore.apply(&*store, Conflict::Replace).await.unwrap();
    assert_eq!(contents(&*store).await, contents(&*source).await);
}
