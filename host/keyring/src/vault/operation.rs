//! What requests ask, and how they end: the labels of every count.

use super::VaultError;

/// What a request asks of Vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Reads a secret.
    KvRead,
    /// Writes a secret.
    KvWrite,
    /// Lists a folder.
    KvList,
    /// Reads a secret's metadata.
    KvMetadata,
    /// Removes a secret with its metadata.
    KvDelete,
    /// Destroys revisions of a secret.
    KvDestroy,
    /// Wraps key material.
    TransitEncrypt,
    /// Unwraps key material.
    TransitDecrypt,
    /// Asks about mounts and capabilities.
    System,
    /// Logs in.
    Login,
    /// Renews the token.
    Renew,
    /// Revokes a token.
    Revoke,
}

impl Operation {
    /// Every operation.
    pub const ALL: [Self; 12] = [
        Self::KvRead,
        Self::KvWrite,
        Self::KvList,
        Self::KvMetadata,
        Self::KvDelete,
        Self::KvDestroy,
        Self::TransitEncrypt,
        Self::TransitDecrypt,
        Self::System,
        Self::Login,
        Self::Renew,
        Self::Revoke,
    ];

    /// The operation in `snake_case`, as metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KvRead => "kv_read",
            Self::KvWrite => "kv_write",
            Self::KvList => "kv_list",
            Self::KvMetadata => "kv_metadata",
            Self::KvDelete => "kv_delete",
            Self::KvDestroy => "kv_destroy",
            Self::TransitEncrypt => "transit_encrypt",
            Self::TransitDecrypt => "transit_decrypt",
            Self::System => "system",
            Self::Login => "login",
            Self::Renew => "renew",
            Self::Revoke => "revoke",
        }
    }

    /// The capability a policy must grant on the path of such a request.
    pub(super) fn capability(self) -> &'static str {
        match self {
            Self::KvRead | Self::KvMetadata | Self::System => "read",
            Self::KvWrite => "create, update",
            Self::KvList => "list",
            Self::KvDelete => "delete",
            Self::KvDestroy
            | Self::TransitEncrypt
            | Self::TransitDecrypt
            | Self::Login
            | Self::Renew
            | Self::Revoke => "update",
        }
    }
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// As asked.
    Ok,
    /// There is nothing at the path.
    NotFound,
    /// Another writer was faster.
    Conflict,
    /// The policy or the token was not enough.
    Denied,
    /// Vault limits the rate.
    RateLimited,
    /// Vault is sealed or not initialised.
    Sealed,
    /// Vault, a standby or something in front of it failed.
    ServerError,
    /// No connection, or a broken one.
    Unreachable,
    /// No answer in time.
    Timeout,
    /// An answer that makes no sense, or a call that makes none to Vault.
    Rejected,
    /// Never sent: calls are suspended, no permit was free, or there is no login.
    NotSent,
}

impl Outcome {
    /// Every outcome.
    pub const ALL: [Self; 11] = [
        Self::Ok,
        Self::NotFound,
        Self::Conflict,
        Self::Denied,
        Self::RateLimited,
        Self::Sealed,
        Self::ServerError,
        Self::Unreachable,
        Self::Timeout,
        Self::Rejected,
        Self::NotSent,
    ];

    /// The outcome in `snake_case`, as metrics name it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
            Self::Denied => "denied",
            Self::RateLimited => "rate_limited",
            Self::Sealed => "sealed",
            Self::ServerError => "server_error",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Rejected => "rejected",
            Self::NotSent => "not_sent",
        }
    }

    pub(super) fn is_success(self) -> bool {
        matches!(self, Self::Ok | Self::NotFound | Self::Conflict)
    }

    pub(super) fn of(error: &VaultError) -> Self {
        match error {
            VaultError::NotFound { .. } => Self::NotFound,
            VaultError::CasMismatch { .. } => Self::Conflict,
            VaultError::PermissionDenied { .. }
            | VaultError::TokenInvalid { .. }
            | VaultError::TokenNotRenewable { .. }
            | VaultError::LoginFailed { .. } => Self::Denied,
            VaultError::RateLimited => Self::RateLimited,
            VaultError::Sealed | VaultError::Uninitialized => Self::Sealed,
            VaultError::ServerError { .. } | VaultError::Standby { .. } => Self::ServerError,
            VaultError::Unreachable { .. } => Self::Unreachable,
            VaultError::Timeout { .. } => Self::Timeout,
            VaultError::Config { .. }
            | VaultError::MountMissing { .. }
            | VaultError::MountNotKv2 { .. }
            | VaultError::Malformed { .. }
            | VaultError::NotVault { .. }
            | VaultError::Rejected { .. } => Self::Rejected,
            VaultError::CircuitOpen { .. }
            | VaultError::Busy { .. }
            | VaultError::NotLoggedIn
            | VaultError::ShutDown => Self::NotSent,
        }
    }
}
