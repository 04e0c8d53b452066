//! Receipts of destruction: that there is one for each, whatever dies in between.

use serde_json::{Value, json};

use super::probe::{Death, Probe};
use super::*;
use crate::embedded::{EmbeddedStore, RootKeySource};
use crate::receipt::{Extent, Receipt, ReceiptKey};
use crate::record::now_ms;

const VERSIONS: &str = "tenants/demo/keys/orders/versions";
const WHY: Author<'_> = Author { actor: "alice", reason: Some("asked to") };

async fn rotate(ring: &Keyring) {
    ring.rotate(&tenant(), &orders(), "tests").await.unwrap();
}

fn numbers(receipt: &Receipt) -> Vec<u32> {
    receipt.destroyed.versions.iter().map(|gone| gone.version).collect()
}

/// Raises the bound below which versions can be trimmed.
async fn bound(ring: &Keyring, lowest: u32) {
    let edit = KeyEdit { min_decrypt_version: Edit::Set(lowest), ..KeyEdit::default() };
    ring.edit_key(&tenant(), &orders(), edit, "tests").await.unwrap();
}

/// Every way to destroy, over any store.
pub(crate) async fn live(store: Arc<dyn Store>) {
    let ring = over(store.clone());
    ring.create_tenant(&tenant()).await.unwrap();
    let absent = ring.receipts(&tenant(), &orders(), None, 10).await;
    assert_eq!(absent.unwrap_err().code(), "key-not-found");
    let key = create(&ring).await.unwrap();
    assert!(super::receipts(&ring).await.is_empty());
    for _ in 0..4 {
        rotate(&ring).await;
    }
    let listed = ring.history(&tenant(), &orders()).await.unwrap();
    let before = now_ms();

    let version = ring.destroy_version(&tenant(), &orders(), 2, WHY).await.unwrap();
    bound(&ring, 4).await;
    let trimmed = ring.trim(&tenant(), &orders(), 4, WHY).await.unwrap();
    let [trim] = trimmed.receipts.as_slice() else { panic!("{trimmed:?}") };
    assert_eq!(trimmed.key, ring.history(&tenant(), &orders()).await.unwrap());
    assert!(ring.trim(&tenant(), &orders(), 4, WHY).await.unwrap().receipts.is_empty());
    ring.delete_key(&tenant(), &orders(), WHY, Duration::ZERO).await.unwrap();
    let purge = ring.purge_due(now_ms()).await.unwrap();
    let [purged] = purge.receipts.as_slice() else { panic!("{purge:?}") };
    let next = create(&ring).await.unwrap();
    let whole = ring.destroy_key(&tenant(), &orders(), "bob").await.unwrap();

    let public = ring.receipt_key().await.unwrap();
    for receipt in [&version, trim, purged, &whole] {
        receipt.verify(&public).unwrap();
        let gone = &receipt.destroyed;
        assert_eq!((&gone.tenant, &gone.key), (&tenant(), &orders()));
        assert_eq!(gone.algorithm, "xaes-256-gcm");
        assert!((before..=now_ms()).contains(&gone.at));
    }
    for receipt in [&version, trim, purged] {
        let gone = &receipt.destroyed;
        assert_eq!((gone.by.as_str(), gone.reason.as_deref()), ("alice", Some("asked to")));
        assert_eq!(gone.id, key.id());
        for gone in &gone.versions {
            let info = listed.version_info(gone.version).unwrap();
            assert!(info.fingerprint.is_some() && gone.fingerprint == info.fingerprint);
        }
    }
    assert_eq!((version.destroyed.extent, numbers(&version)), (Extent::Versions, vec![2]));
    assert_eq!((trim.destroyed.extent, numbers(trim)), (Extent::Versions, vec![1, 3]));
    assert_eq!((purged.destroyed.extent, numbers(purged)), (Extent::Key, vec![1, 2, 3, 4, 5]));
    assert_eq!((whole.destroyed.id, numbers(&whole)), (next.id(), vec![6]));
    assert_eq!((whole.destroyed.by.as_str(), &whole.destroyed.reason), ("bob", &None));

    // They outlive the key, in any keyring, page by page.
    let expected = [version, trim.clone(), purged.clone(), whole];
    let sorted = |mut receipts: Vec<Receipt>| {
        receipts.sort_by_key(|receipt| format!("{receipt:?}"));
        receipts
    };
    let ring = over(store);
    assert_eq!(sorted(super::receipts(&ring).await), sorted(expected.to_vec()));
    assert_eq!(ring.receipt_keys(&tenant()).await.unwrap(), [public]);
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let page = ring.receipts(&tenant(), &orders(), after.as_deref(), 3).await.unwrap();
        found.push(page.receipts.len());
        let Some(next) = page.next else { break };
        after = Some(next);
    }
    assert_eq!(found, [3, 1]);
    let whole = ring.receipts(&tenant(), &orders(), None, 4).await.unwrap();
    assert!(whole.receipts.len() == 4 && whole.next.is_none());
    for bad in ["", "../x", "A", &"1".repeat(49)] {
        let refused = ring.receipts(&tenant(), &orders(), Some(bad), 3).await.unwrap_err();
        assert_eq!(refused.code(), "invalid-name", "{bad}");
    }
}

#[tokio::test]
async fn every_destruction_has_a_receipt_in_memory() {
    live(Arc::new(MemoryStore::default())).await;
}

#[tokio::test]
async fn every_destruction_has_a_receipt_in_the_embedded_store() {
    let directory = tempfile::tempdir().unwrap();
    let source = RootKeySource::File(directory.path().join("root.key"));
    live(Arc::new(EmbeddedStore::open(directory.path(), &source).unwrap())).await;
    // The seed is sealed like everything else.
    let file = std::fs::read(directory.path().join("keyward.redb")).unwrap();
    assert!(!file.windows(11).any(|bytes| bytes == b"destruction"), "a receipt in the clear");
}

/// Whatever write a process dies at, before it or after, either nothing is destroyed or there is a
/// receipt in the end; and never a receipt of what is still there.
#[tokio::test]
async fn a_version_and_its_receipt_go_together() {
    // Metadata, material, the key for receipts, its public half, the receipt, metadata.
    const WRITES: i64 = 6;
    for by_purge in [false, true] {
        for death in [Death::Before, Death::After] {
            for writes in 0..WRITES {
                let about = format!("{by_purge} {death:?} {writes}");
                let (store, ring) = ring().await;
                create(&ring).await.unwrap();
                rotate(&ring).await;
                let dying = over(Arc::new(Probe::dying(&store, writes, death)));
                let died = dying.destroy_version(&tenant(), &orders(), 1, WHY).await;
                assert!(died.is_err(), "{about}");

                let ring = over(store.clone());
                let key = ring.history(&tenant(), &orders()).await.unwrap();
                let is_marked = key.version_info(1).unwrap().destroyed.is_some();
                let is_gone = store.list(VERSIONS).await.unwrap() == ["2"];
                let written = super::receipts(&ring).await;
                assert_eq!(is_marked, writes > 0 || death == Death::After, "{about}");
                assert!(written.is_empty() || is_gone, "{about}");
                let is_complete = writes == WRITES - 1 && death == Death::After;

                // Whoever comes next does not get another receipt.
                let finished = if by_purge {
                    ring.purge_due(0).await.unwrap().receipts.into_iter().next()
                } else {
                    let by = Author { actor: "bob", reason: None };
                    ring.destroy_version(&tenant(), &orders(), 1, by).await.ok()
                };
                assert_eq!(finished.is_some(), !is_complete && (is_marked || !by_purge), "{about}");
                let receipts = super::receipts(&ring).await;
                if by_purge && !is_marked {
                    assert!(receipts.is_empty(), "{about}");
                    assert_eq!(store.list(VERSIONS).await.unwrap(), ["1", "2"], "{about}");
                    continue;
                }
                let [receipt] = receipts.as_slice() else { panic!("{about} {receipts:?}") };
                assert!(finished.is_none_or(|finished| finished == *receipt), "{about}");
                assert!(written.is_empty() || written == [receipt.clone()], "{about}");
                let by = if is_marked { "alice" } else { "bob" };
                assert_eq!(receipt.destroyed.by, by, "{about}");
                receipt.verify(&ring.receipt_key().await.unwrap()).unwrap();
                assert_eq!(store.list(VERSIONS).await.unwrap(), ["2"], "{about}");
                let key = ring.history(&tenant(), &orders()).await.unwrap();
                assert!(key.unreceipted.is_empty(), "{about}");
                let again = ring.destroy_version(&tenant(), &orders(), 1, WHY).await.unwrap_err();
                assert_eq!(again.code(), "key-version-destroyed", "{about}");
                assert!(ring.purge_due(0).await.unwrap().receipts.is_empty(), "{about}");
            }
        }
    }
}

/// The whole key dies while a receipt of one of its versions is owed: there are both.
#[tokio::test]
async fn a_receipt_that_is_owed_outlives_the_key() {
    for writes in 1..6 {
        let (store, ring) = ring().await;
        create(&ring).await.unwrap();
        rotate(&ring).await;
        let dying = over(Arc::new(Probe::dying(&store, writes, Death::Before)));
        dying.destroy_version(&tenant(), &orders(), 1, WHY).await.unwrap_err();
        over(store.clone()).destroy_key(&tenant(), &orders(), "bob").await.unwrap();
        let receipts = super::receipts(&over(store)).await;
        let shown = receipts.iter().map(|receipt| (receipt.destroyed.extent, numbers(receipt)));
        let mut shown: Vec<_> = shown.collect();
        shown.sort_by_key(|(extent, _)| extent.name());
        assert_eq!(shown, [(Extent::Key, vec![1, 2]), (Extent::Versions, vec![1])], "{writes}");
    }
}

/// A trim must not sign for a version above its bound whose material is still there.
#[tokio::test]
async fn what_another_call_left_is_removed_before_it_is_signed_for() {
    let (store, ring) = ring().await;
    create(&ring).await.unwrap();
    for _ in 0..4 {
        rotate(&ring).await;
    }
    bound(&ring, 3).await;
    let dying = over(Arc::new(Probe::dying(&store, 1, Death::Before)));
    dying.destroy_version(&tenant(), &orders(), 4, WHY).await.unwrap_err();
    assert_eq!(store.list(VERSIONS).await.unwrap().len(), 5);
    let trimmed = over(store.clone()).trim(&tenant(), &orders(), 3, "bob").await.unwrap();
    let signed: Vec<_> = trimmed.receipts.iter().map(numbers).collect();
    assert_eq!(signed, [vec![4], vec![1, 2]]);
    assert_eq!(store.list(VERSIONS).await.unwrap(), ["3", "5"]);
}

/// Half-way destructions of a version of this program that wrote no receipts.
#[tokio::test]
async fn destructions_from_before_receipts_are_finished_with_one() {
    for trims in [false, true] {
        let (store, ring) = ring().await;
        create(&ring).await.unwrap();
        rotate(&ring).await;
        bound(&ring, 2).await;
        let path = "tenants/demo/keys/orders";
        let record = store.get(path).await.unwrap().unwrap();
        let mut value: Value = serde_json::from_slice(&record.value).unwrap();
        value["versions"][0]["destroyed"] = json!({ "at": 17, "by": "carol" });
        store.replace(path, value.to_string().as_bytes(), record.revision).await.unwrap();
        let ring = over(store.clone());
        let receipt = if trims {
            ring.trim(&tenant(), &orders(), 2, WHY).await.unwrap().receipts.remove(0)
        } else {
            ring.destroy_version(&tenant(), &orders(), 1, WHY).await.unwrap()
        };
        let gone = &receipt.destroyed;
        assert_eq!((gone.at, gone.by.as_str(), &gone.reason), (17, "carol", &None));
        assert_eq!(super::receipts(&ring).await, [receipt]);
        assert_eq!(store.list(VERSIONS).await.unwrap(), ["2"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_destroy_at_once_write_one_receipt() {
    for _ in 0..50 {
        let (store, ring) = ring().await;
        create(&ring).await.unwrap();
        rotate(&ring).await;
        let mut hosts = Vec::new();
        for actor in ["a", "b", "c"] {
            let host = over(Arc::new(Probe::over(&store)));
            hosts.push(tokio::spawn(async move {
                host.destroy_version(&tenant(), &orders(), 1, actor).await
            }));
        }
        let mut given = Vec::new();
        for host in hosts {
            match host.await.unwrap() {
                Ok(receipt) => given.push(receipt),
                Err(error) => assert_eq!(error.code(), "key-version-destroyed"),
            }
        }
        let receipts = super::receipts(&ring).await;
        assert_eq!(receipts.len(), 1);
        assert!(!given.is_empty() && given.iter().all(|receipt| receipt == &receipts[0]));
        let key = over(store).history(&tenant(), &orders()).await.unwrap();
        assert!(key.unreceipted.is_empty());
    }
}

/// A record that owes a receipt is of a format that older programs refuse, for they would lose it.
#[tokio::test]
async fn the_record_says_what_is_owed() {
    let (store, ring) = ring().await;
    create(&ring).await.unwrap();
    rotate(&ring).await;
    let read = async || -> Value {
        let record = store.get("tenants/demo/keys/orders").await.unwrap().unwrap();
        serde_json::from_slice(&record.value).unwrap()
    };
    let dying = over(Arc::new(Probe::dying(&store, 1, Death::Before)));
    dying.destroy_version(&tenant(), &orders(), 1, WHY).await.unwrap_err();
    let value = read().await;
    let at = &value["versions"][0]["destroyed"]["at"];
    let owed = json!([{ "at": at, "by": "alice", "reason": "asked to", "versions": [1] }]);
    assert_eq!((&value["format"], &value["unreceipted"]), (&json!(6), &owed));
    over(store.clone()).purge_due(0).await.unwrap();
    assert_eq!((&read().await["format"], read().await.get("unreceipted")), (&json!(4), None));
    let id = value["id"].as_str().unwrap();
    let name = format!("{:020}-{id}-1", at.as_u64().unwrap());
    assert_eq!(store.list("tenants/demo/receipts/orders").await.unwrap(), [name]);

    // One that owes for what is not destroyed makes no sense.
    let record = store.get("tenants/demo/keys/orders").await.unwrap().unwrap();
    let mut bad: Value = serde_json::from_slice(&record.value).unwrap();
    (bad["format"], bad["unreceipted"]) =
        (json!(6), json!([{ "at": 1, "by": "x", "versions": [2] }]));
    store
        .replace("tenants/demo/keys/orders", bad.to_string().as_bytes(), record.revision)
        .await
        .unwrap();
    let refused = over(store).history(&tenant(), &orders()).await.unwrap_err();
    assert_eq!(refused.code(), "record-corrupt");
}

#[tokio::test]
async fn damaged_receipts_and_keys_are_said() {
    let (store, ring) = ring().await;
    create(&ring).await.unwrap();
    ring.destroy_key(&tenant(), &orders(), WHY).await.unwrap();
    let public: ReceiptKey = ring.receipt_key().await.unwrap();
    for (path, value) in [
        (format!("tenants/demo/receipt-keys/{}", public.id()), &[1; 32][..]),
        ("tenants/demo/receipts/orders/1-x".to_owned(), b"{}"),
        ("receipt-key".to_owned(), &[1; 3]),
    ] {
        store.delete(&path).await.unwrap();
        store.create(&path, value).await.unwrap();
    }
    let keys = ring.receipt_keys(&tenant()).await.unwrap_err();
    assert_eq!(keys.code(), "record-corrupt");
    let receipts = ring.receipts(&tenant(), &orders(), None, 10).await.unwrap_err();
    assert_eq!(receipts.code(), "record-corrupt");
    assert_eq!(ring.receipt_key().await.unwrap_err().code(), "store-corrupted");
}
