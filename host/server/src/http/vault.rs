//! `/api/v1/vault/…`: the management API. Every route takes an operator's token, and who did
//! something is whom the token speaks for, whatever a body says.
//!
//! The views have one shape, whether the keys are in a Vault or in the embedded store.

mod routes;
mod status;
mod versions;
mod views;

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::RawPathParams;
use axum::http::HeaderMap;
use keyward_keyring::{Author, KeyName, TenantName};

pub use self::routes::routes;
pub use self::status::{clear_cache, health, metrics, renew_token, status};
pub use self::versions::{create_version, destroy_version, history, list_versions, rollback};
use super::{Params, Problem, auth, param, params};
use crate::app::App;
use crate::audit;
use crate::errors::Code;
use crate::tokens::Credential;
use crate::tokens::scope::Kind;

/// Names the tenant, unless the query does.
const TENANT_HEADER: &str = "x-keyward-tenant";

/// The credential, if it is an operator's.
async fn operator(app: &App, headers: &HeaderMap) -> Result<Arc<Credential>, Problem> {
    let credential = auth::authenticate(app, headers).await?;
    auth::for_operators(&credential)?;
    Ok(credential)
}

/// A request about a key that passed.
struct Access {
    path: RawPathParams,
    credential: Arc<Credential>,
    tenant: TenantName,
    key: KeyName,
}

impl Access {
    async fn of(
        app: &App,
        path: Params,
        query: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<Self, Problem> {
        let path = params(path)?;
        let credential = operator(app, headers).await?;
        let tenant = auth::existing(app, &credential, &named(app, query, headers)?).await?;
        let key = KeyName::from_str(param(&path, "key")?)?;
        credential.scope.check(Kind::Keys, key.as_str())?;
        audit::uses(key.as_str(), None);
        Ok(Self { path, credential, tenant, key })
    }

    fn actor(&self) -> &str {
        &self.credential.caller.subject
    }

    fn author<'a>(&'a self, reason: Option<&'a str>) -> Author<'a> {
        Author { actor: self.actor(), reason }
    }
}

/// The tenant's name: `?tenant=`, the header, or the default.
fn named(app: &App, query: Option<&str>, headers: &HeaderMap) -> Result<String, Problem> {
    let bad = |detail| Problem::new(Code::InvalidRequest, detail);
    let mut name = None;
    for (key, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if key != "tenant" {
            return Err(bad("the one query parameter here is `tenant`"));
        }
        if name.replace(value.into_owned()).is_some() {
            return Err(bad("query parameter `tenant` is given twice"));
        }
    }
    for value in headers.get_all(TENANT_HEADER) {
        let value = value.to_str().map_err(|_| bad("X-Keyward-Tenant is not a tenant's name"))?;
        if name.replace(value.to_owned()).is_some_and(|other| other != value) {
            return Err(bad("the tenant is named twice, and differently"));
        }
    }
    Ok(name.unwrap_or_else(|| app.default_tenant.to_string()))
}
