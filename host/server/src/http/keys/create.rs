//! Creating a key.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, Response, StatusCode};
use keyward_crypto::Algorithm;
use keyward_keyring::{About, Author, KeyName, NewKey};
use serde::Deserialize;

use super::blame;
use super::view::KeyView;
use crate::app::App;
use crate::errors::Code;
use crate::http::auth::Access;
use crate::http::json::{self, Text};
use crate::http::{Params, Problem, body, output};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    #[serde(borrow, default)]
    algorithm: Option<Text<'a>>,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    description: Option<String>,
    #[serde(borrow, default)]
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
    let algorithm = match &fields.algorithm {
        None => Algorithm::default(),
        Some(text) => Algorithm::from_str(text.as_str())
            .map_err(|error| Problem::field(Code::InvalidField, "/algorithm", error.to_string()))?,
    };
    let Fields { attributes, labels, owner, description, .. } = fields;
    let new = NewKey { algorithm, attributes, about: About { labels, owner, description } };
    let by = &credential.caller.subject;
    let author = Author { actor: by, reason: fields.reason.as_ref().map(Text::as_str) };
    let key = app.keyring.create_key_as(&tenant, &name, new, author).await.map_err(blame)?;
    tracing::info!(%tenant, key = %name, by, "key created");
    let mut response = output::json(StatusCode::CREATED, &KeyView::of(&key))?;
    let location = HeaderValue::from_str(&format!("/api/v1/tenants/{tenant}/keys/{name}"));
    response.headers_mut().insert(LOCATION, location.map_err(Problem::internal)?);
    Ok(response)
}
