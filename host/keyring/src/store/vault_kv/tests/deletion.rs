//! What this store removes, and what others remove under it with Vault's own tools.

use super::*;
use crate::store::{Store, StoreError};

fn metadata(root: &Client, path: &str) -> Value {
    root.get(&format!("secret/metadata/e2ee/{path}")).body["data"].clone()
}

#[tokio::test]
async fn deleting_leaves_no_revision_behind() {
    let (server, root) = server();
    let store = store(&server, PREFIX);
    let mut revision = store.create("a", b"0").await.unwrap();
    for value in [b"1", b"2", b"3"] {
        revision = store.replace("a", value, revision).await.unwrap();
    }
    assert_eq!(revisions(&root, "a").len(), 4);
    store.delete("a").await.unwrap();
    assert_eq!(root.get("secret/metadata/e2ee/a").status, 404);
    for n in 1..=4 {
        assert_eq!(root.get(&format!("{PREFIX}/a?version={n}")).status, 404);
    }
    root.post("secret/undelete/e2ee/a", &json!({"versions": [1, 2, 3, 4]}));
    assert!(store.get("a").await.unwrap().is_none());
    assert_eq!(store.create("a", b"new").await.unwrap(), 1);
}

#[tokio::test]
async fn a_token_that_may_not_remove_metadata_still_destroys_every_revision() {
    let (server, root) = server();
    root.policy(
        "destroys",
        r#"path "secret/data/e2ee/*" { capabilities = ["create", "read", "update"] }
           path "secret/metadata/e2ee/*" { capabilities = ["read", "list"] }
           path "secret/destroy/e2ee/*" { capabilities = ["update"] }"#,
    );
    let token = root.create_token(&json!({"policies": ["destroys"]}));
    let store = over(config(&server.address, &token, PREFIX));
    let revision = store.create("a", b"0").await.unwrap();
    store.replace("a", b"1", revision).await.unwrap();
    let error = store.delete("a").await.unwrap_err();
    assert_eq!(error.code(), "vault-permission-denied");
    assert!(error.to_string().contains("secret/metadata/e2ee/a"), "{error}");
    assert!(error.is_unavailable());
    assert!(revisions(&root, "a").is_empty(), "the data is still there");
    assert!(store.get("a").await.unwrap().is_none());
}

#[tokio::test]
async fn what_others_deleted_reads_as_nothing_and_is_not_written_over() {
    let (server, root) = server();
    let store = store(&server, PREFIX);
    store.create("a", b"old").await.unwrap();
    root.delete(&format!("{PREFIX}/a")).ok();
    assert!(store.get("a").await.unwrap().is_none());
    let error = store.create("a", b"new").await.unwrap_err();
    assert!(
        matches!(&error, StoreError::Deleted { path, version: 1 } if path == "secret/data/e2ee/a"),
        "{error}"
    );
    for command in ["vault kv undelete", "vault kv metadata delete"] {
        assert!(error.to_string().contains(command), "{error}");
    }
    assert!(!error.is_unavailable());
    let refused = store.replace("a", b"new", 7).await;
    assert!(matches!(refused, Err(StoreError::RevisionMismatch { found: None, .. })));

    // Restored, it is as it was.
    root.post("secret/undelete/e2ee/a", &json!({"versions": [1]})).ok();
    assert_eq!(store.get("a").await.unwrap().unwrap().value.as_slice(), b"old");
    // Given up for good, the path is free.
    root.delete(&format!("{PREFIX}/a")).ok();
    root.delete("secret/metadata/e2ee/a").ok();
    assert_eq!(store.create("a", b"new").await.unwrap(), 1);

    root.delete(&format!("{PREFIX}/a")).ok();
    store.delete("a").await.unwrap();
    assert_eq!(metadata(&root, "a"), Value::Null);
}

#[tokio::test]
async fn what_was_destroyed_is_continued_after() {
    let (server, root) = server();
    let store = store(&server, PREFIX);
    let first = store.create("a", b"1").await.unwrap();
    let second = store.replace("a", b"2", first).await.unwrap();
    root.post("secret/destroy/e2ee/a", &json!({"versions": [second]})).ok();
    assert!(store.get("a").await.unwrap().is_none());
    assert_eq!(store.create("a", b"3").await.unwrap(), 3);
    assert!(matches!(store.create("a", b"4").await, Err(StoreError::Exists { .. })));
    assert_eq!(store.get("a").await.unwrap().unwrap().value.as_slice(), b"3");
}

#[tokio::test]
async fn records_that_vault_is_going_to_delete_are_not_acknowledged() {
    let (server, root) = server();
    let store = store(&server, PREFIX);
    let revision = store.create("kept", b"1").await.unwrap();
    root.post("secret/config", &json!({"delete_version_after": "1h"})).ok();
    for error in [
        store.create("new", b"1").await.unwrap_err(),
        store.replace("kept", b"2", revision).await.unwrap_err(),
    ] {
        assert!(matches!(error, StoreError::Expires { .. }), "{error}");
        assert!(error.to_string().contains("delete_version_after"), "{error}");
    }
    // Still there, still read.
    assert_eq!(store.get("kept").await.unwrap().unwrap().value.as_slice(), b"2");
}
