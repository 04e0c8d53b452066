use std::collections::BTreeMap;

use keyward_keyring::store::memory::MemoryStore;
use keyward_keyring::{CacheConfig, Edit, KeyEdit};

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

#[tokio::test]
async fn versions_below_a_keys_bounds_are_denied_with_the_code() {
    let bridge = bridge().await;
    let sealed = bridge.open("acme", "data", None).await.unwrap();
    let sealed = sealed.encrypt(b"x", b"").await.unwrap();
    for name in ["data", "tags"] {
        rotate(&bridge, name).await;
        rotate(&bridge, name).await;
        let edit = KeyEdit {
            min_decrypt_version: Edit::Set(2),
            min_encrypt_version: Edit::Set(3),
            ..KeyEdit::default()
        };
        let (tenant, name) = ("acme".parse().unwrap(), name.parse().unwrap());
        bridge.keyring.edit_key(&tenant, &name, edit, "tests").await.unwrap();
    }
    let denied = |error: Option<HostError>, code: &str| {
        let Some(HostError::Denied(message)) = &error else { panic!("{error:?}") };
        assert!(message.contains(code), "{message}");
    };
    let (below_decrypt, below_encrypt) =
        ("(key_version_below_min_decrypt)", "(key_version_below_min_encrypt)");
    let newest = bridge.open("acme", "data", None).await.unwrap();
    denied(newest.decrypt(&sealed, b"").await.err(), below_decrypt);
    newest.encrypt(b"", b"").await.unwrap();
    denied(bridge.open("acme", "data", Some(1)).await.err(), below_decrypt);
    let pinned = bridge.open("acme", "data", Some(2)).await.unwrap();
    denied(pinned.encrypt(b"", b"").await.err(), below_encrypt);

    let newest = bridge.open("acme", "tags", None).await.unwrap();
    let pinned = bridge.open("acme", "tags", Some(2)).await.unwrap();
    denied(pinned.mac(b"").await.err(), below_encrypt);
    assert_eq!(pinned.verify(b"", b"").await, Ok(false));
    let terms = [newest.term("email", b"a").await, pinned.term("email", b"a").await];
    let terms = terms.map(Result::unwrap);
    assert_eq!(newest.terms("email", b"a").await.unwrap(), terms);
}
