//! Bounds of a key's versions, what is said about a key, and its history.

use super::*;
use crate::embedded::{EmbeddedStore, RootKeySource};

async fn edit(ring: &Keyring, edit: KeyEdit) -> Result<Arc<Key>, KeyringError> {
    ring.edit_key(&tenant(), &orders(), edit, "tests").await
}

fn decrypt_from(version: u32) -> KeyEdit {
    KeyEdit { min_decrypt_version: Edit::Set(version), ..KeyEdit::default() }
}

fn encrypt_from(version: u32) -> KeyEdit {
    KeyEdit { min_encrypt_version: Edit::Set(version), ..KeyEdit::default() }
}

async fn code_of(ring: &Keyring, key: &Key, version: u32) -> Option<&'static str> {
    ring.version(key, version).await.err().map(|error| error.code())
}

/// Everything that bounds do and trimming, over any store that nothing was written to.
pub(crate) async fn live(store: Arc<dyn Store>) {
    let ring = over(store.clone());
    ring.create_tenant(&tenant()).await.unwrap();
    let held = create(&ring).await.unwrap();
    for _ in 0..3 {
        ring.rotate(&tenant(), &orders(), "tests").await.unwrap();
    }
    let sealed = seal(&ring.version(&held, 2).await.unwrap());
    let loaded = Arc::downgrade(&ring.version(&held, 2).await.unwrap());

    // Below the bound nothing opens, here and elsewhere, and nothing of it stays in memory.
    let key = edit(&ring, decrypt_from(3)).await.unwrap();
    assert_eq!((key.min_decrypt_version(), key.min_encrypt_version()), (3, 3));
    assert_eq!(loaded.strong_count(), 0);
    for ring in [&ring, &over(store.clone())] {
        for key in [&held, &key] {
            assert_eq!(code_of(ring, key, 2).await, Some("key-version-below-min-decrypt"));
            assert_eq!(code_of(ring, key, 3).await, None);
        }
        let back = ring.rollback(&tenant(), &orders(), 2, "tests").await.unwrap_err();
        assert_eq!(back.code(), "key-version-below-min-encrypt");
    }
    // Lowered, all is as before.
    edit(&ring, decrypt_from(2)).await.unwrap();
    assert!(opens(&ring.version(&held, 2).await.unwrap(), &sealed));

    // To encrypt takes more than to decrypt.
    let key = edit(&ring, encrypt_from(4)).await.unwrap();
    assert_eq!((key.min_decrypt_version(), key.min_encrypt_version()), (2, 4));
    assert_eq!(key.check_encrypts(3).unwrap_err().code(), "key-version-below-min-encrypt");
    assert!(opens(&ring.version(&held, 2).await.unwrap(), &sealed));
    let back = ring.rollback(&tenant(), &orders(), 3, "tests").await.unwrap_err();
    assert_eq!(back.code(), "key-version-below-min-encrypt");
    edit(&ring, encrypt_from(3)).await.unwrap();
    ring.rollback(&tenant(), &orders(), 3, "tests").await.unwrap();

    // 1 ≤ to decrypt ≤ to encrypt ≤ current, which is 3 by now.
    let both = |decrypt, encrypt| KeyEdit {
        min_decrypt_version: Edit::Set(decrypt),
        ..encrypt_from(encrypt)
    };
    for (wrong, blamed) in [
        (decrypt_from(0), "min_decrypt_version"),
        (decrypt_from(4), "min_decrypt_version"),
        (decrypt_from(u32::MAX), "min_decrypt_version"),
        (encrypt_from(0), "min_encrypt_version"),
        (encrypt_from(1), "min_encrypt_version"),
        (encrypt_from(4), "min_encrypt_version"),
        (both(3, 2), "min_decrypt_version"),
        (both(1, 4), "min_encrypt_version"),
        (both(0, 3), "min_decrypt_version"),
    ] {
        let error = edit(&ring, wrong).await.unwrap_err();
        let KeyringError::OutOfRange { field, min, max } = error else { panic!("{error}") };
        assert!(field == blamed && 1 <= min && min <= max && max <= 3, "{field} {min} {max}");
    }

    // What no longer decrypts can be trimmed, and nothing else.
    let trim = async |to| ring.trim(&tenant(), &orders(), to, "carol").await;
    assert_eq!(trim(3).await.unwrap_err().code(), "key-trim-too-high");
    assert_eq!(trim(0).await.unwrap_err().code(), "out-of-range");
    edit(&ring, decrypt_from(3)).await.unwrap();
    for _ in 0..2 {
        let key = trim(3).await.unwrap().key;
        assert_eq!((key.min_available_version(), key.versions().len()), (Some(3), 4));
        for info in key.versions() {
            let by = info.destroyed.as_ref().map(|stamp| stamp.by.as_str());
            assert_eq!(by, (info.version < 3).then_some("carol"));
        }
    }
    let mut left = store.list("tenants/demo/keys/orders/versions").await.unwrap();
    left.sort();
    assert_eq!(left, ["3", "4"]);
    edit(&ring, KeyEdit { min_decrypt_version: Edit::Remove, ..KeyEdit::default() }).await.unwrap();
    for ring in [&ring, &over(store.clone())] {
        assert_eq!(code_of(ring, &held, 2).await, Some("key-version-destroyed"));
        let noted = ring.history(&tenant(), &orders()).await.unwrap();
        let noted: Vec<_> =
            noted.history().iter().map(|it| (it.action.name(), it.version)).collect();
        assert_eq!(
            noted,
            [
                ("create", Some(1)),
                ("rotate", Some(2)),
                ("rotate", Some(3)),
                ("rotate", Some(4)),
                ("min_decrypt_version", Some(3)),
                ("min_decrypt_version", Some(2)),
                ("min_encrypt_version", Some(4)),
                ("min_encrypt_version", Some(3)),
                ("rollback", Some(3)),
                ("min_decrypt_version", Some(3)),
                ("trim", Some(3)),
                ("min_decrypt_version", Some(1)),
            ]
        );
    }
}

#[tokio::test]
async fn versions_are_bounded_in_memory() {
    live(Arc::new(MemoryStore::default())).await;
}

#[tokio::test]
async fn versions_are_bounded_in_the_embedded_store() {
    let directory = tempfile::tempdir().unwrap();
    let source = RootKeySource::File(directory.path().join("root.key"));
    live(Arc::new(EmbeddedStore::open(directory.path(), &source).unwrap())).await;
}

/// All of an edit or nothing of it.
#[tokio::test]
async fn an_edit_with_something_wrong_changes_nothing() {
    let (store, ring) = ring().await;
    let key = create(&ring).await.unwrap();
    let owner = Edit::Set("me".to_owned());
    let bad = Edit::Set("\n".to_owned());
    for wrong in [
        KeyEdit { owner: owner.clone(), ..decrypt_from(2) },
        KeyEdit { owner: owner.clone(), description: bad, ..KeyEdit::default() },
    ] {
        edit(&ring, wrong).await.unwrap_err();
        assert_eq!(*over(store.clone()).key(&tenant(), &orders()).await.unwrap(), *key);
    }
    let before = store.get("tenants/demo/keys/orders").await.unwrap().unwrap().revision;
    edit(&ring, KeyEdit::default()).await.unwrap();
    let after = store.get("tenants/demo/keys/orders").await.unwrap().unwrap().revision;
    assert_eq!(before, after, "what is so already is not written");
}

#[tokio::test]
async fn a_history_has_reasons_and_an_end() {
    let (store, ring) = ring().await;
    create(&ring).await.unwrap();
    let by = Author { actor: "alice", reason: Some("a leak") };
    ring.rotate(&tenant(), &orders(), by).await.unwrap();
    for n in 0..HISTORY_LIMIT {
        let owner = Edit::Set(n.to_string());
        edit(&ring, KeyEdit { owner, ..KeyEdit::default() }).await.unwrap();
        let key = over(store.clone()).key(&tenant(), &orders()).await.unwrap();
        assert_eq!(key.history().len(), HISTORY_LIMIT.min(n + 3));
        let rotation = key.history().iter().find(|entry| entry.action == Action::Rotate);
        assert_eq!(rotation.is_some(), n + 3 < HISTORY_LIMIT + 2);
        if let Some(entry) = rotation {
            assert_eq!((entry.actor.as_str(), entry.reason.as_deref()), ("alice", Some("a leak")));
        }
    }
}

/// Whoever is late finds what is so by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_edits_and_rollbacks_leave_sound_bounds_and_lose_no_entry() {
    let (store, ring) = ring().await;
    create(&ring).await.unwrap();
    for _ in 0..5 {
        ring.rotate(&tenant(), &orders(), "tests").await.unwrap();
    }
    let tasks: Vec<_> = (0..24_u32)
        .map(|n| {
            let ring = over(store.clone());
            tokio::spawn(async move {
                let to = n % 6 + 1;
                match n % 3 {
                    0 => ring.rollback(&tenant(), &orders(), to, "tests").await.is_ok(),
                    1 => edit(&ring, encrypt_from(to)).await.is_ok(),
                    _ => edit(&ring, decrypt_from(to)).await.is_ok(),
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let key = over(store).key(&tenant(), &orders()).await.unwrap();
    let bounds = [1, key.min_decrypt_version(), key.min_encrypt_version(), key.current_version()];
    assert!(bounds.is_sorted(), "{bounds:?}");
    let last = |action: Action| {
        let entry = key.history().iter().rev().find(|entry| entry.action == action);
        entry.and_then(|entry| entry.version)
    };
    assert_eq!(key.min_decrypt_version(), last(Action::MinDecrypt).unwrap_or(1));
    assert_eq!(key.current_version(), last(Action::Rollback).unwrap_or(6));
}
