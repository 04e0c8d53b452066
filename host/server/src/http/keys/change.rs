//! Rotating, disabling, enabling and trimming a key.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keyward_keyring::{Receipt, VersionInfo};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::view::KeyView;
use super::{Managed, Reason, blame};
use crate::app::App;
use crate::audit;
use crate::clock;
use crate::errors::Code;
use crate::http::json::{self, Text};
use crate::http::openapi::schema;
use crate::http::{Params, Problem, body, output};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Rotated")]
pub(super) struct Rotated {
    #[schemars(with = "schema::Version")]
    key_version: u32,
}

/// `POST …/keys/{name}/rotate`.
pub async fn rotate(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let managed = Managed::of(&app, path, request.headers()).await?;
    let reason = Reason::read(&app, request).await?;
    let Managed { tenant, name, .. } = &managed;
    let author = managed.author(&reason);
    let key_version = app.keyring.rotate(tenant, name, author).await.map_err(blame)?;
    audit::uses(name.as_str(), Some(key_version));
    tracing::info!(%tenant, key = %name, key_version, by = author.actor, "key rotated");
    output::json(StatusCode::OK, &Rotated { key_version })
}

/// `POST …/keys/{name}/disable`: from now on the key neither encrypts nor decrypts.
pub async fn disable(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    set_enabled(&app, path, request, false).await
}

/// `POST …/keys/{name}/enable`: the key may be used again.
pub async fn enable(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    set_enabled(&app, path, request, true).await
}

async fn set_enabled(
    app: &App,
    path: Params,
    request: Request,
    enabled: bool,
) -> Result<Response<Body>, Problem> {
    let managed = Managed::of(app, path, request.headers()).await?;
    let reason = Reason::read(app, request).await?;
    let (Managed { tenant, name, .. }, author) = (&managed, managed.author(&reason));
    let key = app.keyring.set_enabled(tenant, name, enabled, author).await.map_err(blame)?;
    output::json(StatusCode::OK, &KeyView::of(&key))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TrimRequest")]
pub(super) struct Trim<'a> {
    #[schemars(with = "schema::Version")]
    min_available_version: u32,
    /// Nothing is destroyed if one of the versions was needed within so many seconds.
    #[serde(default)]
    #[schemars(range(min = 1, max = 315_360_000))]
    unused_seconds: Option<u64>,
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::Reason>")]
    reason: Option<Text<'a>>,
}

/// `POST …/keys/{name}/trim`: the material of every version below is gone for good.
pub async fn trim(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let managed = Managed::of(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let Trim { min_available_version: lowest, unused_seconds, reason } = json::parse(&bytes)?;
    if lowest == 0 {
        let detail = "versions are counted from 1";
        return Err(Problem::field(Code::InvalidField, "/min_available_version", detail));
    }
    let Managed { tenant, name, .. } = &managed;
    let author = managed.author_because(reason.as_ref());
    let trimmed = match unused_seconds {
        None => app.keyring.trim(tenant, name, lowest, author).await,
        Some(seconds) => {
            let since = since(seconds)?;
            let usage = app.keyring.usage(tenant, name).await?;
            let in_use = move |info: &VersionInfo| usage.is_in_use(info.version, since);
            app.keyring.trim_unless(tenant, name, lowest, in_use, author).await
        }
    };
    let trimmed = trimmed.map_err(blame)?;
    let view = TrimmedView { key: KeyView::of(&trimmed.key), receipts: &trimmed.receipts };
    output::json(StatusCode::OK, &view)
}

/// The key as it then is, and the receipts of what was destroyed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TrimmedKey")]
pub(super) struct TrimmedView<'a> {
    #[serde(flatten)]
    key: KeyView<'a>,
    #[schemars(with = "Vec<schema::Receipt>")]
    receipts: &'a [Receipt],
}

/// The longest time for which a version can be asked not to have been needed.
const LONGEST_UNUSED: Duration = Duration::from_hours(10 * 365 * 24);

/// So many seconds ago, in milliseconds since the Unix epoch.
fn since(seconds: u64) -> Result<u64, Problem> {
    if !(1..=LONGEST_UNUSED.as_secs()).contains(&seconds) {
        let detail = format!("must be a number of seconds from 1 to {}", LONGEST_UNUSED.as_secs());
        return Err(Problem::field(Code::InvalidField, "/unused_seconds", detail));
    }
    Ok(clock::unix_ms().saturating_sub(seconds * 1_000))
}
