use std::collections::BTreeSet;

use keyward_crypto::KeyMaterial;

use super::probe::{Death, Probe};
use super::*;
use crate::embedded::{EmbeddedStore, RootKeySource};
use crate::record::{self, Material};

const VERSION_2: &str = "tenants/demo/keys/orders/versions/2";

async fn rotate(ring: &Keyring) -> u32 {
    ring.rotate(&tenant(), &orders(), "tests").await.unwrap()
}

async fn rollback(ring: &Keyring, target: u32) -> Result<Arc<Key>, KeyringError> {
    ring.rollback(&tenant(), &orders(), target, "tests").await
}

async fn destroy(ring: &Keyring, version: u32) -> Result<(), KeyringError> {
    ring.destroy_version(&tenant(), &orders(), version, "tests").await.map(drop)
}

async fn current(ring: &Keyring) -> u32 {
    ring.key(&tenant(), &orders()).await.unwrap().current_version()
}

/// The whole life of a key, over any store.
async fn live(store: Arc<dyn Store>) {
    let ring = over(store.clone());
    ring.create_tenant(&tenant()).await.unwrap();
    let held = create(&ring).await.unwrap();
    let made = ring.create_version(&tenant(), &orders(), "alice", "for May").await.unwrap();
    assert_eq!((made.version, made.description.as_str()), (2, "for May"));
    assert_eq!(made.created_by.as_deref(), Some("alice"));
    assert_eq!(rotate(&ring).await, 3);
    let sealed = seal(&ring.version(&held, 2).await.unwrap());

    // Back to 2, which is then what is current everywhere; again changes nothing.
    for _ in 0..2 {
        let key = rollback(&ring, 2).await.unwrap();
        assert_eq!((key.current_version(), key.versions().len()), (2, 3));
    }
    assert_eq!(current(&ring).await, 2);
    assert_eq!(current(&over(store.clone())).await, 2);
    assert_eq!(destroy(&ring, 2).await.unwrap_err().code(), "key-version-is-current");
    assert_eq!(rollback(&ring, 9).await.unwrap_err().code(), "key-version-not-found");
    assert_eq!(destroy(&ring, 9).await.unwrap_err().code(), "key-version-not-found");

    // The next number is not 3 again, and is current.
    assert_eq!(rotate(&ring).await, 4);
    assert_eq!(current(&ring).await, 4);
    assert!(opens(&ring.version(&held, 2).await.unwrap(), &sealed));

    // Destroyed: no longer in memory, in the store or in use; still listed.
    let version = Arc::downgrade(&ring.version(&held, 2).await.unwrap());
    destroy(&ring, 2).await.unwrap();
    assert_eq!(version.strong_count(), 0);
    assert!(store.get(VERSION_2).await.unwrap().is_none());
    let key = ring.history(&tenant(), &orders()).await.unwrap();
    for ring in [&ring, &over(store.clone())] {
        for key in [&held, &key] {
            let error = ring.version(key, 2).await.err().unwrap();
            assert!(matches!(error, KeyringError::VersionDestroyed { version: 2, .. }));
        }
        assert_eq!(rollback(ring, 2).await.unwrap_err().code(), "key-version-destroyed");
        assert_eq!(destroy(ring, 2).await.unwrap_err().code(), "key-version-destroyed");
    }
    let gone = key.version_info(2).unwrap();
    assert_eq!(gone.destroyed.as_ref().unwrap().by, "tests");
    assert_eq!(gone.description, "for May");
    assert_eq!(key.versions().len(), 4);
    assert!(key.last_rotation().unwrap() >= made.created_at);
    assert!(key.versions().iter().all(|info| {
        let fingerprint = info.fingerprint.as_deref().unwrap();
        fingerprint.len() == 71 && fingerprint.starts_with("sha256:")
    }));

    // A number whose material is gone is not taken again, even if it was the highest.
    rollback(&ring, 1).await.unwrap();
    destroy(&ring, 4).await.unwrap();
    assert_eq!(rotate(&ring).await, 5);

    // Disabled: neither way, for nobody; enabled: as before.
    let sealed = seal(&ring.version(&held, 5).await.unwrap());
    for _ in 0..2 {
        let key = ring.set_enabled(&tenant(), &orders(), false, "bob").await.unwrap();
        assert_eq!(key.disabled().unwrap().by, "bob");
    }
    for ring in [&ring, &over(store.clone())] {
        for version in [1, 5] {
            let error = ring.version(&held, version).await.err().unwrap();
            assert_eq!(error.code(), "key-disabled");
        }
        assert!(!ring.key(&tenant(), &orders()).await.unwrap().enabled());
    }
    let key = ring.set_enabled(&tenant(), &orders(), true, "bob").await.unwrap();
    assert!(key.enabled() && key.disabled().is_none());
    assert!(opens(&ring.version(&held, 5).await.unwrap(), &sealed));
}

#[tokio::test]
async fn a_key_lives_in_memory() {
    live(Arc::new(MemoryStore::default())).await;
}

#[tokio::test]
async fn a_key_lives_in_the_embedded_store() {
    let directory = tempfile::tempdir().unwrap();
    let source = RootKeySource::File(directory.path().join("root.key"));
    live(Arc::new(EmbeddedStore::open(directory.path(), &source).unwrap())).await;
}

#[tokio::test]
async fn a_fingerprint_is_no_hash_of_the_bare_material() {
    let (store, ring) = ring().await;
    let key = create(&ring).await.unwrap();
    let shown = key.version_info(1).unwrap().fingerprint.clone().unwrap();
    let record = store.get("tenants/demo/keys/orders/versions/1").await.unwrap().unwrap().value;
    let (_, secret) = record.split_at(record.len() - KeyMaterial::SYMMETRIC_LEN);
    for bare in [secret, record.as_slice()] {
        let hash = keyward_crypto::sha256(bare)
            .iter()
            .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
        assert_ne!(shown, format!("sha256:{hash}"));
    }
    // The same material has another one in another version or key.
    let names = [(key.id(), 1), (key.id(), 2), (KeyId(1), 1)].map(|(key_id, version)| {
        let secret = KeyMaterial::from_bytes(key.algorithm(), secret).unwrap();
        record::fingerprint(&Material { key_id, version, created_at: 0, imported: false, secret })
    });
    assert_eq!(names[0], shown);
    assert_eq!(BTreeSet::from(names).len(), 3);
}

#[tokio::test]
async fn changes_of_a_key_that_does_not_exist_say_so() {
    let (_, ring) = ring().await;
    let errors = [
        rollback(&ring, 1).await.unwrap_err(),
        destroy(&ring, 1).await.unwrap_err(),
        ring.set_enabled(&tenant(), &orders(), false, "tests").await.unwrap_err(),
        ring.history(&tenant(), &orders()).await.unwrap_err(),
        ring.create_version(&tenant(), &orders(), "tests", "").await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.code(), "key-not-found");
    }
}

#[tokio::test]
async fn actors_and_descriptions_are_bounded() {
    let (_, ring) = ring().await;
    create(&ring).await.unwrap();
    let (tenant, orders) = (tenant(), orders());
    for actor in [String::new(), "a".repeat(257)] {
        let errors = [
            ring.create_version(&tenant, &orders, &actor, "").await.err(),
            ring.rollback(&tenant, &orders, 1, &actor).await.err(),
            ring.destroy_version(&tenant, &orders, 1, &actor).await.err(),
            ring.set_enabled(&tenant, &orders, true, &actor).await.err(),
        ];
        for error in errors {
            assert!(matches!(error, Some(KeyringError::InvalidName { field: "actor", .. })));
        }
    }
    let long = "d".repeat(1025);
    let error = ring.create_version(&tenant, &orders, "a", &long).await.unwrap_err();
    assert!(matches!(error, KeyringError::InvalidName { field: "description", .. }));
}

#[tokio::test]
async fn a_destruction_that_died_is_finished_by_the_next() {
    // Metadata, material, the key for receipts, its public half, the receipt, metadata.
    const WRITES: i64 = 6;
    for death in [Death::Before, Death::After] {
        for writes in 0..WRITES {
            let (store, ring) = ring().await;
            create(&ring).await.unwrap();
            rotate(&ring).await;
            rotate(&ring).await;
            let dying = over(Arc::new(Probe::dying(&store, writes, death)));
            assert!(destroy(&dying, 2).await.unwrap_err().is_unavailable());

            let ring = over(store.clone());
            let is_complete = writes == WRITES - 1 && death == Death::After;
            let is_begun = writes > 0 || death == Death::After;
            let is_gone = writes > 1 || writes == 1 && death == Death::After;
            let key = ring.key(&tenant(), &orders()).await.unwrap();
            assert_eq!(ring.version(&key, 2).await.is_err(), is_begun);
            assert_eq!(store.get(VERSION_2).await.unwrap().is_none(), is_gone);
            let again = destroy(&ring, 2).await;
            assert_eq!(again.is_err(), is_complete);
            assert!(store.get(VERSION_2).await.unwrap().is_none());
            assert_eq!(destroy(&ring, 2).await.unwrap_err().code(), "key-version-destroyed");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rolling_back_to_a_version_and_destroying_it_do_not_both_happen() {
    for _ in 0..50 {
        let (store, ring) = ring().await;
        create(&ring).await.unwrap();
        rotate(&ring).await;
        let rings = [over(Arc::new(Probe::over(&store))), over(Arc::new(Probe::over(&store)))];
        let [one, other] = rings.clone();
        let back = tokio::spawn(async move { rollback(&one, 1).await });
        let gone = tokio::spawn(async move { destroy(&other, 1).await });
        let (back, gone) = (back.await.unwrap(), gone.await.unwrap());
        assert_ne!(back.is_ok(), gone.is_ok());
        let key = over(store).key(&tenant(), &orders()).await.unwrap();
        assert_eq!(key.current_version(), if back.is_ok() { 1 } else { 2 });
    }
}
