//! The one thing Vault asks of a Kubernetes cluster at a login: whose token this is. Vault and its
//! Kubernetes login are real; the cluster is only this.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::Client;

/// The token reviews of a cluster with service accounts in namespace `default`.
pub struct Kubernetes {
    /// `http://host:port`.
    pub address: String,
    accounts: Arc<Mutex<Vec<(String, String)>>>,
}

impl Kubernetes {
    /// Starts it; it answers until the test process ends.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let accounts: Arc<Mutex<Vec<(String, String)>>> = Arc::default();
        let known = Arc::clone(&accounts);
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                let review = json_body(&mut client);
                let token = review["spec"]["token"].as_str().unwrap_or_default();
                let account = {
                    let known = known.lock().unwrap();
                    known.iter().find(|(jwt, _)| jwt == token).map(|(_, name)| name.clone())
                };
                let _ = client.write_all(&answer(&verdict(account.as_deref())));
            }
        });
        Self { address, accounts }
    }

    /// The JWT that a pod of this service account finds mounted.
    pub fn jwt(&self, account: &str) -> String {
        let mut accounts = self.accounts.lock().unwrap();
        let part = |json: &Value| URL_SAFE_NO_PAD.encode(json.to_string());
        let head = part(&json!({ "alg": "RS256", "kid": "test" }));
        let claims = part(&json!({
            "iss": "kubernetes/serviceaccount",
            "sub": format!("system:serviceaccount:default:{account}"),
            "kubernetes.io/serviceaccount/namespace": "default",
            "kubernetes.io/serviceaccount/service-account.name": account,
            "kubernetes.io/serviceaccount/service-account.uid": uid(account),
            "kubernetes.io/serviceaccount/secret.name": format!("{account}-{}", accounts.len()),
        }));
        let jwt = format!("{head}.{claims}.{}", URL_SAFE_NO_PAD.encode("signature"));
        accounts.push((jwt.clone(), account.to_owned()));
        jwt
    }

    /// From now on no JWT made so far is anybody's.
    pub fn expire_all(&self) {
        self.accounts.lock().unwrap().clear();
    }

    /// Enables the login at `auth/kubernetes` of a Vault, with a role of this name for the service
    /// account `account`; `role` adds to it (`token_policies`, `token_ttl` …).
    #[track_caller]
    pub fn enable(&self, root: &Client, name: &str, account: &str, role: Value) {
        self.enable_at(root, "kubernetes", name, account, role);
    }

    /// The same at `auth/<mount>`.
    #[track_caller]
    pub fn enable_at(&self, root: &Client, mount: &str, name: &str, account: &str, role: Value) {
        root.post(&format!("sys/auth/{mount}"), &json!({ "type": "kubernetes" })).ok();
        self.configure(root, mount);
        let mut role = role;
        role["bound_service_account_names"] = json!(account);
        role["bound_service_account_namespaces"] = json!("default");
        root.post(&format!("auth/{mount}/role/{name}"), &role).ok();
    }

    /// Tells the login at `auth/<mount>` where the cluster is, with a reviewer's token that counts.
    #[track_caller]
    pub fn configure(&self, root: &Client, mount: &str) {
        let config = json!({
            "kubernetes_host": self.address,
            "token_reviewer_jwt": self.jwt("reviewer"),
            // Speaks plain HTTP, so there is no certificate to check.
            "kubernetes_ca_cert": "none",
            "disable_local_ca_jwt": true,
        });
        root.post(&format!("auth/{mount}/config"), &config).ok();
    }
}

fn uid(account: &str) -> String {
    format!("uid-of-{account}")
}

fn verdict(account: Option<&str>) -> Value {
    let status = match account {
        Some(name) => json!({ "authenticated": true, "user": {
            "username": format!("system:serviceaccount:default:{name}"),
            "uid": uid(name),
            "groups": ["system:serviceaccounts", "system:serviceaccounts:default"],
        }}),
        None => json!({ "authenticated": false, "error": "unknown token" }),
    };
    json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "status": status })
}

/// The JSON body of the one request of a connection; null if there is none.
fn json_body(client: &mut TcpStream) -> Value {
    let mut request = Vec::new();
    let mut buffer = [0; 8 << 10];
    loop {
        let head = request.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4);
        if let Some(body) = head.and_then(|head| serde_json::from_slice(&request[head..]).ok()) {
            return body;
        }
        match client.read(&mut buffer) {
            Ok(read) if read > 0 => request.extend_from_slice(&buffer[..read]),
            _ => return Value::Null,
        }
    }
}

fn answer(body: &Value) -> Vec<u8> {
    let body = body.to_string();
    format!(
        "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
