//! Entries that are used are loaded anew before their time is up.

use super::probe::Probe;
use super::*;

const KEY_PATH: &str = "tenants/demo/keys/orders";
const VERSION_PATH: &str = "tenants/demo/keys/orders/versions/1";
const LATE: Duration = Duration::from_mins(14);
const MINUTE: Duration = Duration::from_mins(1);

async fn warm(config: CacheConfig) -> (Arc<Probe>, Keyring, Arc<Key>) {
    let (store, first) = ring().await;
    create(&first).await.unwrap();
    let probe = Arc::new(Probe::over(&store));
    let ring = Keyring::new(probe.clone(), config);
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    ring.version(&key, 1).await.unwrap();
    (probe, ring, key)
}

#[tokio::test]
async fn a_used_entry_is_renewed_in_the_background() {
    let (probe, ring, _) = warm(CacheConfig::default()).await;
    advance(&ring, LATE.saturating_sub(3 * MINUTE));
    for _ in 0..10 {
        let key = ring.key(&tenant(), &orders()).await.unwrap();
        ring.version(&key, 1).await.unwrap();
    }
    assert_eq!(probe.reads(KEY_PATH), 1); // too early

    advance(&ring, 3 * MINUTE);
    *probe.hold.lock().unwrap() = Some(KEY_PATH.to_owned());
    let misses = ring.cache_statistics().misses;
    for _ in 0..10 {
        let key = ring.key(&tenant(), &orders()).await.unwrap();
        ring.version(&key, 1).await.unwrap();
    }
    // Nobody waits for the one load that is under way.
    probe.wait_held().await;
    assert_eq!(ring.cache_statistics().misses, misses);
    probe.release.notify_one();
    until(async || {
        advance(&ring, MINUTE);
        let key = ring.key(&tenant(), &orders()).await.unwrap();
        ring.version(&key, 1).await.unwrap();
        probe.reads(KEY_PATH) >= 2 && probe.reads(VERSION_PATH) >= 2
    })
    .await;
    assert_eq!(probe.reads(KEY_PATH), 2);
    assert_eq!(probe.reads(VERSION_PATH), 2);
}

#[tokio::test]
async fn without_refresh_ahead_an_entry_lives_to_its_end() {
    let config = CacheConfig { refresh_ahead: false, ..CacheConfig::default() };
    let (probe, ring, _) = warm(config).await;
    advance(&ring, LATE);
    for _ in 0..10 {
        ring.key(&tenant(), &orders()).await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(probe.reads(KEY_PATH), 1);
    advance(&ring, MINUTE);
    ring.key(&tenant(), &orders()).await.unwrap();
    assert_eq!(probe.reads(KEY_PATH), 2);
}

#[tokio::test]
async fn a_renewal_that_fails_changes_nothing_before_the_time_is_up() {
    let (probe, ring, key) = warm(CacheConfig::default()).await;
    advance(&ring, LATE);
    probe.set_down(Some(""));
    for _ in 0..20 {
        ring.key(&tenant(), &orders()).await.unwrap();
        ring.version(&key, 1).await.unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(probe.reads(KEY_PATH), 2); // and the store is not hammered
    probe.set_down(None);
    advance(&ring, Duration::from_secs(1));
    until(async || {
        ring.key(&tenant(), &orders()).await.unwrap();
        probe.reads(KEY_PATH) == 3
    })
    .await;
}

#[tokio::test]
async fn a_renewal_under_way_cannot_bring_back_what_was_disabled() {
    for is_elsewhere in [false, true] {
        let config = CacheConfig { shared: true, ..CacheConfig::default() };
        let (probe, ring, held) = warm(config).await;
        ring.poll().await.unwrap();
        let elsewhere = Keyring::new(probe.clone(), config);
        let held = ring.key(&tenant(), held.name()).await.unwrap();
        let version = Arc::downgrade(&ring.version(&held, 1).await.unwrap());

        advance(&ring, LATE);
        *probe.hold.lock().unwrap() = Some(KEY_PATH.to_owned());
        ring.key(&tenant(), &orders()).await.unwrap();
        probe.wait_held().await;
        // The renewal has read the old metadata.
        let changer = if is_elsewhere { &elsewhere } else { &ring };
        changer.set_enabled(&tenant(), &orders(), false, "tests").await.unwrap();
        ring.poll().await.unwrap();
        assert_eq!(version.strong_count(), 0);
        probe.release.notify_one();
        for _ in 0..20 {
            assert!(!ring.key(&tenant(), &orders()).await.unwrap().enabled());
            // Also for those who looked the key up before.
            let used = ring.version(&held, 1).await.err().unwrap();
            assert!(matches!(used, KeyringError::KeyDisabled { .. }));
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

#[tokio::test]
async fn a_version_whose_destruction_was_learned_during_its_load_is_not_used() {
    let (probe, ring, _) = warm(CacheConfig::default()).await;
    ring.rotate(&tenant(), &orders(), "tests").await.unwrap();
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    *probe.hold.lock().unwrap() = Some(VERSION_PATH.to_owned());
    let loading = tokio::spawn({
        let (ring, key) = (ring.clone(), key.clone());
        async move { ring.version(&key, 1).await }
    });
    probe.wait_held().await;
    let elsewhere = over(probe.clone());
    elsewhere.destroy_version(&tenant(), &orders(), 1, "tests").await.unwrap();
    advance(&ring, LATE + MINUTE);
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    probe.release.notify_one();
    // Whoever asked before the destruction may still get it.
    let version = Arc::downgrade(&loading.await.unwrap().unwrap());
    let error = ring.version(&key, 1).await.err().unwrap();
    assert!(matches!(error, KeyringError::VersionDestroyed { .. }));
    assert_eq!(version.strong_count(), 0);
}

#[tokio::test]
async fn a_disabled_key_is_not_used_because_its_version_was_loaded_later() {
    let (store, first) = ring().await;
    create(&first).await.unwrap();
    let ring = over(store);
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    advance(&ring, LATE.saturating_sub(4 * MINUTE));
    ring.version(&key, 1).await.unwrap();
    first.set_enabled(&tenant(), &orders(), false, "tests").await.unwrap();
    advance(&ring, 5 * MINUTE);
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    let error = ring.version(&key, 1).await.err().unwrap();
    assert!(matches!(error, KeyringError::KeyDisabled { .. }));
}

#[tokio::test]
async fn a_load_under_way_brings_back_nothing_that_was_cleared() {
    for is_first in [true, false] {
        let (probe, ring, _) = warm(CacheConfig::default()).await;
        if is_first {
            ring.clear_cache().await;
        } else {
            advance(&ring, LATE);
        }
        *probe.hold.lock().unwrap() = Some(KEY_PATH.to_owned());
        let reading = tokio::spawn({
            let ring = ring.clone();
            async move { ring.key(&tenant(), &orders()).await }
        });
        probe.wait_held().await;
        ring.clear_cache().await;
        probe.release.notify_one();
        reading.await.unwrap().unwrap();
        until(async || probe.reads(KEY_PATH) == 2).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(ring.cache_statistics().entries, 0);
        ring.key(&tenant(), &orders()).await.unwrap();
        assert_eq!(probe.reads(KEY_PATH), 3);
    }
}

#[tokio::test]
async fn expired_entries_leave_memory_at_a_sweep() {
    let (_, ring, key) = warm(CacheConfig::default()).await;
    let version = Arc::downgrade(&ring.version(&key, 1).await.unwrap());
    advance(&ring, LATE);
    ring.sweep().await;
    assert_eq!(version.strong_count(), 1);
    assert_eq!(ring.cache_statistics().entries, 1);
    advance(&ring, MINUTE);
    ring.sweep().await;
    assert_eq!(version.strong_count(), 0);
    let statistics = ring.cache_statistics();
    assert_eq!((statistics.entries, statistics.expirations), (0, 1));
    // A key held since then leads to its version all the same.
    ring.version(&key, 1).await.unwrap();
}
