//! Creating a key.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, Response, StatusCode};
use keyward_crypto::Algorithm;
use keyward_keyring::{About, Author, Key, KeyName, KeyringError, NewKey};
use schemars::JsonSchema;
use serde::Deserialize;

use super::view::KeyView;
use super::{blame, rotation};
use crate::app::App;
use crate::audit;
use crate::errors::Code;
use crate::http::auth::Access;
use crate::http::json::{self, Text};
use crate::http::openapi::schema;
use crate::http::{Params, Problem, body, output};
use crate::tokens::scope::Kind;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewKey")]
pub(super) struct Fields<'a> {
    #[serde(borrow)]
    #[schemars(with = "schema::KeyName")]
    name: Text<'a>,
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::Algorithm>")]
    algorithm: Option<Text<'a>>,
    #[serde(default)]
    #[schemars(with = "schema::Attributes")]
    attributes: BTreeMap<String, String>,
    #[serde(borrow, default)]
    rotation: Option<json::Object<rotation::Fields<'a>>>,
    #[serde(default)]
    exportable: bool,
    #[serde(default)]
    #[schemars(with = "schema::Labels")]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    #[schemars(with = "Option<schema::Owner>")]
    owner: Option<String>,
    #[serde(default)]
    #[schemars(with = "Option<schema::Description>")]
    description: Option<String>,
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::Reason>")]
    reason: Option<Text<'a>>,
}

/// `POST …/keys`.
pub async fn create(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = Access::managing(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let fields: Fields<'_> = json::parse(&bytes)?;
    let name = KeyName::from_str(fields.name.as_str())
        .map_err(|error| Problem { field: Some("/name".into()), ..error.into() })?;
    audit::uses(name.as_str(), None);
    credential.scope.check(Kind::Keys, name.as_str())?;
    let algorithm = match &fields.algorithm {
        None => Algorithm::default(),
        Some(text) => self::algorithm(text.as_str())?,
    };
    let Fields { attributes, labels, owner, description, exportable, .. } = fields;
    let rotation = fields.rotation.map(|fields| fields.0.read(&app.rotation, "/rotation"));
    let rotation = rotation.transpose()?;
    let about = About { labels, owner, description };
    let new = NewKey { algorithm, attributes, about, rotation, exportable };
    let by = &credential.caller.subject;
    let author = Author { actor: by, reason: fields.reason.as_ref().map(Text::as_str) };
    let created = app.keyring.create_key_as(&tenant, &name, new, author).await;
    let key = created.map_err(blame_new)?;
    audit::uses(name.as_str(), Some(key.current_version()));
    tracing::info!(%tenant, key = %name, by, "key created");
    created_at(&key)
}

/// The answer to a creation: the key, and where it is.
pub(super) fn created_at(key: &Key) -> Result<Response<Body>, Problem> {
    let mut response = output::json(StatusCode::CREATED, &KeyView::of(key))?;
    let location = format!("/api/v1/tenants/{}/keys/{}", key.tenant(), key.name());
    let location = HeaderValue::from_str(&location).map_err(Problem::internal)?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// An input that the keyring refuses for a new key.
pub(super) fn blame_new(error: KeyringError) -> Problem {
    match error {
        KeyringError::InvalidName { field: "max_messages", .. } => {
            rotation::blame(error, "/rotation")
        }
        error => blame(error),
    }
}

/// The algorithm of this name.
pub(super) fn algorithm(name: &str) -> Result<Algorithm, Problem> {
    Algorithm::from_str(name)
        .map_err(|error| Problem::field(Code::InvalidField, "/algorithm", error.to_string()))
}
