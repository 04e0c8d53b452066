//! Exporting key material, wrapped to a public key. It never leaves in the clear.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keyward_crypto::{CryptoError, KeyMaterial, Wrapping, WrappingInfo, WrappingKey};
use keyward_keyring::Exported;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::import::wrapping_key;
use super::{Managed, blame};
use crate::app::App;
use crate::audit;
use crate::errors::Code;
use crate::http::json::{self, Text};
use crate::http::openapi::schema;
use crate::http::{Params, Problem, body, output};
use crate::metered::Metered;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ExportRequest")]
pub(super) struct Fields<'a> {
    #[serde(default)]
    #[schemars(with = "Option<schema::Version>")]
    version: Option<u32>,
    /// A public key, PEM, or the name of a key of the tenant.
    #[serde(borrow)]
    #[schemars(with = "schema::WrapTo")]
    recipient: Text<'a>,
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::Reason>")]
    reason: Option<Text<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExportedKey")]
pub(super) struct ExportView<'a> {
    #[schemars(with = "schema::KeyName")]
    key: &'a str,
    #[schemars(with = "schema::Version")]
    version: u32,
    #[schemars(with = "schema::Algorithm")]
    algorithm: &'static str,
    /// How the material is wrapped.
    wrapping: &'static str,
    /// Base64.
    #[schemars(with = "schema::Base64")]
    wrapped_key: String,
}

/// `POST …/keys/{name}/export`.
pub async fn export(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let managed = Managed::of(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let Fields { version, recipient, reason } = json::parse(&bytes)?;
    let Managed { credential, tenant, name } = &managed;
    // Looked at first: what cannot be wrapped is not given out, and leaves no trace.
    let to = if recipient.as_str().contains("-----BEGIN") {
        Recipient::Public(WrappingKey::from_pem(recipient.as_str()).map_err(refused)?)
    } else {
        let place = (credential.as_ref(), tenant);
        Recipient::Key(wrapping_key(&app, place, &recipient, None, "/recipient").await?)
    };
    let author = managed.author_because(reason.as_ref());
    let exported = app.keyring.export(tenant, name, version, author).await.map_err(blame)?;
    let Exported { key, version, material } = &exported;
    audit::uses(name.as_str(), Some(*version));
    let algorithm = key.algorithm();
    let info = WrappingInfo { tenant: tenant.as_str(), key_name: name.as_str(), algorithm };
    let (wrapping, wrapped) = to.wrap(&info, material).map_err(refused)?;
    let (wrapping, by) = (wrapping.name(), author.actor);
    tracing::info!(%tenant, key = %name, version, by, wrapping, "key exported");
    let view = ExportView {
        key: name.as_str(),
        version: *version,
        algorithm: algorithm.name(),
        wrapping,
        wrapped_key: STANDARD.encode(wrapped),
    };
    output::json(StatusCode::OK, &view)
}

/// To whom the material goes.
enum Recipient {
    Public(WrappingKey),
    Key(Metered),
}

impl Recipient {
    fn wrap(
        &self,
        info: &WrappingInfo<'_>,
        material: &KeyMaterial,
    ) -> Result<(Wrapping, Vec<u8>), CryptoError> {
        match self {
            Self::Public(key) => Ok((key.wrapping(), key.wrap(info, material)?)),
            Self::Key(key) => key.wrap_key(info, material),
        }
    }
}

fn refused(error: CryptoError) -> Problem {
    match error {
        CryptoError::WrappingKeyInvalid => {
            Problem::field(Code::InvalidField, "/recipient", error.to_string())
        }
        error => Problem::internal(error),
    }
}
