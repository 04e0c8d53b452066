//! The public half of a version.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::seen;
use crate::app::App;
use crate::errors::Code;
use crate::http::openapi::schema;
use crate::http::{Params, Problem, output};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PublicHalf")]
pub(super) struct PublicView<'a> {
    #[schemars(with = "schema::KeyName")]
    key: &'a str,
    #[schemars(with = "schema::Version")]
    version: u32,
    #[schemars(with = "schema::Algorithm")]
    algorithm: &'static str,
    /// SubjectPublicKeyInfo, PEM.
    #[schemars(with = "schema::PublicKey")]
    public_key: String,
}

/// `GET …/keys/{name}/public?version=…`: of the current version unless another is named.
pub async fn public(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let (tenant, name) = seen(&app, path, request.headers()).await?;
    let wanted = version(request.uri().query().unwrap_or_default())?;
    let key = app.keyring.key(&tenant, &name).await?;
    let algorithm = key.algorithm();
    if !algorithm.is_asymmetric() {
        let detail = format!("key {name} is of algorithm {algorithm}, which has no public key");
        return Err(Problem::new(Code::KeyUnsuitable, detail));
    }
    let number = wanted.unwrap_or_else(|| key.current_version());
    // Read only: nothing is sealed or opened, so nothing is counted.
    let version = app.keyring.version(&key, number).await?;
    let view = PublicView {
        key: name.as_str(),
        version: number,
        algorithm: algorithm.name(),
        public_key: version.public_key().map_err(Problem::internal)?.pem(),
    };
    output::json(StatusCode::OK, &view)
}

fn version(query: &str) -> Result<Option<u32>, Problem> {
    if query.is_empty() {
        return Ok(None);
    }
    let number = query.strip_prefix("version=").and_then(|text| text.parse().ok());
    number.filter(|number| *number > 0).map(Some).ok_or_else(|| {
        let detail = "the only query parameter is `version`, a version's number from 1";
        Problem::field(Code::InvalidRequest, "/version", detail)
    })
}
