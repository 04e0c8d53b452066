use serde_json::json;

use super::probe::{Death, Probe};
use super::*;
use crate::embedded::{EmbeddedStore, RootKeySource};
use crate::key::KeyState;
use crate::keyring::DEFAULT_RESTORE_WINDOW;
use crate::record::now_ms;

async fn delete(ring: &Keyring) -> Result<Arc<Key>, KeyringError> {
    ring.delete_key(&tenant(), &orders(), "alice", DEFAULT_RESTORE_WINDOW).await
}

async fn restore(ring: &Keyring) -> Result<Arc<Key>, KeyringError> {
    ring.restore_key(&tenant(), &orders(), "bob").await
}

async fn rotate(ring: &Keyring) -> Result<u32, KeyringError> {
    ring.rotate(&tenant(), &orders(), "tests").await
}

/// A moment when every window is over.
fn late() -> u64 {
    now_ms() + 8 * 24 * 3_600_000
}

fn code<T>(result: Result<T, KeyringError>) -> &'static str {
    result.err().map_or("ok", |error| error.code())
}

/// Everything the store holds of keys' material.
async fn material(store: &dyn Store) -> Vec<String> {
    store.list("tenants/demo/keys/orders/versions").await.unwrap()
}

/// Deletion, restoration, destruction and the use of the name after it, over any store.
async fn live(store: Arc<dyn Store>) {
    let ring = over(store.clone());
    let other = over(store.clone());
    ring.create_tenant(&tenant()).await.unwrap();
    let held = create(&ring).await.unwrap();
    rotate(&ring).await.unwrap();
    let sealed = seal(&ring.version(&held, 1).await.unwrap());
    assert_eq!(code(restore(&ring).await), "key-not-deleted");

    let before = now_ms();
    let key = delete(&ring).await.unwrap();
    assert_eq!((key.state(), key.enabled()), (KeyState::Deleted, false));
    let deletion = key.deleted().unwrap();
    assert_eq!(deletion.by, "alice");
    assert_eq!(deletion.purge_at - deletion.at, 7 * 24 * 3_600_000);
    assert!(deletion.at >= before);
    other.clear_cache().await;
    for ring in [&ring, &other] {
        for version in [1, 2] {
            assert_eq!(code(ring.version(&held, version).await), "key-deleted");
            assert_eq!(code(ring.version(&key, version).await), "key-deleted");
        }
        assert_eq!(code(rotate(ring).await), "key-deleted");
        assert_eq!(code(ring.rollback(&tenant(), &orders(), 1, "x").await), "key-deleted");
        assert_eq!(code(ring.destroy_version(&tenant(), &orders(), 1, "x").await), "key-deleted");
        assert_eq!(code(ring.set_enabled(&tenant(), &orders(), true, "x").await), "key-deleted");
        assert_eq!(code(delete(ring).await), "key-deleted");
        assert_eq!(code(create(ring).await), "key-exists");
        assert!(ring.list_keys(&tenant()).await.unwrap().is_empty());
        let listed = ring.list_deleted_keys(&tenant()).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].id(), listed[0].deleted()), (key.id(), key.deleted()));
    }
    // Its time has not come.
    let purge = ring.purge_due(deletion.purge_at - 1).await.unwrap();
    assert!(purge.receipts.is_empty() && purge.failures.is_empty());

    // As it was before, disabled or not.
    assert!(restore(&ring).await.unwrap().enabled());
    assert!(opens(&ring.version(&held, 1).await.unwrap(), &sealed));
    ring.set_enabled(&tenant(), &orders(), false, "x").await.unwrap();
    delete(&ring).await.unwrap();
    assert_eq!(restore(&ring).await.unwrap().state(), KeyState::Disabled);
    ring.set_enabled(&tenant(), &orders(), true, "x").await.unwrap();

    // A window that is over before anybody purged.
    ring.delete_key(&tenant(), &orders(), "alice", Duration::ZERO).await.unwrap();
    assert_eq!(code(restore(&ring).await), "key-restore-window-over");
    let purge = ring.purge_due(now_ms()).await.unwrap();
    let [receipt] = purge.receipts.as_slice() else { panic!("{purge:?}") };
    let gone = &receipt.destroyed;
    assert_eq!((&gone.tenant, &gone.key, gone.id), (&tenant(), &orders(), held.id()));
    assert_eq!(gone.by, "alice");
    let named: Vec<_> = gone.versions.iter().map(|gone| gone.version).collect();
    assert_eq!(named, [1, 2]);
    assert_eq!(gone.versions[0].fingerprint, held.versions()[0].fingerprint);
    assert_eq!(receipts(&ring).await, std::slice::from_ref(receipt));
    assert!(material(&*store).await.is_empty());
    other.clear_cache().await;
    for ring in [&ring, &other] {
        assert_eq!(code(ring.key(&tenant(), &orders()).await), "key-not-found");
        assert_eq!(code(ring.key_by_id(&tenant(), held.id()).await), "key-not-found");
        assert_eq!(code(ring.version(&held, 1).await), "key-not-found");
        assert_eq!(code(restore(ring).await), "key-not-found");
        assert_eq!(code(delete(ring).await), "key-not-found");
        assert!(ring.list_deleted_keys(&tenant()).await.unwrap().is_empty());
    }

    // The name is free; the id and the numbers are not used again.
    let next = create(&ring).await.unwrap();
    assert_ne!(next.id(), held.id());
    assert_eq!((next.current_version(), next.versions().len()), (3, 1));
    assert_eq!(receipts(&ring).await, std::slice::from_ref(receipt));
    // Elsewhere the name is known to be absent for a second more.
    other.clear_cache().await;
    for ring in [&ring, &other] {
        assert_eq!(code(ring.key_by_id(&tenant(), held.id()).await), "key-not-found");
        assert_eq!(code(ring.version(&held, 1).await), "key-version-not-found");
        assert!(!opens(&ring.version(&next, 3).await.unwrap(), &sealed));
    }

    // At once, from use.
    let receipt = ring.destroy_key(&tenant(), &orders(), "carol").await.unwrap();
    let gone = &receipt.destroyed;
    assert_eq!((gone.id, gone.by.as_str()), (next.id(), "carol"));
    assert_eq!(receipts(&ring).await.last(), Some(&receipt));
    assert!(material(&*store).await.is_empty());
    assert_eq!(code(ring.destroy_key(&tenant(), &orders(), "carol").await), "key-not-found");
    assert_eq!(create(&ring).await.unwrap().current_version(), 4);
}

#[tokio::test]
async fn a_key_dies_in_memory() {
    live(Arc::new(MemoryStore::default())).await;
}

#[tokio::test]
async fn a_key_dies_in_the_embedded_store() {
    let directory = tempfile::tempdir().unwrap();
    let source = RootKeySource::File(directory.path().join("root.key"));
    live(Arc::new(EmbeddedStore::open(directory.path(), &source).unwrap())).await;
}

#[tokio::test]
async fn a_purge_that_died_is_finished_by_the_next() {
    // Metadata twice, for the stray lies above; two versions and the stray, the id, the key for
    // receipts and its public half, the receipt, the tombstone.
    const WRITES: i64 = 10;
    for death in [Death::Before, Death::After] {
        for writes in 0..WRITES {
            let (store, ring) = ring().await;
            let key = create(&ring).await.unwrap();
            rotate(&ring).await.unwrap();
            // A rotation that dies leaves material that no metadata lists.
            let stray = over(Arc::new(Probe::dying(&store, 1, Death::Before)));
            assert!(rotate(&stray).await.is_err());
            assert_eq!(material(&*store).await.len(), 3);
            let deleted = delete(&ring).await.unwrap();

            let dying = over(Arc::new(Probe::dying(&store, writes, death)));
            let purge = dying.purge_due(late()).await.unwrap();
            assert_eq!((purge.receipts.len(), purge.failures.len()), (0, 1), "{writes} {death:?}");

            let ring = over(store.clone());
            let is_begun = writes > 0 || death == Death::After;
            let is_done = writes == WRITES - 1 && death == Death::After;
            if is_begun && !is_done {
                assert_eq!(code(restore(&ring).await), "key-destroyed");
                assert_eq!(code(delete(&ring).await), "key-destroyed");
                assert_eq!(code(ring.version(&key, 1).await), "key-destroyed");
                assert_eq!(code(create(&ring).await), "key-exists");
                let listed = ring.list_deleted_keys(&tenant()).await.unwrap();
                assert_eq!(listed[0].state(), KeyState::Destroying);
            }
            // Whoever finishes it asks neither for the time nor for the window.
            let now = if is_begun { 0 } else { deleted.deleted().unwrap().purge_at };
            let purge = ring.purge_due(now).await.unwrap();
            assert_eq!(purge.receipts.len(), usize::from(!is_done), "{writes} {death:?}");
            let receipts = receipts(&ring).await;
            let [receipt] = receipts.as_slice() else { panic!("{receipts:?}") };
            let gone = &receipt.destroyed;
            assert_eq!((gone.id, gone.by.as_str()), (key.id(), "alice"));
            receipt.verify(&ring.receipt_key().await.unwrap()).unwrap();
            assert!(material(&*store).await.is_empty());
            assert_eq!(code(ring.key_by_id(&tenant(), key.id()).await), "key-not-found");
            // Above the stray, too.
            assert_eq!(create(&ring).await.unwrap().current_version(), 4);
        }
    }
}

#[tokio::test]
async fn what_a_late_rotation_leaves_is_not_the_next_key() {
    let (store, ring) = ring().await;
    let key = create(&ring).await.unwrap();
    let old = store.get("tenants/demo/keys/orders/versions/1").await.unwrap().unwrap();
    ring.destroy_key(&tenant(), &orders(), "x").await.unwrap();
    // Material of the destroyed key under the number the next one would begin with.
    let mut stray = old.value.to_vec();
    stray[12] = 2;
    store.create("tenants/demo/keys/orders/versions/2", &stray).await.unwrap();
    let next = create(&ring).await.unwrap();
    assert_ne!(next.id(), key.id());
    assert_eq!(next.current_version(), 3);
    // And it goes with the next one.
    ring.destroy_key(&tenant(), &orders(), "x").await.unwrap();
    assert!(material(&*store).await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_purge_at_once_never_hit_the_next_key() {
    for _ in 0..50 {
        let (store, ring) = ring().await;
        create(&ring).await.unwrap();
        rotate(&ring).await.unwrap();
        ring.delete_key(&tenant(), &orders(), "alice", Duration::ZERO).await.unwrap();
        let mut hosts = Vec::new();
        for _ in 0..3 {
            let host = over(Arc::new(Probe::over(&store)));
            hosts.push(tokio::spawn(async move { host.purge_due(late()).await.unwrap() }));
        }
        let host = over(Arc::new(Probe::over(&store)));
        let next = loop {
            match create(&host).await {
                Ok(key) => break key,
                Err(error) => assert_eq!(error.code(), "key-exists"),
            }
        };
        let sealed = seal(&host.version(&next, 3).await.unwrap());
        let mut receipts = 0;
        for host in hosts {
            let purge = host.await.unwrap();
            assert!(purge.failures.is_empty(), "{:?}", purge.failures);
            receipts += purge.receipts.len();
        }
        assert!(receipts >= 1);
        assert_eq!(material(&*store).await, ["3"]);
        let ring = over(store);
        assert!(opens(&ring.version(&next, 3).await.unwrap(), &sealed));
        assert_eq!(ring.key_by_id(&tenant(), next.id()).await.unwrap(), next);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_restored_or_destroyed_and_not_both() {
    for _ in 0..50 {
        let (store, ring) = ring().await;
        let key = create(&ring).await.unwrap();
        delete(&ring).await.unwrap();
        let [one, other] = [0, 1].map(|_| over(Arc::new(Probe::over(&store))));
        let back = tokio::spawn(async move { restore(&one).await });
        let gone = tokio::spawn(async move { other.purge_due(late()).await.unwrap() });
        let (back, gone) = (back.await.unwrap(), gone.await.unwrap());
        assert!(gone.failures.is_empty());
        assert_ne!(back.is_ok(), gone.receipts.len() == 1);
        let ring = over(store);
        assert_eq!(ring.version(&key, 1).await.is_ok(), back.is_ok());
    }
}

#[tokio::test]
async fn records_of_format_2_are_read_and_a_tombstone_is_as_documented() {
    let (store, ring) = ring().await;
    let record = json!({
        "format": 2,
        "id": "00000000000000aa",
        "algorithm": "xaes-256-gcm",
        "created_at": 1_700_000_000_000_u64,
        "disabled": { "at": 1_700_000_000_002_u64, "by": "alice" },
        "current_version": 2,
        "versions": [
            { "version": 1, "created_at": 1, "destroyed": { "at": 2, "by": "bob" } },
            { "version": 2, "created_at": 2, "fingerprint": "sha256:00" },
        ],
    });
    let path = "tenants/demo/keys/orders";
    store.create(path, record.to_string().as_bytes()).await.unwrap();
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    assert_eq!(key.state(), KeyState::Disabled);
    delete(&ring).await.unwrap();
    let read = async || -> serde_json::Value {
        serde_json::from_slice(&store.get(path).await.unwrap().unwrap().value).unwrap()
    };
    let written = read().await;
    assert_eq!(written["format"], 4);
    assert_eq!(written["disabled"]["by"], "alice");
    assert_eq!(written["deleted"]["by"], "alice");

    let by = Author { actor: "carol", reason: Some("no longer needed") };
    let receipt = ring.destroy_key(&tenant(), &orders(), by).await.unwrap();
    let expected = json!({ "format": 4, "purged": {
        "id": "00000000000000aa",
        "at": receipt.destroyed.at,
        "by": "carol",
        "reason": "no longer needed",
        "ceiling": 2,
        "versions": [{ "version": 1 }, { "version": 2, "fingerprint": "sha256:00" }],
    }});
    assert_eq!(read().await, expected);
    let index = store.get("tenants/demo/key-ids/00000000000000aa").await.unwrap().unwrap();
    assert_eq!(index.value.as_slice(), b"!orders");
}
