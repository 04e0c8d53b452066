//! One key, and what was done to it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keyward_keyring::{HISTORY_LIMIT, HistoryEntry};
use schemars::JsonSchema;
use serde::Serialize;

use super::seen;
use super::view::KeyView;
use crate::app::App;
use crate::clock;
use crate::http::openapi::schema;
use crate::http::{Params, Problem, output};

/// `GET …/keys/{name}`.
pub async fn show(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let (tenant, name) = seen(&app, path, request.headers()).await?;
    let key = app.keyring.key(&tenant, &name).await?;
    output::json(StatusCode::OK, &KeyView::of(&key))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeyHistory")]
pub(super) struct HistoryView<'a> {
    #[schemars(with = "schema::TenantName")]
    tenant: &'a str,
    #[schemars(with = "schema::KeyName")]
    key: &'a str,
    /// Oldest first.
    history: Vec<EntryView<'a>>,
    /// How many entries are kept at most.
    limit: usize,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeyHistoryEntry")]
struct EntryView<'a> {
    #[schemars(with = "schema::Timestamp")]
    at: String,
    actor: &'a str,
    #[schemars(with = "schema::HistoryAction")]
    action: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Version>")]
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> EntryView<'a> {
    fn of(entry: &'a HistoryEntry) -> Self {
        Self {
            at: clock::rfc3339(entry.at),
            actor: &entry.actor,
            action: entry.action.name(),
            version: entry.version,
            reason: entry.reason.as_deref(),
        }
    }
}

/// `GET …/keys/{name}/history`: as the store has it now.
pub async fn history(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let (tenant, name) = seen(&app, path, request.headers()).await?;
    let key = app.keyring.history(&tenant, &name).await?;
    let view = HistoryView {
        tenant: tenant.as_str(),
        key: name.as_str(),
        history: key.history().iter().map(EntryView::of).collect(),
        limit: HISTORY_LIMIT,
    };
    output::json(StatusCode::OK, &view)
}
