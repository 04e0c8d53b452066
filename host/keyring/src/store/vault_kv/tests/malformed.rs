//! Secrets that are not what was written, at every kind of path.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyward_crypto::Algorithm;

use super::*;
use crate::store::{Store, StoreError};
use crate::{CacheConfig, KeyName, Keyring, KeyringError, TenantName};

fn malformed() -> Vec<Value> {
    vec![
        json!({}),
        json!({"Value": "AA=="}),
        json!({"value": null}),
        json!({"value": 1}),
        json!({"value": true}),
        json!({"value": ["AA=="]}),
        json!({"value": {"value": "AA=="}}),
        json!({"value": "not base64"}),
        json!({"value": "AA"}),
        json!({"value": "AA==", "transit": "vault:v1:AA=="}),
        json!({"transit": 7}),
        json!({"transit": "v1:AA=="}),
    ]
}

/// Well-formed secrets that are no records.
fn senseless() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> =
        ["", "{", "null", "[]", "{\"format\":1}", "\0", "5", "..", "a/b"].map(Into::into).to_vec();
    all.push(vec![1; 53]);
    all.push(vec![0xFF; 53]);
    all
}

struct Place {
    tenant: TenantName,
    key: KeyName,
    ring: Keyring,
    root: Client,
    _server: Server,
}

async fn place() -> Place {
    let (server, root) = server();
    let ring = Keyring::new(Arc::new(store(&server, PREFIX)), CacheConfig::default());
    let (tenant, key) = ("demo".parse().unwrap(), "orders".parse().unwrap());
    ring.create_tenant(&tenant).await.unwrap();
    ring.create_key(&tenant, &key, Algorithm::default(), BTreeMap::new(), "op").await.unwrap();
    Place { tenant, key, ring, root, _server: server }
}

/// Puts each bad secret at `path` and checks that `read` fails and says which it is.
async fn refuses(place: &Place, path: &str, read: impl AsyncFn() -> Option<KeyringError>) {
    let senseless = senseless().into_iter().map(|value| json!({"value": base64(&value)}));
    for secret in malformed().into_iter().chain(senseless) {
        put(&place.root, path, &secret);
        place.ring.clear_cache().await;
        let error = read().await.unwrap_or_else(|| panic!("{path}: {secret} was accepted"));
        let named = match &error {
            KeyringError::Corrupt { path }
            | KeyringError::Store(StoreError::CorruptedInVault { path, .. }) => path.clone(),
            other => panic!("{path}: {secret}: {other:?}"),
        };
        assert!(named.ends_with(path), "{named}");
        assert!(error.to_string().contains(path), "{error}");
        assert!(!error.is_unavailable(), "{error}");
    }
}

#[tokio::test]
async fn metadata_of_a_key() {
    let place = place().await;
    refuses(&place, "tenants/demo/keys/orders", async || {
        place.ring.key(&place.tenant, &place.key).await.err()
    })
    .await;
}

#[tokio::test]
async fn material() {
    let place = place().await;
    let key = place.ring.key(&place.tenant, &place.key).await.unwrap();
    refuses(&place, "tenants/demo/keys/orders/versions/1", async || {
        place.ring.version(&key, 1).await.err()
    })
    .await;
}

#[tokio::test]
async fn the_index_of_ids() {
    let place = place().await;
    let id = place.ring.key(&place.tenant, &place.key).await.unwrap().id();
    // A well-formed name that is not the key's is not damage but an unfinished creation.
    let path = format!("tenants/demo/key-ids/{id}");
    let senseless: Vec<_> = malformed();
    for secret in senseless {
        put(&place.root, &path, &secret);
        place.ring.clear_cache().await;
        let error = place.ring.key_by_id(&place.tenant, id).await.unwrap_err();
        assert_eq!(error.code(), "store-corrupted", "{secret}");
        assert!(error.to_string().contains(&path), "{error}");
    }
}

#[tokio::test]
async fn a_tenant() {
    let place = place().await;
    for secret in malformed() {
        put(&place.root, "tenants/demo", &secret);
        place.ring.clear_cache().await;
        let error = place.ring.tenant_exists(&place.tenant).await.unwrap_err();
        assert_eq!(error.code(), "store-corrupted", "{secret}");
        assert!(error.to_string().contains("secret/data/e2ee/tenants/demo"), "{error}");
    }
}

#[tokio::test]
async fn nothing_is_written_over_what_makes_no_sense() {
    let (server, root) = server();
    let store = store(&server, PREFIX);
    for secret in malformed() {
        put(&root, "a", &secret);
        for error in [store.create("a", b"v").await, store.replace("a", b"v", 999).await] {
            assert!(matches!(error, Err(StoreError::CorruptedInVault { .. })), "{error:?}");
        }
        assert_eq!(revisions(&root, "a").last(), Some(&secret));
    }
}

#[tokio::test]
async fn no_error_tells_what_a_secret_holds() {
    let (server, root) = server();
    let store = store(&server, PREFIX);
    for secret in [
        json!({"value": "hunter2!"}),
        json!({"value": ["hunter2!"]}),
        json!({"transit": "hunter2!"}),
    ] {
        put(&root, "a", &secret);
        let error = store.get("a").await.err().unwrap();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}
