//! What happens to cached keys while the store does not answer.

use super::probe::Probe;
use super::*;
use crate::outage::Outage;

const KEY_PATH: &str = "tenants/demo/keys/orders";
const TTL: Duration = Duration::from_mins(15);
const HOUR: Duration = Duration::from_hours(1);
const SECOND: Duration = Duration::from_secs(1);

/// A keyring over a probe, with the key and its first version in its cache.
async fn warm(default_outage: Outage) -> (Arc<Probe>, Keyring, Arc<Key>) {
    let (store, first) = ring().await;
    create(&first).await.unwrap();
    let probe = Arc::new(Probe::over(&store));
    let config = CacheConfig { default_outage, ..CacheConfig::default() };
    let ring = Keyring::new(probe.clone(), config);
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    ring.key_by_id(&tenant(), key.id()).await.unwrap();
    ring.version(&key, 1).await.unwrap();
    (probe, ring, key)
}

async fn is_usable(ring: &Keyring, key: &Key) -> bool {
    let by_name = ring.key(&tenant(), &orders()).await;
    let by_id = ring.key_by_id(&tenant(), key.id()).await;
    assert_eq!(by_name.is_ok(), by_id.is_ok());
    let version = ring.version(key, 1).await;
    assert_eq!(by_name.is_ok(), version.is_ok());
    match (by_name, version) {
        (Ok(key), _) => ring.version(&key, 1).await.is_ok(),
        (Err(by_name), Err(version)) => {
            assert!(by_name.is_unavailable() && version.is_unavailable());
            false
        }
        (Err(_), Ok(_)) => unreachable!(),
    }
}

#[tokio::test]
async fn a_store_that_is_down_is_not_noticed_inside_the_ttl() {
    let (probe, ring, key) = warm(Outage::FailClosed).await;
    probe.set_down(Some(""));
    for _ in 0..14 {
        advance(&ring, Duration::from_mins(1));
        assert!(is_usable(&ring, &key).await);
    }
    assert_eq!(ring.cache_statistics().stale_serves, 0);
}

#[tokio::test]
async fn fail_closed_ends_with_the_ttl_and_recovers_with_the_store() {
    let (probe, ring, key) = warm(Outage::FailClosed).await;
    probe.set_down(Some(""));
    advance(&ring, TTL);
    assert!(!is_usable(&ring, &key).await);
    assert!(ring.tenant_exists(&tenant()).await.unwrap_err().is_unavailable());
    assert_eq!(ring.cache_statistics().stale_serves, 0);
    probe.set_down(None);
    assert!(ring.tenant_exists(&tenant()).await.unwrap());
    assert!(is_usable(&ring, &key).await);
}

#[tokio::test]
async fn a_stale_window_is_honoured_counted_and_ends() {
    let (probe, ring, key) = warm(Outage::ServeStale(HOUR)).await;
    probe.set_down(Some(""));
    advance(&ring, TTL);
    assert!(is_usable(&ring, &key).await);
    let stale = ring.cache_statistics().stale_serves;
    assert!(stale >= 4, "{stale}");
    assert!(ring.tenant_exists(&tenant()).await.unwrap());

    // The store is known to be down: nobody waits for it, and it is asked once a second.
    let reads = probe.reads(KEY_PATH);
    for _ in 0..100 {
        assert!(is_usable(&ring, &key).await);
    }
    assert!(probe.reads(KEY_PATH) <= reads + 1);

    advance(&ring, HOUR.checked_sub(SECOND).unwrap());
    ring.sweep().await;
    assert!(is_usable(&ring, &key).await);
    assert!(ring.cache_statistics().stale_serves > stale);
    advance(&ring, SECOND);
    assert!(!is_usable(&ring, &key).await);
    let stale = ring.cache_statistics().stale_serves;
    assert!(!is_usable(&ring, &key).await);
    assert_eq!(ring.cache_statistics().stale_serves, stale);
    probe.set_down(None);
    assert!(is_usable(&ring, &key).await);
}

#[tokio::test]
async fn serving_stale_ends_when_the_store_is_back() {
    let (probe, ring, key) = warm(Outage::ServeStale(HOUR)).await;
    probe.set_down(Some(""));
    advance(&ring, TTL);
    assert!(is_usable(&ring, &key).await);
    probe.set_down(None);
    advance(&ring, SECOND);
    // Those who come next still get what is there, while it is loaded anew.
    until(async || {
        let before = ring.cache_statistics().stale_serves;
        assert!(is_usable(&ring, &key).await);
        ring.cache_statistics().stale_serves == before
    })
    .await;
}

#[tokio::test]
async fn each_tenant_has_its_own_contract() {
    let (probe, ring, key) = warm(Outage::FailClosed).await;
    assert_eq!(ring.outage(&tenant()).await.unwrap(), None);
    let stale = Outage::ServeStale(HOUR);
    ring.set_outage(&tenant(), Some(stale)).await.unwrap();
    assert_eq!(ring.outage(&tenant()).await.unwrap(), Some(stale));
    // It holds for what is cached already.
    probe.set_down(Some(""));
    advance(&ring, TTL);
    assert!(is_usable(&ring, &key).await);

    probe.set_down(None);
    ring.set_outage(&tenant(), Some(Outage::FailClosed)).await.unwrap();
    probe.set_down(Some(""));
    // What was being loaded in the background meanwhile may have come.
    advance(&ring, TTL);
    assert!(!is_usable(&ring, &key).await);

    // It is part of the record.
    probe.set_down(None);
    ring.set_outage(&tenant(), Some(stale)).await.unwrap();
    let other = Keyring::new(probe.clone(), CacheConfig::default());
    let key = other.key(&tenant(), &orders()).await.unwrap();
    other.version(&key, 1).await.unwrap();
    other.key_by_id(&tenant(), key.id()).await.unwrap();
    probe.set_down(Some(""));
    advance(&other, TTL);
    assert!(is_usable(&other, &key).await);
    probe.set_down(None);
    ring.set_outage(&tenant(), None).await.unwrap();
    // Served as it was a moment longer, while it is loaded anew.
    until(async || other.outage(&tenant()).await.unwrap().is_none()).await;

    let nobody = "nobody".parse().unwrap();
    let error = ring.set_outage(&nobody, None).await.unwrap_err();
    assert!(matches!(error, KeyringError::TenantNotFound { .. }));
}

#[tokio::test]
async fn a_store_that_answers_is_never_overruled() {
    let (probe, ring, key) = warm(Outage::ServeStale(HOUR)).await;
    let elsewhere = over(probe.clone());
    elsewhere.set_enabled(&tenant(), &orders(), false, "tests").await.unwrap();
    assert!(is_usable(&ring, &key).await); // nobody told this one, and it is in time
    advance(&ring, TTL);
    let now = ring.key(&tenant(), &orders()).await.unwrap();
    assert!(!now.enabled());
    let used = ring.version(&now, 1).await.err().unwrap();
    assert!(matches!(used, KeyringError::KeyDisabled { .. }));

    // Records that are damaged or gone are not an outage either.
    advance(&ring, TTL);
    let store = ring.store();
    let record = store.get(KEY_PATH).await.unwrap().unwrap();
    store.replace(KEY_PATH, b"{}", record.revision).await.unwrap();
    let error = ring.key(&tenant(), &orders()).await.unwrap_err();
    assert!(matches!(error, KeyringError::Corrupt { .. }));
    store.delete(KEY_PATH).await.unwrap();
    let error = ring.key(&tenant(), &orders()).await.unwrap_err();
    assert!(matches!(error, KeyringError::KeyNotFound { .. }));
    assert_eq!(ring.cache_statistics().stale_serves, 0);
}

#[tokio::test]
async fn a_store_that_hangs_is_waited_for_once_and_not_for_long() {
    let (probe, ring, _) = warm(Outage::ServeStale(HOUR)).await;
    advance(&ring, TTL);
    *probe.hold.lock().unwrap() = Some(KEY_PATH.to_owned());
    for _ in 0..10 {
        ring.key(&tenant(), &orders()).await.unwrap();
    }
    assert_eq!(ring.cache_statistics().stale_serves, 10);
    assert_eq!(probe.reads(KEY_PATH), 2);
    // The answer that comes late is used all the same.
    probe.release.notify_one();
    until(async || {
        ring.key(&tenant(), &orders()).await.unwrap();
        ring.cache_statistics().loads >= 5
    })
    .await;
    let stale = ring.cache_statistics().stale_serves;
    until(async || {
        ring.key(&tenant(), &orders()).await.unwrap();
        ring.cache_statistics().stale_serves - stale < 3
    })
    .await;
}

/// What is looked up one after the other for one request waits once, not each for itself.
#[tokio::test]
async fn a_store_found_away_is_waited_for_by_nobody_else() {
    let (store, first) = ring().await;
    create(&first).await.unwrap();
    let mut probe = Probe::over(&store);
    probe.delay = Duration::from_millis(2_500);
    let default_outage = Outage::ServeStale(HOUR);
    let ring =
        Keyring::new(Arc::new(probe), CacheConfig { default_outage, ..CacheConfig::default() });
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    ring.version(&key, 1).await.unwrap();
    assert!(!ring.is_store_away());
    advance(&ring, TTL);
    let start = std::time::Instant::now();
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    ring.version(&key, 1).await.unwrap();
    assert!(ring.tenant_exists(&tenant()).await.unwrap());
    assert!(ring.is_store_away());
    assert!(start.elapsed() < Duration::from_millis(1_700), "{:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stampede_on_a_store_that_is_down_asks_it_once() {
    let (store, first) = ring().await;
    create(&first).await.unwrap();
    let mut probe = Probe::over(&store);
    probe.delay = Duration::from_millis(200);
    probe.set_down(Some(""));
    let probe = Arc::new(probe);
    let ring = over(probe.clone());
    let tasks: Vec<_> = (0..1000)
        .map(|_| {
            let ring = ring.clone();
            tokio::spawn(async move { ring.key(&tenant(), &orders()).await })
        })
        .collect();
    for task in tasks {
        assert!(task.await.unwrap().unwrap_err().is_unavailable());
    }
    assert_eq!(probe.reads(KEY_PATH), 1);
    // One of the key, and maybe one of its tenant.
    assert!((1..=2).contains(&ring.cache_statistics().load_failures));
}
