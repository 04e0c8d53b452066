//! The harness itself: what the other tests rely on.
#![allow(missing_docs, reason = "a test")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use keyward_test_vault::{Client, Fault, Kubernetes, Options, Proxy, Rule, Tls, Vault};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::json;
use ureq::tls::{Certificate, ClientCert, PrivateKey, RootCerts, TlsConfig};

#[test]
fn a_vault_stores_what_it_is_given_and_ends_when_dropped() {
    let vault = Vault::start(Options::default());
    let root = vault.root();
    root.mount_kv2("secret");
    root.post("secret/data/e2ee/one", &json!({ "options": { "cas": 0 }, "data": { "a": 1 } })).ok();
    let again = json!({ "options": { "cas": 0 }, "data": { "a": 2 } });
    root.post("secret/data/e2ee/one", &again).expect(400);
    assert_eq!(root.get("secret/data/e2ee/one").ok()["data"]["data"]["a"], 1);
    assert_eq!(root.list("secret/metadata/e2ee"), ["one"]);
    let (role_id, secret_id) = root.approle("keyward", &json!({ "token_ttl": "5s" }));
    let login = json!({ "role_id": role_id, "secret_id": secret_id });
    let auth = root.token("").post("auth/approle/login", &login).ok();
    assert_eq!(auth["auth"]["lease_duration"], 5);
    root.token("wrong").get("secret/data/e2ee/one").expect(403);
    drop(vault);
    assert!(root.send("GET", "sys/health", None).is_err());
}

#[test]
fn a_durable_vault_keeps_its_data_and_starts_sealed() {
    let mut vault = Vault::start(Options { durable: true, ..Options::default() });
    let root = vault.root();
    root.mount_kv2("secret");
    root.post("secret/data/one", &json!({ "data": { "a": 1 } })).ok();
    vault.seal();
    root.get("sys/health").expect(503);
    vault.unseal();
    vault.stop();
    assert!(root.send("GET", "sys/health", None).is_err());
    vault.start_again_sealed();
    root.get("secret/data/one").expect(503);
    vault.unseal();
    assert_eq!(root.get("secret/data/one").ok()["data"]["data"]["a"], 1);
}

#[test]
fn storage_can_be_slow_and_fail_and_a_second_node_stand_by() {
    let options = Options { storage_faults: true, standby: true, ..Options::default() };
    let vault = Vault::start(options);
    let root = vault.root();
    root.mount_kv2("secret");
    root.post("secret/data/one", &json!({ "data": { "a": 1 } })).ok();
    vault.storage_faults(Duration::from_millis(300), 0.0);
    let start = Instant::now();
    root.get("secret/data/one").ok();
    assert!(start.elapsed() >= Duration::from_millis(300));
    vault.storage_faults(Duration::ZERO, 1.0);
    root.get("secret/data/one").expect(500);
    vault.storage_faults(Duration::ZERO, 0.0);
    root.get("secret/data/one").ok();
    Client::new(&vault.standby(), "").get("sys/health").expect(429);
}

#[test]
fn tls_serves_clients_with_a_certificate_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let leaf = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &ca).unwrap().pem(), key.serialize_pem())
    };
    let ((server, server_key), (client, client_key)) = (leaf("localhost"), leaf("client"));
    let file = |name: &str, pem: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    };
    let vault = Vault::start(Options {
        tls: Some(Tls {
            certificate: file("server.pem", &server),
            key: file("server.key", &server_key),
            client_ca: Some(file("ca.pem", &ca.pem())),
        }),
        ..Options::default()
    });
    let roots = Certificate::from_pem(ca.pem().as_bytes()).unwrap();
    let tls = |with: Option<ClientCert>| {
        let roots = RootCerts::new_with_certs(std::slice::from_ref(&roots));
        TlsConfig::builder().root_certs(roots).client_cert(with).build()
    };
    let chain = [Certificate::from_pem(client.as_bytes()).unwrap()];
    let with =
        ClientCert::new_with_certs(&chain, PrivateKey::from_pem(client_key.as_bytes()).unwrap());
    let address = vault.tls_address();
    Client::with_tls(&address, "", tls(Some(with))).get("sys/health").ok();
    assert!(Client::with_tls(&address, "", tls(None)).send("GET", "sys/health", None).is_err());
}

#[test]
fn a_service_account_logs_in_until_its_token_is_nobodys() {
    let (vault, cluster) = (Vault::start(Options::default()), Kubernetes::start());
    let root = vault.root();
    cluster.enable(&root, "keyward", "keyward", json!({ "token_ttl": "7s" }));
    let login = |jwt: &str| {
        root.token("").post("auth/kubernetes/login", &json!({ "role": "keyward", "jwt": jwt }))
    };
    let jwt = cluster.jwt("keyward");
    assert_eq!(login(&jwt).ok()["auth"]["lease_duration"], 7);
    login(&cluster.jwt("other")).expect(403);
    cluster.expire_all();
    login(&jwt).expect(403);
}

#[test]
fn the_proxy_forwards_and_fails_as_told() {
    let vault = Vault::start(Options::default());
    let proxy = Proxy::start(&vault.address);
    let root = Client::new(&proxy.address, &vault.root_token);
    root.mount_kv2("secret");
    let write = |cas: u64| {
        let body = json!({ "options": { "cas": cas }, "data": { "a": cas } });
        root.send("POST", "secret/data/one", Some(&body))
    };
    let read = || root.send("GET", "secret/data/one", None);
    write(0).unwrap().ok();

    let connections = proxy.connections();
    for _ in 0..20 {
        read().unwrap().ok();
    }
    assert_eq!(proxy.connections(), connections, "connections are reused");

    proxy.set(Fault::Delay(Duration::from_millis(200)));
    let start = Instant::now();
    read().unwrap().ok();
    assert!(start.elapsed() >= Duration::from_millis(200));

    for fault in [Fault::Drop, Fault::Reset, Fault::Truncate] {
        proxy.set(fault.clone());
        assert!(read().is_err(), "{fault:?}");
    }
    proxy.set(Fault::Status(503));
    read().unwrap().expect(503);
    proxy.set(Fault::Body("[]".into()));
    assert_eq!(read().unwrap().ok(), json!([]));

    // The answer is lost, what it answers to is done.
    for (cas, fault) in [(1, Fault::LoseAnswer), (2, Fault::ResetAnswer)] {
        proxy.set(fault);
        assert!(write(cas).is_err());
        proxy.set(Fault::None);
        assert_eq!(read().unwrap().ok()["data"]["metadata"]["version"], cas + 1);
    }

    proxy.rules(vec![Rule::new(Fault::Status(500)).method("GET").path("/secret/").share(0.3)]);
    let statuses: Vec<u16> = (0..100).map(|_| read().unwrap().status).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 500).count(), 30, "{statuses:?}");
    root.get("sys/health").ok();
    proxy.rules(vec![Rule::new(Fault::Status(500)).times(1)]);
    read().unwrap().expect(500);
    read().unwrap().ok();

    let seen = proxy.seen().pop().unwrap();
    assert_eq!((seen.method.as_str(), seen.target.as_str()), ("GET", "/v1/secret/data/one"));
    assert_eq!(seen.header("x-vault-token"), Some(vault.root_token.as_str()));
}
