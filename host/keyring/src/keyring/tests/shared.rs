//! Several keyrings over one store, each told by the others what changed.

use std::collections::BTreeSet;
use std::time::Instant;

use tokio::sync::broadcast::error::TryRecvError;

use super::probe::Probe;
use super::*;
use crate::change::Change;

const CHANGES: &str = "changes";

fn shared(store: Arc<dyn Store>) -> Keyring {
    Keyring::new(store, CacheConfig { shared: true, ..CacheConfig::default() })
}

/// Two keyrings that know each other's key, and have polled.
async fn pair() -> (Arc<Probe>, Keyring, Keyring) {
    let (store, _) = ring().await;
    let probe = Arc::new(Probe::over(&store));
    let (here, there) = (shared(probe.clone()), shared(probe.clone()));
    create(&here).await.unwrap();
    for ring in [&here, &there] {
        ring.poll().await.unwrap();
        warm(ring).await;
    }
    (probe, here, there)
}

async fn warm(ring: &Keyring) -> Arc<Key> {
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    ring.version(&key, 1).await.unwrap();
    key
}

fn orders_changed() -> Change {
    Change::Key { tenant: tenant(), key: orders() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_sees_what_the_other_changed_within_the_period() {
    const PERIOD: Duration = Duration::from_millis(50);
    let (_, here, there) = pair().await;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    here.start_polling(PERIOD, std::future::pending());
    there.start_polling(PERIOD, async {
        let _ = stopped.await;
    });
    for (one, other) in [(&here, &there), (&there, &here)].repeat(3) {
        let held = warm(other).await;
        let begun = Instant::now();
        let version = one.rotate(&tenant(), &orders(), "tests").await.unwrap();
        until(async || other.key(&tenant(), &orders()).await.unwrap().current_version() == version)
            .await;
        assert!(begun.elapsed() < PERIOD * 10, "{:?}", begun.elapsed());

        let begun = Instant::now();
        one.set_enabled(&tenant(), &orders(), false, "tests").await.unwrap();
        until(async || other.version(&held, 1).await.is_err()).await;
        assert!(begun.elapsed() < PERIOD * 10, "{:?}", begun.elapsed());
        one.set_enabled(&tenant(), &orders(), true, "tests").await.unwrap();
        until(async || other.version(&held, 1).await.is_ok()).await;
    }
    assert!(here.since_last_poll().unwrap() < Duration::from_secs(1));

    stop.send(()).unwrap();
    tokio::time::sleep(PERIOD * 2).await;
    let since = there.since_last_poll().unwrap();
    tokio::time::sleep(PERIOD * 2).await;
    assert!(there.since_last_poll().unwrap() >= since + PERIOD * 2);
}

#[tokio::test]
async fn every_kind_of_change_is_told_and_only_what_changed_is_dropped() {
    let (probe, here, there) = pair().await;
    let other: KeyName = "other".parse().unwrap();
    here.create_key(&tenant(), &other, Algorithm::default(), BTreeMap::new(), "tests")
        .await
        .unwrap();
    there.key(&tenant(), &other).await.unwrap();
    let mut events = there.subscribe();
    let mut own = here.subscribe();

    let (tenant, orders) = (tenant(), orders());
    here.rotate(&tenant, &orders, "tests").await.unwrap();
    there.poll().await.unwrap();
    assert_eq!(events.try_recv().unwrap(), orders_changed());
    here.rollback(&tenant, &orders, 1, "tests").await.unwrap();
    there.poll().await.unwrap();
    assert_eq!(events.try_recv().unwrap(), orders_changed());
    assert_eq!(there.key(&tenant, &orders).await.unwrap().current_version(), 1);
    here.set_enabled(&tenant, &orders, false, "tests").await.unwrap();
    here.set_enabled(&tenant, &orders, true, "tests").await.unwrap();
    there.poll().await.unwrap();
    assert_eq!(events.try_recv().unwrap(), orders_changed());
    here.destroy_version(&tenant, &orders, 2, "tests").await.unwrap();
    there.poll().await.unwrap();
    assert_eq!(events.try_recv().unwrap(), orders_changed());
    here.set_outage(&tenant, Some("serve-stale=1h".parse().unwrap())).await.unwrap();
    here.announce(Change::Policy(tenant.clone())).await;
    here.announce(Change::Token("t-1".to_owned())).await;
    there.poll().await.unwrap();
    assert_eq!(events.try_recv().unwrap(), Change::Tenant(tenant.clone()));
    assert_eq!(events.try_recv().unwrap(), Change::Policy(tenant.clone()));
    assert_eq!(events.try_recv().unwrap(), Change::Token("t-1".to_owned()));
    assert_eq!(events.try_recv(), Err(TryRecvError::Empty));

    // The other key was left alone all the while, and so were those who changed things.
    let reads = probe.reads("tenants/demo/keys/other");
    there.key(&tenant, &other).await.unwrap();
    assert_eq!(probe.reads("tenants/demo/keys/other"), reads);
    let reads = probe.reads("tenants/demo/keys/orders");
    here.poll().await.unwrap();
    here.key(&tenant, &orders).await.unwrap();
    assert_eq!(probe.reads("tenants/demo/keys/orders"), reads);
    assert_eq!(own.try_recv(), Err(TryRecvError::Empty));
}

#[tokio::test]
async fn a_contract_changed_elsewhere_holds_for_what_is_cached() {
    let (probe, here, there) = pair().await;
    let ttl = Duration::from_mins(15);
    here.set_outage(&tenant(), Some("serve-stale=1h".parse().unwrap())).await.unwrap();
    there.poll().await.unwrap();
    probe.set_down(Some(""));
    advance(&there, ttl);
    warm(&there).await;
    probe.set_down(None);
    here.set_outage(&tenant(), None).await.unwrap();
    there.poll().await.unwrap();
    probe.set_down(Some(""));
    assert!(there.key(&tenant(), &orders()).await.unwrap_err().is_unavailable());
}

#[tokio::test]
async fn a_keyring_that_missed_too_much_drops_everything() {
    let (_, here, there) = pair().await;
    let mut events = there.subscribe();
    for n in 0..256 {
        here.announce(Change::Token(format!("t-{n}"))).await;
    }
    there.poll().await.unwrap();
    assert_eq!(there.cache_statistics().entries, 1);
    for n in 0..256 {
        assert_eq!(events.try_recv().unwrap(), Change::Token(format!("t-{n}")));
    }
    for n in 0..257 {
        here.announce(Change::Token(format!("u-{n}"))).await;
    }
    there.poll().await.unwrap();
    assert_eq!(events.try_recv().unwrap(), Change::Everything);
    assert_eq!(events.try_recv(), Err(TryRecvError::Empty));
    assert_eq!(there.cache_statistics().entries, 0);
    warm(&there).await;
    there.poll().await.unwrap();
    assert_eq!(there.cache_statistics().entries, 1);
}

#[tokio::test]
async fn a_record_that_is_gone_damaged_or_another_drops_everything() {
    let (probe, here, there) = pair().await;
    let mut events = there.subscribe();
    here.announce(Change::Everything).await;
    there.poll().await.unwrap();
    assert_eq!(events.try_recv().unwrap(), Change::Everything);
    let replace = async |value: &[u8]| {
        let record = probe.get(CHANGES).await.unwrap().unwrap();
        probe.replace(CHANGES, value, record.revision).await.unwrap();
    };

    warm(&there).await;
    replace(b"{}").await;
    for _ in 0..2 {
        let error = there.poll().await.unwrap_err();
        assert!(matches!(error, KeyringError::Corrupt { .. }));
    }
    assert_eq!(there.cache_statistics().entries, 0);
    assert_eq!(events.try_recv().unwrap(), Change::Everything);
    assert_eq!(events.try_recv(), Err(TryRecvError::Empty));

    // The next change begins a new record. What was loaded meanwhile may be outdated.
    warm(&there).await;
    here.announce(Change::Token("t".to_owned())).await;
    there.poll().await.unwrap();
    assert_eq!(events.try_recv().unwrap(), Change::Everything);
    assert_eq!(there.cache_statistics().entries, 0);

    warm(&there).await;
    probe.delete(CHANGES).await.unwrap();
    there.poll().await.unwrap();
    there.poll().await.unwrap();
    assert_eq!(events.try_recv().unwrap(), Change::Everything);
    assert_eq!(there.cache_statistics().entries, 0);

    // A new record from its beginning, then one that is older than what was seen.
    warm(&there).await;
    here.announce(Change::Token("t".to_owned())).await;
    let old = probe.get(CHANGES).await.unwrap().unwrap().value;
    here.announce(Change::Token("u".to_owned())).await;
    there.poll().await.unwrap();
    assert_eq!(events.try_recv().unwrap(), Change::Token("t".to_owned()));
    assert_eq!(events.try_recv().unwrap(), Change::Token("u".to_owned()));
    assert_eq!(there.cache_statistics().entries, 1);
    replace(&old).await;
    there.poll().await.unwrap();
    assert_eq!(events.try_recv().unwrap(), Change::Everything);
    assert_eq!(there.cache_statistics().entries, 0);

    // A change of a kind that is not known here.
    warm(&there).await;
    let mut log: serde_json::Value = serde_json::from_slice(&old).unwrap();
    log["generation"] = 2.into();
    log["changes"] = serde_json::json!([{ "token": "t" }, { "weather": "demo" }]);
    replace(log.to_string().as_bytes()).await;
    there.poll().await.unwrap();
    assert_eq!(events.try_recv().unwrap(), Change::Everything);
    assert_eq!(there.cache_statistics().entries, 0);
}

#[tokio::test]
async fn what_was_loaded_before_the_first_poll_may_be_outdated() {
    let (_, here, _) = pair().await;
    let late = shared(here.store().clone());
    warm(&late).await;
    late.poll().await.unwrap();
    assert_eq!(late.cache_statistics().entries, 0);
    warm(&late).await;
    late.poll().await.unwrap();
    assert_eq!(late.cache_statistics().entries, 1);
}

#[tokio::test]
async fn a_change_that_cannot_be_told_is_told_later() {
    let (probe, here, there) = pair().await;
    probe.set_down(Some(CHANGES));
    assert_eq!(here.rotate(&tenant(), &orders(), "tests").await.unwrap(), 2);
    // Nobody waits for the second either.
    here.announce(Change::Token("t".to_owned())).await;
    let error = there.poll().await.unwrap_err();
    assert!(error.is_unavailable());
    assert_eq!(there.key(&tenant(), &orders()).await.unwrap().current_version(), 1);

    let mut events = there.subscribe();
    probe.set_down(None);
    until(async || {
        there.poll().await.unwrap();
        there.key(&tenant(), &orders()).await.unwrap().current_version() == 2
    })
    .await;
    assert_eq!(events.try_recv().unwrap(), orders_changed());
    until(async || {
        there.poll().await.unwrap();
        events.try_recv() == Ok(Change::Token("t".to_owned()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_that_come_together_are_told_together() {
    let (probe, here, there) = pair().await;
    let mut events = there.subscribe();
    let tasks: Vec<_> = (0..200)
        .map(|n| {
            let here = here.clone();
            tokio::spawn(async move { here.announce(Change::Token(n.to_string())).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let writes = probe.writes(CHANGES);
    assert!(writes < 100, "{writes} writes");
    there.poll().await.unwrap();
    let mut told = BTreeSet::new();
    while let Ok(Change::Token(n)) = events.try_recv() {
        assert!(told.insert(n));
    }
    assert_eq!(told.len(), 200);
}

#[tokio::test]
async fn a_keyring_that_shares_nothing_tells_nothing() {
    let (store, ring) = ring().await;
    create(&ring).await.unwrap();
    ring.rotate(&tenant(), &orders(), "tests").await.unwrap();
    ring.announce(Change::Everything).await;
    ring.start_polling(Duration::from_millis(1), std::future::pending());
    ring.poll().await.unwrap();
    assert!(store.get(CHANGES).await.unwrap().is_none());
    assert_eq!(ring.since_last_poll(), None);
    assert_eq!(ring.cache_statistics().entries, 1);
}
