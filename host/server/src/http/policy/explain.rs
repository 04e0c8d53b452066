//! `POST …/policy/explain`: what a policy would decide, and why.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_policy_host::{
    HostCall, LogEntry, Plan, PolicyError, Trace, Value as Crossed, compose,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};

use super::changing;
use super::question::{Asking, Question};
use crate::app::App;
use crate::errors::Code;
use crate::http::auth::Access;
use crate::http::json;
use crate::http::openapi::{Endpoint, Tag, Who, problems, schema};
use crate::http::routes::Routes;
use crate::http::{Params, Problem, body, output, request_id};
use crate::policies::{Explained, Look};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyExplanation")]
struct Explanation {
    #[schemars(with = "schema::ComponentDigest")]
    digest: String,
    allowed: bool,
    /// What the host would have been told to do, if it is allowed: by the baseline and the policy
    /// together.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<PlanView>,
    /// Why it is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ErrorView>,
    /// What the operator's policy did, which is asked first, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<BaselineView>,
    /// What the policy did, if it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    run: Option<RunView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExplainedBaseline")]
struct BaselineView {
    #[schemars(with = "schema::ComponentDigest")]
    digest: String,
    allowed: bool,
    run: RunView,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExplainedRun")]
struct RunView {
    /// In order. Of bytes only how many there were.
    host_calls: Vec<CallView>,
    /// There was more in them than is kept of one run, 8 MiB, and they are left out.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    host_calls_omitted: bool,
    log: Vec<LogView>,
    /// Log lines over the limit.
    log_lines_dropped: u32,
    /// About one for each WebAssembly instruction.
    #[serde(skip_serializing_if = "Option::is_none")]
    fuel: Option<u64>,
    memory_bytes: usize,
    elapsed_us: u64,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExplainedPlan")]
struct PlanView {
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suite: Option<String>,
    #[schemars(with = "schema::Base64")]
    authenticated_data: String,
    obligations: Vec<ObligationView>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExplainedObligation")]
struct ObligationView {
    name: String,
    value: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExplainedError")]
struct ErrorView {
    #[schemars(with = "schema::ErrorCode")]
    code: &'static str,
    detail: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExplainedCall")]
struct CallView {
    /// Interface and function, such as `keys.open`.
    function: String,
    arguments: Vec<Value>,
    result: Value,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ExplainedLogLine")]
struct LogView {
    level: &'static str,
    message: String,
    fields: String,
}

fn plan(plan: Plan) -> PlanView {
    let obligations = plan.obligations.into_iter();
    PlanView {
        key: plan.key,
        version: plan.version,
        suite: plan.suite.map(|suite| {
            let algorithm: keyward_crypto::Algorithm = suite.into();
            algorithm.name().to_owned()
        }),
        authenticated_data: STANDARD.encode(plan.authenticated_data),
        obligations: obligations
            .map(|it| ObligationView { name: it.name, value: it.value })
            .collect(),
    }
}

/// A value as JSON; of bytes `{"bytes": 12}`.
fn crossed(value: Crossed) -> Value {
    match value {
        Crossed::Nothing => Value::Null,
        Crossed::Bool(value) => value.into(),
        Crossed::Number(value) => {
            i64::try_from(value).map_or_else(|_| value.to_string().into(), Value::from)
        }
        Crossed::Text(text) => text.into(),
        Crossed::Bytes(bytes) => json!({ "bytes": bytes.len() }),
        Crossed::Length(length) => json!({ "bytes": length }),
        Crossed::List(items) => items.into_iter().map(crossed).collect(),
        Crossed::Key(key) => json!({ "key": key.name, "version": key.version }),
        Crossed::Refused(error) => json!({ "error": error.code(), "detail": error.to_string() }),
    }
}

fn call(call: HostCall) -> CallView {
    CallView {
        function: call.function,
        arguments: call.arguments.into_iter().map(crossed).collect(),
        result: crossed(call.result),
    }
}

fn log(entry: LogEntry) -> LogView {
    LogView { level: entry.level, message: entry.message, fields: entry.fields }
}

/// `POST …/policy/explain`.
async fn explain(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = changing(&app, path, request.headers()).await?;
    let id = request_id::of(&request).as_str().to_owned();
    let bytes = body::read_json(&app, request).await?;
    let question: Question<'_> = json::parse(&bytes)?;
    let Asking { digest, request } = question.read(&app, &tenant, &credential, id).await?;
    let Explained { baseline, policy } =
        app.policies.explain(&tenant, &digest, &request, Look::Lengths).await?;
    let told = |error: PolicyError| ErrorView { code: error.code(), detail: error.to_string() };
    let (above, baseline) = match baseline {
        None => (None, None),
        Some((digest, trace)) => {
            let (decision, run) = parts(trace);
            let baseline = BaselineView { digest, allowed: decision.is_ok(), run };
            (Some(decision), Some(baseline))
        }
    };
    let (own, run) = policy.map(parts).unzip();
    let decision = match (above, own) {
        (Some(Err(refused)), _) => Err(PolicyError::Baseline(Box::new(refused))),
        (_, None) => return Err(Problem::internal("no policy was asked")),
        (None, Some(own)) => own,
        (Some(Ok(above)), Some(own)) => own.and_then(|own| compose(&above, own)),
    };
    let (plan, error) = match decision {
        Ok(decided) => (Some(plan(decided)), None),
        Err(error) => (None, Some(told(error))),
    };
    let (digest, allowed) = (digest.to_string(), plan.is_some());
    let explanation = Explanation { digest, allowed, plan, error, baseline, run };
    output::json(StatusCode::OK, &explanation)
}

fn parts(trace: Trace) -> (Result<Plan, PolicyError>, RunView) {
    let run = RunView {
        host_calls: trace.calls.into_iter().map(call).collect(),
        host_calls_omitted: trace.overflowed,
        log: trace.log.into_iter().map(log).collect(),
        log_lines_dropped: trace.log_lines_dropped,
        fuel: trace.fuel,
        memory_bytes: trace.memory_bytes,
        elapsed_us: u64::try_from(trace.elapsed.as_micros()).unwrap_or(u64::MAX),
    };
    (trace.decision, run)
}

/// Its route.
pub(super) fn routes(routes: &mut Routes) {
    let endpoint = Endpoint::new(
        Tag::Tenants,
        Who::Managers,
        "explainPolicy",
        "What a policy would decide, and how it comes to that",
    )
    .about("Nothing is executed, and of what the policy remembers by it nothing lasts.")
    .json::<Question<'_>>(json!({ "operation": "encrypt", "key": "demo" }))
    .answers::<Explanation>(200, "The decision, and what led to it")
    .fails(&[Code::PolicyNotSet, Code::PolicyNotKept, Code::InvalidBase64])
    .fails(problems::COMPONENT);
    routes.post("/api/v1/tenants/{tenant}/policy/explain", explain, endpoint);
}
