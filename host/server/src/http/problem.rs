//! Error responses: RFC 9457 problem details with a stable code.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use keyward_keyring::KeyringError;
use keyward_keyring::backup::BackupError;
use keyward_keyring::store::StoreError;
use keyward_keyring::vault::VaultError;
use keyward_policy_host::{AdmissionError, HostError, ObligationError, PolicyError};
use schemars::JsonSchema;
use serde::Serialize;

use super::openapi::schema;
use super::outage_log;
use crate::errors::Code;
use crate::tokens::scope::Missing;

/// Why a request, or one item of a batch, was not done. The texts reach the caller: no secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which error of the table.
    pub code: Code,
    /// What is wrong this time, and what to do.
    pub detail: Cow<'static, str>,
    /// JSON Pointer (RFC 6901) of the field to blame.
    pub field: Option<String>,
    /// Seconds after which to try again, where more is known than the code tells.
    pub retry_after: Option<u32>,
}

impl Problem {
    /// A problem that no single field is to blame for.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), field: None, retry_after: None }
    }

    /// A problem with the field at this JSON Pointer.
    pub fn field(
        code: Code,
        field: impl Into<String>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { field: Some(field.into()), ..Self::new(code, detail) }
    }

    /// The one answer to every ciphertext that does not open.
    pub fn ciphertext_invalid() -> Self {
        Self::field(
            Code::CiphertextInvalid,
            "/ciphertext",
            "the ciphertext does not open with this tenant, key and context, or it is damaged",
        )
    }

    /// The answer to a fault of the server's own. `reason` goes to the log alone.
    pub fn internal(reason: impl std::fmt::Display) -> Self {
        tracing::error!(%reason, "internal error");
        Self::new(Code::Internal, "the server failed; its log says more under this request id")
    }

    /// The answer when the key store fails: which way, and no more. What an operator needs goes to
    /// the log.
    pub fn store(reason: &StoreError) -> Self {
        let code = Code::from(reason);
        if code == Code::StoreUnavailable {
            tracing::error!(%reason, "the key store failed");
            return Self::new(code, "the key store did not answer; retry after the time given");
        }
        outage_log::failed(code, reason);
        Self::new(code, code.about())
    }

    /// The answer when Vault refuses what an operator asks of it.
    pub fn vault(reason: &VaultError) -> Self {
        let code = Code::from(reason);
        tracing::warn!(code = code.as_str(), %reason, "Vault failed");
        Self::new(code, reason.to_string())
    }

    /// Renders the response body.
    pub(super) fn body(&self, request_id: &str) -> Vec<u8> {
        let body = ProblemBody {
            kind: "about:blank",
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: &self.detail,
            code: self.code.as_str(),
            field: self.field.as_deref(),
            request_id,
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }

    /// The problem as an item of a batch shows it.
    pub fn as_item(&self) -> ItemError<'_> {
        ItemError { code: self.code.as_str(), detail: &self.detail, field: self.field.as_deref() }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct ProblemBody<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    title: &'a str,
    status: u16,
    detail: &'a str,
    #[schemars(with = "schema::ErrorCode")]
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    request_id: &'a str,
}

/// `error` of a batch item.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ItemError")]
pub struct ItemError<'a> {
    #[schemars(with = "schema::ErrorCode")]
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl IntoResponse for Problem {
    /// Status and headers; the outermost service fills in the body, which carries its request id.
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.code.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after.or(self.code.retry_after()) {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code.status() == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"keyward\""));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<Missing> for Problem {
    fn from(missing: Missing) -> Self {
        Self::new(Code::OutOfScope, format!("{missing}; use one that has"))
    }
}

impl From<HostError> for Problem {
    fn from(error: HostError) -> Self {
        Self::new((&error).into(), error.to_string())
    }
}

impl From<PolicyError> for Problem {
    fn from(error: PolicyError) -> Self {
        let code = Code::from(&error);
        if code == Code::Internal {
            return Self::internal(error);
        }
        Self::new(code, error.to_string())
    }
}

impl From<ObligationError> for Problem {
    fn from(error: ObligationError) -> Self {
        Self::new(Code::from(&error), error.to_string())
    }
}

impl From<AdmissionError> for Problem {
    fn from(error: AdmissionError) -> Self {
        let code = Code::from(&error);
        if code == Code::Internal {
            return Self::internal(error);
        }
        Self::new(code, error.to_string())
    }
}

impl From<BackupError> for Problem {
    fn from(error: BackupError) -> Self {
        match &error {
            BackupError::Store(reason) => Self::store(reason),
            BackupError::Io { .. } => Self::internal(error),
            BackupError::WrongIdentity(_) => Self::new(
                Code::BackupWrongIdentity,
                "the body is not encrypted to this server's restore recipient, which changes with \
                 each start; encrypt to what GET /api/v1/restore/recipient of this very server \
                 answers, as `keyward restore` does",
            ),
            _ => Self::new(Code::from(&error), error.to_string()),
        }
    }
}

impl From<KeyringError> for Problem {
    fn from(error: KeyringError) -> Self {
        let code = match &error {
            KeyringError::TenantNotFound { .. } => Code::TenantNotFound,
            KeyringError::TenantExists { .. } => Code::TenantExists,
            KeyringError::KeyNotFound { .. } => Code::KeyNotFound,
            KeyringError::KeyExists { .. } => Code::KeyExists,
            KeyringError::VersionNotFound { .. } => Code::KeyVersionNotFound,
            KeyringError::VersionDestroyed { .. } => Code::KeyVersionDestroyed,
            KeyringError::VersionIsCurrent { .. } => Code::KeyVersionIsCurrent,
            KeyringError::VersionBelowMinDecrypt { .. } => Code::KeyVersionBelowMinDecrypt,
            KeyringError::VersionBelowMinEncrypt { .. } => Code::KeyVersionBelowMinEncrypt,
            KeyringError::VersionInUse { .. } => Code::KeyVersionInUse,
            KeyringError::TrimTooHigh { .. } => Code::KeyTrimTooHigh,
            KeyringError::KeyNotExportable { .. } => Code::KeyNotExportable,
            KeyringError::KeyNotImported { .. } => Code::KeyNotImported,
            KeyringError::KeyDisabled { .. } => Code::KeyDisabled,
            KeyringError::KeyDeleted { .. } => Code::KeyDeleted,
            KeyringError::KeyNotDeleted { .. } => Code::KeyNotDeleted,
            KeyringError::RestoreWindowOver { .. } => Code::KeyRestoreWindowOver,
            KeyringError::KeyDestroyed { .. } => Code::KeyDestroyed,
            KeyringError::InvalidName { .. } => Code::InvalidName,
            KeyringError::OutOfRange { .. } => Code::InvalidField,
            KeyringError::Conflict { .. } => Code::Conflict,
            KeyringError::Store(reason) => {
                return Self::store(reason);
            }
            _ => return Self::internal(error),
        };
        Self::new(code, error.to_string())
    }
}
