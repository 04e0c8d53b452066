//! Records that earlier versions of the program wrote.

use serde_json::json;

use super::*;

#[tokio::test]
async fn records_of_format_1_are_read_and_kept() {
    let store = Arc::new(MemoryStore::default());
    let write = async |path: &str, value: &[u8]| {
        store.create(path, value).await.unwrap();
    };
    write("tenants/demo", br#"{"format":1,"created_at":1700000000000}"#).await;
    let record = json!({
        "format": 1,
        "id": "00000000000000aa",
        "algorithm": "xaes-256-gcm",
        "created_at": 1_700_000_000_000_u64,
        "current_version": 2,
        "versions": [
            { "version": 1, "created_at": 1_700_000_000_000_u64 },
            { "version": 2, "created_at": 1_700_000_000_001_u64 },
        ],
    });
    write("tenants/demo/keys/orders", record.to_string().as_bytes()).await;
    write("tenants/demo/key-ids/00000000000000aa", b"orders").await;
    for version in [1_u8, 2] {
        let mut material = vec![1, 0, 0, 0, 0, 0, 0, 0, 0xaa, 0, 0, 0, version];
        material.extend([0; 8]);
        material.extend([version; 32]);
        write(&format!("tenants/demo/keys/orders/versions/{version}"), &material).await;
    }

    let ring = over(store.clone());
    assert_eq!(ring.outage(&tenant()).await.unwrap(), None);
    let key = ring.key_by_id(&tenant(), KeyId(0xaa)).await.unwrap();
    assert!(key.enabled());
    assert_eq!(key.last_rotation(), None);
    assert_eq!((key.min_decrypt_version(), key.min_encrypt_version()), (1, 1));
    assert!(key.history().is_empty());
    let old = key.version_info(1).unwrap();
    assert_eq!((&old.created_by, &old.fingerprint, &old.destroyed), (&None, &None, &None));
    let sealed = seal(&ring.version(&key, 1).await.unwrap());

    assert_eq!(ring.rotate(&tenant(), &orders(), "tests").await.unwrap(), 3);
    ring.set_outage(&tenant(), Some("serve-stale=1h".parse().unwrap())).await.unwrap();
    let ring = over(store.clone());
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    assert_eq!(key.version_info(1), Some(old));
    assert!(key.version_info(3).unwrap().fingerprint.is_some());
    assert!(opens(&ring.version(&key, 1).await.unwrap(), &sealed));
    // A program that knows format 1 alone would lose what it does not know: it must not write.
    for (path, format) in [("tenants/demo", 2), ("tenants/demo/keys/orders", 4)] {
        let record = store.get(path).await.unwrap().unwrap();
        let record: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
        assert_eq!(record["format"], format);
        if path == "tenants/demo" {
            assert_eq!(record["created_at"], 1_700_000_000_000_u64);
        }
    }
}

#[tokio::test]
async fn a_destroyed_version_is_never_current() {
    let (store, ring) = ring().await;
    create(&ring).await.unwrap();
    let path = "tenants/demo/keys/orders";
    let record = store.get(path).await.unwrap().unwrap();
    let mut value: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
    value["versions"][0]["destroyed"] = json!({ "at": 1, "by": "somebody" });
    store.replace(path, value.to_string().as_bytes(), record.revision).await.unwrap();
    let error = over(store).key(&tenant(), &orders()).await.unwrap_err();
    assert!(matches!(error, KeyringError::Corrupt { .. }));
}

/// What is written does not change: other programs read it.
#[tokio::test]
async fn a_record_of_format_4_is_as_documented() {
    let (store, ring) = ring().await;
    let mut about = About { owner: Some("team-a".into()), ..About::default() };
    about.labels.insert("env".into(), "test".into());
    let new = NewKey { about, ..NewKey::default() };
    let by = Author { actor: "alice", reason: Some("a new service") };
    let key = ring.create_key_as(&tenant(), &orders(), new, by).await.unwrap();
    ring.rotate(&tenant(), &orders(), "bob").await.unwrap();
    let edit = KeyEdit {
        min_decrypt_version: Edit::Set(2),
        description: Edit::Set("orders of the shop".into()),
        ..KeyEdit::default()
    };
    ring.edit_key(&tenant(), &key.name, edit, "carol").await.unwrap();
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    let at = |place: usize| key.history()[place].at;
    let path = "tenants/demo/keys/orders";
    let record = store.get(path).await.unwrap().unwrap();
    let value: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
    let mut expected = json!({
        "format": 4,
        "labels": { "env": "test" },
        "owner": "team-a",
        "description": "orders of the shop",
        "min_decrypt_version": 2,
        "history": [
            { "at": at(0), "by": "alice", "action": "create", "version": 1, "reason": "a new service" },
            { "at": at(1), "by": "bob", "action": "rotate", "version": 2 },
            { "at": at(2), "by": "carol", "action": "min_decrypt_version", "version": 2 },
            { "at": at(3), "by": "carol", "action": "attributes" },
        ],
    });
    for field in ["id", "algorithm", "created_at", "last_rotation", "current_version", "versions"] {
        expected[field] = value[field].clone();
    }
    assert_eq!(value, expected);
    let read = over(store).key(&tenant(), &orders()).await.unwrap();
    assert_eq!(read, key);
}

/// A tombstone that format 3 wrote frees the name all the same.
#[tokio::test]
async fn tombstones_of_format_3_are_read() {
    let (store, ring) = ring().await;
    let record = json!({ "format": 3, "purged": {
        "id": "00000000000000aa", "at": 1, "by": "bob", "ceiling": 7, "versions": [{ "version": 6 }],
    }});
    let path = "tenants/demo/keys/orders";
    store.create(path, record.to_string().as_bytes()).await.unwrap();
    assert_eq!(create(&ring).await.unwrap().current_version(), 8);
}
