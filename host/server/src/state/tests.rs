use keyward_keyring::store::memory::MemoryStore;

use super::*;

fn states(bytes: usize) -> (Arc<dyn Store>, Arc<States>) {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    (Arc::clone(&store), Arc::new(States::new(store, bytes)))
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let (_, states) = states(1 << 20);
    states.put("acme", "seat", b"1", None, None).await.unwrap();
    assert_eq!(states.get("other", "seat").await, Ok(None));
    assert_eq!(states.get("acme", "seat").await.unwrap().unwrap().value, b"1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_addition_is_lost_between_hosts() {
    let (store, here) = states(1 << 20);
    let there = Arc::new(States::new(store, 1 << 20));
    let adding: Vec<_> = (0..40)
        .map(|turn| {
            let states = Arc::clone(if turn % 2 == 0 { &here } else { &there });
            tokio::spawn(async move { states.add("acme", "count", 1, None).await })
        })
        .collect();
    let mut sums = Vec::new();
    for task in adding {
        sums.push(task.await.unwrap().unwrap());
    }
    sums.sort_unstable();
    assert_eq!(sums, (1..=40).collect::<Vec<i64>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_that_put_the_same_entry_one_is_first() {
    let (_, states) = states(1 << 20);
    let putting: Vec<_> = (0..20_u8)
        .map(|who| {
            let states = Arc::clone(&states);
            tokio::spawn(async move { states.put("acme", "lease", &[who], None, Some(0)).await })
        })
        .collect();
    let mut won = 0;
    for task in putting {
        match task.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, HostError::Conflict(_)), "{error}"),
        }
    }
    assert_eq!(won, 1);
}

#[tokio::test]
async fn a_tenant_that_fills_its_share_is_refused_and_can_make_room() {
    let (store, states) = states(64 << 10);
    let value = vec![7; 1_024];
    let mut kept = Vec::new();
    let refused = loop {
        let name = format!("entry {}", kept.len());
        match states.put("acme", &name, &value, None, None).await {
            Ok(_) => kept.push(name),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, HostError::Denied(_)), "{refused}");
    let mut bytes = 0;
    for bucket in store.list("tenants/acme/state").await.unwrap() {
        bytes +=
            store.get(&format!("tenants/acme/state/{bucket}")).await.unwrap().unwrap().value.len();
    }
    assert!(bytes <= 64 << 10, "{bytes}");
    // Others are not concerned, and what is there is read and removed as before.
    states.put("other", "entry", &value, None, None).await.unwrap();
    let full = format!("entry {}", kept.len());
    let same_record = kept.iter().find(|name| place("acme", name) == place("acme", &full)).unwrap();
    states.remove("acme", same_record, None).await.unwrap();
    states.put("acme", &full, &value, None, None).await.unwrap();
}

#[tokio::test]
async fn damaged_records_are_no_empty_ones() {
    let (store, states) = states(1 << 20);
    states.put("acme", "seat", b"1", None, None).await.unwrap();
    let (path, _) = place("acme", "seat");
    let revision = store.get(&path).await.unwrap().unwrap().revision;
    store.replace(&path, b"{", revision).await.unwrap();
    for error in [
        states.get("acme", "seat").await.err(),
        states.put("acme", "seat", b"2", None, None).await.err(),
        states.add("acme", "seat", 1, None).await.err(),
        states.remove("acme", "seat", None).await.err(),
    ] {
        assert!(matches!(error, Some(HostError::Unavailable(_))), "{error:?}");
    }
}
