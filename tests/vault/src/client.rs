//! A client of Vault's HTTP API for setting up what a test needs and for looking at what is stored.

use std::time::Duration;

use serde_json::{Value, json};
use ureq::http::Request;

/// Longest a request of a test's set-up may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Speaks JSON below `/v1`, blocking, with one token.
#[derive(Clone)]
pub struct Client {
    agent: ureq::Agent,
    address: String,
    token: String,
    namespace: Option<String>,
}

/// An answer of Vault, whatever its status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// JSON body, null when there is none.
    pub body: Value,
    /// What was asked, for messages.
    pub asked: String,
}

impl Client {
    /// A client of the Vault at `address` (`http://host:port`).
    pub fn new(address: &str, token: &str) -> Self {
        Self::with_tls(address, token, ureq::tls::TlsConfig::default())
    }

    /// The same with TLS set up so.
    pub fn with_tls(address: &str, token: &str, tls: ureq::tls::TlsConfig) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(TIMEOUT))
            .tls_config(tls)
            .build()
            .new_agent();
        Self { agent, address: address.to_owned(), token: token.to_owned(), namespace: None }
    }

    /// The same client with another token.
    #[must_use]
    pub fn token(&self, token: &str) -> Self {
        Self { token: token.to_owned(), ..self.clone() }
    }

    /// Sends a request to `/v1/<path>`; an error when no answer comes.
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Reply, String> {
        let asked = format!("{method} {}/v1/{path}", self.address);
        let failed = |error: ureq::Error| format!("{asked}: {error}");
        let mut request = Request::builder().method(method).uri(&asked[method.len() + 1..]);
        if !self.token.is_empty() {
            request = request.header("x-vault-token", &self.token);
        }
        if let Some(namespace) = &self.namespace {
            request = request.header("x-vault-namespace", namespace);
        }
        let response = match body {
            None => self.agent.run(request.body(()).unwrap()),
            Some(body) => {
                let request = request.header("content-type", "application/json");
                self.agent.run(request.body(body.to_string()).unwrap())
            }
        };
        let mut response = response.map_err(failed)?;
        let status = response.status().as_u16();
        let text = response.body_mut().read_to_string().map_err(failed)?;
        let body = if text.trim().is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).map_err(|error| format!("{asked}: {error}: {text}"))?
        };
        Ok(Reply { status, body, asked })
    }

    #[track_caller]
    fn must(&self, method: &str, path: &str, body: Option<&Value>) -> Reply {
        self.send(method, path, body).unwrap_or_else(|error| panic!("{error}"))
    }

    /// GET.
    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.must("GET", path, None)
    }

    /// LIST: the names below a path, none when there is nothing.
    #[track_caller]
    pub fn list(&self, path: &str) -> Vec<String> {
        let reply = self.must("LIST", path, None);
        if reply.status == 404 {
            return Vec::new();
        }
        let keys = reply.ok()["data"]["keys"].clone();
        keys.as_array().unwrap().iter().filter_map(|key| Some(key.as_str()?.to_owned())).collect()
    }

    /// POST.
    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.must("POST", path, Some(body))
    }

    /// PUT.
    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> Reply {
        self.must("PUT", path, Some(body))
    }

    /// DELETE.
    #[track_caller]
    pub fn delete(&self, path: &str) -> Reply {
        self.must("DELETE", path, None)
    }

    /// Mounts a KV engine of version 2 at `mount` and waits until it takes writes: a new mount
    /// upgrades its storage first.
    #[track_caller]
    pub fn mount_kv2(&self, mount: &str) {
        self.post(
            &format!("sys/mounts/{mount}"),
            &json!({ "type": "kv", "options": { "version": "2" } }),
        )
        .ok();
        let probe = json!({ "data": { "ready": true } });
        for _ in 0..400 {
            if self.post(&format!("{mount}/data/keyward-test-probe"), &probe).status == 200 {
                self.delete(&format!("{mount}/metadata/keyward-test-probe")).ok();
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("the KV mount {mount} takes no writes");
    }

    /// Writes a policy in HCL.
    #[track_caller]
    pub fn policy(&self, name: &str, hcl: &str) {
        self.put(&format!("sys/policies/acl/{name}"), &json!({ "policy": hcl })).ok();
    }

    /// A new token with what `body` asks for (`policies`, `ttl`, `type` …).
    #[track_caller]
    pub fn create_token(&self, body: &Value) -> String {
        self.post("auth/token/create", body).ok()["auth"]["client_token"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Enables AppRole at `auth/approle` if it is not, sets the role up as `body` says
    /// (`token_policies`, `token_ttl`, `token_max_ttl` …), and gives its role id and a secret id.
    #[track_caller]
    pub fn approle(&self, role: &str, body: &Value) -> (String, String) {
        if self.get("sys/auth").ok()["data"]["approle/"].is_null() {
            self.post("sys/auth/approle", &json!({ "type": "approle" })).ok();
        }
        let path = format!("auth/approle/role/{role}");
        self.post(&path, body).ok();
        let role_id = self.get(&format!("{path}/role-id")).ok()["data"]["role_id"].clone();
        let secret = self.post(&format!("{path}/secret-id"), &json!({})).ok();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        (text(&role_id), text(&secret["data"]["secret_id"]))
    }
}

impl Reply {
    /// The body; fails unless the status is 2xx.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!((200..300).contains(&self.status), "{}: {} {}", self.asked, self.status, self.body);
        self.body
    }

    /// The body; fails unless the status is this.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}: {}", self.asked, self.body);
        self.body
    }
}
