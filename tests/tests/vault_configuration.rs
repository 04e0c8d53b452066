//! Each setting of the access to Vault, by environment and by file: it is read, and it has effect
//! on what a real Vault, or a proxy before it, gets to see.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use keyward_test_vault::{Client as Root, Fault, Kubernetes, Options, Proxy, Rule, Tls, Vault};
use keyward_tests::vault::{self, Env, MOUNT};
use keyward_tests::{Client, Launch, Server, Tenant, b64};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(20);

/// How settings are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Environment,
    File,
}

const BOTH: [By; 2] = [By::Environment, By::File];

/// The name in keyward.toml of each environment variable, as `keyward config` says.
fn keys() -> Vec<(String, String)> {
    let home = tempfile::tempdir().unwrap();
    let table = Launch::new(home.path(), &["config"]).run(LIMIT).stdout;
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    rows.map(|line| {
        let mut cells = line.split('`').skip(1).step_by(2).map(str::to_owned);
        let key = cells.next().unwrap();
        (cells.next().unwrap(), key)
    })
    .collect()
}

/// A server with these settings; which needs not get ready.
#[track_caller]
fn unready(by: By, env: &Env) -> Server {
    if by == By::Environment {
        return Server::serve_unready("", &env.pairs());
    }
    let keys = keys();
    let mut file = String::new();
    for (variable, value) in env.pairs() {
        let key = keys.iter().find(|(known, _)| known == variable);
        let (_, key) = key.unwrap_or_else(|| panic!("keyward config has no {variable}"));
        writeln!(file, "{key} = {value:?}").unwrap();
    }
    Server::serve_unready(&file, &[])
}

#[track_caller]
fn ready(by: By, env: &Env) -> Server {
    let mut server = unready(by, env);
    server.wait_until_ready();
    server
}

/// Writes a key and reads it with an empty cache.
#[track_caller]
fn works(server: &Server) -> Tenant {
    let tenant = server.tenant_with_policy("acme", "baseline");
    let sealed = tenant.app.encrypt(&json!({ "key": "main", "plaintext": b64("x") }));
    forget(server);
    assert_eq!(tenant.app.decrypt(&json!({ "ciphertext": sealed })), b"x");
    tenant
}

fn forget(server: &Server) {
    server.operator().send("POST", "/api/v1/vault/cache/clear", &[], b"").expect(200);
}

fn token_of(server: &Server) -> Value {
    let answer = server.operator().get("/api/v1/vault/metrics").expect(200).json();
    answer["vault_metrics"]["token"].clone()
}

fn fresh() -> (Vault, Root) {
    let vault = Vault::start(Options::default());
    let root = vault::prepare(&vault);
    (vault, root)
}

fn below(root: &Root, mount: &str, folder: &str) -> usize {
    vault::secrets(root, mount).iter().filter(|(path, _)| path.starts_with(folder)).count()
}

#[test]
fn address_and_token() {
    for by in BOTH {
        let (vault, root) = fresh();
        let server = ready(
            by,
            &Env::new(&vault.address).token(&vault::token(&root, json!({ "ttl": "2h" }))),
        );
        works(&server);
        assert!(below(&root, MOUNT, "e2ee/") >= 4, "{by:?}");
        assert_eq!(token_of(&server)["source"], "token");
        assert!(!server.data().join("keyward.redb").exists(), "{by:?}: an embedded store as well");
        let status = server.operator().get("/api/v1/vault/status").expect(200).json();
        assert_eq!(status["integration"], "hashicorp_vault");
    }
}

#[test]
fn no_address_is_the_embedded_store() {
    let server = Server::serve_with("", &[("E2EE_VAULT_TOKEN", "hvs.nothing")]);
    server.tenant_with_policy("acme", "baseline");
    assert!(server.data().join("keyward.redb").exists());
    let log = server.stderr();
    assert!(log.contains("vault.token") && log.contains("no effect"), "{log}");
}

#[test]
fn token_file() {
    for by in BOTH {
        let (vault, root) = fresh();
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("token");
        std::fs::write(&path, format!("{}\n", vault::token(&root, json!({ "ttl": "2h" }))))
            .unwrap();
        let server = ready(by, &Env::new(&vault.address).file("E2EE_VAULT_TOKEN_FILE", &path));
        works(&server);
        assert_eq!(token_of(&server)["source"], "token-file");
    }
}

#[test]
fn approle_and_its_mount() {
    for by in BOTH {
        let (vault, root) = fresh();
        root.post("sys/auth/machines", &json!({ "type": "approle" })).ok();
        let path = "auth/machines/role/keyward";
        root.post(path, &json!({ "token_policies": "keyward", "token_ttl": "1h" })).ok();
        let text = |value: Value| value.as_str().unwrap().to_owned();
        let role_id = text(root.get(&format!("{path}/role-id")).ok()["data"]["role_id"].clone());
        let secret = root.post(&format!("{path}/secret-id"), &json!({})).ok();
        let env = Env::new(&vault.address)
            .approle(&(role_id, text(secret["data"]["secret_id"].clone())))
            .set("E2EE_VAULT_APPROLE_MOUNT", "machines");
        let server = ready(by, &env);
        works(&server);
        assert_eq!(token_of(&server)["source"], "approle");
    }
}

#[test]
fn kubernetes_role_jwt_file_and_mount() {
    for by in BOTH {
        let (vault, root) = fresh();
        let cluster = Kubernetes::start();
        cluster.enable_at(
            &root,
            "cluster-1",
            "keyward",
            "app",
            json!({ "token_policies": "keyward" }),
        );
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("jwt");
        std::fs::write(&path, cluster.jwt("app")).unwrap();
        let env = Env::new(&vault.address)
            .set("E2EE_VAULT_K8S_ROLE", "keyward")
            .set("E2EE_VAULT_K8S_MOUNT", "cluster-1")
            .file("E2EE_VAULT_K8S_JWT_FILE", &path);
        let server = ready(by, &env);
        works(&server);
        assert_eq!(token_of(&server)["source"], "kubernetes");
    }
}

/// The Vault of the tests knows no namespaces; that the header comes is what can be seen.
#[test]
fn namespace() {
    for by in BOTH {
        let (vault, _) = fresh();
        let proxy = Proxy::start(&vault.address);
        let env =
            Env::new(&proxy.address).token(&vault.root_token).set("E2EE_VAULT_NAMESPACE", "team/a");
        let server = unready(by, &env);
        let start = Instant::now();
        while !proxy.seen().iter().any(|it| it.target.contains("lookup-self")) {
            assert!(start.elapsed() < LIMIT, "{by:?}: it never asked; {}", server.stderr());
            std::thread::sleep(Duration::from_millis(20));
        }
        let seen = proxy.seen();
        let asked = seen.iter().filter(|it| !it.target.contains("sys/health"));
        for request in asked {
            assert_eq!(request.header("x-vault-namespace"), Some("team/a"), "{request:?}");
        }
    }
}

#[test]
fn secret_path_with_or_without_data() {
    for (by, path) in [
        (By::Environment, "kv/data/deep/er"),
        (By::File, "kv/deep/er"),
        (By::Environment, "kv/deep/er"),
    ] {
        let (vault, root) = fresh();
        root.mount_kv2("kv");
        let env =
            Env::new(&vault.address).token(&vault.root_token).set("E2EE_VAULT_SECRET_PATH", path);
        works(&ready(by, &env));
        assert!(below(&root, "kv", "deep/er/") >= 4, "{path}");
        assert_eq!(below(&root, MOUNT, ""), 0, "{path}");
        assert_eq!(below(&root, "kv", "") - below(&root, "kv", "deep/er/"), 0, "{path}");
    }
}

#[test]
fn timeout() {
    for by in BOTH {
        let (vault, _) = fresh();
        let proxy = Proxy::start(&vault.address);
        let env =
            Env::new(&proxy.address).token(&vault.root_token).set("E2EE_VAULT_TIMEOUT", "700ms");
        let server = ready(by, &env);
        let tenant = works(&server);
        proxy.set(Fault::BlackHole);
        let start = Instant::now();
        tenant.admin.post("/keys", &json!({ "name": "late" })).problem(503, "vault_timeout");
        let took = start.elapsed();
        let bounds = Duration::from_millis(500)..Duration::from_millis(1_700);
        assert!(bounds.contains(&took), "{by:?}: {took:?}");
    }
}

#[test]
fn max_retries() {
    for (by, retries) in [(By::Environment, 0), (By::File, 0), (By::Environment, 2), (By::File, 2)]
    {
        let (vault, _) = fresh();
        let proxy = Proxy::start(&vault.address);
        let env = Env::new(&proxy.address)
            .token(&vault.root_token)
            .set("E2EE_VAULT_MAX_RETRIES", retries.to_string());
        let server = ready(by, &env);
        let tenant = works(&server);
        forget(&server);
        proxy.rules(vec![Rule::new(Fault::Status(502)).method("GET").path("/data/").times(2)]);
        let answer = tenant.admin.get("/keys/main");
        match retries {
            0 => drop(answer.problem(503, "vault_server_error")),
            _ => drop(answer.expect(200)),
        }
    }
}

#[test]
fn max_concurrent() {
    for (by, most) in [(By::Environment, 1), (By::File, 3)] {
        let (vault, _) = fresh();
        let proxy = Proxy::start(&vault.address);
        let env = Env::new(&proxy.address)
            .token(&vault.root_token)
            .set("E2EE_VAULT_MAX_CONCURRENT", most.to_string())
            // Neither health checks nor other servers' changes are to be counted.
            .set("E2EE_VAULT_HEALTH_PERIOD", "1h")
            .set("E2EE_VAULT_POLL", "1h");
        let server = ready(by, &env);
        let tenant = works(&server);
        proxy.rules(vec![Rule::new(Fault::Delay(Duration::from_millis(100))).path("/data/")]);
        proxy.peak();
        std::thread::scope(|scope| {
            for number in 0..8 {
                let admin = &tenant.admin;
                scope.spawn(move || {
                    admin.post("/keys", &json!({ "name": format!("key-{number}") })).expect(201);
                });
            }
        });
        assert_eq!(proxy.peak(), most, "{by:?}");
    }
}

/// Files of an authority, a server and a client it vouches for.
struct Certificates {
    _home: tempfile::TempDir,
    ca: PathBuf,
    other_ca: PathBuf,
    server: (PathBuf, PathBuf),
    client: (PathBuf, PathBuf),
}

impl Certificates {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let authority = || {
            let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
        };
        let (ca, other) = (authority(), authority());
        let file = |name: &str, pem: &str| {
            let path = home.path().join(name);
            std::fs::write(&path, pem).unwrap();
            path
        };
        let leaf = |name: &str| {
            let key = KeyPair::generate().unwrap();
            let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            let pem = params.signed_by(&key, &ca).unwrap().pem();
            (file(&format!("{name}.pem"), &pem), file(&format!("{name}.key"), &key.serialize_pem()))
        };
        let (server, client) = (leaf("localhost"), leaf("client"));
        let (ca, other_ca) = (file("ca.pem", &ca.pem()), file("other-ca.pem", &other.pem()));
        Self { ca, other_ca, server, client, _home: home }
    }
}

#[test]
fn tls_with_a_client_certificate() {
    let files = Certificates::new();
    let vault = Vault::start(Options {
        tls: Some(Tls {
            certificate: files.server.0.clone(),
            key: files.server.1.clone(),
            client_ca: Some(files.ca.clone()),
        }),
        ..Options::default()
    });
    let root = vault::prepare(&vault);
    let base = || Env::new(&vault.tls_address()).token(&vault.root_token);
    let with_client = |env: Env| {
        env.file("E2EE_VAULT_CLIENT_CERT", &files.client.0)
            .file("E2EE_VAULT_CLIENT_KEY", &files.client.1)
    };
    let with_ca = |env: Env| env.file("E2EE_VAULT_CA_CERT", &files.ca);
    for by in BOTH {
        // Each of them is needed …
        for env in [
            base(),
            with_ca(base()),
            with_client(base()),
            with_client(base()).file("E2EE_VAULT_CA_CERT", &files.other_ca),
            base().set("E2EE_VAULT_TLS_SKIP_VERIFY", "true"),
        ] {
            let server = unready(by, &env);
            let start = Instant::now();
            while !server.stderr().contains("vault_unreachable") {
                assert!(start.elapsed() < LIMIT, "{by:?} {env:?}: {}", server.stderr());
                std::thread::sleep(Duration::from_millis(20));
            }
            server.client().get("/readyz").problem(503, "not_ready");
        }
        // … and together they suffice, as does not to check.
        let unchecked = with_client(base()).set("E2EE_VAULT_TLS_SKIP_VERIFY", "true");
        let by_path = |env: Env, path: &str| {
            env.set("E2EE_VAULT_SECRET_PATH", format!("{MOUNT}/{path}-{by:?}"))
        };
        works(&ready(by, &by_path(with_ca(with_client(base())), "checked")));
        let server = ready(by, &by_path(unchecked, "unchecked"));
        works(&server);
        let log = server.stderr();
        assert!(
            log.lines().any(|it| it.contains("WARN") && it.contains("tls_skip_verify")),
            "{log}"
        );
        assert!(below(&root, MOUNT, &format!("checked-{by:?}/")) >= 4);
    }
}

#[test]
fn health_period() {
    for (by, period, least, most) in
        [(By::Environment, "200ms", 6, 16), (By::File, "1s", 1, 4), (By::Environment, "30s", 0, 1)]
    {
        let (vault, _) = fresh();
        let proxy = Proxy::start(&vault.address);
        let env = Env::new(&proxy.address)
            .token(&vault.root_token)
            .set("E2EE_VAULT_HEALTH_PERIOD", period);
        let _server = ready(by, &env);
        let checks = || proxy.seen().iter().filter(|it| it.target.contains("sys/health")).count();
        let before = checks();
        std::thread::sleep(Duration::from_millis(2_500));
        let checked = checks() - before;
        assert!((least..=most).contains(&checked), "{period}: {checked} checks");
    }
}

#[test]
fn renew_increment() {
    for by in BOTH {
        let (vault, root) = fresh();
        let token = vault::token(&root, json!({ "ttl": "30m" }));
        let env = Env::new(&vault.address).token(&token).set("E2EE_VAULT_RENEW_INCREMENT", "77s");
        let server = ready(by, &env);
        let renewed =
            server.operator().send("POST", "/api/v1/vault/token/renew", &[], b"").expect(200);
        let ttl = renewed.json()["token_info"]["ttl_seconds"].as_u64().unwrap();
        assert!((60..=77).contains(&ttl), "{by:?}: {ttl}");
    }
}

#[test]
fn poll() {
    for (by, period, least, most) in [(By::Environment, "100ms", 10, 30), (By::File, "1h", 0, 1)] {
        let (vault, _) = fresh();
        let proxy = Proxy::start(&vault.address);
        let env = Env::new(&proxy.address)
            .token(&vault.root_token)
            .set("E2EE_VAULT_POLL", period)
            .set("E2EE_VAULT_HEALTH_PERIOD", "1h");
        let _server = ready(by, &env);
        let reads = || proxy.seen().iter().filter(|it| it.target.contains("/data/")).count();
        std::thread::sleep(Duration::from_millis(500));
        let before = reads();
        std::thread::sleep(Duration::from_millis(2_500));
        let polled = reads() - before;
        assert!((least..=most).contains(&polled), "{period}: {polled} reads");
    }
}

#[test]
fn transit_key_and_mount() {
    for by in BOTH {
        let (vault, root) = fresh();
        root.post("sys/mounts/wrapping", &json!({ "type": "transit" })).ok();
        root.post("wrapping/keys/outer", &json!({})).ok();
        let env = Env::new(&vault.address)
            .token(&vault.root_token)
            .set("E2EE_VAULT_TRANSIT_KEY", "outer")
            .set("E2EE_VAULT_TRANSIT_MOUNT", "wrapping");
        works(&ready(by, &env));
        let secrets = vault::secrets(&root, MOUNT);
        let material: Vec<_> =
            secrets.iter().filter(|(path, _)| path.contains("/versions/")).collect();
        assert!(!material.is_empty(), "{secrets:?}");
        for (path, data) in material {
            let wrapped = data["transit"].as_str().is_some_and(|it| it.starts_with("vault:v1:"));
            assert!(wrapped && data.get("value").is_none(), "{by:?} {path}: {data}");
        }
    }
}

/// The cache's own settings, and the tenant that is meant when none is named.
#[test]
fn cache_and_default_tenant() {
    for by in BOTH {
        let mut vault = Vault::start(Options { durable: true, ..Options::default() });
        vault::prepare(&vault);
        let env = Env::new(&vault.address)
            .token(&vault.root_token)
            .set("E2EE_VAULT_TIMEOUT", "2s")
            .set("KEYWARD_CACHE_TTL", "1s")
            .set("KEYWARD_CACHE_SWEEP", "100ms")
            .set("KEYWARD_CACHE_MAX_BYTES", "1MiB")
            .set("KEYWARD_CACHE_OUTAGE", "serve-stale=3s")
            .set("KEYWARD_TENANT_DEFAULT", "acme");
        let server = ready(by, &env);
        let tenant = works(&server);
        let status = server.operator().get("/api/v1/vault/status").expect(200).json();
        assert_eq!(status["cache"]["stats"]["max_bytes"], 1 << 20, "{status}");
        let named = server.operator().get("/api/v1/vault/keys/main/history").expect(200).json();
        assert_eq!(named["tenant"], "acme");
        let figure = |name: &str| {
            let text = server.client().get("/metrics").expect(200).text();
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
            line.trim().parse::<f64>().unwrap()
        };
        assert!((figure("keyward_cache_ttl_seconds ") - 1.0).abs() < f64::EPSILON);
        assert!(figure("keyward_cache_entries ") >= 1.0);
        let body = json!({ "key": "main", "plaintext": "" });
        let encrypts = |client: &Client| client.post("/encrypt", &body).status;
        assert_eq!(encrypts(&tenant.app), 200);
        vault.stop();
        std::thread::sleep(Duration::from_millis(1_500));
        // Beyond its time, within the contract's.
        assert_eq!(encrypts(&tenant.app), 200, "{by:?}");
        assert!(figure("keyward_cache_stale_serves_total ") >= 1.0);
        std::thread::sleep(Duration::from_millis(3_500));
        tenant.app.post("/encrypt", &body).expect(503);
        // Swept soon after its time was up; the default sweep would come in five minutes.
        assert!(figure("keyward_cache_entries ").abs() < f64::EPSILON, "{by:?}");
        vault.start_again();
        let start = Instant::now();
        while encrypts(&tenant.app) != 200 {
            assert!(start.elapsed() < LIMIT);
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

/// Every variable is looked at here, or in the file named beside it.
#[test]
fn no_setting_is_left_out() {
    let here = include_str!("vault_configuration.rs");
    let there = include_str!("vault_tokens.rs");
    let helpers = include_str!("../src/vault.rs");
    let settings = keys();
    let of_vault = settings.iter().filter(|(variable, _)| variable.starts_with("E2EE_VAULT_"));
    let mut count = 0;
    for (variable, key) in of_vault {
        count += 1;
        assert!(key.starts_with("vault."), "{key}");
        let quoted = format!("\"{variable}\"");
        let tested = [here, there, helpers].iter().any(|text| text.contains(&quoted));
        assert!(tested, "no test sets {variable}");
    }
    assert!(count >= 20, "{count}");
}
