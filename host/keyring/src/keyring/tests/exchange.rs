//! Material that callers bring and take away.

use keyward_crypto::KeyMaterial;

use super::*;
use crate::record::{self, Material};

fn secret(byte: u8) -> KeyMaterial {
    let bytes: Vec<u8> = (byte..byte + 32).collect();
    KeyMaterial::from_bytes(Algorithm::XAes256Gcm, &bytes).unwrap()
}

async fn import(ring: &Keyring, exportable: bool, byte: u8) -> Result<Arc<Key>, KeyringError> {
    let new = NewKey { exportable, ..NewKey::default() };
    ring.import_key(&tenant(), &orders(), new, secret(byte), "alice").await
}

async fn export(ring: &Keyring, version: Option<u32>) -> Result<KeyMaterial, KeyringError> {
    Ok(ring.export(&tenant(), &orders(), version, "bob").await?.material)
}

async fn left(store: &Arc<MemoryStore>, imported: bool, byte: u8) {
    let (key_id, version, created_at) = (KeyId(7), 1, 0);
    let left = Material { key_id, version, created_at, imported, secret: secret(byte) };
    let path = record::version_path(&tenant(), &orders(), 1);
    store.create(&path, &record::encode_material(&left)).await.unwrap();
}

#[tokio::test]
async fn what_was_imported_is_what_is_exported() {
    let (_, ring) = ring().await;
    let key = import(&ring, true, 1).await.unwrap();
    assert!(key.versions()[0].imported && key.exportable());
    ring.import_version(&tenant(), &orders(), secret(2), "alice").await.unwrap();
    ring.rotate(&tenant(), &orders(), "alice").await.unwrap();
    assert!(export(&ring, Some(1)).await.unwrap().is_same(&secret(1)));
    assert!(export(&ring, Some(2)).await.unwrap().is_same(&secret(2)));
    export(&ring, None).await.unwrap();
    let key = ring.history(&tenant(), &orders()).await.unwrap();
    let imported: Vec<_> = key.versions().iter().map(|info| info.imported).collect();
    assert_eq!(imported, [true, true, false]);
    let history: Vec<_> = key.history().iter().map(|it| (it.action, it.version)).collect();
    let (import, export) = (Action::Import, Action::Export);
    let actions = [import, import, Action::Rotate, export, export, export];
    let versions = [1, 2, 3, 1, 2, 3].map(Some);
    assert_eq!(history, actions.into_iter().zip(versions).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_may_not_be_exported_is_not_and_leaves_no_trace() {
    let (_, ring) = ring().await;
    import(&ring, true, 1).await.unwrap();
    ring.import_version(&tenant(), &orders(), secret(2), "alice").await.unwrap();
    let code = async |version| export(&ring, version).await.map(drop).unwrap_err().code();
    assert_eq!(code(Some(9)).await, "key-version-not-found");
    let edit = |exportable| KeyEdit { exportable, ..KeyEdit::default() };
    let bound = KeyEdit { min_decrypt_version: Edit::Set(2), ..KeyEdit::default() };
    ring.edit_key(&tenant(), &orders(), bound, "alice").await.unwrap();
    assert_eq!(code(Some(1)).await, "key-version-below-min-decrypt");
    ring.destroy_version(&tenant(), &orders(), 1, "alice").await.unwrap();
    assert_eq!(code(Some(1)).await, "key-version-destroyed");
    ring.set_enabled(&tenant(), &orders(), false, "alice").await.unwrap();
    assert_eq!(code(None).await, "key-disabled");
    ring.set_enabled(&tenant(), &orders(), true, "alice").await.unwrap();
    export(&ring, None).await.unwrap();
    ring.edit_key(&tenant(), &orders(), edit(Edit::Remove), "alice").await.unwrap();
    assert_eq!(code(None).await, "key-not-exportable");
    let on = ring.edit_key(&tenant(), &orders(), edit(Edit::Set(true)), "alice").await;
    assert_eq!(on.unwrap_err().code(), "key-not-exportable");
    ring.delete_key(&tenant(), &orders(), "alice", Duration::from_mins(1)).await.unwrap();
    assert_eq!(code(None).await, "key-deleted");
    let key = ring.history(&tenant(), &orders()).await.unwrap();
    let exports = key.history().iter().filter(|entry| entry.action == Action::Export);
    assert_eq!(exports.count(), 1);
}

#[tokio::test]
async fn only_imported_keys_take_imported_versions() {
    let (_, ring) = ring().await;
    create(&ring).await.unwrap();
    let refused = ring.import_version(&tenant(), &orders(), secret(1), "alice").await;
    assert_eq!(refused.unwrap_err().code(), "key-not-imported");
}

/// What a caller brought becomes no key that says it was made here, and nobody else's.
#[tokio::test]
async fn an_unfinished_import_is_finished_by_the_same_import_alone() {
    for (left_imported, byte, first) in [(true, 1, 1), (true, 2, 2), (false, 1, 2)] {
        let (store, ring) = ring().await;
        left(&store, left_imported, byte).await;
        let key = import(&ring, true, 1).await.unwrap();
        assert_eq!(key.current_version(), first, "{left_imported} {byte}");
        assert!(export(&ring, None).await.unwrap().is_same(&secret(1)));
    }
    let (store, ring) = ring().await;
    left(&store, true, 1).await;
    let key = create(&ring).await.unwrap();
    assert_eq!((key.current_version(), key.versions()[0].imported), (2, false));
}

/// Hosts that know nothing of it refuse such a record, and read every other.
#[tokio::test]
async fn only_records_that_need_it_have_format_5() {
    let format = async |store: &Arc<MemoryStore>| {
        let record = store.get("tenants/demo/keys/orders").await.unwrap().unwrap();
        let value: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
        (
            value["format"].clone(),
            value["exportable"].clone(),
            value["versions"][0]["imported"].clone(),
        )
    };
    let (store, ring_1) = ring().await;
    create(&ring_1).await.unwrap();
    assert_eq!(format(&store).await, (4.into(), ().into(), ().into()));
    let (store, ring_2) = ring().await;
    let key = import(&ring_2, true, 1).await.unwrap();
    assert_eq!(format(&store).await, (5.into(), true.into(), true.into()));
    assert_eq!(over(store).key(&tenant(), &orders()).await.unwrap(), key);
}
