use keyward_crypto::KeyMaterial;

use super::*;
use crate::about::{Edit, KeyEdit};
use crate::backup::Conflict;
use crate::embedded::{EmbeddedStore, RootKeySource};
use crate::history::Author;
use crate::keyring::NewKey;
use crate::rotation::Rotation;

#[tokio::test]
async fn every_old_ciphertext_opens_after_memory_embedded_memory() {
    let (owner, first) = (Owner::new(), populated().await);
    let before = ciphertexts(&ring(&first)).await;
    assert_eq!(before.len(), 6);
    let dir = tempfile::tempdir().unwrap();
    let source = RootKeySource::File(dir.path().join("root.key"));
    let second = Arc::new(EmbeddedStore::open(dir.path(), &source).unwrap());
    let third = Arc::new(MemoryStore::default());

    let restore = owner.open(&owner.all_of(&*first).await).await.unwrap();
    assert!(restore.is_from(&*first).await.unwrap() && !restore.is_from(&*second).await.unwrap());
    let applied = restore.apply(&*second, Conflict::Refuse).await.unwrap();
    assert_eq!(applied.written, restore.summary().records);
    open_all(&ring(&second), &before).await;

    let restore = owner.open(&owner.all_of(&*second).await).await.unwrap();
    restore.apply(&*third, Conflict::Refuse).await.unwrap();
    open_all(&ring(&third), &before).await;
    assert_eq!(contents(&*first).await, contents(&*third).await);
    assert!(restore.plan(&*third).await.unwrap().is_empty());
    // It works on: numbers go on from where they were.
    assert_eq!(rotate(&ring(&third), "demo", "orders").await, 4);
}

/// Bounds, what is said about a key, and its history.
#[tokio::test]
async fn a_keys_settings_and_history_are_carried() {
    let (owner, first) = (Owner::new(), populated().await);
    let (tenant, name) = (tenant("demo"), key("orders"));
    let from = ring(&first);
    let edit = KeyEdit {
        exportable: Edit::Keep,
        min_decrypt_version: Edit::Set(2),
        min_encrypt_version: Edit::Set(3),
        labels: Edit::Set(BTreeMap::from([("env".to_owned(), Edit::Set("test".to_owned()))])),
        owner: Edit::Set("team-a".to_owned()),
        description: Edit::Set("orders".to_owned()),
    };
    let by = Author { actor: "alice", reason: Some("a leak") };
    from.edit_key(&tenant, &name, edit, by).await.unwrap();
    let before = from.trim(&tenant, &name, 2, by).await.unwrap().key;
    let second = Arc::new(MemoryStore::default());
    let restore = owner.open(&owner.all_of(&*first).await).await.unwrap();
    restore.apply(&*second, Conflict::Refuse).await.unwrap();
    let after = ring(&second).key(&tenant, &name).await.unwrap();
    assert_eq!((after.min_decrypt_version(), after.min_encrypt_version()), (2, 3));
    assert_eq!((after.about(), after.history()), (before.about(), before.history()));
    assert_eq!(after.versions(), before.versions());

    // Where the key is already, the store's own word stands.
    let here = KeyEdit { min_decrypt_version: Edit::Set(3), ..KeyEdit::default() };
    let here = from.edit_key(&tenant, &name, here, "bob").await.unwrap();
    restore.apply(&*first, Conflict::Refuse).await.unwrap();
    let kept = ring(&first).key(&tenant, &name).await.unwrap();
    assert_eq!((kept.min_decrypt_version(), kept.history()), (3, here.history()));
}

/// Where material came from and whether it may go, which a restore gives no key back.
#[tokio::test]
async fn what_was_imported_and_may_be_exported_is_so_elsewhere() {
    let (owner, first) = (Owner::new(), populated().await);
    let (tenant, name) = (tenant("demo"), key("brought"));
    let from = ring(&first);
    let new = NewKey { exportable: true, ..NewKey::default() };
    let secret = KeyMaterial::generate(new.algorithm).unwrap();
    let before = from.import_key(&tenant, &name, new, secret, "tests").await.unwrap();
    let second = Arc::new(MemoryStore::default());
    let restore = owner.open(&owner.all_of(&*first).await).await.unwrap();
    restore.apply(&*second, Conflict::Refuse).await.unwrap();
    let there = ring(&second);
    let after = there.key(&tenant, &name).await.unwrap();
    assert!(after.exportable() && after.versions()[0].imported);
    assert_eq!(after.history(), before.history());
    let one = from.export(&tenant, &name, None, "tests").await.unwrap();
    let other = there.export(&tenant, &name, None, "tests").await.unwrap();
    assert!(one.material.is_same(&other.material));

    let edit = KeyEdit { exportable: Edit::Set(false), ..KeyEdit::default() };
    from.edit_key(&tenant, &name, edit, "tests").await.unwrap();
    restore.apply(&*first, Conflict::Refuse).await.unwrap();
    assert!(!ring(&first).key(&tenant, &name).await.unwrap().exportable());
}

#[tokio::test]
async fn policy_and_counts_of_a_key_go_with_it() {
    let (owner, first) = (Owner::new(), populated().await);
    let here = ring(&first);
    let (demo, mail) = (tenant("demo"), key("mail"));
    let rotation = Rotation::new(None, Some(5_000), None).unwrap();
    here.set_rotation(&demo, &mail, Some(rotation), "tests").await.unwrap();
    let count = async |ring: &Keyring| {
        let key = ring.key(&demo, &mail).await.unwrap();
        ring.meter(&key, 1).sealed(10);
        assert!(ring.flush_usage().await.failures.is_empty());
        ring.usage(&demo, &mail).await.unwrap().version(1).sealed_messages
    };
    assert_eq!((count(&here).await, count(&here).await), (1, 2));
    let backup = owner.all_of(&*first).await;
    let restore = owner.open(&backup).await.unwrap();
    let second = Arc::new(MemoryStore::default());
    restore.apply(&*second, Conflict::Refuse).await.unwrap();
    let there = ring(&second);
    assert_eq!(there.key(&demo, &mail).await.unwrap().rotation(), Some(&rotation));
    assert_eq!(count(&there).await, 3);
    // What was counted since stays when the backup is restored over it.
    restore.apply(&*second, Conflict::Refuse).await.unwrap();
    assert_eq!(count(&ring(&second)).await, 4);
}

#[tokio::test]
async fn a_tenants_backup_has_its_own_records_alone() {
    let (owner, store) = (Owner::new(), populated().await);
    let scope = Scope::Tenant(tenant("demo"));
    let (bytes, report) = owner.back_up(&*store, &scope).await;
    assert_eq!((report.summary.keys, report.summary.versions), (2, 4));
    let target = MemoryStore::default();
    let restore = owner.open(&bytes).await.unwrap();
    assert_eq!(restore.summary(), &report.summary);
    restore.apply(&target, Conflict::Refuse).await.unwrap();
    let mut expected = contents(&*store).await;
    expected.retain(|path, _| {
        path.starts_with("tenants/demo")
            || path.starts_with(&format!("components/{}", "a".repeat(64)))
            || path == "tokens/01"
    });
    assert_eq!(contents(&target).await, expected);
    let nobody = Scope::Tenant(tenant("nobody"));
    let error = write(&*store, &nobody, &owner.recipients(), &mut Vec::new()).await.unwrap_err();
    assert_eq!(error.code(), "tenant-not-found");
}

#[tokio::test]
async fn records_that_follow_one_from_the_other_come_in_order() {
    let (owner, store) = (Owner::new(), populated().await);
    let bytes = owner.all_of(&*store).await;
    let mut paths = Vec::new();
    super::super::archive::read(&mut Cursor::new(bytes), &owner.identities(), |frame| {
        paths.push(frame.path);
        true
    })
    .unwrap();
    let place = |path: &str| paths.iter().position(|found| found == path).unwrap();
    let digest = "a".repeat(64);
    assert!(place(&format!("components/{digest}/0")) < place(&format!("components/{digest}")));
    assert!(place(&format!("components/{digest}")) < place("tenants/demo/policy"));
    assert!(place("tenants/demo/policy") < place("tenants/demo"));
    assert!(place("tenants/demo/keys/orders") < place("tenants/demo/keys/orders/versions/1"));
    assert!(place("tokens/03") < place("operators/03"));
    let mut once = paths.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), paths.len());
}

#[tokio::test]
async fn a_passphrase_opens_what_was_made_with_it() {
    let store = populated().await;
    let mut bytes = Vec::new();
    let recipients = Recipients::with_little_work("correct horse");
    write(&*store, &Scope::All, &recipients, &mut bytes).await.unwrap();
    let open = async |identities| Restore::open(Cursor::new(bytes.clone()), identities, None).await;
    let right = Identities::passphrase("correct horse".to_owned().into());
    let restore = open(right).await.unwrap();
    assert_eq!(restore.summary().keys, 4);
    let wrong = open(Identities::passphrase("battery staple".to_owned().into())).await;
    assert_eq!(wrong.err().unwrap().code(), "backup-wrong-identity");
    let key = open(Owner::new().identities()).await;
    assert_eq!(key.err().unwrap().code(), "backup-wrong-identity");
}

#[tokio::test]
async fn nothing_secret_is_shown() {
    let (owner, store) = (Owner::new(), populated().await);
    let (bytes, report) = owner.back_up(&*store, &Scope::All).await;
    let restore = owner.open(&bytes).await.unwrap();
    let difference = restore.plan(&MemoryStore::default()).await.unwrap();
    let shown = format!(
        "{report:?}{}{difference:?}{difference}{:?}{:?}",
        report.summary,
        owner.recipients(),
        owner.identities()
    );
    assert!(shown.contains("orders") && shown.contains(&report.summary.digest));
    assert!(!shown.contains(&owner.secret));
    for (path, value) in contents(&*store).await {
        if path.contains("/versions/") {
            let secret = &value[value.len() - 32..];
            let debug = format!("{secret:?}");
            let hex = super::super::origin::hex(secret);
            assert!(!shown.contains(debug.trim_matches(['[', ']'])) && !shown.contains(&hex));
            // Nor is it in the file as it is.
            assert!(!bytes.windows(32).any(|window| window == secret));
        }
    }
}

#[tokio::test]
async fn damage_in_the_store_is_reported_and_the_rest_is_saved() {
    let (owner, store) = (Owner::new(), populated().await);
    store.delete("tenants/demo/keys/orders/versions/1").await.unwrap();
    let path = "tenants/demo/keys/mail/versions/1";
    let found = store.get(path).await.unwrap().unwrap();
    let mut value = found.value.to_vec();
    *value.last_mut().unwrap() ^= 1;
    store.replace(path, &value, found.revision).await.unwrap();
    store.create("tenants/demo/keys/broken", b"not metadata").await.unwrap();
    let (bytes, report) = owner.back_up(&*store, &Scope::All).await;
    assert_eq!(
        report.damaged,
        ["tenants/demo/keys/broken", path, "tenants/demo/keys/orders/versions/1",]
    );
    let restore = owner.open(&bytes).await.unwrap();
    let target = Arc::new(MemoryStore::default());
    restore.apply(&*target, Conflict::Refuse).await.unwrap();
    let found = ring(&target).key(&tenant("other"), &key("orders")).await.unwrap();
    assert_eq!(found.current_version(), 3);
}
