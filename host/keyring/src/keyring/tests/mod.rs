pub(crate) mod bounds;
mod caching;
mod crash;
mod deletion;
mod exchange;
mod lifecycle;
pub(crate) mod model;
mod outage;
mod pages;
mod probe;
mod races;
pub(crate) mod receipts;
mod records;
mod refresh;
mod rotation;
mod shared;
mod trimming;
mod usage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use keyward_crypto::{Algorithm, Binding, Channel, KeyId, KeyVersion};

use super::{Keyring, NewKey};
use crate::about::{About, Edit, KeyEdit};
use crate::cache::CacheConfig;
use crate::error::KeyringError;
use crate::history::{Action, Author, HISTORY_LIMIT};
use crate::key::Key;
use crate::names::{KeyName, TenantName};
use crate::receipt::Receipt;
use crate::store::Store;
use crate::store::memory::MemoryStore;

fn tenant() -> TenantName {
    "demo".parse().unwrap()
}

fn orders() -> KeyName {
    "orders".parse().unwrap()
}

fn over(store: Arc<dyn Store>) -> Keyring {
    Keyring::new(store, CacheConfig::default())
}

/// A store with the tenant `demo`, and a keyring over it.
async fn ring() -> (Arc<MemoryStore>, Keyring) {
    let store = Arc::new(MemoryStore::default());
    let ring = over(store.clone());
    ring.create_tenant(&tenant()).await.unwrap();
    (store, ring)
}

/// Lets time pass for this keyring alone.
fn advance(ring: &Keyring, time: Duration) {
    let millis = u64::try_from(time.as_millis()).unwrap();
    ring.inner.caches.clock.ahead.fetch_add(millis, Ordering::SeqCst);
}

/// Waits until it is so, at most five seconds.
async fn until(mut is_so: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), waiting).await.unwrap();
}

async fn create(ring: &Keyring) -> Result<Arc<Key>, KeyringError> {
    ring.create_key(&tenant(), &orders(), Algorithm::default(), BTreeMap::new(), "tests").await
}

const BINDING: Binding<'static> = Binding {
    channel: Channel::Payload,
    tenant: "demo",
    key_name: "orders",
    policy_data: b"",
    context: b"",
};

/// Every receipt there is of keys of the name.
async fn receipts(ring: &Keyring) -> Vec<Receipt> {
    ring.receipts(&tenant(), &orders(), None, usize::MAX).await.unwrap().receipts
}

fn seal(version: &KeyVersion) -> Vec<u8> {
    version.seal(None, &BINDING, b"text").unwrap()
}

fn opens(version: &KeyVersion, ciphertext: &[u8]) -> bool {
    version.open(&BINDING, ciphertext).is_ok_and(|text| text.as_slice() == b"text")
}

#[tokio::test]
async fn tenants_are_created_once_and_listed() {
    let (_, ring) = ring().await;
    let again = ring.create_tenant(&tenant()).await;
    assert!(matches!(again, Err(KeyringError::TenantExists { .. })));
    assert!(ring.tenant_exists(&tenant()).await.unwrap());
    let other: TenantName = "a-other".parse().unwrap();
    assert!(!ring.tenant_exists(&other).await.unwrap());
    ring.create_tenant(&other).await.unwrap();
    assert!(ring.tenant_exists(&other).await.unwrap());
    create(&ring).await.unwrap(); // makes the tenant's path a folder too
    assert_eq!(ring.list_tenants().await.unwrap(), [other, tenant()]);
}

#[tokio::test]
async fn a_key_is_found_by_name_and_by_id() {
    let (store, ring) = ring().await;
    let attributes = BTreeMap::from([("context".to_owned(), "required".to_owned())]);
    let key = ring
        .create_key(&tenant(), &orders(), Algorithm::HmacSha256, attributes.clone(), "tests")
        .await
        .unwrap();
    assert_eq!(key.tenant(), &tenant());
    assert_eq!(key.name(), &orders());
    assert_eq!(key.algorithm(), Algorithm::HmacSha256);
    assert_eq!(key.attributes(), &attributes);
    assert_eq!(key.current_version(), 1);
    assert_eq!(key.versions().len(), 1);
    assert!(key.created_at() > 1_700_000_000_000);

    for ring in [ring, over(store)] {
        assert_eq!(ring.key(&tenant(), &orders()).await.unwrap(), key);
        assert_eq!(ring.key_by_id(&tenant(), key.id()).await.unwrap(), key);
        assert_eq!(ring.list_keys(&tenant()).await.unwrap(), std::slice::from_ref(&key));
        let version = ring.version(&key, 1).await.unwrap();
        assert_eq!(version.key_id(), key.id());
        assert_eq!(version.version(), 1);
    }
}

#[tokio::test]
async fn what_is_absent_has_an_error_of_its_own() {
    let (_, ring) = ring().await;
    let nobody: TenantName = "nobody".parse().unwrap();
    let no_tenant = |error| assert!(matches!(error, KeyringError::TenantNotFound { .. }));
    let no_key = |error| assert!(matches!(error, KeyringError::KeyNotFound { .. }));
    no_tenant(ring.key(&nobody, &orders()).await.unwrap_err());
    no_tenant(ring.key_by_id(&nobody, KeyId(1)).await.unwrap_err());
    no_tenant(ring.list_keys(&nobody).await.unwrap_err());
    no_tenant(ring.rotate(&nobody, &orders(), "tests").await.unwrap_err());
    let created = ring
        .create_key(&nobody, &orders(), Algorithm::default(), BTreeMap::new(), "tests")
        .await
        .unwrap_err();
    assert_eq!(created.code(), "tenant-not-found");
    no_tenant(created);
    no_key(ring.key(&tenant(), &orders()).await.unwrap_err());
    no_key(ring.key_by_id(&tenant(), KeyId(1)).await.unwrap_err());
    no_key(ring.rotate(&tenant(), &orders(), "tests").await.unwrap_err());
    assert!(ring.list_keys(&tenant()).await.unwrap().is_empty());

    let key = create(&ring).await.unwrap();
    assert!(matches!(create(&ring).await, Err(KeyringError::KeyExists { .. })));
    for version in [0, 2, u32::MAX] {
        let error = ring.version(&key, version).await.err().unwrap();
        assert!(matches!(error, KeyringError::VersionNotFound { .. }));
    }
}

#[tokio::test]
async fn a_key_belongs_to_its_tenant() {
    let (_, ring) = ring().await;
    let other: TenantName = "other".parse().unwrap();
    ring.create_tenant(&other).await.unwrap();
    let mine = create(&ring).await.unwrap();
    let by_id = ring.key_by_id(&other, mine.id()).await.unwrap_err();
    assert!(matches!(by_id, KeyringError::KeyNotFound { .. }));
    let by_name = ring.key(&other, &orders()).await.unwrap_err();
    assert!(matches!(by_name, KeyringError::KeyNotFound { .. }));

    // The same name elsewhere is another key.
    let theirs = ring
        .create_key(&other, &orders(), Algorithm::default(), BTreeMap::new(), "tests")
        .await
        .unwrap();
    assert_ne!(mine.id(), theirs.id());
    let sealed = seal(&ring.version(&mine, 1).await.unwrap());
    assert!(!opens(&ring.version(&theirs, 1).await.unwrap(), &sealed));
}

#[tokio::test]
async fn an_id_finds_only_the_key_that_has_it() {
    let (store, ring) = ring().await;
    create(&ring).await.unwrap();
    let stray = KeyId(1);
    let path = format!("tenants/demo/key-ids/{stray}");
    store.create(&path, b"orders").await.unwrap();
    let found = ring.key_by_id(&tenant(), stray).await;
    assert!(matches!(found, Err(KeyringError::KeyNotFound { .. })));

    let stray = KeyId(2);
    let path = format!("tenants/demo/key-ids/{stray}");
    store.create(&path, b"../other/keys/orders").await.unwrap();
    let found = ring.key_by_id(&tenant(), stray).await;
    assert!(matches!(found, Err(KeyringError::Corrupt { .. })));
}

#[tokio::test]
async fn old_versions_still_open_after_rotation() {
    let (store, ring) = ring().await;
    let key = create(&ring).await.unwrap();
    let mut sealed = vec![seal(&ring.version(&key, 1).await.unwrap())];
    for n in 2..=5 {
        assert_eq!(ring.rotate(&tenant(), &orders(), "tests").await.unwrap(), n);
        let key = ring.key(&tenant(), &orders()).await.unwrap();
        assert_eq!(key.current_version(), n);
        sealed.push(seal(&ring.version(&key, n).await.unwrap()));
    }
    let ring = over(store);
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    assert_eq!(key.versions().iter().map(|info| info.version).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    for (n, ciphertext) in (1..).zip(&sealed) {
        for m in 1..=5 {
            let version = ring.version(&key, m).await.unwrap();
            assert_eq!(opens(&version, ciphertext), n == m);
        }
    }
}

#[tokio::test]
async fn attributes_are_bounded() {
    let (_, ring) = ring().await;
    let tries = [
        BTreeMap::from([(String::new(), String::new())]),
        BTreeMap::from([("n".repeat(129), String::new())]),
        BTreeMap::from([("n".to_owned(), "v".repeat(1025))]),
        (0..33).map(|n| (n.to_string(), String::new())).collect(),
    ];
    for attributes in tries {
        let error = ring
            .create_key(&tenant(), &orders(), Algorithm::default(), attributes, "tests")
            .await
            .unwrap_err();
        assert!(matches!(error, KeyringError::InvalidName { field: "attributes", .. }));
    }
}

#[tokio::test]
async fn damaged_records_are_errors() {
    let (store, ring) = ring().await;
    let key = create(&ring).await.unwrap();
    let damage = async |path: &str, value: &[u8]| {
        store.delete(path).await.unwrap();
        store.create(path, value).await.unwrap();
    };
    let corrupt = |error: KeyringError| {
        assert!(matches!(error, KeyringError::Corrupt { .. }), "{error}");
    };

    let path = "tenants/demo/keys/orders/versions/1";
    let good = store.get(path).await.unwrap().unwrap().value;
    let mut other_key = good.to_vec();
    other_key[1] ^= 1;
    let mut other_version = good.to_vec();
    other_version[12] ^= 1;
    let long = [good.as_slice(), b"0"].concat();
    // Only the fingerprint in the metadata can tell this one.
    let mut other_material = good.to_vec();
    other_material[40] ^= 1;
    let values: [&[u8]; 6] = [b"", &good[..52], &long, &other_key, &other_version, &other_material];
    for value in values {
        damage(path, value).await;
        corrupt(over(store.clone()).version(&key, 1).await.err().unwrap());
    }

    let path = "tenants/demo/keys/orders";
    let good = String::from_utf8(store.get(path).await.unwrap().unwrap().value.to_vec()).unwrap();
    for value in [
        String::new(),
        "{}".to_owned(),
        good.replace("\"format\":4", "\"format\":7"),
        good.replace("\"current_version\":1", "\"current_version\":2"),
        good.replace("\"current_version\":1", "\"current_version\":1,\"min_decrypt_version\":0"),
        good.replace("\"current_version\":1", "\"current_version\":1,\"min_decrypt_version\":2"),
        good.replace("\"current_version\":1", "\"current_version\":1,\"min_encrypt_version\":2"),
        good.replace("\"action\":\"create\"", "\"action\":\"paint\""),
        good.replace("xaes-256-gcm", "rot13"),
        good[..good.len() - 1].to_owned(),
    ] {
        damage(path, value.as_bytes()).await;
        let ring = over(store.clone());
        corrupt(ring.key(&tenant(), &orders()).await.unwrap_err());
        corrupt(ring.rotate(&tenant(), &orders(), "tests").await.unwrap_err());
    }
}
