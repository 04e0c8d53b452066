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
use super::paging::{self, Paging};
use super::routes::Routes;
use super::{Params, Problem, output, param};
use crate::app::App;
use crate::tokens::scope::Kind;

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
    let Paging { after, limit } = Paging::read(request.uri().query(), |_| true)?;
    let page = app.keyring.receipts(&tenant, &name, after.as_deref(), limit).await;
    let page = page.map_err(|error| match error {
        KeyringError::InvalidName { field: "after", reason } => paging::bad("after", reason),
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
