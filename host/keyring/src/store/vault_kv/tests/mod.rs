//! The store against a real Vault.

mod contract;
mod deletion;
mod denied_reads;
mod lifecycle;
mod lost_answers;
mod malformed;
mod migration;
mod model;
mod receipts;
mod rotations;
mod setup;
mod wraps;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keyward_test_vault::{Client, Options, Vault as Server};
use serde_json::{Value, json};

use super::VaultStore;
use crate::vault::{Auth, Vault, VaultConfig};

/// The prefix most tests use.
const PREFIX: &str = "secret/data/e2ee";

/// A Vault with a KV v2 engine at `secret`, and a client with the root token.
fn server() -> (Server, Client) {
    let server = Server::start(Options::default());
    let root = server.root();
    root.mount_kv2("secret");
    (server, root)
}

fn config(address: &str, token: &str, secret_path: &str) -> VaultConfig {
    let auth = Auth::Token(zeroize::Zeroizing::new(token.to_owned()));
    VaultConfig {
        timeout: Duration::from_secs(20),
        ..VaultConfig::new(address, auth, secret_path.parse().unwrap())
    }
}

/// A store with a client of its own and the root token.
fn store(server: &Server, secret_path: &str) -> VaultStore {
    over(config(&server.address, &server.root_token, secret_path))
}

/// The same with material wrapped by the Transit key `key`.
fn wrapping(server: &Server, key: &str) -> VaultStore {
    over(VaultConfig {
        transit_key: Some(key.to_owned()),
        ..config(&server.address, &server.root_token, PREFIX)
    })
}

fn over(config: VaultConfig) -> VaultStore {
    VaultStore::new(Vault::start(config).unwrap())
}

/// Mounts Transit and makes a key.
fn transit_key(root: &Client, key: &str) {
    if root.get("sys/mounts").ok()["data"]["transit/"].is_null() {
        root.post("sys/mounts/transit", &json!({"type": "transit"})).ok();
    }
    root.post(&format!("transit/keys/{key}"), &json!({})).ok();
}

/// Writes a secret's fields as somebody with Vault's own tools would.
fn put(root: &Client, path: &str, fields: &Value) {
    root.post(&format!("{PREFIX}/{path}"), &json!({"data": fields})).ok();
}

/// What every readable revision of the secret holds, oldest first.
fn revisions(root: &Client, path: &str) -> Vec<Value> {
    let metadata = root.get(&format!("secret/metadata/e2ee/{path}")).ok();
    let newest = metadata["data"]["current_version"].as_u64().unwrap();
    (1..=newest)
        .map(|n| root.get(&format!("{PREFIX}/{path}?version={n}")))
        .filter(|reply| reply.status == 200)
        .map(|reply| reply.body["data"]["data"].clone())
        .collect()
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
