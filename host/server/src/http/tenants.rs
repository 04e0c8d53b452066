//! Tenants, their outage contracts, and the tokens that speak for them.

use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, Response, StatusCode};
use keyward_keyring::{Outage, TenantName};
use keyward_policy_host::Caller;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::auth::Access;
use super::json::{self, Text};
use super::openapi::{Endpoint, Tag, Who, schema};
use super::routes::Routes;
use super::{Params, Problem, auth, body, output};
use crate::app::App;
use crate::audit;
use crate::errors::Code;
use crate::tokens::{OPERATOR, Reach, TokenError};

/// Most roles and claims of a token, and the longest subject, role, claim name or value.
const MAX_STATEMENTS: usize = 32;
const MAX_STATEMENT_LEN: usize = 256;
/// Most bytes of all of them: every request of a batch carries them into the policy.
const MAX_CALLER: usize = 4 << 10;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewTenant")]
struct NewTenant<'a> {
    #[serde(borrow)]
    #[schemars(with = "schema::TenantName")]
    name: Text<'a>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Tenant")]
struct TenantView<'a> {
    #[schemars(with = "schema::TenantName")]
    name: &'a str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TenantList")]
struct TenantList<'a> {
    tenants: Vec<TenantView<'a>>,
}

/// `GET /api/v1/tenants`.
pub async fn list(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let credential = auth::authenticate(&app, request.headers()).await?;
    auth::for_operators(&credential)?;
    let names = app.keyring.list_tenants().await?;
    let tenants = names.iter().map(|name| TenantView { name: name.as_str() }).collect();
    output::json(StatusCode::OK, &TenantList { tenants })
}

/// `POST /api/v1/tenants`.
pub async fn create(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let credential = auth::authenticate(&app, request.headers()).await?;
    auth::for_operators(&credential)?;
    let bytes = body::read_json(&app, request).await?;
    let new: NewTenant<'_> = json::parse(&bytes)?;
    let name = TenantName::from_str(new.name.as_str())
        .map_err(|error| Problem { field: Some("/name".into()), ..error.into() })?;
    audit::about(name.as_str());
    app.keyring.create_tenant(&name).await?;
    tracing::info!(tenant = %name, by = credential.caller.subject, "tenant created");
    let mut response = output::json(StatusCode::CREATED, &TenantView { name: name.as_str() })?;
    let location = HeaderValue::from_str(&format!("/api/v1/tenants/{name}"));
    response.headers_mut().insert(LOCATION, location.map_err(Problem::internal)?);
    Ok(response)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewOutage")]
struct NewOutage {
    /// `null`: the server's default applies.
    #[schemars(with = "Option<schema::OutageText>")]
    outage: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Outage")]
struct OutageView {
    /// What applies.
    #[schemars(with = "schema::OutageText")]
    outage: String,
    /// Whether it is the tenant's own, not the server's default.
    own: bool,
}

impl OutageView {
    fn of(app: &App, own: Option<Outage>) -> Self {
        let applies = own.unwrap_or(app.default_outage);
        Self { outage: applies.to_string(), own: own.is_some() }
    }
}

/// `GET …/outage`: what happens to the tenant's cached keys while the key store is away.
pub async fn outage(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { tenant, .. } = Access::reading(&app, path, request.headers()).await?;
    let own = app.keyring.outage(&tenant).await?;
    output::json(StatusCode::OK, &OutageView::of(&app, own))
}

/// `PUT …/outage`.
pub async fn set_outage(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = Access::managing(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let new: NewOutage = json::parse(&bytes)?;
    let own = new.outage.map(|text| text.parse::<Outage>()).transpose();
    let own =
        own.map_err(|error| Problem::field(Code::InvalidField, "/outage", error.to_string()))?;
    app.keyring.set_outage(&tenant, own).await?;
    let view = OutageView::of(&app, own);
    tracing::info!(%tenant, by = credential.caller.subject, outage = view.outage, "outage set");
    output::json(StatusCode::OK, &view)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewToken")]
struct NewToken {
    #[schemars(with = "schema::Subject")]
    subject: String,
    #[schemars(with = "Vec<schema::Role>", length(max = 32))]
    roles: Vec<String>,
    #[serde(default)]
    #[schemars(with = "schema::Claims")]
    claims: std::collections::BTreeMap<String, String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Token")]
struct TokenView<'a> {
    token: &'a str,
    id: &'a str,
    #[schemars(with = "schema::TenantName")]
    tenant: &'a str,
    #[schemars(with = "schema::Subject")]
    subject: &'a str,
    roles: &'a [String],
}

/// `POST …/tokens`: the one time the token is shown.
pub async fn mint_token(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = Access::managing(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let caller = caller_of(json::parse(&bytes)?)?;
    let minted = app.tokens.mint(Reach::Tenant(tenant.clone()), caller).await;
    let (token, minted) = minted.map_err(|error| match error {
        TokenError::Store(error) => Problem::store(&error),
        error => Problem::internal(error),
    })?;
    let (by, id) = (&credential.caller.subject, &minted.id);
    audit::target(&format!("token {id}"));
    tracing::info!(%tenant, id, by, subject = minted.caller.subject, "token minted");
    let view = TokenView {
        token: token.expose(),
        id,
        tenant: tenant.as_str(),
        subject: &minted.caller.subject,
        roles: &minted.caller.roles,
    };
    output::json(StatusCode::CREATED, &view)
}

fn caller_of(new: NewToken) -> Result<Caller, Problem> {
    let bad =
        |field: String, detail: &'static str| Problem::field(Code::InvalidField, field, detail);
    if !is_statement(&new.subject) {
        return Err(bad("/subject".into(), "must have 1 to 256 bytes and no control characters"));
    }
    if new.roles.len() > MAX_STATEMENTS {
        return Err(bad("/roles".into(), "at most 32 roles"));
    }
    for (index, role) in new.roles.iter().enumerate() {
        if role == OPERATOR {
            let detail = "no tenant's token can be an operator's";
            return Err(bad(format!("/roles/{index}"), detail));
        }
        if !is_role(role) {
            let detail = "a role has 1 to 64 of a-z, 0-9 and -";
            return Err(bad(format!("/roles/{index}"), detail));
        }
    }
    if new.claims.len() > MAX_STATEMENTS {
        return Err(bad("/claims".into(), "at most 32 claims"));
    }
    if !new
        .claims
        .iter()
        .all(|(name, value)| is_statement(name) && value.len() <= MAX_STATEMENT_LEN)
    {
        return Err(bad("/claims".into(), "names and values have at most 256 bytes"));
    }
    let statements = [&new.subject].into_iter().chain(&new.roles);
    let statements = statements.chain(new.claims.iter().flat_map(|(name, value)| [name, value]));
    if statements.map(String::len).sum::<usize>() > MAX_CALLER {
        return Err(bad(String::new(), "subject, roles and claims together have over 4096 bytes"));
    }
    Ok(Caller { subject: new.subject, roles: new.roles, claims: new.claims.into_iter().collect() })
}

fn is_role(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_statement(text: &str) -> bool {
    (1..=MAX_STATEMENT_LEN).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// Their routes.
pub fn routes(routes: &mut Routes) {
    let of = |who, id, summary| Endpoint::new(Tag::Tenants, who, id, summary);
    let endpoint = of(Who::Operators, "listTenants", "List the tenants")
        .answers::<TenantList<'_>>(200, "All of them");
    routes.get("/api/v1/tenants", list, endpoint);
    let endpoint = of(Who::Operators, "createTenant", "Create a tenant")
        .json::<NewTenant<'_>>(json!({ "name": "acme" }))
        .answers::<TenantView<'_>>(201, "The tenant")
        .with_header("Location", "Where it is.")
        .fails(&[Code::InvalidName, Code::TenantExists]);
    routes.post("/api/v1/tenants", create, endpoint);
    let path = "/api/v1/tenants/{tenant}/outage";
    let endpoint = of(Who::Readers, "getOutage", "What holds while the key store is away")
        .answers::<OutageView>(200, "The contract that applies");
    routes.get(path, outage, endpoint);
    let endpoint = of(Who::Managers, "setOutage", "Say what holds while the key store is away")
        .about("`null`: the server's default.")
        .json::<NewOutage>(json!({ "outage": "serve-stale=1h" }))
        .answers::<OutageView>(200, "The contract that applies")
        .fails(&[Code::Conflict]);
    routes.put(path, set_outage, endpoint);
    let endpoint = of(Who::Managers, "createToken", "Make a token")
        .json::<NewToken>(json!({ "subject": "orders", "roles": ["application"] }))
        .answers::<TokenView<'_>>(201, "The one time the token is shown");
    routes.post("/api/v1/tenants/{tenant}/tokens", mint_token, endpoint);
}
