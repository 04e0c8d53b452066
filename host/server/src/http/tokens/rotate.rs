//! `POST …/tokens/{id}/rotate`: a new token in the place of another.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use super::create::{duration, end};
use super::view::MintedView;
use super::{Managed, blame, grant};
use crate::app::App;
use crate::errors::Code;
use crate::http::openapi::schema;
use crate::http::{Params, Problem, body, json, output};
use crate::tokens::{Details, NewToken};
use crate::{audit, clock};

/// What it fails with beside the rest.
pub(super) const FAILS: &[Code] = &[Code::TokenNotFound, Code::TokenEnded, Code::Conflict];

#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TokenRotation")]
pub(super) struct Rotation {
    /// How long the old one is valid beside the new one, if it does not end earlier.
    #[serde(default)]
    #[schemars(with = "Option<schema::Ttl>")]
    overlap: Option<String>,
    /// Of the new one; not together with `expires_at`.
    #[serde(default)]
    #[schemars(with = "Option<schema::Ttl>")]
    ttl: Option<String>,
    #[serde(default)]
    #[schemars(with = "Option<schema::Timestamp>")]
    expires_at: Option<String>,
}

pub(super) async fn rotate(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let managed = Managed::of(&app, path, request.headers()).await?;
    let old = managed.id()?.to_owned();
    let bytes = body::read_optional_json(&app, request).await?;
    let asked = if bytes.is_empty() { Rotation::default() } else { json::parse(&bytes)? };
    let overlap = asked.overlap.as_deref().map_or(Ok(0), |text| duration("/overlap", text))?;
    let asked_end = end(asked.ttl.as_deref(), asked.expires_at.as_deref())?;
    let old = app.tokens.details(&managed.reach, &old).await.map_err(blame)?;
    let now = clock::unix_ms();
    if old.expires_at.is_some_and(|at| at <= now) {
        return Err(Problem::new(Code::TokenEnded, "the token has ended; make a new one"));
    }
    let by = &managed.credential.caller.subject;
    let new = NewToken {
        reach: managed.reach.clone(),
        caller: old.caller.clone(),
        scope: old.scope.clone(),
        expires_at: asked_end.or_else(|| as_long(&old, now)),
        name: old.name.clone(),
        description: old.description.clone(),
        created_by: by.clone(),
    };
    grant::check(&managed.credential, &new)?;
    let rotated = app.tokens.rotate(&old, new, Duration::from_millis(overlap)).await;
    let (token, minted) = rotated.map_err(blame)?;
    let (id, old) = (&minted.id, &old.id);
    audit::target(&format!("token {old}, now {id}"));
    tracing::info!(id, old, by, subject = minted.caller.subject, "token rotated");
    output::json(StatusCode::CREATED, &MintedView::of(&token, minted))
}

/// The end of a life from `now` as long as the token's.
fn as_long(old: &Details, now: u64) -> Option<u64> {
    let life = old.expires_at?.saturating_sub(old.created_at);
    Some(now.saturating_add(life))
}
