//! A server whose keys are in a Vault: what it needs there, and how it is told.

use std::path::Path;

use keyward_test_vault::{Client as Root, Vault};
use serde_json::{Value, json};

/// Where the keys are unless a test says otherwise: mount `secret`, folder `e2ee`.
pub const MOUNT: &str = "secret";

/// All that the server may do in Vault, and no more.
pub const POLICY: &str = r#"
path "secret/data/e2ee/*" {
  capabilities = ["create", "read", "update"]
}
path "secret/metadata/e2ee/*" {
  capabilities = ["read", "list", "delete"]
}
path "secret/destroy/e2ee/*" {
  capabilities = ["update"]
}
"#;

/// Environment variables of a server.
#[derive(Clone, Debug, Default)]
pub struct Env(Vec<(String, String)>);

impl Env {
    /// A server that reaches Vault at this address.
    pub fn new(address: &str) -> Self {
        Self::default().set("E2EE_VAULT_ADDR", address)
    }

    /// The same with this variable, instead of the value it had.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl AsRef<str>) -> Self {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The same with the path of a file.
    #[must_use]
    pub fn file(self, name: &str, path: &Path) -> Self {
        self.set(name, path.to_str().unwrap())
    }

    /// The same with a token.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.set("E2EE_VAULT_TOKEN", token)
    }

    /// The same with a role of AppRole.
    #[must_use]
    pub fn approle(self, (role_id, secret_id): &(String, String)) -> Self {
        self.set("E2EE_VAULT_ROLE_ID", role_id).set("E2EE_VAULT_SECRET_ID", secret_id)
    }

    /// As arguments of [`Server::serve_with`](crate::Server::serve_with).
    pub fn pairs(&self) -> Vec<(&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }
}

/// Mounts the KV engine and writes the policy `keyward`.
#[track_caller]
pub fn prepare(vault: &Vault) -> Root {
    let root = vault.root();
    root.mount_kv2(MOUNT);
    root.policy("keyward", POLICY);
    root
}

/// A role of AppRole with the policy `keyward` and these lifetimes of its tokens.
#[track_caller]
pub fn role(root: &Root, ttl: &str, max_ttl: &str) -> (String, String) {
    let body = json!({ "token_policies": "keyward", "token_ttl": ttl, "token_max_ttl": max_ttl });
    root.approle("keyward", &body)
}

/// A token with the policy `keyward` and what else `body` asks for.
#[track_caller]
pub fn token(root: &Root, mut body: Value) -> String {
    body["policies"] = json!(["keyward"]);
    root.create_token(&body)
}

/// All secrets below a path of a KV engine, with their latest data.
#[track_caller]
pub fn secrets(root: &Root, mount: &str) -> Vec<(String, Value)> {
    let mut folders = vec![String::new()];
    let mut secrets = Vec::new();
    while let Some(folder) = folders.pop() {
        for name in root.list(&format!("{mount}/metadata/{folder}")) {
            let path = format!("{folder}{name}");
            if name.ends_with('/') {
                folders.push(path);
            } else {
                let data = root.get(&format!("{mount}/data/{path}"));
                if data.status == 200 {
                    secrets.push((path, data.ok()["data"]["data"].clone()));
                }
            }
        }
    }
    secrets.sort_by(|a, b| a.0.cmp(&b.0));
    secrets
}

/// Moves a secrets engine, and waits until it is there.
#[track_caller]
pub fn move_mount(root: &Root, from: &str, to: &str) {
    let moved = root.post("sys/remount", &json!({ "from": from, "to": to })).ok();
    let Some(id) = moved["data"]["migration_id"].as_str() else { return };
    for _ in 0..400 {
        let status = root.get(&format!("sys/remount/status/{id}")).ok();
        if status["data"]["migration_info"]["status"] == "success" {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(25));
    }
    panic!("{from} was not moved to {to}");
}
