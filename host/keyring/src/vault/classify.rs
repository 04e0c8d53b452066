//! From what vaultrs, rustify and reqwest report to [`VaultError`]. Their errors carry the bodies
//! of answers, so nothing of them is passed on but statuses and what the network layer says.

use std::error::Error;

use rustify::errors::ClientError as RestError;
use serde::Deserialize;
use vaultrs::error::ClientError;

use super::{Operation, VaultConfig, VaultError};

/// A try that failed.
pub(super) struct Failure {
    pub error: VaultError,
    /// Whether Vault may have carried the request out nevertheless.
    pub maybe_executed: bool,
}

impl Failure {
    fn refused(error: VaultError) -> Self {
        Self { error, maybe_executed: false }
    }

    fn open(error: VaultError) -> Self {
        Self { error, maybe_executed: true }
    }
}

/// What a request was about, for its errors.
#[derive(Clone, Copy)]
pub(super) struct Subject<'a> {
    pub operation: Operation,
    pub path: &'a str,
    pub config: &'a VaultConfig,
}

impl Subject<'_> {
    pub fn classify(self, error: &ClientError) -> Failure {
        let path = || self.path.to_owned();
        let not_vault = |reason| Failure::open(VaultError::NotVault { path: path(), reason });
        match error {
            ClientError::APIError { code, errors } => self.by_status(*code, Some(errors)),
            ClientError::RestClientError { source } => match source {
                RestError::ServerResponseError { code, content } => {
                    let errors = content.as_deref().and_then(vault_errors);
                    self.by_status(*code, errors.as_deref())
                }
                RestError::RequestError { source, .. } | RestError::ResponseError { source } => {
                    let source: &(dyn Error + Send + Sync + 'static) = source.as_ref();
                    self.by_transport(source)
                }
                RestError::ResponseParseError { .. }
                | RestError::ResponseConversionError { .. } => {
                    not_vault("it is not the JSON expected")
                }
                _ => not_vault("no request could be made for it"),
            },
            ClientError::JsonParseError { .. } => {
                let reason = "it has not the fields expected";
                Failure::refused(VaultError::Malformed { path: path(), reason })
            }
            ClientError::ResponseEmptyError | ClientError::ResponseDataEmptyError => {
                not_vault("it is empty")
            }
            _ => not_vault("it cannot be understood"),
        }
    }

    /// `errors` is `None` when the body is not one that Vault sends with this status.
    fn by_status(self, status: u16, errors: Option<&[String]>) -> Failure {
        let path = self.path.to_owned();
        let says = |text: &str| errors.unwrap_or_default().iter().any(|error| error.contains(text));
        match status {
            307 | 308 => Failure::refused(VaultError::Standby {
                reason: "it redirects to an address that calls do not follow",
            }),
            300..400 => {
                Failure::refused(VaultError::NotVault { path, reason: "it is a redirection" })
            }
            // Some versions answer this to wrong credentials with 500.
            400.. if self.operation == Operation::Login && says("invalid secret id") => {
                Failure::refused(VaultError::Rejected { path, status })
            }
            400 if says("check-and-set parameter did not match") => {
                Failure::refused(VaultError::CasMismatch { path, retried: false })
            }
            400 if says("Upgrading from non-versioned to versioned") => {
                Failure::refused(VaultError::ServerError { path, status })
            }
            403 if errors.is_some() => {
                let capability = self.operation.capability();
                Failure::refused(VaultError::PermissionDenied { path, capability })
            }
            404 if says("no handler for route") => {
                Failure::refused(VaultError::MountMissing { mount: self.mount() })
            }
            404 if errors.is_some() => Failure::refused(VaultError::NotFound { path }),
            412 => Failure::refused(VaultError::Standby {
                reason: "it has not yet replicated what this client wrote",
            }),
            429 => Failure::refused(VaultError::RateLimited),
            472 | 473 => Failure::refused(VaultError::Standby {
                reason: "it is a standby of another cluster, or does not forward calls",
            }),
            501 => Failure::refused(VaultError::Uninitialized),
            503 if says("sealed") => Failure::refused(VaultError::Sealed),
            500 if says("active cluster node not found") => {
                Failure::refused(VaultError::Standby { reason: "no active node is known to it" })
            }
            500.. => Failure::open(VaultError::ServerError { path, status }),
            _ if errors.is_none() => {
                let reason = "its body is not one that Vault sends";
                Failure::refused(VaultError::NotVault { path, reason })
            }
            _ => Failure::refused(VaultError::Rejected { path, status }),
        }
    }

    fn by_transport(self, error: &(dyn Error + 'static)) -> Failure {
        let connecting =
            error.downcast_ref::<reqwest::Error>().is_some_and(reqwest::Error::is_connect);
        let error = VaultError::Unreachable {
            address: self.config.address.clone(),
            reason: root_cause(error),
        };
        Failure { error, maybe_executed: !connecting }
    }

    /// The mount that the path is in, as well as it is known.
    fn mount(self) -> String {
        let inside =
            |mount: &str| self.path.strip_prefix(mount).is_some_and(|rest| rest.starts_with('/'));
        [self.config.secret_path.mount(), &self.config.transit_mount]
            .into_iter()
            .find(|mount| inside(mount))
            .or_else(|| self.path.rsplit_once('/').map(|(mount, _)| mount))
            .unwrap_or(self.path)
            .to_owned()
    }
}

/// What the operating system, TLS or HTTP layer said at the bottom. The layers above it only say
/// that a request failed, and repeat its URL.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    const LONGEST: usize = 160;
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if cause.is::<reqwest::Error>() {
        return "the request failed".to_owned();
    }
    cause.to_string().chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

/// The error texts in a body that Vault sent with a failure. A KV version 2 secret whose current
/// revision is deleted gives "not found" with `data` and no errors.
fn vault_errors(body: &str) -> Option<Vec<String>> {
    #[derive(Deserialize)]
    struct Body {
        errors: Option<Vec<String>>,
        data: Option<serde::de::IgnoredAny>,
    }
    let body: Body = serde_json::from_str(body).ok()?;
    body.errors.or_else(|| body.data.map(|_| Vec::new()))
}

#[cfg(test)]
mod tests {
    use zeroize::Zeroizing;

    use super::*;
    use crate::vault::Auth;

    fn classify(path: &str, error: &ClientError) -> Failure {
        let auth = Auth::Token(Zeroizing::new("t".to_owned()));
        let path_setting = "team/kv/data/e2ee".parse().unwrap();
        let config = VaultConfig::new("http://vault:8200", auth, path_setting);
        Subject { operation: Operation::KvRead, path, config: &config }.classify(error)
    }

    fn code(status: u16, body: &str) -> &'static str {
        let source = RestError::ServerResponseError { code: status, content: Some(body.into()) };
        classify("team/kv/data/e2ee/x", &ClientError::RestClientError { source }).error.code()
    }

    #[test]
    fn statuses() {
        let none = r#"{"errors":[]}"#;
        assert_eq!(code(404, none), "vault-not-found");
        assert_eq!(code(404, r#"{"data":{"data":null,"metadata":{}}}"#), "vault-not-found");
        assert_eq!(code(403, r#"{"errors":["permission denied"]}"#), "vault-permission-denied");
        assert_eq!(code(400, none), "vault-rejected");
        assert_eq!(code(429, "slow down"), "vault-rate-limited");
        assert_eq!(code(500, none), "vault-server-error");
        assert_eq!(code(502, "<html>"), "vault-server-error");
        assert_eq!(code(503, r#"{"errors":["Vault is sealed"]}"#), "vault-sealed");
        assert_eq!(code(503, "no upstream"), "vault-server-error");
        assert_eq!(code(307, ""), "vault-standby");
        assert_eq!(code(302, ""), "vault-malformed-response");
    }

    #[test]
    fn what_another_server_says_about_its_own_pages_says_nothing_about_records() {
        for body in ["", "<html>404</html>", "{}", "[]", "null", r#"{"error":"not found"}"#] {
            assert_eq!(code(404, body), "vault-malformed-response", "{body:?}");
            assert_eq!(code(403, body), "vault-malformed-response", "{body:?}");
        }
    }

    #[test]
    fn a_missing_mount_is_named() {
        let errors = vec!["no handler for route \"x\". route entry not found.".to_owned()];
        let error = ClientError::APIError { code: 404, errors };
        let found = classify("team/kv/data/e2ee/x", &error).error;
        assert_eq!(found, VaultError::MountMissing { mount: "team/kv".into() });
    }

    #[test]
    fn bodies_never_get_into_an_error() {
        let secret = "c2VjcmV0LWtleS1ieXRlcw==";
        let content = Some(format!(r#"{{"errors":["{secret}"],"data":"{secret}"}}"#));
        let errors = [
            ClientError::APIError { code: 400, errors: vec![secret.into()] },
            RestError::ServerResponseError { code: 400, content: content.clone() }.into(),
            RestError::ServerResponseError { code: 500, content: content.clone() }.into(),
            RestError::ResponseConversionError {
                source: std::io::Error::other(secret).into(),
                content: secret.into(),
            }
            .into(),
        ];
        for error in errors {
            let found = classify("team/kv/data/e2ee/x", &error).error;
            assert!(!format!("{found} {found:?}").contains(secret), "{found:?}");
        }
    }
}
