//! A tenant's policy: activate a component, show the active one.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::auth::Access;
use super::openapi::{Endpoint, Tag, Who, problems, schema};
use super::routes::Routes;
use super::{Params, Problem, body, output};
use crate::app::App;
use crate::audit;
use crate::clock;
use crate::errors::Code;
use crate::policies::Active;
use crate::tokens::scope::Kind;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Policy")]
struct PolicyView<'a> {
    digest: &'a str,
    size: usize,
    imports: &'a [String],
    operations: Vec<OperationView<'a>>,
    #[schemars(with = "schema::Timestamp")]
    activated_at: String,
    activated_by: &'a str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyOperation")]
struct OperationView<'a> {
    name: &'a str,
    description: &'a str,
    input_schema: Value,
    output_schema: Value,
}

impl<'a> PolicyView<'a> {
    fn of(active: &'a Active) -> Self {
        let operations = active.policy.operations().iter().map(|operation| OperationView {
            name: &operation.name,
            description: &operation.description,
            input_schema: schema(&operation.input_schema),
            output_schema: schema(&operation.output_schema),
        });
        Self {
            digest: active.policy.digest(),
            size: active.policy.size(),
            imports: active.policy.imports(),
            operations: operations.collect(),
            activated_at: clock::rfc3339(active.record.activated_at),
            activated_by: &active.record.activated_by,
        }
    }
}

/// The schema as JSON; as text if the policy's text is none.
fn schema(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// `PUT …/policy`: admits the component in the body and makes it the tenant's policy.
pub async fn activate(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = Access::managing(&app, path, request.headers()).await?;
    // A policy opens whichever keys of the tenant it likes: who may not use them all could by one.
    credential.scope.check(Kind::Keys, "*")?;
    body::require(request.headers(), "application/wasm")?;
    let limit = app.max_component;
    let wasm = body::read(request.into_body(), limit, app.http.body_timeout).await?;
    let active = app.policies.activate(&tenant, wasm, &credential.caller.subject).await?;
    audit::target(&format!("policy {}", active.policy.digest()));
    output::json(StatusCode::OK, &PolicyView::of(&active))
}

/// `GET …/policy`.
pub async fn show(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { tenant, .. } = Access::reading(&app, path, request.headers()).await?;
    let active = app.policies.active(&tenant).map_err(|problem| match problem.code {
        Code::PolicyMissing => Problem::new(Code::PolicyNotSet, problem.detail),
        _ => problem,
    })?;
    output::json(StatusCode::OK, &PolicyView::of(&active))
}

/// Its routes.
pub fn routes(routes: &mut Routes) {
    let path = "/api/v1/tenants/{tenant}/policy";
    let endpoint = Endpoint::new(Tag::Tenants, Who::Readers, "getPolicy", "The active policy")
        .answers::<PolicyView<'_>>(200, "What it imports and offers")
        .fails(&[Code::PolicyNotSet, Code::PolicyUnusable]);
    routes.get(path, show, endpoint);
    let endpoint = Endpoint::new(Tag::Tenants, Who::Managers, "activatePolicy", "Put a policy")
        .about("The body is a WebAssembly component; it is admitted and made the active policy.")
        .body(true, "application/wasm", None, None)
        .answers::<PolicyView<'_>>(200, "It is active")
        .fails(problems::COMPONENT);
    routes.put(path, activate, endpoint);
}
