//! A tenant's keys: create, list, show, rotate, disable, enable. Never their bytes.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use keyward_crypto::Algorithm;
use keyward_keyring::{Key, KeyName};
use serde::{Deserialize, Serialize};

use super::auth::Access;
use super::json::{self, Text};
use super::{Params, Problem, body, output, param};
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
}

#[derive(Serialize)]
struct KeyView<'a> {
    name: &'a str,
    id: String,
    algorithm: &'static str,
    current_version: u32,
    enabled: bool,
    created_at: String,
    attributes: &'a BTreeMap<String, String>,
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
struct KeyList<'a> {
    keys: Vec<KeyView<'a>>,
}

#[derive(Serialize)]
struct Rotated {
    key_version: u32,
}

impl<'a> KeyView<'a> {
    fn of(key: &'a Key) -> Self {
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
            enabled: key.enabled(),
            created_at: clock::rfc3339(key.created_at()),
            attributes: key.attributes(),
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
    let created = app.keyring.create_key(&tenant, &name, algorithm, new.attributes, by).await;
    let key = created.map_err(|error| {
        let problem = Problem::from(error);
        // The name was checked above: what else can be invalid are the attributes.
        let blame_attributes = problem.code == Code::InvalidName;
        if blame_attributes {
            return Problem::field(Code::InvalidField, "/attributes", problem.detail);
        }
        problem
    })?;
    tracing::info!(%tenant, key = %name, by, "key created");
    let mut response = output::json(StatusCode::CREATED, &KeyView::of(&key))?;
    let location = HeaderValue::from_str(&format!("/api/v1/tenants/{tenant}/keys/{name}"));
    response.headers_mut().insert(LOCATION, location.map_err(Problem::internal)?);
    Ok(response)
}

/// `GET …/keys`.
pub async fn list(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { tenant, .. } = Access::reading(&app, path, request.headers()).await?;
    let keys = app.keyring.list_keys(&tenant).await?;
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

/// `POST …/keys/{name}/rotate`.
pub async fn rotate(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { path, credential, tenant } =
        Access::managing(&app, path, request.headers()).await?;
    let name = KeyName::from_str(param(&path, "name")?)?;
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
    let Access { path, credential, tenant } = Access::managing(app, path, headers).await?;
    let name = KeyName::from_str(param(&path, "name")?)?;
    let by = &credential.caller.subject;
    let key = app.keyring.set_enabled(&tenant, &name, enabled, by).await?;
    output::json(StatusCode::OK, &KeyView::of(&key))
}
