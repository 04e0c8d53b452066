//! Trimming that stops half-way, and trimming of what is still in use.

use super::probe::{Death, Probe};
use super::*;

const VERSIONS: &str = "tenants/demo/keys/orders/versions";

/// A key of four versions, of which the first three no longer decrypt.
async fn bounded() -> (Arc<MemoryStore>, Keyring) {
    let (store, ring) = ring().await;
    create(&ring).await.unwrap();
    for _ in 0..3 {
        ring.rotate(&tenant(), &orders(), "tests").await.unwrap();
    }
    let edit = KeyEdit { min_decrypt_version: Edit::Set(4), ..KeyEdit::default() };
    ring.edit_key(&tenant(), &orders(), edit, "tests").await.unwrap();
    (store, ring)
}

#[tokio::test]
async fn a_trim_that_died_is_finished_by_the_next() {
    // Metadata, three versions, the key for receipts, its public half, the receipt; then metadata.
    for death in [Death::Before, Death::After] {
        for writes in 0..7 {
            let (store, _) = bounded().await;
            let dying = over(Arc::new(Probe::dying(&store, writes, death)));
            assert!(dying.trim(&tenant(), &orders(), 4, "alice").await.is_err());
            let key = over(store.clone()).key(&tenant(), &orders()).await.unwrap();
            let is_marked = writes > 0 || death == Death::After;
            assert_eq!(key.min_available_version(), Some(if is_marked { 4 } else { 1 }));

            let trimmed = over(store.clone()).trim(&tenant(), &orders(), 4, "bob").await.unwrap();
            let key = trimmed.key;
            assert_eq!(trimmed.receipts, receipts(&over(store.clone())).await);
            assert_eq!(trimmed.receipts.len(), 1);
            assert_eq!(store.list(VERSIONS).await.unwrap(), ["4"]);
            let by = if is_marked { "alice" } else { "bob" };
            assert_eq!(key.version_info(1).unwrap().destroyed.as_ref().unwrap().by, by);
            let trims = key.history().iter().filter(|entry| entry.action == Action::Trim);
            assert_eq!(trims.map(|entry| entry.actor.as_str()).collect::<Vec<_>>(), [by]);
        }
    }
}

#[tokio::test]
async fn nothing_is_trimmed_while_one_version_is_in_use() {
    let (store, ring) = bounded().await;
    let in_use = |info: &crate::VersionInfo| info.version == 2;
    let refused = ring.trim_unless(&tenant(), &orders(), 4, in_use, "tests").await.unwrap_err();
    assert!(matches!(refused, KeyringError::VersionInUse { version: 2, .. }));
    assert_eq!(store.list(VERSIONS).await.unwrap(), ["1", "2", "3", "4"]);
    let key = over(store.clone()).key(&tenant(), &orders()).await.unwrap();
    assert_eq!(key.min_available_version(), Some(1));
    // Below the one in use is not in use.
    ring.trim_unless(&tenant(), &orders(), 2, in_use, "tests").await.unwrap();
    assert_eq!(store.list(VERSIONS).await.unwrap(), ["2", "3", "4"]);
    // What is destroyed already is not asked about.
    let at_all = |_: &crate::VersionInfo| true;
    ring.trim_unless(&tenant(), &orders(), 2, at_all, "tests").await.unwrap();
}

/// Another host may be about to list it.
#[tokio::test]
async fn material_that_is_not_listed_stays() {
    let (store, ring) = bounded().await;
    let path = format!("{VERSIONS}/5");
    store.create(&path, b"of a rotation under way").await.unwrap();
    assert_eq!(ring.rotate(&tenant(), &orders(), "tests").await.unwrap(), 6);
    let edit = KeyEdit { min_decrypt_version: Edit::Set(6), ..KeyEdit::default() };
    ring.edit_key(&tenant(), &orders(), edit, "tests").await.unwrap();
    ring.trim(&tenant(), &orders(), 6, "tests").await.unwrap();
    assert_eq!(store.list(VERSIONS).await.unwrap(), ["5", "6"]);
}
