//! The TLS settings, each with effect.

use std::path::PathBuf;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tempfile::TempDir;

use super::*;
use crate::vault::Tls;

struct Files {
    folder: TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Files {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        Self { folder: tempfile::tempdir().unwrap(), ca }
    }

    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A certificate for `name` and its key.
    fn pair(&self, name: &str) -> (PathBuf, PathBuf) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.ca).unwrap().pem();
        let file = |end: &str, content: &str| self.file(&format!("{name}.{end}"), content);
        (file("pem", &certificate), file("key", &key.serialize_pem()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_verified_and_the_client_shows_its_certificate() {
    let files = Files::new();
    let ca = files.file("ca.pem", &files.ca.pem());
    let (certificate, key) = files.pair("localhost");
    let (client_cert, client_key) = files.pair("client");
    let tls = keyward_test_vault::Tls { certificate, key, client_ca: Some(ca.clone()) };
    let bench = Bench::with(Options { tls: Some(tls), ..Options::default() });
    let connect = |tls: Tls| {
        let mut config = bench.config(token(&bench.server.root_token));
        config.address = bench.server.tls_address();
        config.max_retries = 0;
        config.tls = tls;
        Vault::start(config)
    };
    let client = |tls: Tls| Tls {
        client_cert: Some(client_cert.clone()),
        client_key: Some(client_key.clone()),
        ..tls
    };
    let with_ca = Tls { ca_cert: Some(ca.clone()), ..Tls::default() };
    let skip = Tls { skip_verify: true, ..Tls::default() };

    for good in [client(with_ca.clone()), client(skip.clone())] {
        let vault = connect(good).unwrap();
        ready(&vault).await;
        read(&vault, "one").await.unwrap();
    }
    for (bad, says) in [
        (client(Tls::default()), "UnknownIssuer"),
        (with_ca.clone(), "ertificate"),
        (skip, "ertificate"),
    ] {
        let vault = connect(bad).unwrap();
        let error = read(&vault, "one").await.unwrap_err();
        assert_eq!(error.code(), "vault-unreachable", "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }

    let nonsense = files.file("nonsense.pem", "-----BEGIN NONSENSE-----");
    let missing = files.folder.path().join("missing.pem");
    for (bad, setting) in [
        (Tls { ca_cert: Some(missing.clone()), ..Tls::default() }, "vault.ca_cert"),
        (Tls { ca_cert: Some(nonsense.clone()), ..Tls::default() }, "vault.ca_cert"),
        (Tls { client_key: Some(missing), ..client(with_ca.clone()) }, "vault.client_key"),
        (Tls { client_cert: Some(nonsense), ..client(with_ca) }, "vault.client_cert"),
    ] {
        let error = connect(bad).err().unwrap();
        assert_eq!(error.code(), "vault-config");
        assert!(error.to_string().starts_with(setting), "{error}");
    }
}
