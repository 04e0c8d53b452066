//! Deleting a key, restoring it, and destroying it for good.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keyward_keyring::{DEFAULT_RESTORE_WINDOW, Receipt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::view::KeyView;
use super::{Managed, Reason, blame};
use crate::app::App;
use crate::clock;
use crate::errors::Code;
use crate::http::json::{self, Text};
use crate::http::openapi::schema;
use crate::http::{Params, Problem, body, output};

/// What a destruction removed, and the receipt of it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Destruction")]
pub(super) struct DestructionView<'a> {
    #[schemars(with = "schema::TenantName")]
    tenant: &'a str,
    #[schemars(with = "schema::KeyName")]
    key: &'a str,
    #[schemars(with = "schema::KeyId")]
    id: String,
    versions: Vec<DestroyedView<'a>>,
    #[schemars(with = "schema::Timestamp")]
    destroyed_at: String,
    destroyed_by: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    #[schemars(with = "schema::Receipt")]
    receipt: &'a Receipt,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DestroyedKeyVersion")]
struct DestroyedView<'a> {
    #[schemars(with = "schema::Version")]
    version: u32,
    #[schemars(with = "Option<schema::Fingerprint>")]
    fingerprint: Option<&'a str>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DestroyRequest")]
pub(super) struct Confirmation<'a> {
    /// The key's name once more: this cannot be undone.
    #[serde(borrow)]
    #[schemars(with = "schema::KeyName")]
    confirm: Text<'a>,
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::Reason>")]
    reason: Option<Text<'a>>,
}

/// `DELETE …/keys/{name}?window_seconds=…`: the key can be restored within the window.
pub async fn delete(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let managed = Managed::of(&app, path, request.headers()).await?;
    let window = window(request.uri().query().unwrap_or_default())?;
    let reason = Reason::read(&app, request).await?;
    let (Managed { tenant, name, .. }, author) = (&managed, managed.author(&reason));
    let key = app.keyring.delete_key(tenant, name, author, window).await.map_err(blame)?;
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
    let managed = Managed::of(&app, path, request.headers()).await?;
    let reason = Reason::read(&app, request).await?;
    let (Managed { tenant, name, .. }, author) = (&managed, managed.author(&reason));
    let key = app.keyring.restore_key(tenant, name, author).await.map_err(blame)?;
    output::json(StatusCode::OK, &KeyView::of(&key))
}

/// `POST …/keys/{name}/destroy`: the material of every version is gone for good.
pub async fn destroy(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let managed = Managed::of(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let Confirmation { confirm, reason } = json::parse(&bytes)?;
    let Managed { tenant, name, .. } = &managed;
    if confirm.as_str() != name.as_str() {
        let detail = "must be the key's name: what is encrypted with the key is lost";
        return Err(Problem::field(Code::InvalidField, "/confirm", detail));
    }
    let author = managed.author_because(reason.as_ref());
    let receipt = app.keyring.destroy_key(tenant, name, author).await.map_err(blame)?;
    let gone = &receipt.destroyed;
    let versions = gone.versions.iter().map(|destroyed| DestroyedView {
        version: destroyed.version,
        fingerprint: destroyed.fingerprint.as_deref(),
    });
    let view = DestructionView {
        tenant: gone.tenant.as_str(),
        key: gone.key.as_str(),
        id: gone.id.to_string(),
        versions: versions.collect(),
        destroyed_at: clock::rfc3339(gone.at),
        destroyed_by: &gone.by,
        reason: gone.reason.as_deref(),
        receipt: &receipt,
    };
    output::json(StatusCode::OK, &view)
}
