//! What every store must do. A store's tests call [`check`] with an instance of it.
//!
//! The suite panics, as tests do, at the first thing that is not as it must be.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc)]

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{MAX_PATH, Store, StoreError};

/// Runs the whole suite below the folder `root`, which must be empty and is left empty. Call it
/// in a multi-threaded runtime, so that concurrent calls run in parallel.
pub async fn check(store: Arc<dyn Store>, root: &str) {
    store.ping().await.unwrap();
    assert!(store.list(root).await.unwrap().is_empty(), "{root} must be empty");
    absence(&*store, &format!("{root}/absence")).await;
    write_once(&*store, &format!("{root}/once")).await;
    compare_and_set(&*store, &format!("{root}/cas")).await;
    deletion(&*store, &format!("{root}/delete")).await;
    listing(&*store, &format!("{root}/list")).await;
    values(&*store, &format!("{root}/values")).await;
    odd_paths(&*store, &format!("{root}/paths")).await;
    one_creator(&store, &format!("{root}/creators")).await;
    no_lost_update(&store, &format!("{root}/updates")).await;
    assert!(store.list(root).await.unwrap().is_empty(), "the suite left records behind");
}

async fn value(store: &dyn Store, path: &str) -> Option<Vec<u8>> {
    store.get(path).await.unwrap().map(|record| record.value.to_vec())
}

async fn absence(store: &dyn Store, path: &str) {
    assert!(store.get(path).await.unwrap().is_none());
    assert!(store.list(path).await.unwrap().is_empty());
    store.delete(path).await.unwrap();
    let refused = store.replace(path, b"x", 0).await;
    assert!(matches!(refused, Err(StoreError::RevisionMismatch { .. })));
    let refused = store.replace(path, b"x", 1).await;
    assert!(matches!(refused, Err(StoreError::RevisionMismatch { .. })));
    assert!(store.get(path).await.unwrap().is_none());
}

async fn write_once(store: &dyn Store, path: &str) {
    let revision = store.create(path, b"first").await.unwrap();
    let refused = store.create(path, b"second").await;
    assert!(matches!(refused, Err(StoreError::Exists { .. })));
    let record = store.get(path).await.unwrap().unwrap();
    assert_eq!(record.value.as_slice(), b"first");
    assert_eq!(record.revision, revision);
    store.delete(path).await.unwrap();
}

async fn compare_and_set(store: &dyn Store, path: &str) {
    let first = store.create(path, b"1").await.unwrap();
    let second = store.replace(path, b"2", first).await.unwrap();
    assert!(second > first);
    for outdated in [0, first, second + 1, u64::MAX] {
        let refused = store.replace(path, b"3", outdated).await;
        assert!(matches!(refused, Err(StoreError::RevisionMismatch { .. })), "{outdated}");
    }
    let record = store.get(path).await.unwrap().unwrap();
    assert_eq!((record.value.as_slice(), record.revision), (b"2".as_slice(), second));
    let third = store.replace(path, b"3", second).await.unwrap();
    assert!(third > second);
    store.delete(path).await.unwrap();
}

async fn deletion(store: &dyn Store, path: &str) {
    let below = format!("{path}/below");
    store.create(path, b"old").await.unwrap();
    store.create(&below, b"stays").await.unwrap();
    store.delete(path).await.unwrap();
    assert!(store.get(path).await.unwrap().is_none());
    assert_eq!(value(store, &below).await.as_deref(), Some(b"stays".as_slice()));
    store.delete(path).await.unwrap();
    store.create(path, b"new").await.unwrap();
    assert_eq!(value(store, path).await.as_deref(), Some(b"new".as_slice()));
    store.delete(path).await.unwrap();
    store.delete(&below).await.unwrap();
}

async fn listing(store: &dyn Store, root: &str) {
    let records =
        ["a", "a/x", "a/x/deep", "a-b", "a.c", "a0", "b/only/below", "ab", "z", "A", "a/y"];
    for record in records {
        store.create(&format!("{root}/{record}"), b"v").await.unwrap();
    }
    store.create(&format!("{root}-next"), b"v").await.unwrap();
    let list = async |prefix: &str| store.list(&format!("{root}{prefix}")).await.unwrap();
    assert_eq!(list("").await, ["A", "a", "a-b", "a.c", "a/", "a0", "ab", "b/", "z"]);
    assert_eq!(list("/").await, list("").await);
    assert_eq!(list("/a").await, ["x", "x/", "y"]);
    assert_eq!(list("/a/x").await, ["deep"]);
    assert_eq!(list("/b").await, ["only/"]);
    assert!(list("/z").await.is_empty());
    assert!(list("/nothing").await.is_empty());
    for record in records {
        store.delete(&format!("{root}/{record}")).await.unwrap();
    }
    store.delete(&format!("{root}-next")).await.unwrap();
    assert!(list("").await.is_empty());
}

async fn values(store: &dyn Store, path: &str) {
    let every_byte: Vec<u8> = (0..=255).collect();
    for value in [Vec::new(), vec![0], every_byte, vec![0xA5; 300_000]] {
        let revision = store.create(path, &value).await.unwrap();
        let record = store.get(path).await.unwrap().unwrap();
        assert!(*record.value == value, "a value of {} bytes changed", value.len());
        assert_eq!(record.revision, revision);
        store.delete(path).await.unwrap();
    }
}

async fn odd_paths(store: &dyn Store, root: &str) {
    let long = "x".repeat(MAX_PATH - root.len() - 1);
    for good in ["...", "-", "_", "0", "versions", "data", "metadata", "a/b/c/d/e/f", &long] {
        let path = format!("{root}/{good}");
        store.create(&path, good.as_bytes()).await.unwrap();
        assert_eq!(value(store, &path).await.as_deref(), Some(good.as_bytes()));
        store.delete(&path).await.unwrap();
    }
    // Case matters.
    store.create(&format!("{root}/case"), b"lower").await.unwrap();
    store.create(&format!("{root}/CASE"), b"upper").await.unwrap();
    assert_eq!(value(store, &format!("{root}/case")).await.unwrap(), b"lower");
    store.delete(&format!("{root}/case")).await.unwrap();
    store.delete(&format!("{root}/CASE")).await.unwrap();

    let too_long = "x".repeat(MAX_PATH + 1);
    let bad = [
        "", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "a b", "a%2fb", "a\0b", "é", "a?b", "a#b",
    ];
    for path in bad.into_iter().chain([too_long.as_str()]) {
        let invalid = |result: Option<StoreError>| {
            assert!(matches!(result, Some(StoreError::InvalidPath { .. })), "{path:?}");
        };
        invalid(store.get(path).await.err());
        invalid(store.create(path, b"v").await.err());
        invalid(store.replace(path, b"v", 1).await.err());
        invalid(store.delete(path).await.err());
    }
    for prefix in ["/", "a//", "../", ".", "a b"] {
        let result = store.list(prefix).await;
        assert!(matches!(result, Err(StoreError::InvalidPath { .. })), "{prefix:?}");
    }
}

/// Of many that create one path at once, exactly one succeeds, and its value is the one found.
async fn one_creator(store: &Arc<dyn Store>, root: &str) {
    for round in 0..5 {
        let path = format!("{root}/{round}");
        let tasks: Vec<_> = (0..16_u8)
            .map(|n| {
                let (store, path) = (store.clone(), path.clone());
                tokio::spawn(async move { (n, store.create(&path, &[n]).await) })
            })
            .collect();
        let mut winners = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                (n, Ok(_)) => winners.push(n),
                (_, Err(error)) => assert!(matches!(error, StoreError::Exists { .. })),
            }
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(value(&**store, &path).await, Some(winners));
        store.delete(&path).await.unwrap();
    }
}

/// Many that each add their number to one record by compare-and-set lose none.
async fn no_lost_update(store: &Arc<dyn Store>, path: &str) {
    const WRITERS: u8 = 8;
    const EACH: u8 = 6;
    store.create(path, b"").await.unwrap();
    let tasks: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, path) = (store.clone(), path.to_owned());
            tokio::spawn(async move {
                for n in 0..EACH {
                    loop {
                        let record = store.get(&path).await.unwrap().unwrap();
                        let mut value = record.value.to_vec();
                        value.push(writer * EACH + n);
                        match store.replace(&path, &value, record.revision).await {
                            Ok(revision) => {
                                assert!(revision > record.revision);
                                break;
                            }
                            Err(error) => {
                                assert!(matches!(error, StoreError::RevisionMismatch { .. }));
                            }
                        }
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let all = value(&**store, path).await.unwrap();
    assert_eq!(all.len(), usize::from(WRITERS * EACH));
    let distinct: BTreeSet<u8> = all.into_iter().collect();
    assert_eq!(distinct.len(), usize::from(WRITERS * EACH));
    store.delete(path).await.unwrap();
}
