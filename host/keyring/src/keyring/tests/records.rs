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
