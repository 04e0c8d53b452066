//! Changing a key's settings, as a JSON merge patch (RFC 7396): what is absent stays, `null`
//! removes.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keyward_keyring::{Edit, KeyEdit};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::view::KeyView;
use super::{Managed, blame};
use crate::app::App;
use crate::http::json::{self, Text};
use crate::http::openapi::schema;
use crate::http::{Params, Problem, body, output};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "KeyPatch")]
pub(super) struct Patch<'a> {
    #[serde(default, deserialize_with = "edit")]
    #[schemars(with = "Option<schema::Version>")]
    min_decrypt_version: Edit<u32>,
    #[serde(default, deserialize_with = "edit")]
    #[schemars(with = "Option<schema::Version>")]
    min_encrypt_version: Edit<u32>,
    #[serde(default, deserialize_with = "edit")]
    #[schemars(with = "Option<bool>")]
    exportable: Edit<bool>,
    #[serde(default, deserialize_with = "edit")]
    #[schemars(with = "Option<schema::LabelEdits>")]
    labels: Edit<BTreeMap<String, Option<String>>>,
    #[serde(default, deserialize_with = "edit")]
    #[schemars(with = "Option<schema::Owner>")]
    owner: Edit<String>,
    #[serde(default, deserialize_with = "edit")]
    #[schemars(with = "Option<schema::Description>")]
    description: Edit<String>,
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::Reason>")]
    reason: Option<Text<'a>>,
}

/// Of a field that is there.
fn edit<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Edit<T>, D::Error> {
    Ok(Option::deserialize(from)?.map_or(Edit::Remove, Edit::Set))
}

/// `PATCH …/keys/{name}`.
pub async fn patch(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let managed = Managed::of(&app, path, request.headers()).await?;
    let bytes = body::read_merge_patch(&app, request).await?;
    let Patch {
        min_decrypt_version,
        min_encrypt_version,
        exportable,
        labels,
        owner,
        description,
        reason,
    } = json::parse(&bytes)?;
    let labels = match labels {
        Edit::Keep => Edit::Keep,
        Edit::Remove => Edit::Remove,
        Edit::Set(labels) => {
            let edit = |value: Option<String>| value.map_or(Edit::Remove, Edit::Set);
            Edit::Set(labels.into_iter().map(|(name, value)| (name, edit(value))).collect())
        }
    };
    let edit = KeyEdit {
        min_decrypt_version,
        min_encrypt_version,
        exportable,
        labels,
        owner,
        description,
    };
    let Managed { tenant, name, .. } = &managed;
    let author = managed.author_because(reason.as_ref());
    let key = app.keyring.edit_key(tenant, name, edit, author).await.map_err(blame)?;
    output::json(StatusCode::OK, &KeyView::of(&key))
}
