//! Tenants and their outage contracts.

use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, Response, StatusCode};
use keyward_keyring::{Outage, TenantName};
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
use crate::tokens::scope::Kind;

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
    let in_scope = |name: &TenantName| credential.scope.check(Kind::Tenants, name.as_str()).is_ok();
    let names = names.iter().filter(|name| in_scope(name));
    let tenants = names.map(|name| TenantView { name: name.as_str() }).collect();
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
    credential.scope.check(Kind::Tenants, name.as_str())?;
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
}
