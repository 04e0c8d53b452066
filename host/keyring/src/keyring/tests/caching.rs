use futures_util::FutureExt;

use super::probe::Probe;
use super::*;

const KEY_PATH: &str = "tenants/demo/keys/orders";
const VERSION_PATH: &str = "tenants/demo/keys/orders/versions/1";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stampede_loads_once() {
    // Also those who look just before a load ends, and ask just after, do not load again.
    for delay in [20, 5, 2, 1, 0, 0, 0, 0] {
        let (store, first) = ring().await;
        let id = create(&first).await.unwrap().id();
        let mut probe = Probe::over(&store);
        probe.delay = Duration::from_millis(delay);
        let probe = Arc::new(probe);
        let ring = over(probe.clone());
        let tasks: Vec<_> = (0..1000)
            .map(|n| {
                let ring = ring.clone();
                tokio::spawn(async move {
                    let key = if n % 2 == 0 {
                        ring.key(&tenant(), &orders()).await.unwrap()
                    } else {
                        ring.key_by_id(&tenant(), id).await.unwrap()
                    };
                    ring.version(&key, 1).await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(probe.reads(KEY_PATH), 1);
        assert_eq!(probe.reads(VERSION_PATH), 1);
        assert_eq!(probe.reads("tenants/demo"), 1);
        assert_eq!(probe.reads(&format!("tenants/demo/key-ids/{id}")), 1);
    }
}

#[tokio::test]
async fn a_load_that_begins_just_after_another_reads_nothing() {
    let (store, first) = ring().await;
    create(&first).await.unwrap();
    let probe = Arc::new(Probe::over(&store));
    let ring = over(probe.clone());
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    ring.version(&key, 1).await.unwrap();
    // As one who looked before these were cached, and got here after.
    let again = ring.inner.load_key(&tenant(), &orders(), None).await.unwrap();
    assert!(Arc::ptr_eq(&again, &key));
    ring.inner.load_version(&key, key.cached.as_ref().unwrap(), 1, None).await.unwrap();
    ring.inner.load_tenant(&tenant(), false).await.unwrap();
    for path in ["tenants/demo", KEY_PATH, VERSION_PATH] {
        assert_eq!(probe.reads(path), 1, "{path}");
    }
}

#[tokio::test]
async fn hits_do_not_read() {
    let (store, first) = ring().await;
    create(&first).await.unwrap();
    let probe = Arc::new(Probe::over(&store));
    let ring = over(probe.clone());
    for _ in 0..10 {
        assert!(ring.tenant_exists(&tenant()).await.unwrap());
        let key = ring.key(&tenant(), &orders()).await.unwrap();
        ring.version(&key, 1).await.unwrap();
    }
    assert_eq!(probe.reads("tenants/demo"), 1);
    assert_eq!(probe.reads(KEY_PATH), 1);
    assert_eq!(probe.reads(VERSION_PATH), 1);

    ring.clear_cache().await;
    ring.key(&tenant(), &orders()).await.unwrap();
    assert_eq!(probe.reads(KEY_PATH), 2);
}

#[tokio::test]
async fn entries_expire_and_expired_versions_leave_memory_by_themselves() {
    let (store, first) = ring().await;
    create(&first).await.unwrap();
    let probe = Arc::new(Probe::over(&store));
    let ttl = Duration::from_millis(100);
    let config = CacheConfig { ttl, sweep: ttl, ..CacheConfig::default() };
    let ring = Keyring::new(probe.clone(), config);
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    let version = Arc::downgrade(&ring.version(&key, 1).await.unwrap());
    assert!(version.upgrade().is_some());

    // Nothing touches the caches meanwhile: the sweeping task alone drops the version.
    tokio::time::timeout(Duration::from_secs(5), async {
        while version.strong_count() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .unwrap();
    ring.key(&tenant(), &orders()).await.unwrap();
    assert_eq!(probe.reads(KEY_PATH), 2);
}

#[tokio::test]
async fn the_cache_is_bounded() {
    let (_, first) = ring().await;
    let max_bytes = 16 << 10;
    let config = CacheConfig { max_bytes, ..CacheConfig::default() };
    let ring = Keyring::new(first.store().clone(), config);
    let mut versions = Vec::new();
    for n in 0..32 {
        let name: KeyName = format!("key-{n}").parse().unwrap();
        first
            .create_key(&tenant(), &name, Algorithm::default(), BTreeMap::new(), "tests")
            .await
            .unwrap();
        let key = ring.key(&tenant(), &name).await.unwrap();
        versions.push(Arc::downgrade(&ring.version(&key, 1).await.unwrap()));
    }
    ring.sweep().await;
    let kept = versions.iter().filter(|version| version.strong_count() > 0).count();
    assert!(kept <= 5, "{kept} kept");
    assert!(kept > 0);
    let statistics = ring.cache_statistics();
    assert!(statistics.bytes <= max_bytes, "{statistics:?}");
    assert_eq!(usize::try_from(statistics.entries).unwrap(), kept);
    assert_eq!(usize::try_from(statistics.evictions).unwrap(), 32 - kept);

    // Clearing drops all of them at once, and what was cleared can be loaded again.
    let cleared = ring.clear_cache().await;
    assert_eq!(usize::try_from(cleared.entries).unwrap(), kept);
    assert!(versions.iter().all(|version| version.strong_count() == 0));
    assert_eq!(ring.cache_statistics().entries, 0);
    let key = ring.key(&tenant(), &"key-5".parse().unwrap()).await.unwrap();
    ring.version(&key, 1).await.unwrap();
}

#[tokio::test]
async fn absence_is_not_cached() {
    let (store, here) = ring().await;
    let elsewhere = over(store);
    assert!(here.key(&tenant(), &orders()).await.is_err());
    let key = create(&elsewhere).await.unwrap();
    assert_eq!(here.key(&tenant(), &orders()).await.unwrap(), key);

    let other: TenantName = "other".parse().unwrap();
    assert!(!here.tenant_exists(&other).await.unwrap());
    elsewhere.create_tenant(&other).await.unwrap();
    assert!(here.tenant_exists(&other).await.unwrap());
}

#[tokio::test]
async fn a_version_added_elsewhere_is_found() {
    let (store, here) = ring().await;
    let elsewhere = over(store);
    let key = create(&here).await.unwrap();
    assert!(matches!(
        here.version(&key, 2).await.err().unwrap(),
        KeyringError::VersionNotFound { version: 2, .. }
    ));
    elsewhere.rotate(&tenant(), &orders(), "tests").await.unwrap();
    let newer = elsewhere.key(&tenant(), &orders()).await.unwrap();
    let sealed = seal(&elsewhere.version(&newer, 2).await.unwrap());
    // `key` is still the old metadata.
    assert!(opens(&here.version(&key, 2).await.unwrap(), &sealed));
    // And what was learned is kept.
    assert_eq!(here.key(&tenant(), &orders()).await.unwrap().current_version(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_load_under_way_cannot_bring_back_what_a_rotation_replaced() {
    for _ in 0..20 {
        let (store, first) = ring().await;
        create(&first).await.unwrap();
        let probe = Arc::new(Probe::over(&store));
        let ring = over(probe.clone());

        // A reader has read the old metadata, but not cached it yet.
        *probe.hold.lock().unwrap() = Some(KEY_PATH.to_owned());
        let reader = tokio::spawn({
            let ring = ring.clone();
            async move { ring.key(&tenant(), &orders()).await.unwrap() }
        });
        probe.wait_held().await;
        let rotation = tokio::spawn({
            let ring = ring.clone();
            async move { ring.rotate(&tenant(), &orders(), "tests").await.unwrap() }
        });
        while store.get("tenants/demo/keys/orders/versions/2").await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
        probe.release.notify_one();
        assert_eq!(reader.await.unwrap().current_version(), 1);
        assert_eq!(rotation.await.unwrap(), 2);
        assert_eq!(ring.key(&tenant(), &orders()).await.unwrap().current_version(), 2);
    }
}

#[tokio::test]
async fn an_abandoned_rotation_is_finished() {
    let (_, ring) = ring().await;
    create(&ring).await.unwrap();
    for n in 2..10 {
        let (tenant, orders) = (tenant(), orders());
        assert!(ring.rotate(&tenant, &orders, "tests").now_or_never().is_none());
        tokio::time::timeout(Duration::from_secs(5), async {
            while ring.key(&tenant, &orders).await.unwrap().current_version() < n {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
    }
}
