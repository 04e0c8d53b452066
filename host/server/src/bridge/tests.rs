use std::collections::BTreeMap;

use keyward_crypto::SignatureForm::{Fixed, Pkcs1, Standard};
use keyward_crypto::{Operation, PublicKey};
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

/// Adds a key to both tenants.
async fn create(bridge: &Bridge, name: &str, algorithm: Algorithm) {
    for tenant in ["acme", "other"] {
        let (tenant, name) = (tenant.parse().unwrap(), name.parse().unwrap());
        let created =
            bridge.keyring.create_key(&tenant, &name, algorithm, BTreeMap::new(), "tests").await;
        created.unwrap();
    }
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

#[tokio::test]
async fn signatures_are_of_the_handles_version_and_verified_by_every_version_in_use() {
    let bridge = bridge().await;
    create(&bridge, "signing", Algorithm::Ed25519).await;
    let first = bridge.open("acme", "signing", None).await.unwrap();
    let old = first.sign(b"data", Standard).await.unwrap();
    let public = first.public_key().await.unwrap();
    let public = PublicKey::from_der(Algorithm::Ed25519, &public).unwrap();
    assert_eq!(public.verify(b"data", &old, Standard), Ok(true));
    rotate(&bridge, "signing").await;
    let newest = bridge.open("acme", "signing", None).await.unwrap();
    assert_ne!(newest.public_key().await, first.public_key().await);
    let new = newest.sign(b"data", Standard).await.unwrap();
    assert_eq!(newest.verify_signature(b"data", &old, Standard).await, Ok(Some(1)));
    assert_eq!(newest.verify_signature(b"data", &new, Standard).await, Ok(Some(2)));
    // Pinned: that version alone, whichever it is.
    for (version, by) in [(1, [Some(1), None]), (2, [None, Some(2)])] {
        let pinned = bridge.open("acme", "signing", Some(version)).await.unwrap();
        let verified = [
            pinned.verify_signature(b"data", &old, Standard).await.unwrap(),
            pinned.verify_signature(b"data", &new, Standard).await.unwrap(),
        ];
        assert_eq!(verified, by);
    }
    for signature in [&b""[..], &new[..63], &[0; 64]] {
        assert_eq!(newest.verify_signature(b"data", signature, Standard).await, Ok(None));
    }
    assert_eq!(newest.verify_signature(b"date", &new, Standard).await, Ok(None));
    let other = bridge.open("other", "signing", None).await.unwrap();
    assert_eq!(other.verify_signature(b"data", &new, Standard).await, Ok(None));
}

#[tokio::test]
async fn signatures_keep_to_a_keys_bounds_as_macs_do() {
    let bridge = bridge().await;
    create(&bridge, "signing", Algorithm::EcdsaP256).await;
    let first = bridge.open("acme", "signing", None).await.unwrap();
    let old = first.sign(b"data", Fixed).await.unwrap();
    rotate(&bridge, "signing").await;
    rotate(&bridge, "signing").await;
    let pinned = bridge.open("acme", "signing", Some(2)).await.unwrap();
    let middle = pinned.sign(b"data", Fixed).await.unwrap();
    let edit = KeyEdit {
        min_decrypt_version: Edit::Set(2),
        min_encrypt_version: Edit::Set(3),
        ..KeyEdit::default()
    };
    let (tenant, name) = ("acme".parse().unwrap(), "signing".parse().unwrap());
    bridge.keyring.edit_key(&tenant, &name, edit, "tests").await.unwrap();
    let pinned = bridge.open("acme", "signing", Some(2)).await.unwrap();
    let denied = pinned.sign(b"data", Fixed).await;
    let Err(HostError::Denied(message)) = &denied else { panic!("{denied:?}") };
    assert!(message.contains("(key_version_below_min_encrypt)"), "{message}");
    let newest = bridge.open("acme", "signing", None).await.unwrap();
    newest.sign(b"data", Fixed).await.unwrap();
    assert_eq!(newest.verify_signature(b"data", &middle, Fixed).await, Ok(Some(2)));
    assert_eq!(newest.verify_signature(b"data", &old, Fixed).await, Ok(None));
}

#[tokio::test]
async fn every_algorithm_does_what_it_can_and_nothing_else() {
    let bridge = bridge().await;
    for algorithm in Algorithm::ALL {
        // Making these takes seconds, and they are the same code as those of 2048 bits.
        if algorithm.name().ends_with("3072") || algorithm.name().ends_with("4096") {
            continue;
        }
        create(&bridge, algorithm.name(), algorithm).await;
        let key = bridge.open("acme", algorithm.name(), None).await.unwrap();
        let can = |operation| algorithm.supports(operation);
        let outcome = |done: Option<HostError>, can: bool| match done {
            None => assert!(can, "{algorithm}"),
            Some(HostError::Invalid(message)) => {
                assert!(!can && message.contains(algorithm.name()), "{algorithm}: {message}");
            }
            Some(error) => panic!("{algorithm}: {error:?}"),
        };
        let sealed = key.encrypt(b"x", b"aad").await;
        if let Ok(sealed) = &sealed {
            assert_eq!(key.decrypt(sealed, b"aad").await.unwrap().as_slice(), b"x");
            assert_eq!(key.decrypt(sealed, b"").await.map(|_| ()), Err(does_not_open()));
        }
        outcome(sealed.err(), can(Operation::Encrypt));
        outcome(key.mac(b"x").await.err(), can(Operation::Mac));
        let signs = can(Operation::Sign);
        outcome(key.sign(b"x", Standard).await.err(), signs);
        outcome(key.verify_signature(b"x", b"", Standard).await.err(), signs);
        let ecdsa = algorithm.name().starts_with("ecdsa");
        outcome(key.sign(b"x", Fixed).await.err(), ecdsa);
        outcome(key.verify_signature(b"x", b"", Fixed).await.err(), ecdsa);
        outcome(key.sign(b"x", Pkcs1).await.err(), signs && algorithm.name().starts_with("rsa"));
        let public = key.public_key().await;
        let expected = key_of(&bridge, algorithm).await;
        assert_eq!(public.as_ref().ok(), expected.as_ref());
        outcome(public.err(), expected.is_some());
    }
}

/// The public key as the keyring has it.
async fn key_of(bridge: &Bridge, algorithm: Algorithm) -> Option<Vec<u8>> {
    let (tenant, name) = ("acme".parse().unwrap(), algorithm.name().parse().unwrap());
    let key = bridge.keyring.key(&tenant, &name).await.unwrap();
    let public = bridge.keyring.version(&key, 1).await.unwrap().public_key();
    public.ok().map(|public| public.der().to_vec())
}

#[tokio::test]
async fn signing_and_verifying_are_counted() {
    let bridge = bridge().await;
    create(&bridge, "signing", Algorithm::Ed25519).await;
    let key = bridge.open("acme", "signing", None).await.unwrap();
    let signature = key.sign(b"12345", Standard).await.unwrap();
    key.verify_signature(b"12345", &signature, Standard).await.unwrap();
    key.verify_signature(b"54321", &signature, Standard).await.unwrap();
    key.public_key().await.unwrap();
    let (tenant, name) = ("acme".parse().unwrap(), "signing".parse().unwrap());
    let used = bridge.keyring.usage(&tenant, &name).await.unwrap().version(1);
    assert_eq!((used.sealed_messages, used.sealed_bytes, used.opened_messages), (1, 5, 1));
}
