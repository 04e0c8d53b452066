//! The second wrap.

use super::*;
use crate::store::{Store, StoreError};

const MATERIAL: &str = "tenants/demo/keys/orders/versions/1";
const OTHER: &str = "tenants/demo/keys/orders/versions/2";
const SECRET: &[u8] = b"thirty-two bytes of key material";

#[tokio::test]
async fn material_is_wrapped_and_the_rest_is_not() {
    let (server, root) = server();
    transit_key(&root, "wrapping");
    let store = wrapping(&server, "wrapping");
    store.create(MATERIAL, SECRET).await.unwrap();
    store.create("tenants/demo", b"tenant").await.unwrap();
    assert_eq!(store.get(MATERIAL).await.unwrap().unwrap().value.as_slice(), SECRET);

    let kept = revisions(&root, MATERIAL);
    assert!(kept[0]["transit"].as_str().unwrap().starts_with("vault:v1:"));
    assert!(kept[0].get("value").is_none());
    assert!(!kept[0].to_string().contains(&base64(SECRET)));
    assert_eq!(revisions(&root, "tenants/demo")[0]["value"], json!(base64(b"tenant")));
}

#[tokio::test]
async fn either_form_is_read_with_the_wrap_on() {
    let (server, root) = server();
    transit_key(&root, "wrapping");
    let (plain, wrapped) = (store(&server, PREFIX), wrapping(&server, "wrapping"));
    plain.create(MATERIAL, SECRET).await.unwrap();
    wrapped.create(OTHER, SECRET).await.unwrap();
    for path in [MATERIAL, OTHER] {
        assert_eq!(wrapped.get(path).await.unwrap().unwrap().value.as_slice(), SECRET);
    }
    assert_eq!(plain.get(MATERIAL).await.unwrap().unwrap().value.as_slice(), SECRET);
    let error = plain.get(OTHER).await.err().unwrap();
    assert!(matches!(error, StoreError::TransitKeyMissing { .. }), "{error}");
    assert!(error.to_string().contains("vault.transit_key"), "{error}");
    assert!(error.to_string().contains(OTHER), "{error}");

    // A rotated Transit key opens what the older version wrapped.
    root.post("transit/keys/wrapping/rotate", &json!({})).ok();
    assert_eq!(wrapped.get(OTHER).await.unwrap().unwrap().value.as_slice(), SECRET);
}

#[tokio::test]
async fn a_wrapped_value_is_bound_to_its_path() {
    let (server, root) = server();
    transit_key(&root, "wrapping");
    let store = wrapping(&server, "wrapping");
    store.create(MATERIAL, SECRET).await.unwrap();
    put(&root, OTHER, &revisions(&root, MATERIAL)[0]);
    let error = store.get(OTHER).await.err().unwrap();
    assert!(matches!(error, StoreError::CorruptedInVault { .. }), "{error}");
    assert!(error.to_string().contains(OTHER), "{error}");
}

#[tokio::test]
async fn what_transit_refuses_is_said_to_be_so() {
    let (server, root) = server();
    transit_key(&root, "wrapping");
    transit_key(&root, "other");
    wrapping(&server, "wrapping").create(MATERIAL, SECRET).await.unwrap();

    let other_key = wrapping(&server, "other").get(MATERIAL).await.err().unwrap();
    put(&root, OTHER, &json!({"transit": "vault:v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}));
    let damaged = wrapping(&server, "wrapping").get(OTHER).await.err().unwrap();
    root.post("transit/keys/wrapping/config", &json!({"deletion_allowed": true})).ok();
    root.delete("transit/keys/wrapping").ok();
    let no_key = wrapping(&server, "wrapping").get(MATERIAL).await.err().unwrap();
    for error in [other_key, damaged, no_key] {
        assert!(matches!(error, StoreError::TransitRefused { .. }), "{error:?}");
        assert!(error.to_string().contains("transit/keys/"), "{error}");
        assert!(!error.is_unavailable());
    }
}
