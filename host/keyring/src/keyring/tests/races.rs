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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_of_one_host_share_their_writes() {
    const MANY: usize = 100;
    let (store, first) = ring().await;
    create(&first).await.unwrap();
    let revision = async || {
        let path = crate::record::key_path(&tenant(), &orders());
        store.get(&path).await.unwrap().unwrap().revision
    };
    let before = revision().await;
    let mut slow = Probe::over(&store);
    slow.delay = std::time::Duration::from_millis(5);
    let host = over(Arc::new(slow));
    let tasks: Vec<_> = (0..MANY)
        .map(|n| {
            let host = host.clone();
            tokio::spawn(async move {
                let actor = format!("actor-{n}");
                host.create_version(&tenant(), &orders(), &actor, &actor).await.unwrap()
            })
        })
        .collect();
    let mut given = BTreeSet::new();
    for (n, task) in tasks.into_iter().enumerate() {
        let created = task.await.unwrap();
        // Each gets the version it asked for.
        assert_eq!(created.created_by, Some(format!("actor-{n}")));
        assert!(given.insert(created.version));
    }
    assert_eq!(given, (2..=101).collect(), "no number is left out");
    // The store counts every write: 100 of material, and few of metadata.
    let writes = revision().await - before;
    assert!(writes < 120, "{writes} writes");
    assert_eq!(host.rotate(&tenant(), &orders(), "x").await.unwrap(), 102, "the key is stuck");
    let missing = "missing".parse().unwrap();
    let error = host.rotate(&tenant(), &missing, "x").await.unwrap_err();
    assert!(matches!(error, KeyringError::KeyNotFound { .. }));
}
