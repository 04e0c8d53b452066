//! A process that dies between two writes must not leave anything that stops later ones.

use keyward_crypto::KeyMaterial;

use super::probe::{Death, Probe};
use super::*;
use crate::record::{self, Material};

const DEATHS: [Death; 2] = [Death::Before, Death::After];

#[tokio::test]
async fn a_creation_that_died_does_not_stop_the_next() {
    for death in DEATHS {
        for writes in 0..3 {
            let (store, _) = ring().await;
            let dying = over(Arc::new(Probe::dying(&store, writes, death)));
            assert!(matches!(create(&dying).await, Err(KeyringError::Store(_))));

            let ring = over(store.clone());
            let key = if writes == 2 && death == Death::After {
                // The last write was done: the key is there, whole.
                assert!(matches!(create(&ring).await, Err(KeyringError::KeyExists { .. })));
                ring.key(&tenant(), &orders()).await.unwrap()
            } else {
                assert!(ring.key(&tenant(), &orders()).await.is_err());
                assert!(ring.rotate(&tenant(), &orders(), "tests").await.is_err());
                assert!(ring.list_keys(&tenant()).await.unwrap().is_empty());
                create(&ring).await.unwrap()
            };
            assert_eq!(ring.key_by_id(&tenant(), key.id()).await.unwrap(), key);
            assert_eq!(ring.list_keys(&tenant()).await.unwrap(), std::slice::from_ref(&key));
            let sealed = seal(&ring.version(&key, 1).await.unwrap());
            assert_eq!(ring.rotate(&tenant(), &orders(), "tests").await.unwrap(), 2);
            let key = over(store.clone()).key(&tenant(), &orders()).await.unwrap();
            assert!(opens(&over(store.clone()).version(&key, 1).await.unwrap(), &sealed));
            assert_eq!(store.list("tenants/demo/key-ids").await.unwrap().len(), 1);
        }
    }
}

#[tokio::test]
async fn an_id_of_an_unfinished_creation_finds_no_key() {
    let (store, ring) = ring().await;
    let dying = over(Arc::new(Probe::dying(&store, 2, Death::Before)));
    assert!(create(&dying).await.is_err());
    let id = store.list("tenants/demo/key-ids").await.unwrap()[0].parse().unwrap();
    let found = ring.key_by_id(&tenant(), id).await;
    assert!(matches!(found, Err(KeyringError::KeyNotFound { .. })));
    assert_eq!(create(&ring).await.unwrap().id(), id);
    assert_eq!(ring.key_by_id(&tenant(), id).await.unwrap().id(), id);
}

#[tokio::test]
async fn a_rotation_that_died_does_not_stop_the_next() {
    for death in DEATHS {
        for writes in 0..2 {
            let (store, ring) = ring().await;
            let key = create(&ring).await.unwrap();
            let sealed = seal(&ring.version(&key, 1).await.unwrap());
            let dying = over(Arc::new(Probe::dying(&store, writes, death)));
            assert!(dying.rotate(&tenant(), &orders(), "tests").await.is_err());

            let ring = over(store.clone());
            let before = ring.key(&tenant(), &orders()).await.unwrap();
            let written = store.get("tenants/demo/keys/orders/versions/2").await.unwrap().is_some();
            let listed = before.has_version(2);
            assert_eq!(listed, writes == 1 && death == Death::After);
            if !listed {
                // Material that no metadata lists is never used.
                let error = ring.version(&before, 2).await.err().unwrap();
                assert!(matches!(error, KeyringError::VersionNotFound { .. }));
            }

            let next = ring.rotate(&tenant(), &orders(), "tests").await.unwrap();
            assert_eq!(next, if written { 3 } else { 2 });
            let after = ring.key(&tenant(), &orders()).await.unwrap();
            assert_eq!(after.current_version(), next);
            assert_eq!(after.versions().len(), if listed { 3 } else { 2 });
            assert!(opens(&ring.version(&after, 1).await.unwrap(), &sealed));
            let fresh = seal(&ring.version(&after, next).await.unwrap());
            assert!(opens(&over(store.clone()).version(&after, next).await.unwrap(), &fresh));
        }
    }
}

#[tokio::test]
async fn many_rotations_that_died_do_not_stop_the_next() {
    let (store, ring) = ring().await;
    create(&ring).await.unwrap();
    for taken in 0..50 {
        // Each steps over the numbers taken before it, takes the next, and dies.
        let dying = over(Arc::new(Probe::dying(&store, taken + 1, Death::Before)));
        assert!(dying.rotate(&tenant(), &orders(), "tests").await.is_err());
    }
    assert_eq!(ring.rotate(&tenant(), &orders(), "tests").await.unwrap(), 52);
    assert_eq!(ring.rotate(&tenant(), &orders(), "tests").await.unwrap(), 53);
}

/// Somebody tried again with an algorithm whose material looks different.
#[tokio::test]
async fn an_unfinished_creation_does_not_stand_in_the_way_of_another_algorithm() {
    for (first, second) in [
        (Algorithm::XAes256Gcm, Algorithm::EcdsaP256),
        (Algorithm::EcdsaP256, Algorithm::XAes256Gcm),
        (Algorithm::MlKem768, Algorithm::HmacSha256),
    ] {
        let (store, ring) = ring().await;
        let left = Material {
            key_id: KeyId(7),
            version: 1,
            created_at: 0,
            imported: false,
            secret: KeyMaterial::generate(first).unwrap(),
        };
        let path = record::version_path(&tenant(), &orders(), 1);
        store.create(&path, &record::encode_material(&left)).await.unwrap();
        let create = ring.create_key(&tenant(), &orders(), second, BTreeMap::new(), "alice").await;
        let key = create.unwrap();
        assert_ne!(key.id(), KeyId(7));
        assert_eq!((key.algorithm(), key.current_version(), key.versions().len()), (second, 2, 1));
        ring.version(&key, 2).await.unwrap();
        // A rotation steps over whatever stands there.
        assert_eq!(ring.rotate(&tenant(), &orders(), "alice").await.unwrap(), 3);
    }
}
