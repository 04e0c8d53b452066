//! When a key is rotated by itself: `rotation` of a new key, `PUT …/keys/{name}/rotation`,
//! `DELETE …/keys/{name}/rotation`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keyward_keyring::{KeyringError, Rotation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::view::KeyView;
use super::{Managed, Reason};
use crate::app::App;
use crate::config::RotationConfig;
use crate::errors::Code;
use crate::http::json::{self, Text};
use crate::http::openapi::schema;
use crate::http::{Params, Problem, body, output};

/// A rotation policy as it stands in a body.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "RotationPolicy")]
pub(super) struct Fields<'a> {
    /// A duration such as `30d`.
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::Every>")]
    every: Option<Text<'a>>,
    #[serde(default)]
    #[schemars(with = "Option<schema::MaxMessages>")]
    max_messages: Option<u64>,
    #[serde(default)]
    #[schemars(with = "Option<schema::MaxBytes>")]
    max_bytes: Option<u64>,
}

impl Fields<'_> {
    /// The policy; problems name fields below the JSON Pointer `at`.
    pub(super) fn read(&self, config: &RotationConfig, at: &str) -> Result<Rotation, Problem> {
        let every = self.every.as_ref().map(|text| Rotation::parse_every(text.as_str()));
        let every = every.transpose().map_err(|error| blame(error, at))?;
        if every.is_some_and(|every| every < config.min_every) {
            let least = Rotation::show_every(config.min_every);
            let detail = format!("must be at least {least} on this server (`rotation.min_every`)");
            return Err(Problem::field(Code::InvalidField, format!("{at}/every"), detail));
        }
        let read = Rotation::new(every, self.max_messages, self.max_bytes);
        read.map_err(|error| blame(error, at))
    }
}

/// What the keyring refuses of a policy is a field of it.
pub(super) fn blame(error: KeyringError, at: &str) -> Problem {
    match error {
        KeyringError::InvalidName { field: "rotation", reason } => {
            Problem::field(Code::InvalidField, at, reason)
        }
        KeyringError::InvalidName { field, reason } => {
            Problem::field(Code::InvalidField, format!("{at}/{field}"), reason)
        }
        error => error.into(),
    }
}

/// A rotation policy as an answer shows it.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Rotation")]
pub(super) struct View {
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Every>")]
    every: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_messages: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
}

impl From<&Rotation> for View {
    fn from(rotation: &Rotation) -> Self {
        Self {
            every: rotation.every().map(Rotation::show_every),
            max_messages: rotation.max_messages(),
            max_bytes: rotation.max_bytes(),
        }
    }
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewRotationPolicy")]
pub(super) struct Put<'a> {
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::Every>")]
    every: Option<Text<'a>>,
    #[serde(default)]
    #[schemars(with = "Option<schema::MaxMessages>")]
    max_messages: Option<u64>,
    #[serde(default)]
    #[schemars(with = "Option<schema::MaxBytes>")]
    max_bytes: Option<u64>,
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::Reason>")]
    reason: Option<Text<'a>>,
}

/// `PUT …/keys/{name}/rotation`: this is the policy from now on.
pub async fn put(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let managed = Managed::of(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let Put { every, max_messages, max_bytes, reason } = json::parse(&bytes)?;
    let rotation = Fields { every, max_messages, max_bytes }.read(&app.rotation, "")?;
    let Managed { tenant, name, .. } = &managed;
    let author = managed.author_because(reason.as_ref());
    let changed = app.keyring.set_rotation(tenant, name, Some(rotation), author).await;
    let key = changed.map_err(|error| blame(error, ""))?;
    output::json(StatusCode::OK, &KeyView::of(&key))
}

/// `DELETE …/keys/{name}/rotation`: from now on the key is rotated by call.
pub async fn delete(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let managed = Managed::of(&app, path, request.headers()).await?;
    let reason = Reason::read(&app, request).await?;
    let Managed { tenant, name, .. } = &managed;
    let changed = app.keyring.set_rotation(tenant, name, None, managed.author(&reason)).await;
    let key = changed.map_err(|error| blame(error, ""))?;
    output::json(StatusCode::OK, &KeyView::of(&key))
}
