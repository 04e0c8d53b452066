//! `…/policy/rollout` and what it is made of: a canary, a shadow, a safeguard.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keyward_keyring::TenantName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::changing;
use crate::app::App;
use crate::audit;
use crate::clock;
use crate::errors::Code;
use crate::http::auth::Access;
use crate::http::json::{self, Text};
use crate::http::openapi::{Endpoint, Tag, Who, problems, schema};
use crate::http::routes::Routes;
use crate::http::{Params, Problem, body, output};
use crate::policies::{
    Candidate, ComponentDigest, Kind, NoDigest, Report, Safeguard, Times, Trial,
};

const DIGEST: &str = "sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
/// Most runs that a safeguard may wait for.
const MAX_RUNS: u32 = 1_000_000;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewPolicyTrial")]
struct NewTrial<'a> {
    #[serde(borrow)]
    #[schemars(with = "schema::ComponentDigest")]
    digest: Text<'a>,
    /// Of a hundred requests.
    #[schemars(with = "schema::TrialPercent")]
    percent: u64,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PolicySafeguard")]
struct NewSafeguard {
    /// Of a hundred runs within a minute; more than that is too often.
    #[schemars(with = "schema::FailedPercent")]
    max_failed_percent: u64,
    /// Runs within a minute below which nothing is concluded.
    #[schemars(with = "schema::MinRuns")]
    min_runs: u64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyRollout")]
struct RolloutView {
    active: RunsView,
    #[serde(skip_serializing_if = "Option::is_none")]
    canary: Option<CanaryView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<ShadowView>,
    #[serde(skip_serializing_if = "Option::is_none")]
    safeguard: Option<SafeguardView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicySafeguardInForce")]
struct SafeguardView {
    max_failed_percent: u8,
    min_runs: u32,
}

/// Runs within the last minute, at most, on the host that answers.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyRuns")]
struct RunsView {
    #[schemars(with = "schema::ComponentDigest")]
    digest: String,
    runs: u32,
    /// Those that crashed, hit a limit, or gave a plan nobody can follow.
    failed: u32,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyCanary")]
struct CanaryView {
    #[serde(flatten)]
    runs: RunsView,
    percent: u8,
    #[schemars(with = "schema::Timestamp")]
    since: String,
    by: String,
}

/// What is known on the host that answers, since the shadow runs there.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyShadow")]
struct ShadowView {
    #[schemars(with = "schema::ComponentDigest")]
    digest: String,
    percent: u8,
    #[schemars(with = "schema::Timestamp")]
    since: String,
    by: String,
    /// Requests on which both answered the same.
    same: u64,
    /// Requests that one allowed and the other did not.
    differing_decisions: u64,
    /// Requests that both allowed, with different plans.
    differing_plans: u64,
    /// Requests that neither allowed, for different reasons.
    differing_errors: u64,
    /// Requests the shadow did not run on, because too much was to be done.
    skipped: u64,
    /// Runs of the shadow that crashed, hit a limit, or gave a plan nobody can follow.
    failed: u64,
    active_times: TimesView,
    shadow_times: TimesView,
    /// The newest last.
    differences: Vec<DifferenceView>,
}

/// In microseconds; the percentiles are powers of two that bound them.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyTimes")]
#[expect(clippy::struct_field_names, reason = "each says its unit")]
struct TimesView {
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_us: Option<u64>,
}

impl TimesView {
    fn of(times: &Times) -> Self {
        let (p50_us, p99_us) = (times.percentile(50), times.percentile(99));
        Self { mean_us: times.mean(), p50_us, p99_us }
    }
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyShadowDifference")]
struct DifferenceView {
    #[schemars(with = "schema::Timestamp")]
    time: String,
    request_id: String,
    operation: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[schemars(with = "schema::TrialDifference")]
    kind: &'static str,
    /// Members of the plans that differ.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    members: Vec<&'static str>,
    /// `allowed`, or the error's code.
    active: &'static str,
    shadow: &'static str,
}

impl ShadowView {
    fn of(candidate: &Candidate, report: Report) -> Self {
        let differences = report.recent.into_iter().map(|it| {
            let (kind, members) = match it.kind {
                Kind::Decision => ("decision", Vec::new()),
                Kind::Plan(members) => ("plan", members),
                Kind::Error => ("error", Vec::new()),
            };
            DifferenceView {
                time: clock::rfc3339(it.time),
                request_id: it.request_id,
                operation: it.operation,
                key: it.key,
                kind,
                members,
                active: it.active,
                shadow: it.candidate,
            }
        });
        Self {
            digest: candidate.digest.clone(),
            percent: candidate.percent,
            since: clock::rfc3339(candidate.since),
            by: candidate.by.clone(),
            same: report.same,
            differing_decisions: report.decisions,
            differing_plans: report.plans,
            differing_errors: report.errors,
            skipped: report.skipped,
            failed: report.failed,
            active_times: TimesView::of(&report.active_times),
            shadow_times: TimesView::of(&report.candidate_times),
            differences: differences.collect(),
        }
    }
}

/// What is served is what counts: a candidate that did not load is not there.
fn view(app: &App, tenant: &TenantName) -> Result<RolloutView, Problem> {
    // Says why there is none.
    let active = app.policies.active(tenant).map_err(|problem| match problem.code {
        Code::PolicyMissing => Problem::new(Code::PolicyNotSet, problem.detail),
        _ => problem,
    })?;
    let now = clock::unix_ms();
    let serving = app.policies.serving(tenant);
    let serving = serving.as_deref();
    let runs = |digest: &str, (runs, failed)| RunsView { digest: digest.to_owned(), runs, failed };
    let counts = serving.map_or((0, 0), |serving| serving.failures.within_window(now));
    let canary = serving.and_then(|serving| serving.canary.as_ref());
    let shadow = serving.and_then(|serving| serving.shadow.as_ref());
    Ok(RolloutView {
        active: runs(&active.record.digest, counts),
        canary: canary.map(|canary| CanaryView {
            runs: runs(&canary.candidate.digest, canary.failures.within_window(now)),
            percent: canary.candidate.percent,
            since: clock::rfc3339(canary.candidate.since),
            by: canary.candidate.by.clone(),
        }),
        shadow: shadow.map(|shadow| ShadowView::of(&shadow.candidate, shadow.report())),
        safeguard: serving.and_then(|serving| serving.safeguard).map(|it| SafeguardView {
            max_failed_percent: it.max_failed_percent,
            min_runs: it.min_runs,
        }),
    })
}

/// `GET …/policy/rollout`.
async fn show(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { tenant, .. } = Access::managing(&app, path, request.headers()).await?;
    output::json(StatusCode::OK, &view(&app, &tenant)?)
}

async fn try_out(
    app: &App,
    path: Params,
    request: Request,
    trial: Trial,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = changing(app, path, request.headers()).await?;
    let bytes = body::read_json(app, request).await?;
    let asked: NewTrial<'_> = json::parse(&bytes)?;
    let digest: ComponentDigest = asked.digest.as_str().parse().map_err(|error: NoDigest| {
        Problem::field(Code::InvalidField, "/digest", error.to_string())
    })?;
    let percent = u8::try_from(asked.percent).ok().filter(|percent| (1..=100).contains(percent));
    let percent = percent.ok_or_else(|| {
        Problem::field(Code::InvalidField, "/percent", "must be a whole number from 1 to 100")
    })?;
    audit::target(&format!("policy {digest}"));
    app.policies.try_out(&tenant, trial, &digest, percent, &credential.caller.subject).await?;
    output::json(StatusCode::OK, &view(app, &tenant)?)
}

async fn end(
    app: &App,
    path: Params,
    request: Request,
    trial: Trial,
) -> Result<Response<Body>, Problem> {
    let Access { tenant, .. } = changing(app, path, request.headers()).await?;
    app.policies.end_trial(&tenant, trial, None).await?;
    output::json(StatusCode::OK, &view(app, &tenant)?)
}

/// `PUT …/policy/canary`.
async fn start_canary(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    try_out(&app, path, request, Trial::Canary).await
}

/// `DELETE …/policy/canary`.
async fn end_canary(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    end(&app, path, request, Trial::Canary).await
}

/// `PUT …/policy/shadow`.
async fn start_shadow(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    try_out(&app, path, request, Trial::Shadow).await
}

/// `DELETE …/policy/shadow`.
async fn end_shadow(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    end(&app, path, request, Trial::Shadow).await
}

/// `PUT …/policy/safeguard`.
async fn guard(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { tenant, .. } = changing(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let asked: NewSafeguard = json::parse(&bytes)?;
    let bad = |field, detail: &'static str| Problem::field(Code::InvalidField, field, detail);
    let percent = u8::try_from(asked.max_failed_percent).ok().filter(|percent| *percent < 100);
    let max_failed_percent =
        percent.ok_or_else(|| bad("/max_failed_percent", "must be a whole number from 0 to 99"))?;
    let min_runs = u32::try_from(asked.min_runs).ok().filter(|runs| (1..=MAX_RUNS).contains(runs));
    let min_runs =
        min_runs.ok_or_else(|| bad("/min_runs", "must be a whole number from 1 to 1000000"))?;
    app.policies.guard(&tenant, Some(Safeguard { max_failed_percent, min_runs })).await?;
    output::json(StatusCode::OK, &view(&app, &tenant)?)
}

/// `DELETE …/policy/safeguard`.
async fn unguard(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { tenant, .. } = changing(&app, path, request.headers()).await?;
    app.policies.guard(&tenant, None).await?;
    output::json(StatusCode::OK, &view(&app, &tenant)?)
}

/// Their routes.
pub(super) fn routes(routes: &mut Routes) {
    let managing = |id, summary| {
        Endpoint::new(Tag::Tenants, Who::Managers, id, summary)
            .answers::<RolloutView>(200, "What decides, and what is tried")
            .fails(&[Code::PolicyNotSet, Code::PolicyUnusable])
    };
    let starting = |id, summary| {
        managing(id, summary)
            .json::<NewTrial<'_>>(json!({ "digest": DIGEST, "percent": 10 }))
            .fails(&[Code::PolicyNotKept, Code::PolicyUntrusted])
            .fails(problems::COMPONENT)
    };
    let endpoint = managing("getPolicyRollout", "What decides, and what is tried")
        .about("Counts are of the host that answers.");
    routes.get("/api/v1/tenants/{tenant}/policy/rollout", show, endpoint);
    let path = "/api/v1/tenants/{tenant}/policy/canary";
    let endpoint = starting("startPolicyCanary", "Let a policy decide a share of the requests")
        .about("Each request is decided by one policy, drawn anew. An activation ends it.");
    routes.put(path, start_canary, endpoint);
    routes.delete(path, end_canary, managing("endPolicyCanary", "End the canary"));
    let path = "/api/v1/tenants/{tenant}/policy/shadow";
    let endpoint = starting("startPolicyShadow", "Run a policy beside the active one")
        .about("It decides nothing; how it differs is reported. An activation ends it.");
    routes.put(path, start_shadow, endpoint);
    routes.delete(path, end_shadow, managing("endPolicyShadow", "End the shadow"));
    let path = "/api/v1/tenants/{tenant}/policy/safeguard";
    let endpoint = managing("setPolicySafeguard", "When a policy that fails gives way")
        .about("The one before is active again; a canary that fails is ended.")
        .json::<NewSafeguard>(json!({ "max_failed_percent": 5, "min_runs": 100 }));
    routes.put(path, guard, endpoint);
    let endpoint = managing("removePolicySafeguard", "Let a policy stay that fails")
        .about("What it fails at is refused.");
    routes.delete(path, unguard, endpoint);
}
