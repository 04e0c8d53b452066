//! Importing key material, wrapped to a key of the tenant.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keyward_crypto::{Algorithm, CryptoError, KeyMaterial, WrappingInfo};
use keyward_keyring::{About, KeyName, KeyringError, NewKey, TenantName};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::create::{self, blame_new, created_at};
use super::{Managed, blame, rotation};
use crate::app::App;
use crate::audit;
use crate::errors::Code;
use crate::http::data::item;
use crate::http::json::{self, Text};
use crate::http::openapi::schema;
use crate::http::{Params, Problem, body, output};
use crate::metered::Metered;
use crate::tokens::Credential;
use crate::tokens::scope::Kind;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KeyToImport")]
pub(super) struct Fields<'a> {
    /// What the material is of; never guessed.
    #[serde(borrow)]
    #[schemars(with = "schema::Algorithm")]
    algorithm: Text<'a>,
    #[serde(borrow)]
    #[schemars(with = "schema::KeyName")]
    wrapping_key: Text<'a>,
    #[serde(default)]
    #[schemars(with = "Option<schema::Version>")]
    wrapping_key_version: Option<u32>,
    #[serde(borrow)]
    #[schemars(with = "schema::Base64")]
    wrapped_key: Text<'a>,
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

/// `POST …/keys/{name}/import`: creates the key.
pub async fn import(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let managed = Managed::of(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let fields: Fields<'_> = json::parse(&bytes)?;
    let algorithm = create::algorithm(fields.algorithm.as_str())?;
    let rotation = fields.rotation.map(|fields| fields.0.read(&app.rotation, "/rotation"));
    let Fields { attributes, exportable, labels, owner, description, .. } = fields;
    let about = About { labels, owner, description };
    let new = NewKey { algorithm, attributes, about, rotation: rotation.transpose()?, exportable };
    let wrapped = Wrapped {
        key: &fields.wrapping_key,
        version: fields.wrapping_key_version,
        bytes: &fields.wrapped_key,
    };
    let Managed { tenant, name, .. } = &managed;
    let material = wrapped.unwrap(&app, &managed, algorithm).await?;
    let author = managed.author_because(fields.reason.as_ref());
    let imported = app.keyring.import_key(tenant, name, new, material, author).await;
    let key = imported.map_err(blame_new)?;
    audit::uses(name.as_str(), Some(key.current_version()));
    let (wrapping_key, by) = (fields.wrapping_key.as_str(), author.actor);
    tracing::info!(%tenant, key = %name, by, wrapping_key, "key imported");
    created_at(&key)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "VersionToImport")]
pub(super) struct VersionFields<'a> {
    #[serde(borrow)]
    #[schemars(with = "schema::KeyName")]
    wrapping_key: Text<'a>,
    #[serde(default)]
    #[schemars(with = "Option<schema::Version>")]
    wrapping_key_version: Option<u32>,
    #[serde(borrow)]
    #[schemars(with = "schema::Base64")]
    wrapped_key: Text<'a>,
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::Reason>")]
    reason: Option<Text<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ImportedVersion")]
pub(super) struct VersionView {
    #[schemars(with = "schema::Version")]
    key_version: u32,
}

/// `POST …/keys/{name}/import-version`: adds a version to a key that was imported.
pub async fn import_version(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let managed = Managed::of(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let VersionFields { wrapping_key, wrapping_key_version, wrapped_key, reason } =
        json::parse(&bytes)?;
    let Managed { tenant, name, .. } = &managed;
    let key = app.keyring.key(tenant, name).await?;
    if !key.is_imported() {
        return Err(KeyringError::KeyNotImported { key: name.to_string() }.into());
    }
    let wrapped =
        Wrapped { key: &wrapping_key, version: wrapping_key_version, bytes: &wrapped_key };
    let material = wrapped.unwrap(&app, &managed, key.algorithm()).await?;
    let author = managed.author_because(reason.as_ref());
    let imported = app.keyring.import_version(tenant, name, material, author).await;
    let key_version = imported.map_err(blame)?.version;
    audit::uses(name.as_str(), Some(key_version));
    let (wrapping_key, by) = (wrapping_key.as_str(), author.actor);
    tracing::info!(%tenant, key = %name, key_version, by, wrapping_key, "key version imported");
    output::json(StatusCode::OK, &VersionView { key_version })
}

/// Material as a caller sends it.
struct Wrapped<'a> {
    key: &'a Text<'a>,
    /// The wrapping key's current one, unless said otherwise.
    version: Option<u32>,
    bytes: &'a Text<'a>,
}

impl Wrapped<'_> {
    async fn unwrap(
        &self,
        app: &App,
        managed: &Managed,
        algorithm: Algorithm,
    ) -> Result<KeyMaterial, Problem> {
        let Managed { credential, tenant, name } = managed;
        let wrapped = Zeroizing::new(item::base64("/wrapped_key", self.bytes)?);
        let place = (credential.as_ref(), tenant);
        let wrapping = wrapping_key(app, place, self.key, self.version, "/wrapping_key").await?;
        let info = WrappingInfo { tenant: tenant.as_str(), key_name: name.as_str(), algorithm };
        let invalid = |error: CryptoError| {
            Problem::field(Code::InvalidField, "/wrapped_key", format!("unwrapped, but {error}"))
        };
        wrapping.unwrap_key(&info, &wrapped).map_err(|error| match error {
            CryptoError::WrappedKeyInvalid => Problem::field(
                Code::WrappedKeyInvalid,
                "/wrapped_key",
                "the wrapped key does not unwrap with this key for this tenant, name and \
                 algorithm, or it is damaged",
            ),
            CryptoError::KeyLength { .. }
            | CryptoError::KeyMaterialInvalid { .. }
            | CryptoError::KeyMaterialWeak => invalid(error),
            error => Problem::internal(error),
        })
    }
}

/// The key of the tenant that wraps, if it is in the credential's scope: the current version unless
/// another is named. `field` is whom to blame.
pub(super) async fn wrapping_key(
    app: &App,
    (credential, tenant): (&Credential, &TenantName),
    name: &Text<'_>,
    version: Option<u32>,
    field: &'static str,
) -> Result<Metered, Problem> {
    let blamed = |error: KeyringError| Problem { field: Some(field.into()), ..error.into() };
    let name = KeyName::from_str(name.as_str()).map_err(blamed)?;
    credential.scope.check(Kind::Keys, name.as_str())?;
    let key = app.keyring.key(tenant, &name).await.map_err(blamed)?;
    let algorithm = key.algorithm();
    if !algorithm.wraps_keys() {
        let detail = format!(
            "key {name} is of algorithm {algorithm}; keys are wrapped to one of rsa-oaep-2048, \
             rsa-oaep-3072, rsa-oaep-4096, x25519, ml-kem-768 or x25519-ml-kem-768"
        );
        return Err(Problem::field(Code::KeyUnsuitable, field, detail));
    }
    let version = version.unwrap_or_else(|| key.current_version());
    Metered::of(&app.keyring, &key, version).await.map_err(blamed)
}
