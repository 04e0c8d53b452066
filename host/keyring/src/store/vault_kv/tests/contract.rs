use std::sync::Arc;

use super::*;
use crate::store::{Store, StoreError, conformance};

const MATERIAL: &str = "tenants/demo/keys/orders/versions";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let (server, root) = server();
    let store = Arc::new(store(&server, PREFIX));
    store.check().await.unwrap();
    conformance::check(store.clone(), "suite").await;
    conformance::check(store, "suite/again").await;
    assert!(root.list("secret/metadata").is_empty(), "something is left in Vault");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_at_any_mount_and_prefix() {
    let (server, root) = server();
    root.mount_kv2("kv/of/team");
    for path in ["kv/of/team/data/a/b.c", "secret/_", "secret/data/data/data"] {
        let store = Arc::new(store(&server, path));
        store.check().await.unwrap();
        conformance::check(store, "suite").await;
    }
    // The prefix without `data/` is the same place.
    let with = store(&server, "secret/data/e2ee/x");
    with.create("record", b"v").await.unwrap();
    let without = store(&server, "secret/e2ee/x");
    assert_eq!(without.get("record").await.unwrap().unwrap().value.as_slice(), b"v");
    assert_eq!(root.list("secret/metadata/e2ee/x"), ["record"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_with_values_wrapped() {
    let (server, root) = server();
    transit_key(&root, "wrapping");
    let store = Arc::new(wrapping(&server, "wrapping"));
    store.check().await.unwrap();
    conformance::check(store.clone(), &format!("{MATERIAL}/suite")).await;
    conformance::check(store, "suite").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms_whatever_the_mount_keeps_and_requires() {
    let (server, root) = server();
    for config in [
        json!({"max_versions": 1}),
        json!({"max_versions": 2, "cas_required": true}),
        json!({"delete_version_after": "-1s"}),
    ] {
        root.post("secret/config", &config).ok();
        let store = Arc::new(store(&server, PREFIX));
        store.check().await.unwrap();
        conformance::check(store, "suite").await;
    }
}

#[tokio::test]
async fn names_go_to_vault_as_they_are() {
    let (server, root) = server();
    let store = store(&server, PREFIX);
    let names = ["a..b", "a.b", "_x", "-x", "x-", "...", "%41".trim_start_matches('%'), "x."];
    for name in names {
        store.create(&format!("names/{name}"), name.as_bytes()).await.unwrap();
        let found = store.get(&format!("names/{name}")).await.unwrap().unwrap();
        assert_eq!(found.value.as_slice(), name.as_bytes());
    }
    let mut expected = names.to_vec();
    expected.sort_unstable();
    assert_eq!(root.list("secret/metadata/e2ee/names"), expected);
    assert_eq!(store.list("names").await.unwrap(), expected);
}

#[tokio::test]
async fn a_secret_has_the_documented_form() {
    let (server, root) = server();
    let store = store(&server, PREFIX);
    let revision = store.create("a/b", b"\0\xFFkey").await.unwrap();
    assert_eq!(store.replace("a/b", b"next", revision).await.unwrap(), 2);
    let kept = revisions(&root, "a/b");
    assert_eq!(
        (kept.len(), &kept[0]["value"], &kept[1]["value"]),
        (2, &json!("AP9rZXk="), &json!("bmV4dA=="))
    );
    assert_ne!(kept[0]["write"], kept[1]["write"]);
}

#[tokio::test]
async fn what_others_keep_beside_is_left_alone() {
    let (server, root) = server();
    let store = store(&server, PREFIX);
    store.create("folder/mine", b"v").await.unwrap();
    put(&root, "folder/with%20space", &json!({"password": "x"}));
    put(&root, "folder/of%20others/x", &json!({"password": "x"}));
    put(&root, "folder/theirs", &json!({"password": "x"}));
    assert_eq!(store.list("folder").await.unwrap(), ["mine", "theirs"]);
    let error = store.get("folder/theirs").await.err().unwrap();
    assert!(matches!(error, StoreError::CorruptedInVault { .. }), "{error}");
    store.delete("folder/mine").await.unwrap();
    assert_eq!(root.list("secret/metadata/e2ee/folder").len(), 3);
}
