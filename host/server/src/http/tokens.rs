//! Tokens: make, list, show, rotate and revoke those of a tenant, and those of operators. The
//! handlers are the same for both: a path that names a tenant is about the tenant's.

mod create;
mod grant;
mod rotate;
mod view;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{RawPathParams, Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use self::create::{NewOperator, NewTenantToken};
use self::rotate::Rotation;
use self::view::{MintedView, TokenView};
use super::auth::{self, Access};
use super::openapi::{Endpoint, Tag, Who, schema};
use super::paging::Paging;
use super::routes::Routes;
use super::{Params, Problem, output, param, params};
use crate::app::App;
use crate::audit;
use crate::errors::Code;
use crate::tokens::{Credential, Page, Reach, TokenError};

/// A request about tokens that passed.
struct Managed {
    credential: Arc<Credential>,
    path: RawPathParams,
    /// Whose tokens it is about.
    reach: Reach,
}

impl Managed {
    async fn of(app: &App, path: Params, headers: &HeaderMap) -> Result<Self, Problem> {
        let is_tenants = path.as_ref().is_ok_and(|path| path.iter().any(|(it, _)| it == "tenant"));
        if is_tenants {
            let Access { path, credential, tenant } = Access::managing(app, path, headers).await?;
            return Ok(Self { credential, path, reach: Reach::Tenant(tenant) });
        }
        let path = params(path)?;
        let credential = auth::authenticate(app, headers).await?;
        auth::for_operators(&credential)?;
        Ok(Self { credential, path, reach: Reach::Operator })
    }

    /// The identifier in the path, noted in the request's entry.
    fn id(&self) -> Result<&str, Problem> {
        let id = param(&self.path, "id")?;
        if id.len() <= MAX_ID && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            audit::target(&format!("token {id}"));
        }
        Ok(id)
    }
}

/// Longest identifier that is noted.
const MAX_ID: usize = 64;

fn blame(error: TokenError) -> Problem {
    match error {
        TokenError::Store(error) => Problem::store(&error),
        TokenError::NotFound => Problem::new(
            Code::TokenNotFound,
            "there is no token of this identifier here; the list of tokens has those there are",
        ),
        TokenError::Conflict => Problem::new(Code::Conflict, Code::Conflict.about()),
        error => Problem::internal(error),
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TokenList")]
struct TokenList {
    tokens: Vec<TokenView>,
    /// `after` of the next page, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::TokenId>")]
    next: Option<String>,
}

/// `GET …/tokens?after=…&limit=…`.
async fn list(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let managed = Managed::of(&app, path, request.headers()).await?;
    let Paging { after, limit } = Paging::read(request.uri().query(), is_id)?;
    let page = app.tokens.page(&managed.reach, after.as_deref(), limit).await;
    let Page { tokens, next } = page.map_err(blame)?;
    let tokens = tokens.into_iter().map(TokenView::of).collect();
    output::json(StatusCode::OK, &TokenList { tokens, next })
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// `GET …/tokens/{id}`.
async fn show(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let managed = Managed::of(&app, path, request.headers()).await?;
    let details = app.tokens.details(&managed.reach, managed.id()?).await.map_err(blame)?;
    output::json(StatusCode::OK, &TokenView::of(details))
}

/// `DELETE …/tokens/{id}`: ends it at once. Gives what it was.
async fn revoke(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let managed = Managed::of(&app, path, request.headers()).await?;
    let details = app.tokens.details(&managed.reach, managed.id()?).await.map_err(blame)?;
    grant::check_ends(&managed.credential, &details)?;
    let details = app.tokens.revoke(&managed.reach, &details.id).await.map_err(blame)?;
    let (by, id) = (&managed.credential.caller.subject, &details.id);
    tracing::info!(id, by, subject = details.caller.subject, "token revoked");
    output::json(StatusCode::OK, &TokenView::of(details))
}

/// Adds the routes, of tenants and of operators.
pub fn routes(routes: &mut Routes) {
    of_tenants(routes);
    of_operators(routes);
}

const ROTATE: &str = "The new one has subject, roles, claims, scope and name of the old one, and \
                      as long a life. The old one ends after `overlap`, at once without it.";

/// What a page is asked for with.
fn listed(endpoint: Endpoint) -> Endpoint {
    endpoint
        .about(
            "Those that ended are listed for 30 days. Go on with `after` until `next` is missing.",
        )
        .query::<schema::TokenId>("after", "The `next` of the page before.")
        .query::<schema::PageLimit>("limit", "How many tokens a page has.")
        .answers::<TokenList>(200, "A page")
}

fn of_tenants(routes: &mut Routes) {
    let of = |id, summary| Endpoint::new(Tag::Tenants, Who::Managers, id, summary);
    let path = "/api/v1/tenants/{tenant}/tokens";
    let endpoint = of("createToken", "Make a token")
        .json::<NewTenantToken>(json!({
            "subject": "orders",
            "roles": ["application"],
            "ttl": "720h",
            "scope": { "operations": ["encrypt", "decrypt"], "keys": ["orders-*"] },
        }))
        .answers::<MintedView<'_>>(201, "The one time the token is shown");
    routes.post(path, create::of_tenant, endpoint);
    routes.get(path, list, listed(of("listTokens", "List the tenant's tokens, page by page")));
    let path = "/api/v1/tenants/{tenant}/tokens/{id}";
    let endpoint = of("getToken", "Show what a token stands for, and when it was last used")
        .answers::<TokenView>(200, "All but the token itself")
        .fails(&[Code::TokenNotFound]);
    routes.get(path, show, endpoint);
    let endpoint = of("revokeToken", "End a token at once, for good")
        .answers::<TokenView>(200, "What it was")
        .fails(&[Code::TokenNotFound]);
    routes.delete(path, revoke, endpoint);
    let endpoint = of("rotateToken", "Put a new token in the place of another")
        .about(ROTATE)
        .optional_json::<Rotation>(json!({ "overlap": "1h" }))
        .answers::<MintedView<'_>>(201, "The one time the new token is shown")
        .fails(rotate::FAILS);
    routes.post("/api/v1/tenants/{tenant}/tokens/{id}/rotate", rotate::rotate, endpoint);
}

fn of_operators(routes: &mut Routes) {
    let of = |id, summary| Endpoint::new(Tag::Management, Who::Operators, id, summary);
    let endpoint = of("createOperatorToken", "Make an operator's token")
        .json::<NewOperator>(json!({
            "subject": "oncall",
            "ttl": "8h",
            "scope": { "tenants": ["shop-*"] },
        }))
        .answers::<MintedView<'_>>(201, "The one time the token is shown");
    routes.post("/api/v1/tokens", create::of_operator, endpoint);
    let endpoint = listed(of("listOperatorTokens", "List the operators' tokens, page by page"));
    routes.get("/api/v1/tokens", list, endpoint);
    let endpoint = of("getOperatorToken", "Show an operator's token")
        .answers::<TokenView>(200, "All but the token itself")
        .fails(&[Code::TokenNotFound]);
    routes.get("/api/v1/tokens/{id}", show, endpoint);
    let endpoint = of("revokeOperatorToken", "End an operator's token at once, for good")
        .about("With the last one gone, the next start of a server makes a first one anew.")
        .answers::<TokenView>(200, "What it was")
        .fails(&[Code::TokenNotFound]);
    routes.delete("/api/v1/tokens/{id}", revoke, endpoint);
    let endpoint = of("rotateOperatorToken", "Put a new operator's token in the place of another")
        .about(ROTATE)
        .optional_json::<Rotation>(json!({ "overlap": "1h" }))
        .answers::<MintedView<'_>>(201, "The one time the new token is shown")
        .fails(rotate::FAILS);
    routes.post("/api/v1/tokens/{id}/rotate", rotate::rotate, endpoint);
}
