//! Two hosts over one Vault.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use futures_util::stream::{self, StreamExt};
use keyward_crypto::{Algorithm, Binding, Channel, KeyVersion};

use super::*;
use crate::{CacheConfig, KeyName, Keyring, TenantName};

fn binding(context: &[u8]) -> Binding<'_> {
    Binding {
        channel: Channel::Payload,
        tenant: "demo",
        key_name: "orders",
        policy_data: b"",
        context,
    }
}

fn seal(key: &KeyVersion) -> Vec<u8> {
    key.seal(None, &binding(b"c"), b"plaintext").unwrap()
}

fn open(key: &KeyVersion, ciphertext: &[u8]) -> Vec<u8> {
    key.open(&binding(b"c"), ciphertext).unwrap().to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_rotate_one_key_two_hundred_times_each_at_once() {
    let (server, root) = server();
    rotate([store(&server, PREFIX), store(&server, PREFIX)], &root, 200, 200).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_rotate_one_wrapped_key() {
    let (server, root) = server();
    transit_key(&root, "wrapping");
    rotate([wrapping(&server, "wrapping"), wrapping(&server, "wrapping")], &root, 40, 2).await;
}

async fn rotate(stores: [VaultStore; 2], root: &Client, each: usize, at_once: usize) {
    let hosts = stores.map(|store| {
        Keyring::new(Arc::new(store), CacheConfig { shared: true, ..CacheConfig::default() })
    });
    let tenant: TenantName = "demo".parse().unwrap();
    let name: KeyName = "orders".parse().unwrap();
    hosts[0].create_tenant(&tenant).await.unwrap();
    hosts[1].create_key(&tenant, &name, Algorithm::default(), BTreeMap::new(), "op").await.unwrap();

    let start = Instant::now();
    let rotate = |host: Keyring| {
        let (tenant, name) = (tenant.clone(), name.clone());
        tokio::spawn(async move {
            stream::iter(0..each)
                .map(|_| async {
                    let version = host.rotate(&tenant, &name, "op").await.unwrap();
                    let key = host.key(&tenant, &name).await.unwrap();
                    assert!(key.has_version(version), "its own write is not seen");
                    (version, seal(&host.version(&key, version).await.unwrap()))
                })
                .buffer_unordered(at_once)
                .collect::<Vec<_>>()
                .await
        })
    };
    let tasks = hosts.clone().map(rotate);
    let mut made = Vec::new();
    for task in tasks {
        made.extend(task.await.unwrap());
    }
    println!(
        "{} rotations by two hosts, {at_once} at once each, took {:?}",
        2 * each,
        start.elapsed()
    );

    let given: BTreeSet<u32> = made.iter().map(|(version, _)| *version).collect();
    assert_eq!(given.len(), 2 * each, "a version was given twice");
    let mut expected = given.clone();
    expected.insert(1);
    for host in &hosts {
        host.clear_cache().await;
        let key = host.key(&tenant, &name).await.unwrap();
        let listed: Vec<u32> = key.versions().iter().map(|info| info.version).collect();
        assert_eq!(listed, expected.iter().copied().collect::<Vec<_>>());
        assert_eq!(Some(&key.current_version()), expected.last());
        for (version, ciphertext) in &made {
            let version = host.version(&key, *version).await.unwrap();
            assert_eq!(open(&version, ciphertext), b"plaintext");
        }
    }
    // Written once: in Vault, each version's material has exactly one revision.
    let folder = "e2ee/tenants/demo/keys/orders/versions";
    let names = root.list(&format!("secret/metadata/{folder}"));
    assert_eq!(names.len(), expected.len());
    for name in names {
        let metadata = root.get(&format!("secret/metadata/{folder}/{name}")).ok();
        assert_eq!(metadata["data"]["current_version"], json!(1), "{name}");
    }
}
