//! The HTTP client that all connections share, and a vaultrs client with one token over it.

use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Certificate, Identity, StatusCode, Url};
use rustify::clients::reqwest::Client as HttpClient;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;
use vaultrs::api::EndpointMiddleware;
use vaultrs::client::{VaultClient, VaultClientSettings};
use zeroize::{Zeroize, Zeroizing};

use super::{VaultConfig, VaultError};

/// A vaultrs client with one token, or with none. It is wiped from memory when dropped.
pub(crate) struct Connection(VaultClient);

impl Deref for Connection {
    type Target = VaultClient;

    fn deref(&self) -> &VaultClient {
        &self.0
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.middle.token.zeroize();
        self.0.settings.token.zeroize();
    }
}

/// Makes connections over one pool.
pub(super) struct Connector {
    address: Url,
    http: reqwest::Client,
    namespace: Option<String>,
}

impl Connector {
    /// Reads the TLS files; no network. Fails with [`VaultError::Config`].
    pub fn new(config: &VaultConfig) -> Result<Self, VaultError> {
        let address = config.check()?;
        let http = http_client(config, &address)?;
        Ok(Self { address, http, namespace: config.namespace.clone() })
    }

    /// A connection with `token`, which must have passed
    /// [`check_header`](super::config::check_header) or be empty.
    pub fn connect(&self, token: &str) -> Connection {
        self.client(token, self.namespace.clone())
    }

    /// A connection without token and namespace, for health checks: Vault has them in the root
    /// namespace only.
    pub fn probe(&self) -> Connection {
        self.client("", None)
    }

    /// Every field is given, because vaultrs takes the missing ones from the environment.
    fn client(&self, token: &str, namespace: Option<String>) -> Connection {
        let settings = VaultClientSettings {
            address: self.address.clone(),
            ca_certs: Vec::new(),
            identity: None,
            timeout: None,
            token: String::new(),
            verify: true,
            version: 1,
            wrapping: false,
            namespace: namespace.clone(),
            proxy: None,
        };
        let middle = EndpointMiddleware {
            token: token.to_owned(),
            version: "v1".to_owned(),
            wrap: None,
            namespace,
        };
        let http = HttpClient::new(self.address.as_str(), self.http.clone());
        Connection(VaultClient { http, middle, settings })
    }
}

/// Runs a request of vaultrs so that nothing it logs is seen: it and rustify log the paths of
/// requests and what Vault says about them, at every level up to error.
pub(super) async fn quietly<F: Future>(request: F) -> F::Output {
    request.with_subscriber(Dispatch::none()).await
}

fn http_client(config: &VaultConfig, address: &Url) -> Result<reqwest::Client, VaultError> {
    /// Vault itself closes an idle connection after five minutes.
    const IDLE: Duration = Duration::from_secs(90);
    const KEEPALIVE: Duration = Duration::from_secs(15);
    const CONNECT: Duration = Duration::from_secs(5);

    let mut builder = reqwest::Client::builder()
        .user_agent(concat!("keyward/", env!("CARGO_PKG_VERSION")))
        .no_proxy()
        .redirect(Policy::custom(follow))
        .connect_timeout(CONNECT.min(config.timeout))
        .pool_max_idle_per_host(config.max_concurrent)
        .pool_idle_timeout(IDLE)
        .tcp_keepalive(KEEPALIVE)
        .tcp_nodelay(true)
        .tls_backend_rustls();
    if let Some(path) = &config.tls.ca_cert {
        let certificates = Certificate::from_pem_bundle(&read("vault.ca_cert", path)?)
            .ok()
            .filter(|certificates| !certificates.is_empty())
            .ok_or_else(|| unusable("vault.ca_cert", path, "holds no certificate in PEM form"))?;
        builder = builder.tls_certs_only(certificates);
    } else if address.scheme() == "http" || config.tls.skip_verify {
        // Otherwise the certificates of the system are looked for, needlessly.
        builder = builder.tls_certs_only([]);
    }
    if let (Some(certificate), Some(key)) = (&config.tls.client_cert, &config.tls.client_key) {
        let mut pem = read("vault.client_cert", certificate)?;
        pem.push(b'\n');
        pem.extend_from_slice(&read("vault.client_key", key)?);
        let identity = Identity::from_pem(&pem).map_err(|_| {
            let reason = "with its key is not a certificate and a private key in PEM form";
            unusable("vault.client_cert", certificate, reason)
        })?;
        builder = builder.identity(identity);
    }
    if config.tls.skip_verify {
        tracing::warn!(
            "the certificate of Vault is not verified; whoever stands between reads all"
        );
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    builder.build().map_err(|error| {
        let mut cause: &dyn std::error::Error = &error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let reason = format!("no client can be made from these settings: {cause}");
        VaultError::Config { setting: "vault.tls", reason }
    })
}

fn follow(attempt: Attempt<'_>) -> Action {
    if may_follow(attempt.status(), attempt.previous(), attempt.url()) {
        attempt.follow()
    } else {
        attempt.stop()
    }
}

/// A standby that does not forward calls redirects them to the active node. As Vault's own client
/// does, such a redirection is followed once, with the same method and the token, and never from
/// TLS to plain text: whoever speaks for the configured address could read the token anyway, and
/// with TLS the certificate of the next one is verified as strictly.
fn may_follow(status: StatusCode, previous: &[Url], next: &Url) -> bool {
    let same_method =
        matches!(status, StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT);
    let downgrade = next.scheme() != "https" && previous.iter().any(|url| url.scheme() == "https");
    same_method && previous.len() == 1 && !downgrade
}

fn read(setting: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, VaultError> {
    std::fs::read(path)
        .map(Zeroizing::new)
        .map_err(|error| unusable(setting, path, &format!("cannot be read: {error}")))
}

fn unusable(setting: &'static str, path: &Path, reason: &str) -> VaultError {
    VaultError::Config { setting, reason: format!("{} {reason}", path.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirections_are_followed_once_and_never_to_plain_text() {
        let urls = |urls: &[&str]| urls.iter().map(|u| Url::parse(u).unwrap()).collect::<Vec<_>>();
        let follows = |status: u16, previous: &[&str], next: &str| {
            let status = StatusCode::from_u16(status).unwrap();
            may_follow(status, &urls(previous), &Url::parse(next).unwrap())
        };
        assert!(follows(307, &["https://a/v1/x"], "https://b/v1/x"));
        assert!(follows(307, &["http://a/v1/x"], "http://b/v1/x"));
        assert!(follows(308, &["http://a/v1/x"], "https://a/v1/x"));
        assert!(!follows(307, &["https://a/v1/x"], "http://b/v1/x"), "to plain text");
        assert!(!follows(302, &["https://a/v1/x"], "https://b/v1/x"), "another method");
        assert!(!follows(307, &["https://a/", "https://b/"], "https://c/"), "twice");
    }
}
