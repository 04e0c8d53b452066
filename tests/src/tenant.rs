//! A tenant, with a policy and tokens.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::Client;

/// The component built from the policy of this name.
pub fn policy(name: &str) -> Vec<u8> {
    let path = policies().join(format!("{name}.wasm"));
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}: cargo xtask policies", path.display()))
}

/// Where `cargo xtask policies` puts components.
pub(crate) fn policies() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/policies")
}

/// A tenant and who speaks for it. Clients are below the tenant's path.
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// The operator, below this tenant.
    pub operator: Client,
    /// A tenant-admin.
    pub admin: Client,
    /// The tenant-admin's token.
    pub admin_token: String,
    /// An application.
    pub app: Client,
    /// The application's token.
    pub app_token: String,
}

impl Tenant {
    /// Creates it. It has no policy yet.
    #[track_caller]
    pub(crate) fn create(root: &Client, operator: &str, name: &str) -> Self {
        let operator = root.token(operator);
        operator.post("/api/v1/tenants", &json!({ "name": name })).expect(201);
        let operator = operator.below(&format!("/api/v1/tenants/{name}"));
        let admin_token = mint(&operator, "admin", &["tenant-admin"], &json!({}));
        let app_token = mint(&operator, "app", &["application"], &json!({}));
        let (admin, app) = (operator.token(&admin_token), operator.token(&app_token));
        Self { name: name.to_owned(), operator, admin, admin_token, app, app_token }
    }

    /// Activates the policy of this name.
    #[track_caller]
    pub fn activate(&self, name: &str) {
        self.operator.put_policy(&policy(name)).expect(200);
    }

    /// Creates a key of the default algorithm.
    #[track_caller]
    pub fn key(&self, name: &str) {
        self.new_key(&json!({ "name": name }));
    }

    /// Creates a key.
    #[track_caller]
    pub fn new_key(&self, body: &Value) {
        self.admin.post("/keys", body).expect(201);
    }

    /// A caller with these roles.
    #[track_caller]
    pub fn caller(&self, roles: &[&str]) -> Client {
        self.caller_with(roles, &json!({}))
    }

    /// A token of this subject with these roles.
    #[track_caller]
    pub fn token(&self, subject: &str, roles: &[&str]) -> String {
        mint(&self.operator, subject, roles, &json!({}))
    }

    /// A caller with these roles and claims.
    #[track_caller]
    pub fn caller_with(&self, roles: &[&str], claims: &Value) -> Client {
        self.operator.token(&mint(&self.operator, "caller", roles, claims))
    }
}

#[track_caller]
fn mint(operator: &Client, subject: &str, roles: &[&str], claims: &Value) -> String {
    let body = json!({ "subject": subject, "roles": roles, "claims": claims });
    operator.post("/tokens", &body).expect(201).str("/token")
}
