//! What `sys/health` says.

use std::time::Duration;

use rustify::endpoint::Endpoint;
use rustify::errors::ClientError as RestError;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::classify::Subject;
use super::connection::{Connection, quietly};
use super::raw::Raw;
use super::shared::Shared;
use super::{Operation, State, VaultError};

const PATH: &str = "sys/health";

/// What Vault says about itself, with any status.
#[derive(Deserialize)]
struct Body {
    initialized: bool,
    sealed: bool,
    #[serde(default)]
    standby: bool,
    #[serde(default)]
    version: Option<String>,
}

/// The answer to a health check. The state is never `Unknown`.
pub(super) struct Health {
    pub state: Result<State, VaultError>,
    pub version: Option<String>,
}

impl Shared {
    /// Asks Vault for its health. The token is not involved.
    pub async fn health(&self, probe: &Connection, timeout: Duration) -> Health {
        let request = async {
            Raw::<IgnoredAny>::get(PATH).with_middleware(&probe.middle).exec(&probe.http).await
        };
        match tokio::time::timeout(timeout, quietly(request)).await {
            Ok(Ok(answer)) => judge(200, Some(answer.response.body())),
            Ok(Err(RestError::ServerResponseError { code, content })) => {
                judge(code, content.as_ref().map(String::as_bytes))
            }
            Ok(Err(error)) => {
                let subject =
                    Subject { operation: Operation::System, path: PATH, config: &self.config };
                Health { state: Err(subject.classify(&error.into()).error), version: None }
            }
            Err(_) => {
                let error = VaultError::Timeout { path: PATH.to_owned(), after: timeout };
                Health { state: Err(error), version: None }
            }
        }
    }
}

/// The longest a health check waits for one answer.
pub(super) const CHECK_TIMEOUT: Duration = Duration::from_secs(10);

/// 200 active, 429 standby, 472 recovery standby, 473 performance standby, 501 not initialised,
/// 503 sealed: but only with the body that Vault sends, because whatever stands in front of it may
/// use the same statuses.
fn judge(status: u16, body: Option<&[u8]>) -> Health {
    let body = body.and_then(|body| serde_json::from_slice::<Body>(body).ok());
    let Some(body) = body else {
        let path = || PATH.to_owned();
        let error = match status {
            429 => VaultError::RateLimited,
            500.. => VaultError::ServerError { path: path(), status },
            300..400 => VaultError::NotVault { path: path(), reason: "it is a redirection" },
            _ => VaultError::NotVault { path: path(), reason: "it is not the JSON expected" },
        };
        return Health { state: Err(error), version: None };
    };
    let state = if !body.initialized || status == 501 {
        Err(VaultError::Uninitialized)
    } else if body.sealed || status == 503 {
        Err(VaultError::Sealed)
    } else {
        match status {
            200 if !body.standby => Ok(State::Healthy),
            200 | 429 | 473 => Ok(State::Standby),
            472 => Err(VaultError::Standby { reason: "it is a standby of another cluster" }),
            _ => Err(VaultError::ServerError { path: PATH.to_owned(), status }),
        }
    };
    Health { state, version: body.version.filter(|version| is_version(version)) }
}

/// The version ends up in metrics and answers; nothing else shall.
fn is_version(text: &str) -> bool {
    text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b".+-".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(status: u16, initialized: bool, sealed: bool, standby: bool) -> &'static str {
        let body = format!(
            r#"{{"initialized":{initialized},"sealed":{sealed},"standby":{standby},
                "performance_standby":false,"server_time_utc":1,"version":"1.13.1"}}"#
        );
        let health = judge(status, Some(body.as_bytes()));
        assert_eq!(health.version.as_deref(), Some("1.13.1"));
        health.state.map_or_else(|error| error.code(), State::as_str)
    }

    #[test]
    fn statuses() {
        assert_eq!(state(200, true, false, false), "healthy");
        assert_eq!(state(200, true, false, true), "standby", "standbyok is set in front");
        assert_eq!(state(429, true, false, true), "standby");
        assert_eq!(state(473, true, false, true), "standby");
        assert_eq!(state(472, true, false, true), "vault-standby");
        assert_eq!(state(501, false, true, true), "vault-uninitialized");
        assert_eq!(state(503, true, true, true), "vault-sealed");
        assert_eq!(state(200, false, false, false), "vault-uninitialized");
    }

    #[test]
    fn only_vault_can_say_that_it_is_sealed_or_healthy() {
        let code = |status, body: &str| {
            judge(status, Some(body.as_bytes())).state.map_err(|error| error.code())
        };
        assert_eq!(code(503, "no upstream"), Err("vault-server-error"));
        assert_eq!(code(429, "slow down"), Err("vault-rate-limited"));
        assert_eq!(code(200, "<html>"), Err("vault-malformed-response"));
        assert_eq!(code(200, "{}"), Err("vault-malformed-response"));
    }

    #[test]
    fn a_version_is_a_version() {
        assert!(is_version("1.20.1+ent.hsm-rc1"));
        assert!(!is_version("1\"} evil") && !is_version(&"1".repeat(65)));
    }
}
