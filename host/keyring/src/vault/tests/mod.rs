//! Tests against a real Vault.

mod faults;
mod login;
mod monitor;
mod renewal;
mod secrecy;
mod tls;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use keyward_test_vault::{Client, Options, Proxy, Vault as Server};
use serde::Deserialize;
use serde_json::json;
use zeroize::Zeroizing;

use super::{Auth, Call, Operation, Raw, Status, Vault, VaultConfig, VaultError};

/// What the policy of these tests grants.
const POLICY: &str = r#"path "secret/data/e2ee/*" { capabilities = ["create", "read", "update"] }"#;

/// A Vault with KV version 2 at `secret`, the policy `keyward`, a secret, and a proxy before it.
struct Bench {
    server: Server,
    proxy: Proxy,
    root: Client,
}

impl Bench {
    fn start() -> Self {
        Self::with(Options::default())
    }

    fn with(options: Options) -> Self {
        let server = Server::start(options);
        let root = server.root();
        root.mount_kv2("secret");
        root.policy("keyward", POLICY);
        root.post("secret/data/e2ee/one", &json!({ "data": { "value": "dmFsdWU=" } })).ok();
        let proxy = Proxy::start(&server.address);
        Self { server, proxy, root }
    }

    /// A connection through the proxy, with short periods.
    fn config(&self, auth: Auth) -> VaultConfig {
        let mut config =
            VaultConfig::new(self.proxy.address.as_str(), auth, "secret/e2ee".parse().unwrap());
        config.timeout = Duration::from_secs(5);
        config
    }

    /// An AppRole with the policy `keyward`, and what `role` says beside.
    fn approle(&self, mut role: serde_json::Value) -> Auth {
        role["token_policies"] = json!(["keyward"]);
        let (role_id, secret_id) = self.root.approle("keyward", &role);
        let secret_id = Zeroizing::new(secret_id);
        Auth::AppRole { role_id, secret_id, mount: "approle".to_owned() }
    }

    /// A token with the policy `keyward`, and what `request` says beside.
    fn token(&self, mut request: serde_json::Value) -> String {
        request["policies"] = json!(["keyward"]);
        self.root.create_token(&request)
    }

    /// How many tokens Vault knows, the root token among them.
    fn tokens(&self) -> usize {
        self.root.list("auth/token/accessors").len()
    }
}

fn token(token: &str) -> Auth {
    Auth::Token(Zeroizing::new(token.to_owned()))
}

#[derive(Debug, Deserialize)]
struct Secret {
    data: Value,
}

#[derive(Debug, Deserialize)]
struct Value {
    value: String,
}

/// Reads a secret as a store does.
async fn read(vault: &Vault, name: &str) -> Result<String, VaultError> {
    let path = format!("secret/data/e2ee/{name}");
    let call = Call { operation: Operation::KvRead, path: &path };
    let request = Raw::<Secret>::get(&path);
    let secret = vault
        .call(call, |connection| {
            let request = request.clone();
            async move { vaultrs::api::exec_with_result(&**connection, request).await }
        })
        .await?;
    Ok(secret.data.value)
}

/// Creates a secret as a store does.
async fn create(vault: &Vault, name: &str) -> Result<(), VaultError> {
    let path = format!("secret/data/e2ee/{name}");
    let call = Call { operation: Operation::KvWrite, path: &path };
    let body = json!({ "options": { "cas": 0 }, "data": { "value": "bmV3" } });
    let request = Raw::<serde_json::Value>::post(&path, &body).unwrap();
    vault
        .call(call, |connection| {
            let request = request.clone();
            async move { vaultrs::api::exec_with_result(&**connection, request).await }
        })
        .await
        .map(|_| ())
}

/// Reads without pause until it is told to end.
struct Traffic {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    tasks: Vec<tokio::task::JoinHandle<Vec<VaultError>>>,
}

impl Traffic {
    fn start(vault: &Vault, readers: usize, pause: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicU64::new(0));
        let reader = || {
            let (vault, stop, done) = (vault.clone(), Arc::clone(&stop), Arc::clone(&done));
            tokio::spawn(async move {
                let mut errors = Vec::new();
                while !stop.load(Relaxed) {
                    if let Err(error) = read(&vault, "one").await {
                        errors.push(error);
                    }
                    done.fetch_add(1, Relaxed);
                    tokio::time::sleep(pause).await;
                }
                errors
            })
        };
        let tasks = (0..readers).map(|_| reader()).collect();
        Self { stop, done, tasks }
    }

    /// How many calls were made, and the errors of those that failed.
    async fn end(self) -> (u64, Vec<VaultError>) {
        self.stop.store(true, Relaxed);
        let mut errors = Vec::new();
        for task in self.tasks {
            errors.extend(task.await.unwrap());
        }
        (self.done.load(Relaxed), errors)
    }
}

/// Waits until `wanted` holds of the status; fails after `limit`. Returns how long it took.
#[track_caller]
fn within(limit: Duration, vault: &Vault, wanted: impl Fn(&Status) -> bool) -> Duration {
    let start = Instant::now();
    loop {
        let status = vault.status();
        if wanted(&status) {
            return start.elapsed();
        }
        assert!(start.elapsed() < limit, "after {limit:?}: {status:?}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until Vault is usable; fails after ten seconds.
async fn ready(vault: &Vault) {
    tokio::time::timeout(Duration::from_secs(10), vault.wait_ready())
        .await
        .unwrap_or_else(|_| panic!("not ready: {:?}", vault.status()));
}
