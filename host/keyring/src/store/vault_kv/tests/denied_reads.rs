//! Who cannot read what is there writes nothing over it.

use std::collections::BTreeMap;
use std::sync::Arc;

use keyward_crypto::Algorithm;
use keyward_test_vault::{Fault, Proxy, Rule};

use super::*;
use crate::{CacheConfig, KeyName, Keyring, KeyringError, TenantName};

/// A keyring of its own, with nothing cached.
fn ring(server: &Server, address: &str) -> Keyring {
    let store = over(config(address, &server.root_token, PREFIX));
    Keyring::new(Arc::new(store), CacheConfig { shared: true, ..CacheConfig::default() })
}

/// A tenant with two keys of two versions each, and a proxy before their Vault.
struct Place {
    server: Server,
    root: Client,
    proxy: Proxy,
    tenant: TenantName,
    orders: KeyName,
}

async fn place() -> Place {
    let (server, root) = server();
    let proxy = Proxy::start(&server.address);
    let tenant: TenantName = "demo".parse().unwrap();
    let ring = ring(&server, &server.address);
    ring.create_tenant(&tenant).await.unwrap();
    let [orders, bills]: [KeyName; 2] = ["orders", "bills"].map(|name| name.parse().unwrap());
    for name in [&orders, &bills] {
        let attributes = BTreeMap::new();
        ring.create_key(&tenant, name, Algorithm::default(), attributes, "op").await.unwrap();
        ring.rotate(&tenant, name, "op").await.unwrap();
    }
    Place { server, root, proxy, tenant, orders }
}

impl Place {
    /// A keyring that has nothing cached and reaches Vault through the proxy.
    fn blind(&self) -> Keyring {
        ring(&self.server, &self.proxy.address)
    }

    /// Tries every change of a key there is and returns how each failed.
    async fn change_keys(&self) -> Vec<KeyringError> {
        let Self { tenant, orders, .. } = self;
        let (algorithm, attributes) = (Algorithm::default(), BTreeMap::new());
        let tries = [
            self.blind().create_key(tenant, orders, algorithm, attributes, "op").await.err(),
            self.blind().rotate(tenant, orders, "op").await.err(),
            self.blind().rollback(tenant, orders, 1, "op").await.err(),
            self.blind().destroy_version(tenant, orders, 1, "op").await.err(),
            self.blind().set_enabled(tenant, orders, false, "op").await.err(),
        ];
        tries.into_iter().map(|error| error.expect("a change was not refused")).collect()
    }

    /// The same for the tenant.
    async fn change_tenant(&self) -> Vec<KeyringError> {
        let tries = [
            self.blind().create_tenant(&self.tenant).await.err(),
            self.blind().set_outage(&self.tenant, None).await.err(),
        ];
        tries.into_iter().map(|error| error.expect("a change was not refused")).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_reads_fail_nothing_that_is_there_changes() {
    let place = place().await;
    // Every secret there is, with each of its revisions.
    let kept = || secrets(&place.root, "");
    let before = kept();
    assert_eq!(before.len(), 10, "{:?}", before.keys());
    for fault in [Fault::Status(403), Fault::Status(500), Fault::Drop] {
        place.proxy.rules(vec![Rule::new(fault.clone()).method("GET").path("/data/")]);
        let mut errors = place.change_keys().await;
        errors.extend(place.change_tenant().await);
        for error in errors {
            // Never that there is no such key.
            assert!(error.is_unavailable(), "{fault:?}: {error}");
        }
        place.proxy.set(Fault::None);
        assert_eq!(kept(), before, "{fault:?}");
    }
}

/// Vault's answer of nothing, about what is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_reads_find_nothing_nothing_that_is_there_changes() {
    let place = place().await;
    let kept = || secrets(&place.root, "");
    let before = kept();
    let nothing = |path| {
        let answer = Fault::Body(r#"{"errors":[]}"#.to_owned());
        place.proxy.rules(vec![Rule::new(answer).method("GET").path(path)]);
    };
    nothing("/demo/keys/");
    place.change_keys().await;
    nothing("/data/");
    place.change_keys().await;
    place.change_tenant().await;
    place.proxy.set(Fault::None);
    assert_eq!(kept(), before);
}

/// Every secret below the folder, with each of its revisions.
fn secrets(root: &Client, folder: &str) -> BTreeMap<String, Vec<Value>> {
    let mut found = BTreeMap::new();
    for name in root.list(&format!("secret/metadata/e2ee/{folder}")) {
        let path = format!("{folder}{name}");
        if name.ends_with('/') {
            found.extend(secrets(root, &path));
        } else {
            found.insert(path.clone(), revisions(root, &path));
        }
    }
    found
}
