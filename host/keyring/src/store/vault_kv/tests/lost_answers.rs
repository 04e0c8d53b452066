//! Writes whose answers do not arrive, and what a client makes of it that tries again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use keyward_crypto::Algorithm;
use keyward_test_vault::{Fault, Proxy, Rule};

use super::*;
use crate::store::{Store, StoreError};
use crate::{CacheConfig, KeyName, Keyring, TenantName};

/// A Vault, a store that reaches it through a proxy, and one that does not.
fn through_a_proxy() -> (Server, Client, Proxy, VaultStore, VaultStore) {
    let (server, root) = server();
    let proxy = Proxy::start(&server.address);
    let through = over(config(&proxy.address, &server.root_token, PREFIX));
    let direct = store(&server, PREFIX);
    (server, root, proxy, through, direct)
}

fn lose(writes: u64) -> Vec<Rule> {
    [Fault::LoseAnswer, Fault::ResetAnswer, Fault::Truncate]
        .map(|fault| Rule::new(fault).method("POST").times(writes))
        .to_vec()
}

async fn value(store: &VaultStore, path: &str) -> Option<Vec<u8>> {
    store.get(path).await.unwrap().map(|record| record.value.to_vec())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_was_done_is_known_to_be_done() {
    let (_server, root, proxy, through, direct) = through_a_proxy();
    let before = proxy.requests();
    proxy.rules(lose(1));
    assert_eq!(through.create("a", b"1").await.unwrap(), 1);
    assert!(proxy.requests() >= before + 5, "no answer was lost");
    proxy.rules(lose(1));
    assert_eq!(through.replace("a", b"2", 1).await.unwrap(), 2);
    assert_eq!(value(&direct, "a").await.unwrap(), b"2");
    assert_eq!(revisions(&root, "a").len(), 2);
    proxy.rules(vec![Rule::new(Fault::LoseAnswer).times(2)]);
    through.delete("a").await.unwrap();
    assert!(direct.get("a").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_wrote_is_not_taken_for_ones_own() {
    let (_server, root, proxy, through, direct) = through_a_proxy();
    direct.create("a", b"same").await.unwrap();
    proxy.rules(lose(1));
    assert!(matches!(through.create("a", b"same").await, Err(StoreError::Exists { .. })));
    let revision = direct.replace("a", b"same again", 1).await.unwrap();
    proxy.rules(lose(1));
    let refused = through.replace("a", b"same again", 1).await;
    assert!(
        matches!(refused, Err(StoreError::RevisionMismatch { found, .. }) if found == Some(revision))
    );
    assert_eq!(revisions(&root, "a").len(), 2);
}

/// Loses the answer to a replacement and lets another writer in before it is tried again.
async fn overtaken(
    proxy: &Proxy,
    through: VaultStore,
    direct: &VaultStore,
) -> Result<u64, StoreError> {
    direct.create("a", b"1").await.unwrap();
    proxy.rules(vec![
        Rule::new(Fault::LoseAnswer).method("POST").times(1),
        Rule::new(Fault::Delay(Duration::from_millis(800))).method("POST").times(1),
    ]);
    let writing = tokio::spawn(async move { through.replace("a", b"2", 1).await });
    while value(direct, "a").await.unwrap() != b"2" {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(direct.replace("a", b"3", 2).await.unwrap(), 3);
    writing.await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_was_overtaken_is_still_known_to_be_done() {
    let (_server, _root, proxy, through, direct) = through_a_proxy();
    assert_eq!(overtaken(&proxy, through, &direct).await.unwrap(), 2);
    assert_eq!(value(&direct, "a").await.unwrap(), b"3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_it_cannot_be_told_nothing_is_claimed() {
    let (_server, root, proxy, through, direct) = through_a_proxy();
    root.post("secret/config", &json!({"max_versions": 1})).ok();
    let error = overtaken(&proxy, through, &direct).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert_eq!(value(&direct, "a").await.unwrap(), b"3");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_come_too_late() {
    let (server, root) = server();
    let proxy = Proxy::start(&server.address);
    let slow = VaultConfig {
        timeout: Duration::from_secs(2),
        ..config(&proxy.address, &server.root_token, PREFIX)
    };
    let store = over(slow);
    store.create("warm", b"").await.unwrap();
    proxy.rules(vec![Rule::new(Fault::DelayAnswer(Duration::from_mins(1))).method("POST")]);
    let error = store.create("a", b"1").await.unwrap_err();
    assert_eq!(error.code(), "vault-timeout");
    assert!(error.is_unavailable());
    assert_eq!(revisions(&root, "a").len(), 1, "the test is of no use");
    proxy.set(Fault::None);
    assert!(matches!(store.create("a", b"2").await, Err(StoreError::Exists { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotations_survive_a_network_that_loses_every_fifth_answer() {
    let (server, root, proxy, through, direct) = through_a_proxy();
    let rings = [&through, &direct]
        .map(|store| Keyring::new(Arc::new(store.clone()), CacheConfig::default()));
    let tenant: TenantName = "demo".parse().unwrap();
    let name: KeyName = "orders".parse().unwrap();
    rings[0].create_tenant(&tenant).await.unwrap();
    rings[0].create_key(&tenant, &name, Algorithm::default(), BTreeMap::new(), "op").await.unwrap();
    proxy.rules(vec![Rule::new(Fault::LoseAnswer).share(0.2)]);
    let tasks: Vec<_> = (0..40)
        .map(|n| {
            let (ring, tenant, name) = (rings[n % 2].clone(), tenant.clone(), name.clone());
            tokio::spawn(async move { ring.rotate(&tenant, &name, "op").await })
        })
        .collect();
    let mut given = BTreeSet::new();
    let mut failed = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(version) => assert!(given.insert(version), "{version} was given twice"),
            // All tries lost: the caller is told that it may not have been done.
            Err(error) if error.is_unavailable() => failed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    proxy.set(Fault::None);
    println!("{} rotations acknowledged, {failed} not", given.len());
    assert!(failed < 10, "{failed} rotations failed");
    let ring = Keyring::new(Arc::new(direct), CacheConfig::default());
    let key = ring.key(&tenant, &name).await.unwrap();
    for version in &given {
        assert!(key.has_version(*version), "{version} is lost");
        ring.version(&key, *version).await.unwrap();
    }
    drop((server, root));
}
