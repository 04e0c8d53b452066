//! A tenant's policies: those it keeps, which one is active, and what operators allow them to be.

mod activation;
mod baseline;
mod bounds;
mod explain;
mod kept;
mod pull;
mod query;
mod question;
mod record;
mod rollout;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;
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
use crate::policies::signature::{HEADER, Signature};
use crate::policies::{Active, Baseline, Verdict};
use crate::tokens::scope::Kind;

/// Most signatures one request brings.
const MAX_SIGNATURES: usize = 8;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Policy")]
struct PolicyView<'a> {
    digest: &'a str,
    size: usize,
    contract: &'a str,
    /// `compact`, or `image` for a policy that brings along an interpreter.
    engine: &'a str,
    imports: &'a [String],
    operations: Vec<OperationView<'a>>,
    #[schemars(with = "schema::Timestamp")]
    activated_at: String,
    activated_by: &'a str,
    /// Whether it could be activated now, as far as signatures go.
    trusted: bool,
    /// Names of the trusted signers whose signatures it has.
    signed_by: &'a [String],
    /// Why it is not trusted, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    distrust: Option<&'a str>,
    /// The digest of the operator's policy that is asked before it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<super::openapi::schema::ComponentDigest>")]
    baseline: Option<&'a str>,
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
    fn of(active: &'a Active, baseline: Option<&'a Baseline>) -> Self {
        let operations = active.policy.operations().iter().map(|operation| OperationView {
            name: &operation.name,
            description: &operation.description,
            input_schema: schema(&operation.input_schema),
            output_schema: schema(&operation.output_schema),
        });
        let distrust = match &active.verdict {
            Verdict::Refused(reason) => Some(reason.as_str()),
            Verdict::Signed(_) | Verdict::Unsigned => None,
        };
        Self {
            digest: active.policy.digest(),
            size: active.policy.size(),
            contract: active.policy.contract(),
            engine: active.policy.engine().name(),
            imports: active.policy.imports(),
            operations: operations.collect(),
            activated_at: clock::rfc3339(active.record.activated_at),
            activated_by: &active.record.activated_by,
            trusted: active.verdict.is_trusted(),
            signed_by: active.verdict.signers(),
            distrust,
            baseline: baseline.map(|baseline| baseline.record.digest.as_str()),
        }
    }
}

/// The schema as JSON; as text if the policy's text is none.
fn schema(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}

/// To change what decides for a tenant. A policy opens whichever keys of the tenant it likes: who may
/// not use them all could by one.
async fn changing(app: &App, path: Params, headers: &HeaderMap) -> Result<Access, Problem> {
    let access = Access::managing(app, path, headers).await?;
    access.credential.scope.check(Kind::Keys, "*")?;
    Ok(access)
}

/// The component in a request's body, and the signatures in its headers.
async fn component(app: &App, request: Request) -> Result<(Bytes, Vec<Signature>), Problem> {
    body::require(request.headers(), "application/wasm")?;
    let signatures = signatures(request.headers())?;
    let wasm = body::read(request.into_body(), app.max_component, app.http.body_timeout).await?;
    Ok((wasm, signatures))
}

fn signatures(headers: &HeaderMap) -> Result<Vec<Signature>, Problem> {
    let bad = |detail: &'static str| Problem::new(Code::PolicySignatureInvalid, detail);
    let given =
        headers.get_all(HEADER).iter().map(|value| {
            let signature = value.to_str().ok().and_then(Signature::from_header);
            signature.ok_or_else(|| {
            bad("the header Keyward-Policy-Signature must be a key's id (32 hexadecimal digits), a \
                 colon, and an Ed25519 signature in base64; `keyward policy push --sign` makes it")
        })
        });
    let signatures = given.collect::<Result<Vec<_>, _>>()?;
    if signatures.len() > MAX_SIGNATURES {
        return Err(bad("a request may have at most 8 Keyward-Policy-Signature headers"));
    }
    Ok(signatures)
}

/// `PUT …/policy`: pushes the component in the body and makes it the tenant's policy.
pub async fn put(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = changing(&app, path, request.headers()).await?;
    let (wasm, signatures) = component(&app, request).await?;
    let by = &credential.caller.subject;
    let active = app.policies.put(&tenant, wasm, signatures, by).await?;
    audit::target(&format!("policy {}", active.policy.digest()));
    let baseline = app.policies.baseline()?;
    output::json(StatusCode::OK, &PolicyView::of(&active, baseline.as_deref()))
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
    let baseline = app.policies.baseline()?;
    output::json(StatusCode::OK, &PolicyView::of(&active, baseline.as_deref()))
}

/// What takes a component: its form, and what it fails with.
fn takes_component(endpoint: Endpoint) -> Endpoint {
    endpoint
        .header::<schema::PolicySignatureHeader>(
            "Keyward-Policy-Signature",
            "A signature of the component for this tenant; may be given up to 8 times.",
        )
        .body(true, "application/wasm", None, None)
        .fails(problems::COMPONENT)
        .fails(problems::PUSH)
}

/// Its routes.
pub fn routes(routes: &mut Routes) {
    let path = "/api/v1/tenants/{tenant}/policy";
    let endpoint = Endpoint::new(Tag::Tenants, Who::Readers, "getPolicy", "The active policy")
        .answers::<PolicyView<'_>>(200, "What it imports and offers")
        .fails(&[Code::PolicyNotSet, Code::PolicyUnusable, Code::PolicyStoreUnavailable]);
    routes.get(path, show, endpoint);
    let endpoint = Endpoint::new(Tag::Tenants, Who::Managers, "activatePolicy", "Put a policy")
        .about(
            "The body is a WebAssembly component; it is admitted, kept and made the active policy.",
        )
        .answers::<PolicyView<'_>>(200, "It is active")
        .fails(&[Code::PolicyNotKept]);
    routes.put(path, put, takes_component(endpoint));
    kept::routes(routes);
    pull::routes(routes);
    activation::routes(routes);
    rollout::routes(routes);
    explain::routes(routes);
    record::routes(routes);
    bounds::routes(routes);
    baseline::routes(routes);
}
