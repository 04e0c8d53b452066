use std::collections::BTreeMap;

use keyward_keyring::CacheConfig;
use keyward_keyring::store::memory::MemoryStore;

use super::*;

async fn bridge() -> Bridge {
    let keyring = Keyring::new(Arc::new(MemoryStore::default()), CacheConfig::default());
    for tenant in ["acme", "other"] {
        let tenant: TenantName = tenant.parse().unwrap();
        keyring.create_tenant(&tenant).await.unwrap();
        for (name, algorithm) in [("data", Algorithm::XAes256Gcm), ("tags", Algorithm::HmacSha256)]
        {
            let attributes = BTreeMap::from([("context".to_owned(), "required".to_owned())]);
            keyring
                .create_key(&tenant, &name.parse().unwrap(), algorithm, attributes, "tests")
                .await
                .unwrap();
        }
    }
    Bridge::new(keyring)
}

async fn rotate(bridge: &Bridge, name: &str) {
    bridge.keyring.rotate(&"acme".parse().unwrap(), &name.parse().unwrap(), "tests").await.unwrap();
}

#[tokio::test]
async fn a_handle_opens_what_it_and_earlier_versions_sealed() {
    let bridge = bridge().await;
    let first = bridge.open("acme", "data", None).await.unwrap();
    assert_eq!((first.name(), first.version()), ("data", 1));
    assert_eq!(first.attribute("context"), Some("required"));
    let sealed = first.encrypt(b"x", b"aad").await.unwrap();
    rotate(&bridge, "data").await;
    let second = bridge.open("acme", "data", None).await.unwrap();
    assert_eq!(second.version(), 2);
    assert_eq!(second.decrypt(&sealed, b"aad").await.unwrap().as_slice(), b"x");
    let pinned = bridge.open("acme", "data", Some(2)).await.unwrap();
    let other = bridge.open("other", "data", None).await.unwrap();
    for result in [
        second.decrypt(&sealed, b"other aad").await,
        second.decrypt(b"", b"aad").await,
        pinned.decrypt(&sealed, b"aad").await,
        other.decrypt(&sealed, b"aad").await,
    ] {
        assert_eq!(result.map(|_| ()), Err(does_not_open()));
    }
}

#[tokio::test]
async fn what_the_host_sealed_does_not_open_here() {
    let bridge = bridge().await;
    let handle = bridge.open("acme", "data", None).await.unwrap();
    let tenant = "acme".parse().unwrap();
    let key = bridge.keyring.key(&tenant, &"data".parse().unwrap()).await.unwrap();
    let version = bridge.keyring.version(&key, 1).await.unwrap();
    let binding = Binding {
        channel: Channel::Payload,
        tenant: "acme",
        key_name: "data",
        policy_data: b"aad",
        context: b"",
    };
    let sealed = version.seal(None, &binding, b"x").unwrap();
    assert!(handle.decrypt(&sealed, b"aad").await.is_err());
}

#[tokio::test]
async fn terms_cover_every_version_newest_first() {
    let bridge = bridge().await;
    let before = bridge.open("acme", "tags", None).await.unwrap();
    let old = before.term("email", b"ada").await.unwrap();
    rotate(&bridge, "tags").await;
    let after = bridge.open("acme", "tags", None).await.unwrap();
    let new = after.term("email", b"ada").await.unwrap();
    assert_eq!(after.terms("email", b"ada").await.unwrap(), [new, old]);
    let (tenant, name) = ("acme".parse().unwrap(), "tags".parse().unwrap());
    rotate(&bridge, "tags").await;
    bridge.keyring.destroy_version(&tenant, &name, 2, "tests").await.unwrap();
    let after = bridge.open("acme", "tags", None).await.unwrap();
    let newest = after.term("email", b"ada").await.unwrap();
    assert_eq!(after.terms("email", b"ada").await.unwrap(), [newest, old]);
    let pinned = bridge.open("acme", "tags", Some(1)).await.unwrap();
    assert_eq!(pinned.terms("email", b"ada").await.unwrap(), [old]);
    let tag = after.mac(b"data").await.unwrap();
    assert_eq!(after.verify(b"data", &tag).await, Ok(true));
    assert_eq!(after.verify(b"Data", &tag).await, Ok(false));
    assert!(matches!(after.encrypt(b"", b"").await, Err(HostError::Invalid(_))));
}

#[tokio::test]
async fn names_that_no_key_has_are_not_found() {
    let bridge = bridge().await;
    for (tenant, name, version) in [
        ("acme", "none", None),
        ("acme", "../other/keys/data", None),
        ("acme", "", None),
        ("acme", "data", Some(7)),
        ("nobody", "data", None),
    ] {
        let error = bridge.open(tenant, name, version).await.err().unwrap();
        assert!(matches!(error, HostError::NotFound(_)), "{error:?}");
    }
}
