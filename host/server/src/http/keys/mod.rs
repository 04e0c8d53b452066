//! A tenant's keys: create, list, show, change, rotate, delete, restore, destroy, and take in or give
//! out wrapped. Never their bytes.

mod change;
mod create;
mod delete;
mod export;
mod import;
mod list;
mod patch;
mod public;
mod read;
mod rotation;
mod routes;
mod usage;
mod view;

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::Request;
use axum::http::HeaderMap;
use keyward_keyring::{Author, KeyName, KeyringError, TenantName};
use schemars::JsonSchema;
use serde::Deserialize;

pub use self::change::{disable, enable, rotate, trim};
pub use self::create::create;
pub use self::delete::{delete, destroy, restore};
pub use self::export::export;
pub use self::import::{import, import_version};
pub use self::list::list;
pub use self::patch::patch;
pub use self::public::public;
pub use self::read::{history, show};
pub use self::rotation::{delete as delete_rotation, put as put_rotation};
pub use self::routes::routes;
pub use self::usage::usage;
use super::auth::Access;
use super::json::{self, Text};
use super::openapi::schema;
use super::{Params, Problem, body, param};
use crate::app::App;
use crate::audit;
use crate::errors::Code;
use crate::tokens::Credential;
use crate::tokens::scope::Kind;

/// A request to change a key that passed: who asks, and which key.
struct Managed {
    credential: Arc<Credential>,
    tenant: TenantName,
    name: KeyName,
}

impl Managed {
    async fn of(app: &App, path: Params, headers: &HeaderMap) -> Result<Self, Problem> {
        let Access { path, credential, tenant } = Access::managing(app, path, headers).await?;
        let name = KeyName::from_str(param(&path, "name")?)?;
        audit::uses(name.as_str(), None);
        credential.scope.check(Kind::Keys, name.as_str())?;
        Ok(Self { credential, tenant, name })
    }

    fn author<'a>(&'a self, reason: &'a Reason) -> Author<'a> {
        self.by(reason.0.as_deref())
    }

    /// Who asks, with the reason that stands among the other fields of a body.
    fn author_because<'a>(&'a self, reason: Option<&'a Text<'_>>) -> Author<'a> {
        self.by(reason.map(Text::as_str))
    }

    fn by<'a>(&'a self, reason: Option<&'a str>) -> Author<'a> {
        Author { actor: &self.credential.caller.subject, reason }
    }
}

/// Which key, of a request to see one that passed.
async fn seen(
    app: &App,
    path: Params,
    headers: &HeaderMap,
) -> Result<(TenantName, KeyName), Problem> {
    let Access { path, credential, tenant } = Access::reading(app, path, headers).await?;
    let name = KeyName::from_str(param(&path, "name")?)?;
    audit::uses(name.as_str(), None);
    credential.scope.check(Kind::Keys, name.as_str())?;
    Ok((tenant, name))
}

/// Why, if the caller says so: the one field of a body that may be left out.
struct Reason(Option<String>);

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WithReason")]
struct ReasonBody<'a> {
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::Reason>")]
    reason: Option<Text<'a>>,
}

impl Reason {
    async fn read(app: &App, request: Request) -> Result<Self, Problem> {
        let bytes = body::read_optional_json(app, request).await?;
        if bytes.is_empty() {
            return Ok(Self(None));
        }
        let ReasonBody { reason } = json::parse(&bytes)?;
        Ok(Self(reason.map(|text| text.into_inner().into_owned())))
    }
}

/// An input that the keyring refuses is a field of the body.
pub(super) fn blame(error: KeyringError) -> Problem {
    let (field, detail) = match &error {
        KeyringError::InvalidName { field, reason } => (*field, (*reason).to_owned()),
        KeyringError::OutOfRange { field, min, max } => {
            (*field, format!("must be {min} to {max}, as things are"))
        }
        KeyringError::TrimTooHigh { .. } => {
            return Problem { field: Some("/min_available_version".into()), ..error.into() };
        }
        _ => return error.into(),
    };
    Problem::field(Code::InvalidField, json::pointer(field), detail)
}
