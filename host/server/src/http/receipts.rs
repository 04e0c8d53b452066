//! Receipts of destruction, and the public keys that they are checked with.

use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keyward_keyring::{KeyName, KeyringError, Receipt, ReceiptKey};
use schemars::JsonSchema;
use serde::Serialize;

use super::auth::{Access, authenticate};
use super::openapi::problems::KEY;
use super::openapi::{Endpoint, Tag, Who, schema};
use super::routes::Routes;
use super::{Params, Problem, json, output, param};
use crate::app::App;
use crate::errors::Code;
use crate::tokens::scope::Kind;

/// How many receipts a page has unless the query says otherwise, and at most.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// Adds the routes, with what they say of themselves.
pub fn routes(routes: &mut Routes) {
    let endpoint = Endpoint::new(
        Tag::Keys,
        Who::Managers,
        "listReceipts",
        "Receipts of what was destroyed of a key, also after it is gone",
    )
    .query::<schema::ReceiptPlace>("after", "`next` of the page before.")
    .query::<schema::PageLimit>("limit", "How many receipts at most.")
    .answers::<ReceiptList<'_>>(200, "A page of receipts, oldest first")
    .fails(KEY);
    routes.get("/api/v1/tenants/{tenant}/keys/{name}/receipts", list, endpoint);
    let endpoint = Endpoint::new(
        Tag::Keys,
        Who::Readers,
        "listReceiptKeys",
        "Public keys that a tenant's receipts are checked with",
    )
    .answers::<KeyList>(200, "The keys");
    routes.get("/api/v1/tenants/{tenant}/receipt-keys", keys, endpoint);
    let endpoint = Endpoint::new(
        Tag::Keys,
        Who::Authenticated,
        "showReceiptKey",
        "The public key of this store's receipts",
    )
    .answers::<KeyView>(200, "The key");
    routes.get("/api/v1/receipts/public-key", public_key, endpoint);
}

#[derive(Serialize, JsonSchema)]
struct ReceiptList<'a> {
    /// Oldest first.
    #[schemars(with = "Vec<schema::Receipt>")]
    receipts: &'a [Receipt],
    /// `after` of the next page, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
}

/// `GET …/keys/{name}/receipts?after=…&limit=…`: also of keys of this name that are gone.
pub async fn list(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { path, credential, tenant } =
        Access::managing(&app, path, request.headers()).await?;
    let name = KeyName::from_str(param(&path, "name")?)?;
    credential.scope.check(Kind::Keys, name.as_str())?;
    let Wanted { after, limit } = Wanted::read(request.uri().query().unwrap_or_default())?;
    let limit = limit.unwrap_or(DEFAULT_LIMIT);
    let page = app.keyring.receipts(&tenant, &name, after.as_deref(), limit).await;
    let page = page.map_err(|error| match error {
        KeyringError::InvalidName { field: "after", reason } => bad("after", reason),
        error => error.into(),
    })?;
    let list = ReceiptList { receipts: &page.receipts, next: page.next.as_deref() };
    output::json(StatusCode::OK, &list)
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReceiptKey")]
struct KeyView {
    /// As receipts name it in `receipt_key`.
    #[schemars(with = "schema::ReceiptKeyId")]
    id: String,
    algorithm: &'static str,
    /// SubjectPublicKeyInfo, PEM.
    #[schemars(with = "schema::PublicKey")]
    public_key: String,
}

impl From<&ReceiptKey> for KeyView {
    fn from(key: &ReceiptKey) -> Self {
        Self { id: key.id().to_string(), algorithm: "ed25519", public_key: key.pem() }
    }
}

/// `GET /api/v1/receipts/public-key`: what this store signs receipts with.
pub async fn public_key(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response<Body>, Problem> {
    authenticate(&app, request.headers()).await?;
    let key = app.keyring.receipt_key().await?;
    output::json(StatusCode::OK, &KeyView::from(&key))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ReceiptKeyList")]
struct KeyList {
    /// The id of the one that signs now.
    #[schemars(with = "schema::ReceiptKeyId")]
    current: String,
    /// Every one that a receipt of the tenant was signed with, and the one that signs now.
    keys: Vec<KeyView>,
}

/// `GET …/receipt-keys`: also those of stores whose backups were restored.
pub async fn keys(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { tenant, .. } = Access::reading(&app, path, request.headers()).await?;
    let current = app.keyring.receipt_key().await?;
    let mut keys = app.keyring.receipt_keys(&tenant).await?;
    if !keys.contains(&current) {
        keys.push(current);
    }
    let keys = keys.iter().map(Into::into).collect();
    output::json(StatusCode::OK, &KeyList { current: current.id().to_string(), keys })
}

/// What the query asks for.
#[derive(Debug, Default)]
struct Wanted {
    after: Option<String>,
    limit: Option<usize>,
}

impl Wanted {
    fn read(query: &str) -> Result<Self, Problem> {
        let mut wanted = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let is_twice = match &*name {
                "after" => wanted.after.replace(value.into_owned()).is_some(),
                "limit" => {
                    let limit = value.parse().ok().filter(|n| (1..=MAX_LIMIT).contains(n));
                    let detail = "must be a number from 1 to 1000";
                    wanted.limit.replace(limit.ok_or_else(|| bad("limit", detail))?).is_some()
                }
                other => {
                    let name: String = other.chars().take(64).collect();
                    return Err(bad(&name, "the query parameters are `after` and `limit`"));
                }
            };
            if is_twice {
                return Err(bad(&name, "is given twice"));
            }
        }
        Ok(wanted)
    }
}

fn bad(name: &str, detail: &'static str) -> Problem {
    Problem::field(Code::InvalidRequest, json::pointer(name), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_and_what_is_wrong_is_named() {
        let wanted = Wanted::read("after=0-a-1&limit=7").unwrap();
        assert_eq!((wanted.after.as_deref(), wanted.limit), (Some("0-a-1"), Some(7)));
        assert!(Wanted::read("").unwrap().limit.is_none());
        for (query, field) in [
            ("limit=0", "/limit"),
            ("limit=1001", "/limit"),
            ("limit=x", "/limit"),
            ("limit=1&limit=1", "/limit"),
            ("after=a&after=b", "/after"),
            ("state=deleted", "/state"),
        ] {
            let problem = Wanted::read(query).unwrap_err();
            assert_eq!(
                (problem.code, problem.field.as_deref()),
                (Code::InvalidRequest, Some(field))
            );
        }
    }
}
