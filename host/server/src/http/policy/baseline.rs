//! `/api/v1/policy/baseline`: the operator's policy above every tenant's.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::App;
use crate::audit;
use crate::clock;
use crate::errors::Code;
use crate::http::auth;
use crate::http::openapi::{Endpoint, Tag, Who, problems, schema};
use crate::http::routes::Routes;
use crate::http::{Problem, body, output};
use crate::policies::Baseline;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BaselinePolicy")]
struct BaselineView<'a> {
    #[schemars(with = "schema::ComponentDigest")]
    digest: &'a str,
    size: usize,
    contract: &'a str,
    imports: &'a [String],
    #[schemars(with = "schema::Timestamp")]
    set_at: String,
    set_by: &'a str,
}

/// Whether there is one.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "BaselinePolicyInForce")]
struct InForce<'a> {
    /// `null`: tenants' policies are asked alone.
    baseline: Option<BaselineView<'a>>,
}

impl<'a> InForce<'a> {
    fn of(baseline: Option<&'a Baseline>) -> Self {
        let baseline = baseline.map(|Baseline { record, policy }| BaselineView {
            digest: &record.digest,
            size: policy.size(),
            contract: policy.contract(),
            imports: policy.imports(),
            set_at: clock::rfc3339(record.set_at),
            set_by: &record.set_by,
        });
        Self { baseline }
    }
}

/// `GET /api/v1/policy/baseline`.
async fn show(State(app): State<Arc<App>>, request: Request) -> Result<Response<Body>, Problem> {
    auth::operating(&app, request.headers()).await?;
    let baseline = app.policies.baseline()?;
    output::json(StatusCode::OK, &InForce::of(baseline.as_deref()))
}

/// `PUT /api/v1/policy/baseline`.
async fn set(State(app): State<Arc<App>>, request: Request) -> Result<Response<Body>, Problem> {
    let credential = auth::operating(&app, request.headers()).await?;
    body::require(request.headers(), "application/wasm")?;
    let wasm = body::read(request.into_body(), app.max_component, app.http.body_timeout).await?;
    let baseline = app.policies.set_baseline(wasm, &credential.caller.subject).await?;
    audit::target(&format!("policy {}", baseline.record.digest));
    output::json(StatusCode::OK, &InForce::of(Some(&baseline)))
}

/// `DELETE /api/v1/policy/baseline`.
async fn remove(State(app): State<Arc<App>>, request: Request) -> Result<Response<Body>, Problem> {
    let credential = auth::operating(&app, request.headers()).await?;
    app.policies.remove_baseline(&credential.caller.subject).await?;
    output::json(StatusCode::OK, &InForce::of(None))
}

/// Its routes.
pub(super) fn routes(routes: &mut Routes) {
    let path = "/api/v1/policy/baseline";
    let operating = |id, summary| {
        Endpoint::new(Tag::Tenants, Who::Operators, id, summary)
            .answers::<InForce<'_>>(200, "What is above the tenants' policies")
    };
    let endpoint = operating("getBaselinePolicy", "The policy above every tenant's")
        .fails(&[Code::PolicyUnusable, Code::PolicyStoreUnavailable]);
    routes.get(path, show, endpoint);
    let endpoint = operating("setBaselinePolicy", "Set the policy above every tenant's")
        .about(
            "It is asked before the tenant's policy, for every request of every tenant: \
             docs/policies.md.",
        )
        .body(true, "application/wasm", None, None)
        .fails(problems::COMPONENT)
        .fails(&[Code::Conflict]);
    routes.put(path, set, endpoint);
    let endpoint = operating("removeBaselinePolicy", "Ask the tenants' policies alone");
    routes.delete(path, remove, endpoint);
}
