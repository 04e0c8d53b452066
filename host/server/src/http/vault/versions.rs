//! Versions of a key: create, list, roll back, destroy, history. Never their bytes.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, Response, StatusCode};
use keyward_keyring::Receipt;
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::Access;
use super::views::{VersionView, unix_seconds};
use crate::app::App;
use crate::audit;
use crate::clock;
use crate::errors::Code;
use crate::http::keys::blame;
use crate::http::openapi::schema;
use crate::http::{Params, Problem, body, json, output, param};

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewManagedVersion")]
pub(super) struct NewVersion {
    #[serde(default)]
    description: String,
    #[serde(default)]
    #[schemars(with = "Option<schema::Reason>")]
    reason: Option<String>,
    /// Taken and not believed: the token says who it is.
    #[serde(default, rename = "created_by")]
    #[schemars(with = "Option<serde_json::Value>")]
    _created_by: Option<IgnoredAny>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RollbackRequest")]
pub(super) struct Rollback {
    #[schemars(with = "schema::Version")]
    target_version: u32,
    #[serde(default)]
    #[schemars(with = "Option<schema::Reason>")]
    reason: Option<String>,
    #[serde(default, rename = "rollback_by")]
    #[schemars(with = "Option<serde_json::Value>")]
    _rollback_by: Option<IgnoredAny>,
}

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DestroyVersionRequest")]
pub(super) struct Destroy {
    #[serde(default)]
    #[schemars(with = "Option<schema::Reason>")]
    reason: Option<String>,
    #[serde(default, rename = "deleted_by")]
    #[schemars(with = "Option<serde_json::Value>")]
    _deleted_by: Option<IgnoredAny>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ManagedVersionCreated")]
pub(super) struct Created<'a> {
    message: &'static str,
    #[schemars(with = "schema::TenantName")]
    tenant: &'a str,
    #[schemars(with = "schema::KeyName")]
    key_id: &'a str,
    version: VersionView<'a>,
    #[schemars(with = "schema::UnixSeconds")]
    timestamp: u64,
}

/// `POST …/versions`: a new version, which becomes the current one.
pub async fn create_version(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let access = Access::of(&app, path, request.uri().query(), request.headers()).await?;
    let bytes = body::read_optional_json(&app, request).await?;
    let new: NewVersion =
        if bytes.is_empty() { NewVersion::default() } else { json::parse(&bytes)? };
    let Access { tenant, key, .. } = &access;
    let author = access.author(new.reason.as_deref());
    let created = app.keyring.create_version(tenant, key, author, &new.description).await;
    let created = created.map_err(blame)?;
    audit::uses(key.as_str(), Some(created.version));
    let view = Created {
        message: "Key version created successfully",
        tenant: tenant.as_str(),
        key_id: key.as_str(),
        version: VersionView::of(&created, created.version),
        timestamp: unix_seconds(),
    };
    let mut response = output::json(StatusCode::CREATED, &view)?;
    let number = created.version;
    let location = format!("/api/v1/vault/keys/{key}/versions/{number}?tenant={tenant}");
    let location = HeaderValue::from_str(&location).map_err(Problem::internal)?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ManagedVersionList")]
pub(super) struct VersionList<'a> {
    #[schemars(with = "schema::TenantName")]
    tenant: &'a str,
    #[schemars(with = "schema::KeyName")]
    key_id: &'a str,
    versions: Vec<VersionView<'a>>,
    total: usize,
    #[schemars(with = "schema::UnixSeconds")]
    timestamp: u64,
}

/// `GET …/versions`.
pub async fn list_versions(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let access = Access::of(&app, path, request.uri().query(), request.headers()).await?;
    let key = app.keyring.history(&access.tenant, &access.key).await?;
    let view = VersionList {
        tenant: access.tenant.as_str(),
        key_id: access.key.as_str(),
        versions: VersionView::all(&key),
        total: key.versions().len(),
        timestamp: unix_seconds(),
    };
    output::json(StatusCode::OK, &view)
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "RolledBack")]
pub(super) struct RolledBack<'a> {
    message: &'static str,
    #[schemars(with = "schema::TenantName")]
    tenant: &'a str,
    #[schemars(with = "schema::KeyName")]
    key_id: &'a str,
    #[schemars(with = "schema::Version")]
    target_version: u32,
    rollback_by: &'a str,
    #[schemars(with = "schema::UnixSeconds")]
    timestamp: u64,
}

/// `POST …/rollback`: makes an older version the current one.
pub async fn rollback(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let access = Access::of(&app, path, request.uri().query(), request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let Rollback { target_version, reason, .. } = json::parse(&bytes)?;
    if target_version == 0 {
        let detail = "versions are counted from 1";
        return Err(Problem::field(Code::InvalidField, "/target_version", detail));
    }
    let Access { tenant, key, .. } = &access;
    audit::uses(key.as_str(), Some(target_version));
    let author = access.author(reason.as_deref());
    app.keyring.rollback(tenant, key, target_version, author).await.map_err(blame)?;
    let view = RolledBack {
        message: "Key rolled back successfully",
        tenant: tenant.as_str(),
        key_id: key.as_str(),
        target_version,
        rollback_by: access.actor(),
        timestamp: unix_seconds(),
    };
    output::json(StatusCode::OK, &view)
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ManagedVersionDestroyed")]
pub(super) struct Destroyed<'a> {
    message: &'static str,
    #[schemars(with = "schema::TenantName")]
    tenant: &'a str,
    #[schemars(with = "schema::KeyName")]
    key_id: &'a str,
    #[schemars(with = "schema::Version")]
    version: u32,
    deleted_by: &'a str,
    #[schemars(with = "schema::Receipt")]
    receipt: &'a Receipt,
    #[schemars(with = "schema::UnixSeconds")]
    timestamp: u64,
}

/// `DELETE …/versions/{version}`: destroys a version's material for good.
pub async fn destroy_version(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let access = Access::of(&app, path, request.uri().query(), request.headers()).await?;
    let version = param(&access.path, "version")?;
    let Some(version) = version.parse::<u32>().ok().filter(|version| *version > 0) else {
        let detail = "the version in the path is not a number from 1";
        return Err(Problem::new(Code::InvalidRequest, detail));
    };
    audit::uses(access.key.as_str(), Some(version));
    let bytes = body::read_optional_json(&app, request).await?;
    let Destroy { reason, .. } =
        if bytes.is_empty() { Destroy::default() } else { json::parse(&bytes)? };
    let Access { tenant, key, .. } = &access;
    let author = access.author(reason.as_deref());
    let receipt = app.keyring.destroy_version(tenant, key, version, author).await;
    let receipt = receipt.map_err(blame)?;
    let view = Destroyed {
        message: "Key version deleted successfully",
        tenant: tenant.as_str(),
        key_id: key.as_str(),
        version,
        deleted_by: access.actor(),
        receipt: &receipt,
        timestamp: unix_seconds(),
    };
    output::json(StatusCode::OK, &view)
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ManagedHistory")]
pub(super) struct History<'a> {
    #[schemars(with = "schema::TenantName")]
    tenant: &'a str,
    #[schemars(with = "schema::KeyName")]
    key_id: &'a str,
    #[schemars(with = "schema::Version")]
    current_version: u32,
    total_versions: usize,
    #[schemars(with = "Option<schema::Timestamp>")]
    last_rotation: Option<String>,
    /// `every=30d` and the like; empty for a key that has no policy of its own.
    rotation_policy: String,
    enabled: bool,
    versions: Vec<VersionView<'a>>,
    #[schemars(with = "schema::UnixSeconds")]
    timestamp: u64,
}

/// `GET …/history`: the key as the store has it now.
pub async fn history(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let access = Access::of(&app, path, request.uri().query(), request.headers()).await?;
    let key = app.keyring.history(&access.tenant, &access.key).await?;
    let view = History {
        tenant: access.tenant.as_str(),
        key_id: access.key.as_str(),
        current_version: key.current_version(),
        total_versions: key.versions().len(),
        last_rotation: key.last_rotation().map(clock::rfc3339),
        rotation_policy: key.rotation().map(ToString::to_string).unwrap_or_default(),
        enabled: key.enabled(),
        versions: VersionView::all(&key),
        timestamp: unix_seconds(),
    };
    output::json(StatusCode::OK, &view)
}
