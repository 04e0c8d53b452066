//! `GET …/keys/{name}/usage`: how often each version was used, and when it last was.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keyward_keyring::{Span, VersionInfo, VersionUsage};
use schemars::JsonSchema;
use serde::Serialize;

use super::seen;
use crate::app::App;
use crate::clock;
use crate::http::openapi::schema;
use crate::http::{Params, Problem, output};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeyUsage")]
pub(super) struct UsageView<'a> {
    #[schemars(with = "schema::KeyName")]
    name: &'a str,
    #[schemars(with = "schema::KeyId")]
    id: String,
    #[schemars(with = "schema::Version")]
    current_version: u32,
    versions: Vec<VersionView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "VersionUsage")]
struct VersionView {
    #[schemars(with = "schema::Version")]
    version: u32,
    #[schemars(with = "schema::Timestamp")]
    created_at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    destroyed_at: Option<String>,
    sealed: SealedView,
    opened: OpenedView,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Sealed")]
struct SealedView {
    messages: u64,
    bytes: u64,
    #[serde(flatten)]
    span: SpanView,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Opened")]
struct OpenedView {
    messages: u64,
    #[serde(flatten)]
    span: SpanView,
}

/// Absent if never.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Span")]
struct SpanView {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    first_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    last_at: Option<String>,
}

impl From<Option<Span>> for SpanView {
    fn from(span: Option<Span>) -> Self {
        Self {
            first_at: span.map(|span| clock::rfc3339(span.first)),
            last_at: span.map(|span| clock::rfc3339(span.last)),
        }
    }
}

impl VersionView {
    fn of(info: &VersionInfo, usage: &VersionUsage) -> Self {
        Self {
            version: info.version,
            created_at: clock::rfc3339(info.created_at),
            destroyed_at: info.destroyed.as_ref().map(|stamp| clock::rfc3339(stamp.at)),
            sealed: SealedView {
                messages: usage.sealed_messages,
                bytes: usage.sealed_bytes,
                span: usage.sealed.into(),
            },
            opened: OpenedView { messages: usage.opened_messages, span: usage.opened.into() },
        }
    }
}

/// `GET …/keys/{name}/usage`.
pub async fn usage(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let (tenant, name) = seen(&app, path, request.headers()).await?;
    let usage = app.keyring.usage(&tenant, &name).await?;
    // Read after the counts: no version that was used is missing.
    let key = app.keyring.history(&tenant, &name).await?;
    let versions = key.versions().iter();
    let view = UsageView {
        name: key.name().as_str(),
        id: key.id().to_string(),
        current_version: key.current_version(),
        versions: versions
            .map(|info| VersionView::of(info, &usage.version(info.version)))
            .collect(),
    };
    output::json(StatusCode::OK, &view)
}
