//! `…/policy/…`: which component is active, which ones were, and how two differ.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::query::Pair;
use super::{PolicyView, changing};
use crate::app::App;
use crate::audit;
use crate::clock;
use crate::errors::Code;
use crate::http::auth::Access;
use crate::http::json::{self, Text};
use crate::http::openapi::{Endpoint, Tag, Who, problems, schema};
use crate::http::routes::Routes;
use crate::http::{Params, Problem, body, output};
use crate::policies::{ComponentDigest, HISTORY, PolicyRecord};

/// What activating a component that is kept fails with.
const ACTIVATE: &[Code] = &[Code::PolicyNotKept, Code::PolicyUntrusted];
const DIGEST: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PolicyActivation")]
struct Activate<'a> {
    #[serde(borrow)]
    #[schemars(with = "schema::ComponentDigest")]
    digest: Text<'a>,
    /// Only while this one is active.
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::ComponentDigest>")]
    if_active: Option<Text<'a>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PolicyRollback")]
struct RollBack<'a> {
    /// The one to go back to; else the one that was active before.
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::ComponentDigest>")]
    digest: Option<Text<'a>>,
}

fn digest(field: &str, text: &Text<'_>) -> Result<ComponentDigest, Problem> {
    text.as_str().parse().map_err(|error: crate::policies::NoDigest| {
        Problem::field(Code::InvalidField, json::pointer(field), error.to_string())
    })
}

/// `POST …/policy/activate`.
async fn activate(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = changing(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let asked: Activate<'_> = json::parse(&bytes)?;
    let to = digest("digest", &asked.digest)?;
    let if_active = asked.if_active.as_ref().map(|text| digest("if_active", text)).transpose()?;
    audit::target(&format!("policy {to}"));
    let by = &credential.caller.subject;
    let active = app.policies.activate(&tenant, &to, if_active.as_ref(), by).await?;
    let baseline = app.policies.baseline()?;
    output::json(StatusCode::OK, &PolicyView::of(&active, baseline.as_deref()))
}

/// `POST …/policy/rollback`.
async fn roll_back(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = changing(&app, path, request.headers()).await?;
    let bytes = body::read_optional_json(&app, request).await?;
    let asked = if bytes.is_empty() { RollBack { digest: None } } else { json::parse(&bytes)? };
    let to = asked.digest.as_ref().map(|text| digest("digest", text)).transpose()?;
    if let Some(to) = &to {
        audit::target(&format!("policy {to}"));
    }
    let by = &credential.caller.subject;
    let active = app.policies.roll_back(&tenant, to.as_ref(), by).await?;
    audit::target(&format!("policy {}", active.policy.digest()));
    let baseline = app.policies.baseline()?;
    output::json(StatusCode::OK, &PolicyView::of(&active, baseline.as_deref()))
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyHistory")]
struct HistoryView<'a> {
    tenant: &'a str,
    /// Oldest first; the last one is in force.
    history: Vec<ActivationView<'a>>,
    /// How many are kept.
    limit: usize,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyHistoryEntry")]
struct ActivationView<'a> {
    #[schemars(with = "schema::ComponentDigest")]
    digest: &'a str,
    #[schemars(with = "schema::Timestamp")]
    since: String,
    by: &'a str,
    #[schemars(with = "schema::ActivationCause")]
    why: &'static str,
}

/// `GET …/policy/history`.
async fn history(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { tenant, .. } = Access::managing(&app, path, request.headers()).await?;
    let record = app.policies.record(&tenant).await?;
    let entries = record.iter().flat_map(PolicyRecord::history);
    let history = entries.map(|entry| ActivationView {
        digest: &entry.digest,
        since: clock::rfc3339(entry.activated_at),
        by: &entry.activated_by,
        why: entry.why.name(),
    });
    let history = history.collect();
    let view = HistoryView { tenant: tenant.as_str(), history, limit: HISTORY };
    output::json(StatusCode::OK, &view)
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyDifference")]
struct DifferenceView<'a> {
    #[schemars(with = "schema::ComponentDigest")]
    from: &'a str,
    #[schemars(with = "schema::ComponentDigest")]
    to: &'a str,
    contract: TextChange<'a>,
    size: SizeChange,
    /// Permissions.
    imports: Names<'a>,
    operations: OperationNames<'a>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyTextChange")]
struct TextChange<'a> {
    from: &'a str,
    to: &'a str,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicySizeChange")]
struct SizeChange {
    from: usize,
    to: usize,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyNamesChange")]
struct Names<'a> {
    added: &'a [String],
    removed: &'a [String],
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyOperationsChange")]
struct OperationNames<'a> {
    added: &'a [String],
    removed: &'a [String],
    changed: Vec<OperationChangeView<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyOperationChange")]
struct OperationChangeView<'a> {
    name: &'a str,
    /// Which of `description`, `input_schema` and `output_schema` differ.
    fields: &'a [&'static str],
}

/// `GET …/policy/diff?from=…&to=…`.
async fn difference(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { tenant, .. } = Access::managing(&app, path, request.headers()).await?;
    let Pair { from, to } = Pair::read(request.uri().query().unwrap_or_default())?;
    let from = if let Some(from) = from {
        from
    } else {
        let record = app.policies.record(&tenant).await?;
        let active = record.and_then(|record| record.active.digest.parse().ok());
        active.ok_or_else(|| {
            let detail = "no policy is active to compare with; name one: from=DIGEST";
            Problem::new(Code::PolicyNotSet, detail)
        })?
    };
    let found = app.policies.difference(&tenant, &from, &to).await?;
    let changed = found.operations_changed.iter();
    let view = DifferenceView {
        from: from.as_str(),
        to: to.as_str(),
        contract: TextChange { from: &found.contract.from, to: &found.contract.to },
        size: SizeChange { from: found.size.from, to: found.size.to },
        imports: Names { added: &found.imports_added, removed: &found.imports_removed },
        operations: OperationNames {
            added: &found.operations_added,
            removed: &found.operations_removed,
            changed: changed
                .map(|it| OperationChangeView { name: &it.name, fields: &it.fields })
                .collect(),
        },
    };
    output::json(StatusCode::OK, &view)
}

/// Their routes.
pub(super) fn routes(routes: &mut Routes) {
    let managing = |id, summary| Endpoint::new(Tag::Tenants, Who::Managers, id, summary);
    let endpoint = managing("activateKeptPolicy", "Activate a policy that is kept")
        .about("With `if_active` only while that one is active.")
        .json::<Activate<'_>>(json!({ "digest": DIGEST }))
        .answers::<PolicyView<'_>>(200, "It is active")
        .fails(ACTIVATE)
        .fails(problems::COMPONENT)
        .fails(&[Code::PolicyActiveDiffers]);
    routes.post("/api/v1/tenants/{tenant}/policy/activate", activate, endpoint);
    let endpoint = managing("rollBackPolicy", "Go back to the policy before")
        .about("To the one that was active before the one that is now, or to the one named.")
        .optional_json::<RollBack<'_>>(json!({}))
        .answers::<PolicyView<'_>>(200, "It is active")
        .fails(ACTIVATE)
        .fails(problems::COMPONENT)
        .fails(&[Code::PolicyActiveDiffers, Code::PolicyNoPrevious]);
    routes.post("/api/v1/tenants/{tenant}/policy/rollback", roll_back, endpoint);
    let endpoint = managing("getPolicyHistory", "Which policies were active")
        .answers::<HistoryView<'_>>(200, "The last activations, oldest first");
    routes.get("/api/v1/tenants/{tenant}/policy/history", history, endpoint);
    let endpoint = managing("comparePolicies", "How two policies that are kept differ")
        .query::<schema::ComponentDigest>("from", "The first; the active one unless named.")
        .query::<schema::ComponentDigest>("to", "The second. Required.")
        .answers::<DifferenceView<'_>>(200, "Permissions, operations, size and contract")
        .fails(&[Code::PolicyNotKept, Code::PolicyNotSet])
        .fails(problems::COMPONENT);
    routes.get("/api/v1/tenants/{tenant}/policy/diff", difference, endpoint);
}
