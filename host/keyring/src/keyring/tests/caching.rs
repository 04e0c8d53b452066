use futures_util::FutureExt;

use super::probe::{Death, Probe};
use super::*;
use crate::absence;

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
async fn what_expires_does_not_wait_for_a_whole_period() {
    let (store, first) = ring().await;
    create(&first).await.unwrap();
    // Sweeps of a fixed period would come after 1.5 and 3 seconds.
    let (ttl, sweep) = (Duration::from_secs(2), Duration::from_millis(1_500));
    let ring = Keyring::new(store, CacheConfig { ttl, sweep, ..CacheConfig::default() });
    let begun = std::time::Instant::now();
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    let version = Arc::downgrade(&ring.version(&key, 1).await.unwrap());
    until(async || version.strong_count() == 0).await;
    let took = begun.elapsed();
    assert!(took >= ttl && took < ttl + Duration::from_millis(600), "{took:?}");
}

#[tokio::test]
async fn a_keyring_that_is_dropped_leaves_no_task_and_no_key() {
    let (store, first) = ring().await;
    create(&first).await.unwrap();
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    until(async || tasks() == 1).await; // the sweeper of `first`
    let period = Duration::from_millis(20);
    let config = CacheConfig { sweep: period, shared: true, ..CacheConfig::default() };
    let ring = Keyring::new(store, config);
    ring.start_polling(period, std::future::pending());
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    let version = Arc::downgrade(&ring.version(&key, 1).await.unwrap());
    assert!(tasks() >= 3, "the test is of no use");
    drop((key, ring));
    until(async || tasks() == 1).await;
    assert_eq!(version.strong_count(), 0);
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
async fn what_is_created_here_is_seen_at_once() {
    let (store, _) = ring().await;
    let probe = Arc::new(Probe::over(&store));
    let ring = over(probe.clone());
    assert!(ring.key(&tenant(), &orders()).await.is_err());
    assert!(ring.key(&tenant(), &orders()).await.is_err());
    assert_eq!(probe.reads(KEY_PATH), 1, "the test is of no use");
    let key = create(&ring).await.unwrap();
    assert_eq!(ring.key(&tenant(), &orders()).await.unwrap(), key);
    assert_eq!(ring.key_by_id(&tenant(), key.id()).await.unwrap(), key);
    for version in 2..5 {
        for _ in 0..2 {
            let absent = ring.version(&key, version).await.err().unwrap();
            assert!(matches!(absent, KeyringError::VersionNotFound { .. }));
        }
        assert_eq!(ring.rotate(&tenant(), &orders(), "tests").await.unwrap(), version);
        ring.version(&key, version).await.unwrap();
    }
}

#[tokio::test]
async fn what_exists_already_is_found_by_who_is_told_so() {
    let (store, here) = ring().await;
    assert!(here.key(&tenant(), &orders()).await.is_err());
    create(&over(store)).await.unwrap();
    assert!(here.key(&tenant(), &orders()).await.is_err(), "the test is of no use");
    assert!(matches!(create(&here).await, Err(KeyringError::KeyExists { .. })));
    here.key(&tenant(), &orders()).await.unwrap();
}

/// A look-up that was under way while the key was created has seen that there is none.
#[tokio::test]
async fn a_look_up_under_way_cannot_hide_what_is_created() {
    for is_by_name in [true, false] {
        let (store, _) = ring().await;
        let probe = Arc::new(Probe::over(&store));
        let ring = over(probe.clone());
        let id = {
            // What an unfinished creation left, so that the id is known before the key is there.
            let dying = over(Arc::new(Probe::dying(&store, 1, Death::Before)));
            assert!(create(&dying).await.is_err());
            let material = store.get(VERSION_PATH).await.unwrap().unwrap().value;
            KeyId(u64::from_be_bytes(material[1..9].try_into().unwrap()))
        };
        let path = format!("tenants/demo/key-ids/{id}");
        *probe.hold.lock().unwrap() = Some(if is_by_name { KEY_PATH.to_owned() } else { path });
        let early = tokio::spawn({
            let ring = ring.clone();
            async move {
                let (tenant, orders) = (tenant(), orders());
                if is_by_name {
                    ring.key(&tenant, &orders).await
                } else {
                    ring.key_by_id(&tenant, id).await
                }
            }
        });
        probe.wait_held().await;
        let key = create(&ring).await.unwrap();
        assert_eq!(key.id(), id);
        probe.release.notify_one();
        assert!(matches!(early.await.unwrap(), Err(KeyringError::KeyNotFound { .. })));
        assert_eq!(ring.key(&tenant(), &orders()).await.unwrap(), key);
        assert_eq!(ring.key_by_id(&tenant(), id).await.unwrap(), key);
    }
}

#[tokio::test]
async fn what_is_created_elsewhere_is_seen_within_a_second() {
    let (store, here) = ring().await;
    let elsewhere = over(store);
    assert!(here.key(&tenant(), &orders()).await.is_err());
    let key = create(&elsewhere).await.unwrap();
    let start = std::time::Instant::now();
    until(async || here.key(&tenant(), &orders()).await.is_ok()).await;
    assert!(start.elapsed() < Duration::from_millis(1_200), "{:?}", start.elapsed());
    assert_eq!(here.key_by_id(&tenant(), key.id()).await.unwrap(), key);

    assert!(here.version(&key, 2).await.is_err());
    elsewhere.rotate(&tenant(), &orders(), "tests").await.unwrap();
    let start = std::time::Instant::now();
    until(async || here.version(&key, 2).await.is_ok()).await;
    assert!(start.elapsed() < Duration::from_millis(1_200), "{:?}", start.elapsed());

    // By id, of a creation that goes on elsewhere.
    let (store, here) = ring().await;
    let dying = over(Arc::new(Probe::dying(&store, 1, Death::Before)));
    assert!(create(&dying).await.is_err());
    let material = store.get(VERSION_PATH).await.unwrap().unwrap().value;
    let id = KeyId(u64::from_be_bytes(material[1..9].try_into().unwrap()));
    assert!(here.key_by_id(&tenant(), id).await.is_err());
    assert_eq!(create(&over(store)).await.unwrap().id(), id);
    let start = std::time::Instant::now();
    until(async || here.key_by_id(&tenant(), id).await.is_ok()).await;
    assert!(start.elapsed() < Duration::from_millis(1_200), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_version_added_elsewhere_is_found_beside_one_that_is_not_there() {
    let (store, here) = ring().await;
    let elsewhere = over(store);
    let key = create(&here).await.unwrap();
    elsewhere.rotate(&tenant(), &orders(), "tests").await.unwrap();
    assert!(here.version(&key, 99).await.is_err());
    here.version(&key, 2).await.unwrap();
}

/// Looks a thousand times for what is not there, and checks that it was read twice at most.
async fn costs_little(is_at_once: bool) {
    let (store, first) = ring().await;
    let bills: KeyName = "bills".parse().unwrap();
    let held = first
        .create_key(&tenant(), &bills, Algorithm::default(), BTreeMap::new(), "tests")
        .await
        .unwrap();
    let mut probe = Probe::over(&store);
    if is_at_once {
        probe.delay = Duration::from_millis(100);
    }
    let probe = Arc::new(probe);
    let ring = over(probe.clone());
    let look_up = |n: u32| {
        let (ring, held) = (ring.clone(), held.clone());
        async move {
            let error = match n % 3 {
                0 => ring.key(&tenant(), &orders()).await.err(),
                1 => ring.key_by_id(&tenant(), KeyId(7)).await.err(),
                // Each another one.
                _ => ring.version(&held, 99 + n).await.err(),
            };
            let error = error.unwrap();
            let expected = if n % 3 == 2 { "key-version-not-found" } else { "key-not-found" };
            assert_eq!(error.code(), expected);
        }
    };
    if is_at_once {
        let tasks: Vec<_> = (0..3_000).map(|n| tokio::spawn(look_up(n))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    } else {
        for n in 0..3_000 {
            look_up(n).await;
        }
    }
    let paths = [
        KEY_PATH,
        "tenants/demo/key-ids/0000000000000007",
        "tenants/demo/keys/bills",
        "tenants/demo",
    ];
    for path in paths {
        assert!((1..=2).contains(&probe.reads(path)), "{path}: {}", probe.reads(path));
    }
}

#[tokio::test]
async fn what_is_absent_is_not_read_again_and_again() {
    costs_little(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stampede_on_what_is_absent_reads_once() {
    costs_little(true).await;
}

#[tokio::test]
async fn what_is_absent_is_remembered_in_bounds() {
    let (_, ring) = ring().await;
    for n in 0..10_000 {
        assert!(ring.key(&tenant(), &format!("key-{n}").parse().unwrap()).await.is_err());
        assert!(ring.key_by_id(&tenant(), KeyId(n)).await.is_err());
    }
    let (things, order) = ring.inner.caches.absences.sizes();
    assert!(things <= absence::MOST && order <= absence::MOST, "{things} and {order}");
}

#[tokio::test]
async fn the_absence_of_a_tenant_is_not_remembered() {
    let (store, here) = ring().await;
    let elsewhere = over(store);
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
