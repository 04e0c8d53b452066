//! What can go wrong between this process and Vault. Each message says what to do about it.

use std::time::Duration;

/// Why a call to Vault failed. Nothing in it is secret, and nothing in it was said by Vault: the
/// text of Vault's answers is judged, never passed on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VaultError {
    /// A setting cannot be used.
    #[error("{setting}: {reason}")]
    Config {
        /// The setting, such as `vault.address`.
        setting: &'static str,
        /// What is wrong, and what is expected.
        reason: String,
    },
    /// No connection, or one that broke before the answer was whole.
    #[error(
        "Vault at {address} cannot be reached ({reason}); see that it runs and that the address, \
         the network and the TLS settings fit"
    )]
    Unreachable {
        /// The configured address.
        address: String,
        /// What the network layer said.
        reason: String,
    },
    /// Vault did not answer in time.
    #[error(
        "Vault gave no answer on {path:?} within {} ms; see its load, or raise the timeout",
        after.as_millis()
    )]
    Timeout {
        /// The path asked for, below `/v1/`.
        path: String,
        /// How long the call waited, all its tries together.
        after: Duration,
    },
    /// Vault is sealed.
    #[error("Vault is sealed; unseal it (`vault operator unseal`)")]
    Sealed,
    /// Vault was never initialised.
    #[error("Vault is not initialised; initialise it (`vault operator init`) and unseal it")]
    Uninitialized,
    /// A standby node answered and could not forward the call to the active one.
    #[error("Vault answered as a standby that cannot serve ({reason}); see its active node")]
    Standby {
        /// What it answered.
        reason: &'static str,
    },
    /// The token is valid, but its policies do not allow the call.
    #[error(
        "Vault denied access to {path:?}; give the token's policy the capability {capability:?} \
         on it"
    )]
    PermissionDenied {
        /// The path asked for, below `/v1/`.
        path: String,
        /// The capability that is missing, such as `read`.
        capability: &'static str,
    },
    /// Vault does not accept the token (any more), and this process cannot get another by itself.
    #[error(
        "Vault does not accept the token from {origin}: it is expired, revoked, or may not read \
         auth/token/lookup-self; give another one"
    )]
    TokenInvalid {
        /// Where the token came from: `token`, `token-file`, `approle` or `kubernetes`.
        origin: &'static str,
    },
    /// The token has no end, is a batch token or was made non-renewable.
    #[error("the token from {origin} cannot be renewed ({reason})")]
    TokenNotRenewable {
        /// Where the token came from.
        origin: &'static str,
        /// Why.
        reason: &'static str,
    },
    /// Vault refused the login.
    #[error("login to Vault by {method} failed: {reason}")]
    LoginFailed {
        /// The login method: `token`, `token-file`, `approle` or `kubernetes`.
        method: &'static str,
        /// What is wrong, and what to see to.
        reason: String,
    },
    /// No login has succeeded yet.
    #[error("this process is not logged in to Vault yet; try again")]
    NotLoggedIn,
    /// A rate limit quota of Vault is exhausted.
    #[error("Vault limits the rate of calls; try again later, or raise its quota")]
    RateLimited,
    /// Vault, or something in front of it, failed.
    #[error("Vault answered {path:?} with status {status}; see Vault's log")]
    ServerError {
        /// The path asked for, below `/v1/`.
        path: String,
        /// The HTTP status.
        status: u16,
    },
    /// Too many calls failed in a row; calls are refused until a probe succeeds.
    #[error("calls to Vault are suspended after repeated failures (last: {cause}); try again")]
    CircuitOpen {
        /// [`VaultError::code`] of the failure that opened the breaker.
        cause: &'static str,
    },
    /// All permits for concurrent calls stayed in use for as long as the call could wait.
    #[error(
        "{limit} calls to Vault are in flight and none ended in time; see Vault's load, or raise \
         the limit on concurrent calls"
    )]
    Busy {
        /// The limit on concurrent calls.
        limit: usize,
    },
    /// There is no secrets engine at the mount.
    #[error(
        "Vault has no secrets engine at {mount:?}; run `vault secrets enable -version=2 \
         -path={mount} kv`, or correct the secret path"
    )]
    MountMissing {
        /// The mount, without a slash at its end.
        mount: String,
    },
    /// The secrets engine at the mount is not KV version 2.
    #[error(
        "the secrets engine at {mount:?} is {found}, not KV version 2; choose another mount, or \
         run `vault kv enable-versioning {mount}` if it is KV version 1"
    )]
    MountNotKv2 {
        /// The mount, without a slash at its end.
        mount: String,
        /// What it is instead.
        found: String,
    },
    /// A value was read but does not make sense.
    #[error("what Vault holds at {path:?} is malformed: {reason}; restore it from a backup")]
    Malformed {
        /// The path, below `/v1/`.
        path: String,
        /// What was expected.
        reason: &'static str,
    },
    /// The answer is not one of Vault's.
    #[error(
        "the answer on {path:?} is not one of Vault's ({reason}); see that the address is that of \
         Vault"
    )]
    NotVault {
        /// The path asked for, below `/v1/`.
        path: String,
        /// What was expected.
        reason: &'static str,
    },
    /// There is nothing at the path.
    #[error("Vault has nothing at {path:?}")]
    NotFound {
        /// The path asked for, below `/v1/`.
        path: String,
    },
    /// A write named another revision than the one Vault holds.
    #[error("what Vault holds at {path:?} was changed by another writer")]
    CasMismatch {
        /// The path written to, below `/v1/`.
        path: String,
        /// Whether an earlier try of the same call may have been carried out, its answer lost.
        retried: bool,
    },
    /// Vault refused the call for another reason.
    #[error("Vault refused the call on {path:?} with status {status}")]
    Rejected {
        /// The path asked for, below `/v1/`.
        path: String,
        /// The HTTP status.
        status: u16,
    },
    /// The client was shut down.
    #[error("the connection to Vault was shut down with this process")]
    ShutDown,
}

impl VaultError {
    /// A stable, machine-readable name of the error, such as `vault-sealed`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Config { .. } => "vault-config",
            Self::Unreachable { .. } => "vault-unreachable",
            Self::Timeout { .. } => "vault-timeout",
            Self::Sealed => "vault-sealed",
            Self::Uninitialized => "vault-uninitialized",
            Self::Standby { .. } => "vault-standby",
            Self::PermissionDenied { .. } => "vault-permission-denied",
            Self::TokenInvalid { .. } => "vault-token-invalid",
            Self::TokenNotRenewable { .. } => "vault-token-not-renewable",
            Self::LoginFailed { .. } => "vault-login-failed",
            Self::NotLoggedIn => "vault-not-logged-in",
            Self::RateLimited => "vault-rate-limited",
            Self::ServerError { .. } => "vault-server-error",
            Self::CircuitOpen { .. } => "vault-circuit-open",
            Self::Busy { .. } => "vault-busy",
            Self::MountMissing { .. } => "vault-mount-missing",
            Self::MountNotKv2 { .. } => "vault-mount-not-kv2",
            Self::Malformed { .. } => "vault-malformed",
            Self::NotVault { .. } => "vault-malformed-response",
            Self::NotFound { .. } => "vault-not-found",
            Self::CasMismatch { .. } => "vault-cas-mismatch",
            Self::Rejected { .. } => "vault-rejected",
            Self::ShutDown => "vault-shut-down",
        }
    }

    /// Whether Vault, as opposed to what it holds, is the trouble: the same call may succeed
    /// later, and what was read before may stand in for the answer where the outage contract
    /// allows it. Also true of denied permissions and of a missing mount, because neither says
    /// anything about the record asked for; not of [`VaultError::NotFound`].
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Sealed
            | Self::Uninitialized
            | Self::Standby { .. }
            | Self::PermissionDenied { .. }
            | Self::TokenInvalid { .. }
            | Self::LoginFailed { .. }
            | Self::NotLoggedIn
            | Self::RateLimited
            | Self::ServerError { .. }
            | Self::CircuitOpen { .. }
            | Self::Busy { .. }
            | Self::MountMissing { .. }
            | Self::NotVault { .. }
            | Self::ShutDown => true,
            Self::Config { .. }
            | Self::TokenNotRenewable { .. }
            | Self::MountNotKv2 { .. }
            | Self::Malformed { .. }
            | Self::NotFound { .. }
            | Self::CasMismatch { .. }
            | Self::Rejected { .. } => false,
        }
    }
}
