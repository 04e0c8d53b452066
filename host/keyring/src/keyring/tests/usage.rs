//! Counts of use: none lost, none twice, whatever happens to writes.

use std::collections::VecDeque;
use std::sync::Mutex;

use async_trait::async_trait;
use proptest::prelude::*;

use super::probe::Probe;
use super::*;
use crate::store::{Record, StoreError};
use crate::usage::KeyUsage;

const PATH: &str = "tenants/demo/keys/orders/usage";

fn use_version(ring: &Keyring, key: &Key, version: u32, sealed: u64, opened: u64) {
    let meter = ring.meter(key, version);
    for _ in 0..sealed {
        meter.sealed(10);
    }
    for _ in 0..opened {
        meter.opened();
    }
}

fn counts(usage: &KeyUsage, version: u32) -> (u64, u64, u64) {
    let usage = usage.version(version);
    (usage.sealed_messages, usage.sealed_bytes, usage.opened_messages)
}

async fn flush(ring: &Keyring) {
    let flush = ring.flush_usage().await;
    assert!(flush.failures.is_empty(), "{:?}", flush.failures);
}

async fn usage(ring: &Keyring) -> KeyUsage {
    ring.usage(&tenant(), &orders()).await.unwrap()
}

#[tokio::test]
async fn many_uses_are_one_write_and_outlive_the_process() {
    let (below, ring) = ring().await;
    create(&ring).await.unwrap();
    let probe = Arc::new(Probe::over(&below));
    let ring = over(probe.clone());
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    let before = crate::record::now_ms();
    use_version(&ring, &key, 1, 1000, 0);
    use_version(&ring, &key, 1, 0, 3);
    assert_eq!(counts(&usage(&ring).await, 1), (1000, 10_000, 3), "before any flush");
    assert_eq!(ring.usage_statistics().unflushed_messages, 1003);
    flush(&ring).await;
    flush(&ring).await;
    assert_eq!(probe.writes(PATH), 1, "nothing new is nothing to write");
    let statistics = ring.usage_statistics();
    assert_eq!((statistics.flushes, statistics.unflushed_messages), (1, 0));

    let other = over(below.clone());
    let read = usage(&other).await;
    assert_eq!(read, usage(&ring).await);
    assert_eq!(counts(&read, 1), (1000, 10_000, 3));
    let span = read.version(1).sealed.unwrap();
    assert!(before <= span.first && span.first <= span.last, "{span:?}");
    let key = other.key(&tenant(), &orders()).await.unwrap();
    let last = read.last_opened(1).unwrap();
    assert!(last >= before && read.is_in_use(1, before));
    assert_eq!(read.last_opened(2), None);
    use_version(&other, &key, 1, 5, 0);
    flush(&other).await;
    assert_eq!(counts(&usage(&ring).await, 1), (1005, 10_050, 3));
}

#[tokio::test]
async fn while_the_store_is_away_counting_goes_on() {
    let (below, first) = ring().await;
    create(&first).await.unwrap();
    let probe = Arc::new(Probe::over(&below));
    let ring = over(probe.clone());
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    probe.set_down(Some(""));
    for round in 1..=3 {
        use_version(&ring, &key, 1, 7, 0);
        let flush = ring.flush_usage().await;
        assert!(flush.keys.is_empty() && flush.failures[0].2.is_unavailable());
        assert_eq!(ring.usage_statistics().failures, round);
    }
    assert_eq!(ring.usage_statistics().unflushed_messages, 21);
    // The cache lets go of the key: what it counted is kept.
    ring.clear_cache().await;
    drop(key);
    probe.set_down(None);
    flush(&ring).await;
    assert_eq!(counts(&usage(&over(below)).await, 1), (21, 210, 0));
}

#[tokio::test]
async fn a_new_key_of_the_name_begins_at_zero() {
    let (store, ring) = ring().await;
    let old = create(&ring).await.unwrap();
    let late = over(store.clone());
    let seen = late.key(&tenant(), &orders()).await.unwrap();
    use_version(&ring, &old, 1, 4, 4);
    flush(&ring).await;
    assert!(store.get(PATH).await.unwrap().is_some());
    use_version(&ring, &old, 1, 4, 4);
    use_version(&late, &seen, 1, 9, 9);
    ring.destroy_key(&tenant(), &orders(), "tests").await.unwrap();
    assert!(store.get(PATH).await.unwrap().is_none());
    // Neither host brings it back.
    for host in [&ring, &late] {
        flush(host).await;
        assert!(store.get(PATH).await.unwrap().is_none());
        assert_eq!(host.usage_statistics().unflushed_messages, 0);
    }
    let new = create(&ring).await.unwrap();
    assert!(usage(&ring).await.is_empty());
    // One that was left by a host that died at the wrong moment counts for nothing.
    let mut left = crate::usage::UsageRecord::new(old.id());
    left.apply("gone", 1, &KeyUsage::default(), 1);
    store.create(PATH, &left.encode(PATH).unwrap()).await.unwrap();
    let meter = ring.meter(&new, new.current_version());
    meter.sealed(10);
    use_version(&late, &seen, 1, 9, 9);
    for host in [&ring, &late] {
        flush(host).await;
    }
    let usage = usage(&ring).await;
    assert_eq!(counts(&usage, new.current_version()), (1, 10, 0));
    assert_eq!(counts(&usage, 1), (0, 0, 0));
}

/// What happens to the next write of a record of use.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// It is not done.
    Before,
    /// It is done, and nobody hears of it.
    After,
}

/// A store that does so to its writes, in turn, and then works.
struct Faulty {
    below: Arc<MemoryStore>,
    faults: Mutex<VecDeque<Fault>>,
}

impl Faulty {
    async fn write(
        &self,
        path: &str,
        write: impl Future<Output = Result<u64, StoreError>>,
    ) -> Result<u64, StoreError> {
        let next = || self.faults.lock().unwrap().pop_front();
        let fault = if path == PATH { next().unwrap_or(Fault::None) } else { Fault::None };
        let lost = || StoreError::Unavailable { reason: "lost".to_owned() };
        match fault {
            Fault::None => write.await,
            Fault::Before => Err(lost()),
            Fault::After => write.await.and(Err(lost())),
        }
    }
}

#[async_trait]
impl Store for Faulty {
    async fn get(&self, path: &str) -> Result<Option<Record>, StoreError> {
        self.below.get(path).await
    }

    async fn create(&self, path: &str, value: &[u8]) -> Result<u64, StoreError> {
        self.write(path, self.below.create(path, value)).await
    }

    async fn replace(&self, path: &str, value: &[u8], expected: u64) -> Result<u64, StoreError> {
        self.write(path, self.below.replace(path, value, expected)).await
    }

    async fn delete(&self, path: &str) -> Result<(), StoreError> {
        self.below.delete(path).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<String>, StoreError> {
        self.below.list(prefix).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Action {
    Use {
        host: usize,
        version: u32,
        sealed: u64,
        opened: u64,
    },
    Flush(usize),
    /// All at once.
    FlushAll,
    ClearCache(usize),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        4 => (0_usize..3, 1_u32..3, 0_u64..5, 0_u64..5)
            .prop_map(|(host, version, sealed, opened)| Action::Use { host, version, sealed, opened }),
        3 => (0_usize..3).prop_map(Action::Flush),
        1 => Just(Action::FlushAll),
        1 => (0_usize..3).prop_map(Action::ClearCache),
    ]
}

fn fault() -> impl Strategy<Value = Fault> {
    prop_oneof![2 => Just(Fault::None), 1 => Just(Fault::Before), 1 => Just(Fault::After)]
}

async fn agrees_with_the_model(actions: Vec<Action>, faults: Vec<Vec<Fault>>) {
    let (below, first) = ring().await;
    create(&first).await.unwrap();
    first.rotate(&tenant(), &orders(), "tests").await.unwrap();
    let hosts: Vec<Keyring> = faults
        .into_iter()
        .map(|faults| {
            let faults = Mutex::new(faults.into());
            over(Arc::new(Faulty { below: below.clone(), faults }))
        })
        .collect();
    // By version, for each host: sealed and opened.
    let mut model = [[(0, 0); 3]; 2];
    for action in actions {
        match action {
            Action::Use { host, version, sealed, opened } => {
                let key = hosts[host].key(&tenant(), &orders()).await.unwrap();
                use_version(&hosts[host], &key, version, sealed, opened);
                let counted = &mut model[version as usize - 1][host];
                *counted = (counted.0 + sealed, counted.1 + opened);
            }
            Action::Flush(host) => {
                hosts[host].flush_usage().await;
            }
            Action::FlushAll => {
                futures_util::future::join_all(hosts.iter().map(Keyring::flush_usage)).await;
            }
            Action::ClearCache(host) => {
                hosts[host].clear_cache().await;
            }
        }
        // Each host knows at least its own, and no host more than there is.
        for (host, ring) in hosts.iter().enumerate() {
            let seen = usage(ring).await;
            for version in 1..=2 {
                let by_host = &model[version as usize - 1];
                let (sealed, bytes, opened) = counts(&seen, version);
                let all: (u64, u64) =
                    by_host.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
                assert!(by_host[host].0 <= sealed && sealed <= all.0, "{sealed} {by_host:?}");
                assert!(by_host[host].1 <= opened && opened <= all.1, "{opened} {by_host:?}");
                assert_eq!(bytes, sealed * 10);
            }
        }
    }
    for ring in &hosts {
        // Each call spends a fault at most.
        for _ in 0..40 {
            ring.flush_usage().await;
        }
        assert_eq!(ring.usage_statistics().unflushed_messages, 0);
    }
    let stored = usage(&over(below)).await;
    for version in 1..=2 {
        let by_host = &model[version as usize - 1];
        let sealed: u64 = by_host.iter().map(|one| one.0).sum();
        let opened = by_host.iter().map(|one| one.1).sum();
        assert_eq!(counts(&stored, version), (sealed, sealed * 10, opened), "{version}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn hosts_that_flush_into_one_record_lose_and_double_nothing(
        actions in prop::collection::vec(action(), 1..30),
        faults in prop::collection::vec(prop::collection::vec(fault(), 0..12), 3),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(agrees_with_the_model(actions, faults));
    }
}
