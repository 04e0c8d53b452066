use std::collections::BTreeSet;

use super::probe::Probe;
use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_rotations_lose_and_double_nothing() {
    let (store, first) = ring().await;
    create(&first).await.unwrap();
    let rings = [over(Arc::new(Probe::over(&store))), over(Arc::new(Probe::over(&store)))];
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let ring = rings[n % 2].clone();
            tokio::spawn(async move {
                let version = ring.rotate(&tenant(), &orders(), "tests").await.unwrap();
                // Its own write is seen at once.
                let key = ring.key(&tenant(), &orders()).await.unwrap();
                assert!(key.has_version(version) && key.current_version() >= version);
                (version, seal(&ring.version(&key, version).await.unwrap()))
            })
        })
        .collect();
    let mut acknowledged = BTreeSet::from([1]);
    let mut sealed = Vec::new();
    for task in tasks {
        let (version, ciphertext) = task.await.unwrap();
        assert!(acknowledged.insert(version), "version {version} was given twice");
        sealed.push((version, ciphertext));
    }

    let ring = over(store);
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    let listed: BTreeSet<u32> = key.versions().iter().map(|info| info.version).collect();
    assert_eq!(listed, acknowledged);
    assert_eq!(key.versions().len(), 41);
    assert_eq!(Some(&key.current_version()), listed.last());
    for (version, ciphertext) in sealed {
        assert!(opens(&ring.version(&key, version).await.unwrap(), &ciphertext));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_creations_make_one_key() {
    for _ in 0..20 {
        let (store, _) = ring().await;
        let rings = [over(Arc::new(Probe::over(&store))), over(Arc::new(Probe::over(&store)))];
        let tasks: Vec<_> = (0..8)
            .map(|n| {
                let ring = rings[n % 2].clone();
                tokio::spawn(async move { create(&ring).await })
            })
            .collect();
        let mut created = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(key) => created.push(key),
                Err(error) => assert!(matches!(error, KeyringError::KeyExists { .. })),
            }
        }
        assert_eq!(created.len(), 1);
        let key = &created[0];
        let ring = over(store);
        assert_eq!(&ring.key_by_id(&tenant(), key.id()).await.unwrap(), key);
        let sealed = seal(&rings[0].version(key, 1).await.unwrap());
        assert!(opens(&ring.version(key, 1).await.unwrap(), &sealed));
    }
}
