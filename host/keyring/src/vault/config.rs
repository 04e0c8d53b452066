//! What a connection to Vault is made from, and which settings cannot be used.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use zeroize::Zeroizing;

use super::{SecretPath, VaultError};
use crate::store::check_path;

/// Where a Kubernetes pod finds the token of its service account.
pub const KUBERNETES_JWT_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

/// How to reach Vault, how to log in, and how to bear its failures.
///
/// No environment variable is read: neither `VAULT_*` nor those that name a proxy.
#[derive(Clone)]
pub struct VaultConfig {
    /// `http://host:port` or `https://host:port`, without a path.
    pub address: String,
    /// How to log in.
    pub auth: Auth,
    /// The namespace of Vault Enterprise or OpenBao.
    pub namespace: Option<String>,
    /// Where the records are.
    pub secret_path: SecretPath,
    /// The longest a call takes, its wait for a permit and its retries included.
    pub timeout: Duration,
    /// How often a call that may be repeated is tried again.
    pub max_retries: u32,
    /// How an `https` address is verified.
    pub tls: Tls,
    /// The time between two health checks while Vault is healthy.
    pub health_period: Duration,
    /// A token that ends sooner than this is reported as expiring soon.
    pub expiry_warning: Duration,
    /// The lease asked for when the token is renewed.
    pub renew_increment: Duration,
    /// The most calls in flight at once.
    pub max_concurrent: usize,
    /// When calls are suspended.
    pub breaker: BreakerConfig,
    /// The Vault Transit key that wraps key material before it is stored.
    pub transit_key: Option<String>,
    /// The mount of the Transit secrets engine.
    pub transit_mount: String,
}

impl VaultConfig {
    /// The given address, login and path, and the default of everything else.
    pub fn new(address: impl Into<String>, auth: Auth, secret_path: SecretPath) -> Self {
        Self {
            address: address.into(),
            auth,
            namespace: None,
            secret_path,
            timeout: Duration::from_secs(30),
            max_retries: 3,
            tls: Tls::default(),
            health_period: Duration::from_secs(30),
            expiry_warning: Duration::from_hours(1),
            renew_increment: Duration::from_hours(1),
            max_concurrent: 64,
            breaker: BreakerConfig::default(),
            transit_key: None,
            transit_mount: "transit".to_owned(),
        }
    }

    /// Checks every setting that can be checked without a file or the network, and returns the
    /// address parsed. Fails with [`VaultError::Config`].
    pub(super) fn check(&self) -> Result<Url, VaultError> {
        let address = check_address(&self.address)?;
        self.auth.check()?;
        if let Some(namespace) = &self.namespace {
            check_header("vault.namespace", namespace)?;
        }
        if let Some(key) = &self.transit_key {
            check_segments("vault.transit_key", key)?;
        }
        check_segments("vault.transit_mount", &self.transit_mount)?;
        let periods = [
            ("vault.timeout", self.timeout),
            ("vault.health_period", self.health_period),
            ("vault.renew_increment", self.renew_increment),
        ];
        for (setting, period) in periods {
            if period.is_zero() {
                return Err(invalid(setting, "it must be longer than zero"));
            }
        }
        if self.max_concurrent == 0 {
            return Err(invalid("vault.max_concurrent", "it must be at least 1"));
        }
        if self.tls.client_cert.is_some() != self.tls.client_key.is_some() {
            let reason = "a client certificate and its key go together; give both or neither";
            return Err(invalid("vault.client_cert", reason));
        }
        Ok(address)
    }
}

/// How to log in to Vault. It has no `Debug` form, because it holds secrets.
#[derive(Clone)]
#[non_exhaustive]
pub enum Auth {
    /// A token that is given once. It is renewed where it can be, and never revoked.
    Token(Zeroizing<String>),
    /// A file with a token that someone else replaces, such as Vault Agent. It is read again
    /// whenever it changes.
    TokenFile(PathBuf),
    /// AppRole.
    AppRole {
        /// The role id.
        role_id: String,
        /// The secret id; empty for a role that is bound to addresses instead.
        secret_id: Zeroizing<String>,
        /// The mount of the auth method, usually `approle`.
        mount: String,
    },
    /// The service account of a Kubernetes pod.
    Kubernetes {
        /// The role.
        role: String,
        /// The file with the service account's token, usually [`KUBERNETES_JWT_FILE`]. It is read
        /// at each login.
        jwt_file: PathBuf,
        /// The mount of the auth method, usually `kubernetes`.
        mount: String,
    },
}

impl Auth {
    /// `token`, `token-file`, `approle` or `kubernetes`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Token(_) => "token",
            Self::TokenFile(_) => "token-file",
            Self::AppRole { .. } => "approle",
            Self::Kubernetes { .. } => "kubernetes",
        }
    }

    /// Whether a login yields a token that nobody else has, and another one each time.
    pub(super) fn obtains_tokens(&self) -> bool {
        matches!(self, Self::AppRole { .. } | Self::Kubernetes { .. })
    }

    fn check(&self) -> Result<(), VaultError> {
        match self {
            Self::Token(token) => check_header("vault.token", token),
            Self::TokenFile(path) if path.as_os_str().is_empty() => {
                Err(invalid("vault.token_file", "it is empty"))
            }
            Self::TokenFile(_) => Ok(()),
            Self::AppRole { role_id, mount, .. } => {
                if role_id.is_empty() {
                    return Err(invalid("vault.role_id", "it is empty"));
                }
                check_segments("vault.approle_mount", mount)
            }
            Self::Kubernetes { role, mount, .. } => {
                if role.is_empty() {
                    return Err(invalid("vault.k8s_role", "it is empty"));
                }
                check_segments("vault.k8s_mount", mount)
            }
        }
    }
}

/// How the TLS connection to Vault is made.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Accept any certificate. Whoever stands between can then read every key.
    pub skip_verify: bool,
    /// The certificates (PEM) that vouch for Vault's, instead of the system's.
    pub ca_cert: Option<PathBuf>,
    /// The certificate (PEM, with its chain) to show to Vault.
    pub client_cert: Option<PathBuf>,
    /// The private key (PEM) of that certificate.
    pub client_key: Option<PathBuf>,
}

/// When calls to Vault are suspended, so that they fail at once instead of waiting.
#[derive(Clone, Copy, Debug)]
pub struct BreakerConfig {
    /// How many calls in a row fail, after their retries, before calls are suspended.
    pub failures: u32,
    /// How long calls are suspended before one is let through as a probe.
    pub open_for: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures: 5, open_for: Duration::from_secs(1) }
    }
}

pub(super) fn invalid(setting: &'static str, reason: impl Into<String>) -> VaultError {
    VaultError::Config { setting, reason: reason.into() }
}

/// The errors never repeat the address: a password may be in it.
fn check_address(address: &str) -> Result<Url, VaultError> {
    const SETTING: &str = "vault.address";
    let url = Url::parse(address)
        .map_err(|error| invalid(SETTING, format!("it is not a URL: {error}")))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid(SETTING, "it must begin with http:// or https://"));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err(invalid(SETTING, "it names no host"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid(SETTING, "it holds a user name or a password; Vault knows neither"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(invalid(SETTING, "nothing may follow the host and port"));
    }
    Ok(url)
}

/// Accepts what an HTTP header can carry as it is: visible ASCII characters, at least one. The
/// error never repeats the value.
pub(super) fn check_header(setting: &'static str, value: &str) -> Result<(), VaultError> {
    if value.is_empty() {
        return Err(invalid(setting, "it is empty"));
    }
    if !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        let reason = "it has a character that is not a visible ASCII character, such as a space \
                      or a line break";
        return Err(invalid(setting, reason));
    }
    Ok(())
}

pub(super) fn check_segments(setting: &'static str, path: &str) -> Result<(), VaultError> {
    check_path(path).map_err(|_| {
        let reason = "it must be segments of A-Z a-z 0-9 . _ - with one / between two of them";
        invalid(setting, reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_cannot_be_used_are_named() {
        let good = || {
            let auth = Auth::Token(Zeroizing::new("hvs.AAAA".to_owned()));
            VaultConfig::new("http://127.0.0.1:8200", auth, "secret/e2ee".parse().unwrap())
        };
        assert!(good().check().is_ok());
        let refused = |change: fn(&mut VaultConfig)| {
            let mut config = good();
            change(&mut config);
            match config.check() {
                Err(VaultError::Config { setting, reason }) => (setting, reason),
                other => panic!("{other:?}"),
            }
        };
        for address in [
            "",
            "vault:8200",
            "ftp://vault",
            "http://",
            "https://user:hunter2@vault",
            "http://vault/v1",
            "http://vault/?x",
        ] {
            let mut config = good();
            config.address = address.to_owned();
            let error = config.check().unwrap_err();
            assert_eq!(error.code(), "vault-config", "{address:?}");
            assert!(error.to_string().starts_with("vault.address: "), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let token = |text: &str| Auth::Token(Zeroizing::new(text.to_owned()));
        for bad in ["", "has space", "line\nbreak", "nul\0", "ümlaut"] {
            let mut config = good();
            config.auth = token(bad);
            let error = config.check().unwrap_err().to_string();
            assert!(error.starts_with("vault.token: "), "{error}");
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
        assert_eq!(refused(|c| c.namespace = Some("a\nb".into())).0, "vault.namespace");
        assert_eq!(refused(|c| c.timeout = Duration::ZERO).0, "vault.timeout");
        assert_eq!(refused(|c| c.max_concurrent = 0).0, "vault.max_concurrent");
        assert_eq!(refused(|c| c.transit_mount = "../sys".into()).0, "vault.transit_mount");
        assert_eq!(refused(|c| c.tls.client_cert = Some("x".into())).0, "vault.client_cert");
    }
}
