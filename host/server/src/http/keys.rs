//! A tenant's keys: create, list, show, rotate, disable, enable, delete, restore, destroy. Never
//! their bytes.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use keyward_crypto::Algorithm;
use keyward_keyring::{DEFAULT_RESTORE_WINDOW, Key, KeyName, KeyringError};
use serde::{Deserialize, Serialize};

use super::auth::Access;
use super::json::{self, Text};
use super::{Params, Problem, body, output, param, rotation};
use crate::app::App;
use crate::clock;
use crate::errors::Code;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow, default)]
    algorithm: Option<Text<'a>>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(borrow, default)]
    rotation: Option<json::Object<rotation::Fields<'a>>>,
}

/// A key as answers show it.
#[derive(Serialize)]
pub(super) struct KeyView<'a> {
    name: &'a str,
    id: String,
    algorithm: &'static str,
    current_version: u32,
    state: &'static str,
    enabled: bool,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    deleted: Option<DeletionView<'a>>,
    attributes: &'a BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rotation: Option<rotation::View>,
    versions: Vec<VersionView>,
}

#[derive(Serialize)]
struct VersionView {
    version: u32,
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    destroyed_at: Option<String>,
}

#[derive(Serialize)]
struct DeletionView<'a> {
    at: String,
    by: &'a str,
    /// Until when it can be restored.
    purge_at: String,
}

/// What a destruction removed.
#[derive(Serialize)]
struct ReceiptView<'a> {
    tenant: &'a str,
    key: &'a str,
    id: String,
    versions: Vec<DestroyedView<'a>>,
    destroyed_at: String,
    destroyed_by: &'a str,
}

#[derive(Serialize)]
struct DestroyedView<'a> {
    version: u32,
    fingerprint: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Confirmation<'a> {
    /// The key's name once more: this cannot be undone.
    #[serde(borrow)]
    confirm: Text<'a>,
}

#[derive(Serialize)]
struct KeyList<'a> {
    keys: Vec<KeyView<'a>>,
}

#[derive(Serialize)]
struct Rotated {
    key_version: u32,
}

impl<'a> KeyView<'a> {
    pub(super) fn of(key: &'a Key) -> Self {
        let versions = key.versions().iter().map(|info| VersionView {
            version: info.version,
            created_at: clock::rfc3339(info.created_at),
            destroyed_at: info.destroyed.as_ref().map(|stamp| clock::rfc3339(stamp.at)),
        });
        Self {
            name: key.name().as_str(),
            id: key.id().to_string(),
            algorithm: key.algorithm().name(),
            current_version: key.current_version(),
            state: key.state().name(),
            enabled: key.enabled(),
            deleted: key.deleted().map(|deletion| DeletionView {
                at: clock::rfc3339(deletion.at),
                by: &deletion.by,
                purge_at: clock::rfc3339(deletion.purge_at),
            }),
            created_at: clock::rfc3339(key.created_at()),
            attributes: key.attributes(),
            rotation: key.rotation().map(Into::into),
            versions: versions.collect(),
        }
    }
}

/// `POST …/keys`.
pub async fn create(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = Access::managing(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let new: NewKey<'_> = json::parse(&bytes)?;
    let name = KeyName::from_str(new.name.as_str())
        .map_err(|error| Problem { field: Some("/name".into()), ..error.into() })?;
    let algorithm = match &new.algorithm {
        None => Algorithm::default(),
        Some(text) => Algorithm::from_str(text.as_str())
            .map_err(|error| Problem::field(Code::InvalidField, "/algorithm", error.to_string()))?,
    };
    let by = &credential.caller.subject;
    let rotation = new.rotation.map(|fields| fields.0.read(&app.rotation, "/rotation"));
    let rotation = rotation.transpose()?;
    let (keyring, attributes) = (&app.keyring, new.attributes);
    let created =
        keyring.create_key_with(&tenant, &name, algorithm, attributes, rotation, by).await;
    let key = created.map_err(|error| match error {
        KeyringError::InvalidName { field: "attributes", .. } => {
            Problem::field(Code::InvalidField, "/attributes", error.to_string())
        }
        error => rotation::blame(error, "/rotation"),
    })?;
    tracing::info!(%tenant, key = %name, by, "key created");
    let mut response = output::json(StatusCode::CREATED, &KeyView::of(&key))?;
    let location = HeaderValue::from_str(&format!("/api/v1/tenants/{tenant}/keys/{name}"));
    response.headers_mut().insert(LOCATION, location.map_err(Problem::internal)?);
    Ok(response)
}

/// `GET …/keys`, `GET …/keys?state=deleted`.
pub async fn list(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { tenant, .. } = Access::reading(&app, path, request.headers()).await?;
    let keys = match request.uri().query() {
        None | Some("") => app.keyring.list_keys(&tenant).await?,
        Some("state=deleted") => app.keyring.list_deleted_keys(&tenant).await?,
        Some(_) => {
            let detail = "the only query parameter is `state`, and its only value `deleted`";
            return Err(Problem::new(Code::InvalidRequest, detail));
        }
    };
    let keys = keys.iter().map(|key| KeyView::of(key)).collect();
    output::json(StatusCode::OK, &KeyList { keys })
}

/// `GET …/keys/{name}`.
pub async fn show(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { path, tenant, .. } = Access::reading(&app, path, request.headers()).await?;
    let name = KeyName::from_str(param(&path, "name")?)?;
    let key = app.keyring.key(&tenant, &name).await?;
    output::json(StatusCode::OK, &KeyView::of(&key))
}

/// Who may change the key in the path, and its name.
pub(super) async fn managed(
    app: &App,
    path: Params,
    headers: &HeaderMap,
) -> Result<(Access, KeyName), Problem> {
    let access = Access::managing(app, path, headers).await?;
    let name = KeyName::from_str(param(&access.path, "name")?)?;
    Ok((access, name))
}

/// `POST …/keys/{name}/rotate`.
pub async fn rotate(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let (Access { credential, tenant, .. }, name) = managed(&app, path, request.headers()).await?;
    let by = &credential.caller.subject;
    let key_version = app.keyring.rotate(&tenant, &name, by).await?;
    tracing::info!(%tenant, key = %name, key_version, by, "key rotated");
    output::json(StatusCode::OK, &Rotated { key_version })
}

/// `POST …/keys/{name}/disable`: from now on the key neither encrypts nor decrypts.
pub async fn disable(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    set_enabled(&app, path, request.headers(), false).await
}

/// `POST …/keys/{name}/enable`: the key may be used again.
pub async fn enable(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    set_enabled(&app, path, request.headers(), true).await
}

async fn set_enabled(
    app: &App,
    path: Params,
    headers: &HeaderMap,
    enabled: bool,
) -> Result<Response<Body>, Problem> {
    let (Access { credential, tenant, .. }, name) = managed(app, path, headers).await?;
    let by = &credential.caller.subject;
    let key = app.keyring.set_enabled(&tenant, &name, enabled, by).await?;
    output::json(StatusCode::OK, &KeyView::of(&key))
}

/// `DELETE …/keys/{name}?window_seconds=…`: the key can be restored within the window.
pub async fn delete(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let (Access { credential, tenant, .. }, name) = managed(&app, path, request.headers()).await?;
    let window = window(request.uri().query().unwrap_or_default())?;
    let by = &credential.caller.subject;
    let key = app.keyring.delete_key(&tenant, &name, by, window).await?;
    output::json(StatusCode::OK, &KeyView::of(&key))
}

/// Longest restore window.
const MAX_WINDOW: Duration = Duration::from_hours(365 * 24);

fn window(query: &str) -> Result<Duration, Problem> {
    if query.is_empty() {
        return Ok(DEFAULT_RESTORE_WINDOW);
    }
    let seconds = query.strip_prefix("window_seconds=").and_then(|text| text.parse().ok());
    seconds.map(Duration::from_secs).filter(|window| *window <= MAX_WINDOW).ok_or_else(|| {
        let detail = "the only query parameter is `window_seconds`, 0 to 31536000";
        Problem::new(Code::InvalidRequest, detail)
    })
}

/// `POST …/keys/{name}/restore`: a deleted key is as it was.
pub async fn restore(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let (Access { credential, tenant, .. }, name) = managed(&app, path, request.headers()).await?;
    let key = app.keyring.restore_key(&tenant, &name, &credential.caller.subject).await?;
    output::json(StatusCode::OK, &KeyView::of(&key))
}

/// `POST …/keys/{name}/destroy`: the material of every version is gone for good.
pub async fn destroy(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let (Access { credential, tenant, .. }, name) = managed(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let Confirmation { confirm } = json::parse(&bytes)?;
    if confirm.as_str() != name.as_str() {
        let detail = "must be the key's name: what is encrypted with the key is lost";
        return Err(Problem::field(Code::InvalidField, "/confirm", detail));
    }
    let receipt = app.keyring.destroy_key(&tenant, &name, &credential.caller.subject).await?;
    let versions = receipt.versions.iter().map(|destroyed| DestroyedView {
        version: destroyed.version,
        fingerprint: destroyed.fingerprint.as_deref(),
    });
    let view = ReceiptView {
        tenant: receipt.tenant.as_str(),
        key: receipt.key.as_str(),
        id: receipt.id.to_string(),
        versions: versions.collect(),
        destroyed_at: clock::rfc3339(receipt.at),
        destroyed_by: &receipt.by,
    };
    output::json(StatusCode::OK, &view)
}
