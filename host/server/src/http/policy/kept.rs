//! `…/policies`: the components a tenant keeps.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keyward_keyring::TenantName;
use schemars::JsonSchema;
use serde::Serialize;

use super::query::{self, Page};
use super::{changing, component, takes_component};
use crate::app::App;
use crate::audit;
use crate::clock;
use crate::errors::Code;
use crate::http::auth::Access;
use crate::http::openapi::{Endpoint, Tag, Who, schema};
use crate::http::routes::Routes;
use crate::http::{Params, Problem, output, param};
use crate::policies::{ComponentDigest, Kept, Pushed, Trust};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeptPolicy")]
pub(super) struct KeptView<'a> {
    #[schemars(with = "schema::ComponentDigest")]
    digest: &'a str,
    size: usize,
    contract: &'a str,
    imports: &'a [String],
    /// Names of what `invoke` offers.
    operations: &'a [String],
    #[schemars(with = "schema::Timestamp")]
    pushed_at: String,
    pushed_by: &'a str,
    /// The artefact it was pulled from, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    signatures: Vec<SignatureView<'a>>,
    /// Whether it is the tenant's policy.
    active: bool,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicySignature")]
struct SignatureView<'a> {
    #[schemars(with = "schema::SignerKeyId")]
    keyid: &'a str,
    /// The name of the trusted signer whose key that is, if it is one's.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<&'a str>,
    /// What is signed: `keyward`, the statement of this program's; `cosign`, an artefact.
    form: &'static str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeptPolicyList")]
struct KeptList<'a> {
    policies: Vec<KeptView<'a>>,
    /// `after` of the next page, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::ComponentDigest>")]
    next: Option<&'a str>,
}

impl<'a> KeptView<'a> {
    pub(super) fn of(kept: &'a Kept, active: Option<&str>, trust: &'a Trust) -> Self {
        let signatures = kept.signatures.iter().map(|signature| SignatureView {
            keyid: &signature.keyid,
            signer: trust.name_of(&signature.keyid),
            form: signature.form(),
        });
        Self {
            digest: &kept.digest,
            size: kept.size,
            contract: &kept.contract,
            imports: &kept.imports,
            operations: &kept.operations,
            pushed_at: clock::rfc3339(kept.pushed_at),
            pushed_by: &kept.pushed_by,
            source: kept.source.as_deref(),
            signatures: signatures.collect(),
            active: active == Some(kept.digest.as_str()),
        }
    }
}

/// `POST …/policies`: admits the component in the body and keeps it.
async fn push(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = changing(&app, path, request.headers()).await?;
    let (wasm, signatures) = component(&app, request).await?;
    let by = &credential.caller.subject;
    let pushed = app.policies.push(&tenant, wasm, signatures, by).await?;
    show_pushed(&app, &tenant, &pushed).await
}

/// The answer to what brought a component.
pub(super) async fn show_pushed(
    app: &App,
    tenant: &TenantName,
    pushed: &Pushed,
) -> Result<Response<Body>, Problem> {
    audit::target(&format!("policy {}", pushed.digest));
    let record = app.policies.record(tenant).await?;
    let (_, trust) = app.policies.trust(tenant).await?;
    let active = record.as_ref().map(|record| record.active.digest.as_str());
    let status = if pushed.is_new { StatusCode::CREATED } else { StatusCode::OK };
    output::json(status, &KeptView::of(&pushed.kept, active, &trust))
}

/// `GET …/policies?after=…&limit=…`.
async fn list(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { tenant, .. } = Access::managing(&app, path, request.headers()).await?;
    let page = Page::read(request.uri().query().unwrap_or_default())?;
    let (kept, next) = app.policies.page_of_kept(&tenant, page.after.as_ref(), page.limit).await?;
    let record = app.policies.record(&tenant).await?;
    let (_, trust) = app.policies.trust(&tenant).await?;
    let active = record.as_ref().map(|record| record.active.digest.as_str());
    let policies = kept.iter().map(|kept| KeptView::of(kept, active, &trust)).collect();
    let next = next.as_ref().map(ComponentDigest::as_str);
    output::json(StatusCode::OK, &KeptList { policies, next })
}

/// `GET …/policies/{digest}`.
async fn show(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { path, tenant, .. } = Access::managing(&app, path, request.headers()).await?;
    let digest = query::digest("digest", param(&path, "digest")?)?;
    let kept = app.policies.kept(&tenant, &digest).await?;
    let record = app.policies.record(&tenant).await?;
    let (_, trust) = app.policies.trust(&tenant).await?;
    let active = record.as_ref().map(|record| record.active.digest.as_str());
    output::json(StatusCode::OK, &KeptView::of(&kept, active, &trust))
}

/// `DELETE …/policies/{digest}`.
async fn delete(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { path, tenant, .. } = changing(&app, path, request.headers()).await?;
    let digest = query::digest("digest", param(&path, "digest")?)?;
    audit::target(&format!("policy {digest}"));
    let kept = app.policies.delete(&tenant, &digest).await?;
    let (_, trust) = app.policies.trust(&tenant).await?;
    output::json(StatusCode::OK, &KeptView::of(&kept, None, &trust))
}

/// Their routes.
pub(super) fn routes(routes: &mut Routes) {
    let managing = |id, summary| Endpoint::new(Tag::Tenants, Who::Managers, id, summary);
    let path = "/api/v1/tenants/{tenant}/policies";
    let endpoint = managing("pushPolicy", "Push a policy, without activating it")
        .about("The body is a WebAssembly component; it is admitted and kept.")
        .answers::<KeptView<'_>>(201, "It is kept")
        .answers::<KeptView<'_>>(200, "It was kept before");
    routes.post(path, push, takes_component(endpoint));
    let endpoint = managing("listPolicies", "List the policies that are kept, page by page")
        .about("In the order of their digests. Go on with `after` until `next` is missing.")
        .query::<schema::ComponentDigest>("after", "The `next` of the page before.")
        .query::<schema::PageLimit>("limit", "How many policies a page has.")
        .answers::<KeptList<'_>>(200, "A page");
    routes.get(path, list, endpoint);
    let path = "/api/v1/tenants/{tenant}/policies/{digest}";
    let endpoint = managing("getKeptPolicy", "Show a policy that is kept")
        .answers::<KeptView<'_>>(200, "The policy")
        .fails(&[Code::PolicyNotKept]);
    routes.get(path, show, endpoint);
    let endpoint = managing("deletePolicy", "Delete a policy that is not needed")
        .about("Neither the active one nor the one that a roll-back leads to.")
        .answers::<KeptView<'_>>(200, "What was deleted")
        .fails(&[Code::PolicyNotKept, Code::PolicyInUse]);
    routes.delete(path, delete, endpoint);
}
