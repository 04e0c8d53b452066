//! The requests that are about the token itself: log in, look up, renew, revoke.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::json;
use tokio::time::Instant;
use vaultrs::api;
use zeroize::Zeroizing;

use super::config::check_header;
use super::connection::Connection;
use super::raw::Raw;
use super::session::Lease;
use super::shared::Shared;
use super::{Auth, Operation, VaultError};

const LOOKUP: &str = "auth/token/lookup-self";
const RENEW: &str = "auth/token/renew-self";
const REVOKE: &str = "auth/token/revoke-self";

/// A token and its lease.
pub(super) struct Grant {
    pub token: Zeroizing<String>,
    pub connection: Arc<Connection>,
    pub lease: Lease,
}

#[derive(Serialize)]
struct AppRoleLogin<'a> {
    role_id: &'a str,
    secret_id: &'a str,
}

#[derive(Serialize)]
struct KubernetesLogin<'a> {
    role: &'a str,
    jwt: &'a str,
}

#[derive(Deserialize)]
struct Answer {
    auth: Option<AuthAnswer>,
}

#[derive(Deserialize)]
struct AuthAnswer {
    #[serde(deserialize_with = "zeroizing")]
    client_token: Zeroizing<String>,
    lease_duration: u64,
    renewable: bool,
    #[serde(default)]
    token_type: String,
}

#[derive(Deserialize)]
struct LookupAnswer {
    ttl: u64,
    #[serde(default)]
    renewable: bool,
    #[serde(default)]
    expire_time: Option<String>,
    #[serde(default, rename = "type")]
    token_type: String,
}

fn zeroizing<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Zeroizing<String>, D::Error> {
    String::deserialize(deserializer).map(Zeroizing::new)
}

impl AuthAnswer {
    fn lease(&self, since: Instant) -> Lease {
        Lease {
            ttl: (self.lease_duration > 0).then(|| Duration::from_secs(self.lease_duration)),
            renewable: self.renewable,
            batch: self.token_type == "batch",
            since,
        }
    }
}

impl Shared {
    /// Logs in as configured. A token that is given is looked up, so that it is known to work.
    pub async fn log_in(&self) -> Result<Grant, VaultError> {
        match &self.config.auth {
            Auth::Token(token) => self.adopt(token.clone()).await,
            Auth::TokenFile(path) => self.adopt(read_token(path).await?).await,
            Auth::AppRole { role_id, secret_id, mount } => {
                self.obtain(mount, &AppRoleLogin { role_id, secret_id }).await
            }
            Auth::Kubernetes { role, jwt_file, mount } => {
                let jwt = read_secret("kubernetes", jwt_file).await?;
                self.obtain(mount, &KubernetesLogin { role, jwt: &jwt }).await
            }
        }
    }

    async fn adopt(&self, token: Zeroizing<String>) -> Result<Grant, VaultError> {
        let connection = Arc::new(self.connector.connect(&token));
        let deadline = Instant::now() + self.config.timeout;
        let lease = self.look_up(&connection, deadline).await?;
        Ok(Grant { token, connection, lease })
    }

    async fn obtain(&self, mount: &str, body: &impl Serialize) -> Result<Grant, VaultError> {
        let method = self.config.auth.name();
        let path = format!("auth/{mount}/login");
        let request = Raw::<Answer>::post(path.as_str(), body)?;
        let since = Instant::now();
        let answer = self
            .request(Operation::Login, &path, api::exec_with_no_result(&**self.anonymous, request))
            .await
            .map_err(|error| refusal(method, mount, error))?;
        let refused = |reason: &str| VaultError::LoginFailed { method, reason: reason.to_owned() };
        let auth = answer.auth.ok_or_else(|| refused("Vault's answer holds no token"))?;
        check_header("vault.token", &auth.client_token)
            .map_err(|_| refused("Vault's answer holds no usable token"))?;
        let lease = auth.lease(since);
        let connection = Arc::new(self.connector.connect(&auth.client_token));
        Ok(Grant { token: auth.client_token, connection, lease })
    }

    /// Asks Vault about the token; as good as a health check and not counted as a request. Fails
    /// with [`VaultError::TokenInvalid`] when Vault does not know it.
    pub async fn look_up(
        &self,
        connection: &Connection,
        deadline: Instant,
    ) -> Result<Lease, VaultError> {
        let since = Instant::now();
        let request = api::exec_with_result(&**connection, Raw::<LookupAnswer>::get(LOOKUP));
        match self.attempt(Operation::System, LOOKUP, deadline, request).await {
            Ok(answer) => Ok(Lease {
                ttl: (answer.ttl > 0 || answer.expire_time.is_some())
                    .then(|| Duration::from_secs(answer.ttl)),
                renewable: answer.renewable,
                batch: answer.token_type == "batch",
                since,
            }),
            Err(failure) => Err(match failure.error {
                VaultError::PermissionDenied { .. } => {
                    VaultError::TokenInvalid { origin: self.config.auth.name() }
                }
                error => error,
            }),
        }
    }

    /// Asks Vault for `increment` more.
    pub async fn renew(
        &self,
        connection: &Connection,
        increment: Duration,
    ) -> Result<Lease, VaultError> {
        // Whole seconds, at least one: zero would ask for the default.
        let increment = format!("{}s", increment.as_secs().max(1));
        let request = Raw::<Answer>::post(RENEW, &json!({ "increment": increment }))?;
        let since = Instant::now();
        let answer = self
            .request(Operation::Renew, RENEW, api::exec_with_no_result(&**connection, request))
            .await?;
        answer.auth.map(|auth| auth.lease(since)).ok_or_else(|| VaultError::NotVault {
            path: RENEW.to_owned(),
            reason: "it holds no lease",
        })
    }

    /// Ends the token's life. One that Vault does not know any more is as good as revoked.
    pub async fn revoke(&self, connection: &Connection) -> Result<(), VaultError> {
        let request = Raw::<()>::post(REVOKE, &json!({}))?;
        let started = Instant::now();
        let request = api::exec_with_empty(&**connection, request);
        let deadline = started + self.config.timeout;
        let result = match self.attempt(Operation::Revoke, REVOKE, deadline, request).await {
            Err(failure) if matches!(failure.error, VaultError::PermissionDenied { .. }) => Ok(()),
            Err(failure) => Err(failure.error),
            Ok(()) => Ok(()),
        };
        self.count(Operation::Revoke, started, &result);
        result
    }
}

/// What is wrong with a login that Vault refused. Failures that are not about it stay as they are.
fn refusal(method: &'static str, mount: &str, error: VaultError) -> VaultError {
    let credentials = match method {
        "approle" => "the role id and the secret id",
        _ => "the role and the service account's token",
    };
    let reason = match error {
        VaultError::Rejected { .. } => {
            format!("Vault refused {credentials}; see that they are valid and not expired")
        }
        // Vault answers so too where there is no auth method at all.
        VaultError::PermissionDenied { .. }
        | VaultError::NotFound { .. }
        | VaultError::MountMissing { .. } => format!(
            "Vault refused {credentials}; see that they are valid and not expired, and that there \
             is an auth method at auth/{mount} (`vault auth enable -path={mount} {method}`)"
        ),
        other => return other,
    };
    VaultError::LoginFailed { method, reason }
}

/// The token in a file, without the white space around it.
pub(super) async fn read_token(path: &Path) -> Result<Zeroizing<String>, VaultError> {
    read_secret("token-file", path).await
}

async fn read_secret(method: &'static str, path: &Path) -> Result<Zeroizing<String>, VaultError> {
    let failed = |reason: String| VaultError::LoginFailed {
        method,
        reason: format!("the file {} {reason}", path.display()),
    };
    let file = path.to_owned();
    let text =
        tokio::task::spawn_blocking(move || std::fs::read_to_string(file).map(Zeroizing::new))
            .await
            .map_err(|_| failed("was not read to its end".to_owned()))?
            .map_err(|error| failed(format!("cannot be read: {error}")))?;
    let secret = text.trim();
    check_header("vault.token_file", secret)
        .map_err(|_| failed("holds no token: visible ASCII characters on one line".to_owned()))?;
    Ok(Zeroizing::new(secret.to_owned()))
}
