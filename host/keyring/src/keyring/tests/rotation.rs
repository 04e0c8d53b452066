//! Rotation by schedule and by budget.

use std::collections::BTreeSet;

use super::probe::Probe;
use super::*;
use crate::record::now_ms;
use crate::rotation::{Rotation, RotationCause};
use crate::usage::{KeyUsage, Span, UsageRecord, VersionUsage};

const DAY: u64 = 86_400_000;

fn daily() -> Rotation {
    Rotation::new(Some(Duration::from_hours(24)), None, None).unwrap()
}

fn messages(max: u64) -> Rotation {
    Rotation::new(None, Some(max), None).unwrap()
}

async fn create_with(ring: &Keyring, algorithm: Algorithm, rotation: Option<Rotation>) -> Arc<Key> {
    let (tenant, name) = (tenant(), orders());
    let new = NewKey { algorithm, rotation, ..NewKey::default() };
    ring.create_key_as(&tenant, &name, new, "tests").await.unwrap()
}

/// Makes the key so much older in the store.
async fn age(store: &MemoryStore, by: u64) {
    let path = "tenants/demo/keys/orders";
    let record = store.get(path).await.unwrap().unwrap();
    let mut value: serde_json::Value = serde_json::from_slice(&record.value).unwrap();
    for info in value["versions"].as_array_mut().unwrap() {
        info["created_at"] = (info["created_at"].as_u64().unwrap() - by).into();
    }
    store.replace(path, value.to_string().as_bytes(), record.revision).await.unwrap();
}

/// Writes that version 1 was used so often.
async fn used(store: &MemoryStore, key: &Key, sealed_messages: u64, sealed_bytes: u64) {
    let path = "tenants/demo/keys/orders/usage";
    let mut usage = KeyUsage::default();
    let sealed = Some(Span { first: 1, last: 2 });
    usage.add(1, &VersionUsage { sealed_messages, sealed_bytes, sealed, ..Default::default() });
    let mut record = UsageRecord::new(key.id());
    record.apply("somebody", 1, &usage, 1);
    store.delete(path).await.unwrap();
    store.create(path, &record.encode(path).unwrap()).await.unwrap();
}

/// The versions and causes of what is rotated now.
async fn rotate_due(ring: &Keyring) -> Vec<(u32, RotationCause)> {
    let done = ring.rotate_due(now_ms()).await.unwrap();
    assert!(done.failures.is_empty(), "{:?}", done.failures);
    done.rotated.iter().map(|rotated| (rotated.version, rotated.cause)).collect()
}

#[tokio::test]
async fn what_was_missed_many_times_is_rotated_once() {
    let (store, ring) = ring().await;
    create_with(&ring, Algorithm::default(), Some(daily())).await;
    assert_eq!(rotate_due(&ring).await, []);
    age(&store, DAY - 60_000).await;
    assert_eq!(rotate_due(&ring).await, []);
    age(&store, 100 * DAY).await;
    assert_eq!(rotate_due(&ring).await, [(2, RotationCause::Schedule)]);
    assert_eq!(rotate_due(&ring).await, []);
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    assert_eq!((key.current_version(), key.rotation()), (2, Some(&daily())));
    let made = key.version_info(2).unwrap();
    assert_eq!(made.created_by.as_deref(), Some("keyward:rotation"));
    assert_eq!(made.description, "rotated by schedule, every 1d");
}

#[tokio::test]
async fn after_a_roll_back_the_schedule_goes_on_where_it_was() {
    let (store, ring) = ring().await;
    create_with(&ring, Algorithm::default(), Some(daily())).await;
    age(&store, 2 * DAY).await;
    let ring = over(store.clone());
    ring.rotate(&tenant(), &orders(), "tests").await.unwrap();
    ring.rollback(&tenant(), &orders(), 1, "tests").await.unwrap();
    assert_eq!(rotate_due(&ring).await, []);
    age(&store, 2 * DAY).await;
    assert_eq!(rotate_due(&ring).await, [(3, RotationCause::Schedule)]);
}

#[tokio::test]
async fn what_may_not_be_used_is_not_rotated() {
    let (store, ring) = ring().await;
    let key = create_with(&ring, Algorithm::Aes256Gcm, Some(daily())).await;
    age(&store, 2 * DAY).await;
    used(&store, &key, u64::MAX, 0).await;
    let ring = over(store.clone());
    ring.set_enabled(&tenant(), &orders(), false, "tests").await.unwrap();
    assert_eq!(rotate_due(&ring).await, []);
    ring.delete_key(&tenant(), &orders(), "tests", Duration::from_mins(1)).await.unwrap();
    assert_eq!(rotate_due(&ring).await, []);
    let refused = ring.set_rotation(&tenant(), &orders(), None, "tests").await.unwrap_err();
    assert_eq!(refused.code(), "key-deleted");
    ring.restore_key(&tenant(), &orders(), "tests").await.unwrap();
    ring.set_enabled(&tenant(), &orders(), true, "tests").await.unwrap();
    assert_eq!(rotate_due(&ring).await, [(2, RotationCause::Schedule)]);
    ring.destroy_key(&tenant(), &orders(), "tests").await.unwrap();
    assert_eq!(rotate_due(&ring).await, []);
}

#[tokio::test]
async fn a_version_that_is_used_up_is_rotated_at_the_flush() {
    let (store, ring) = ring().await;
    let key = create_with(&ring, Algorithm::default(), Some(messages(1_000))).await;
    let other = over(store.clone());
    let seen = other.key(&tenant(), &orders()).await.unwrap();
    let use_up = async |ring: &Keyring, key: &Key, count: u64| {
        let meter = ring.meter(key, key.current_version());
        (0..count).for_each(|_| meter.sealed(1));
        let flush = ring.flush_usage().await;
        let done = ring.rotate_used_up(flush.keys).await;
        assert!(done.failures.is_empty());
        done.rotated.iter().map(|rotated| (rotated.version, rotated.cause)).collect::<Vec<_>>()
    };
    // The hosts' messages count together.
    assert_eq!(use_up(&ring, &key, 600).await, []);
    assert_eq!(use_up(&other, &seen, 399).await, []);
    assert_eq!(use_up(&ring, &key, 1).await, [(2, RotationCause::Messages)]);
    // What is late counts for the old version, and rotates nothing.
    assert_eq!(use_up(&other, &seen, 5000).await, []);
    let usage = ring.usage(&tenant(), &orders()).await.unwrap();
    assert_eq!(usage.version(1).sealed_messages, 6000);
    let key = ring.key(&tenant(), &orders()).await.unwrap();
    assert_eq!(key.version_info(2).unwrap().description, "rotated after 1000 messages");
    assert_eq!(use_up(&ring, &key, 999).await, []);
    assert_eq!(rotate_due(&ring).await, []);

    let bytes = Rotation::new(None, None, Some(1 << 20)).unwrap();
    ring.set_rotation(&tenant(), &orders(), Some(bytes), "tests").await.unwrap();
    ring.meter(&key, 2).sealed((1 << 20) - 1000);
    assert_eq!(use_up(&ring, &key, 0).await, []);
    assert_eq!(use_up(&ring, &key, 1).await, [(3, RotationCause::Bytes)]);
}

#[tokio::test]
async fn the_share_of_a_budget_that_is_spent_is_told() {
    let (_, ring) = ring().await;
    let both = Rotation::new(None, Some(1_000), Some(1 << 20)).unwrap();
    let key = create_with(&ring, Algorithm::default(), Some(both)).await;
    let spent = async |messages: u64, bytes: usize| {
        let meter = ring.meter(&key, 1);
        (0..messages).for_each(|_| meter.sealed(bytes));
        ring.rotate_used_up(ring.flush_usage().await.keys).await.budget_spent
    };
    assert_eq!(spent(0, 0).await, None);
    assert_eq!(spent(250, 0).await, Some(0.25));
    // Of messages and bytes, what is nearer to its end.
    assert_eq!(spent(1, 1 << 19).await, Some(0.5));
    // A version that was followed by another is out of the way.
    assert_eq!(spent(1, 1 << 19).await, None);

    ring.set_rotation(&tenant(), &orders(), Some(daily()), "tests").await.unwrap();
    ring.meter(&key, 1).sealed(1);
    let without = ring.rotate_used_up(ring.flush_usage().await.keys).await;
    assert_eq!(without.budget_spent, None);
}

#[tokio::test]
async fn random_nonces_of_96_bits_are_never_used_up() {
    let (store, ring) = ring().await;
    let key = create_with(&ring, Algorithm::Aes256Gcm, None).await;
    used(&store, &key, (1 << 31) - 1, 1 << 50).await;
    assert_eq!(rotate_due(&ring).await, []);
    used(&store, &key, 1 << 31, 1 << 50).await;
    // A policy without a budget does not take the one there is by default away.
    ring.set_rotation(&tenant(), &orders(), Some(daily()), "tests").await.unwrap();
    let more = ring.set_rotation(&tenant(), &orders(), Some(messages(1 << 32)), "tests").await;
    assert!(matches!(more, Err(KeyringError::InvalidName { field: "max_messages", .. })));
    assert_eq!(rotate_due(&ring).await, [(2, RotationCause::Messages)]);
}

#[tokio::test]
async fn a_policy_is_kept_changed_and_removed() {
    let (store, ring) = ring().await;
    let all = Rotation::new(Some(Duration::from_millis(1001)), Some(5_000), Some(1 << 30)).unwrap();
    let key = create_with(&ring, Algorithm::default(), Some(all)).await;
    assert_eq!(key.rotation(), Some(&all));
    assert_eq!(over(store.clone()).key(&tenant(), &orders()).await.unwrap().rotation(), Some(&all));
    ring.set_rotation(&tenant(), &orders(), Some(daily()), "tests").await.unwrap();
    ring.rotate(&tenant(), &orders(), "tests").await.unwrap();
    assert_eq!(
        over(store.clone()).key(&tenant(), &orders()).await.unwrap().rotation(),
        Some(&daily())
    );
    let key = ring.set_rotation(&tenant(), &orders(), None, "tests").await.unwrap();
    assert_eq!(key.rotation(), None);
    age(&store, 100 * DAY).await;
    assert_eq!(rotate_due(&over(store)).await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_that_find_a_key_due_at_once_rotate_it_once() {
    let mut races = 0;
    for _ in 0..50 {
        let (store, first) = ring().await;
        create_with(&first, Algorithm::default(), Some(daily())).await;
        age(&store, 2 * DAY).await;
        let hosts: Vec<Keyring> = (0..4).map(|_| over(Arc::new(Probe::over(&store)))).collect();
        let tasks: Vec<_> = hosts
            .into_iter()
            .map(|host| {
                tokio::spawn(async move {
                    let (first, again) = (rotate_due(&host).await, rotate_due(&host).await);
                    [first, again].concat()
                })
            })
            .collect();
        let mut rotated = Vec::new();
        for task in tasks {
            rotated.extend(task.await.unwrap().iter().map(|(version, _)| *version));
        }
        let key = over(store.clone()).key(&tenant(), &orders()).await.unwrap();
        assert_eq!(rotated, [key.current_version()]);
        let listed: BTreeSet<u32> = key.versions().iter().map(|info| info.version).collect();
        assert_eq!(listed, BTreeSet::from([1, key.current_version()]));
        let material = store.list("tenants/demo/keys/orders/versions").await.unwrap();
        races += usize::from(material.len() > 2);
        // A later rotation steps over what the others left.
        first.rotate(&tenant(), &orders(), "tests").await.unwrap();
    }
    assert!(races > 0, "no two hosts met");
}
