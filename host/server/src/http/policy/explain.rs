//! `POST …/policy/explain`: what a policy would decide, and why.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_policy_host::{
    Caller, HostCall, LogEntry, Plan, PolicyError, Request as PolicyRequest, Trace,
    Value as Crossed, compose,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::changing;
use crate::app::App;
use crate::audit;
use crate::clock;
use crate::errors::Code;
use crate::http::auth::Access;
use crate::http::data::item::Asked;
use crate::http::json::{self, Text};
use crate::http::openapi::{Endpoint, Tag, Who, problems, schema};
use crate::http::routes::Routes;
use crate::http::{Params, Problem, body, output, request_id};
use crate::policies::{Explained, NoDigest};

/// Longest name of an operation, `invoke/` included.
const MAX_OPERATION: usize = 128;
/// Most roles and claims of a caller, and the longest of their texts, in bytes.
const MAX_STATEMENTS: usize = 64;
const MAX_TEXT: usize = 256;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PolicyQuestion")]
struct Question<'a> {
    /// As the policy sees it: `encrypt`, `decrypt`, …, or `invoke/NAME`.
    #[serde(borrow)]
    #[schemars(with = "schema::OperationName")]
    operation: Text<'a>,
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::RequestedKey>")]
    key: Option<Text<'a>>,
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::Context>")]
    context: Option<Text<'a>>,
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::Purpose>")]
    purpose: Option<Text<'a>>,
    /// Who would ask; else who does.
    #[serde(default)]
    caller: Option<Asking>,
    /// The policy that is asked, one that is kept; else the active one.
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::ComponentDigest>")]
    digest: Option<Text<'a>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PolicyCaller")]
struct Asking {
    #[schemars(with = "schema::CallerText")]
    subject: String,
    #[serde(default)]
    #[schemars(with = "Vec<schema::CallerText>", length(max = 64))]
    roles: Vec<String>,
    #[serde(default)]
    #[schemars(with = "schema::CallerClaims")]
    claims: std::collections::BTreeMap<String, String>,
}

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

fn caller(asking: Asking) -> Result<Caller, Problem> {
    let bad = |field: &'static str, detail| Problem::field(Code::InvalidField, field, detail);
    let is_text = |text: &String| (1..=MAX_TEXT).contains(&text.len());
    let Asking { subject, roles, claims } = asking;
    if !is_text(&subject) {
        return Err(bad("/caller/subject", "must have 1 to 256 bytes"));
    }
    if roles.len() > MAX_STATEMENTS || !roles.iter().all(is_text) {
        return Err(bad("/caller/roles", "at most 64, each of 1 to 256 bytes"));
    }
    let is_claim = |(name, value): (&String, &String)| is_text(name) && value.len() <= MAX_TEXT;
    if claims.len() > MAX_STATEMENTS || !claims.iter().all(is_claim) {
        return Err(bad("/caller/claims", "at most 64, names of 1 to 256 bytes, values of 256"));
    }
    Ok(Caller { subject, roles, claims: claims.into_iter().collect() })
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
    let operation = question.operation.as_str().to_owned();
    if !(1..=MAX_OPERATION).contains(&operation.len()) {
        return Err(Problem::field(Code::InvalidField, "/operation", "must have 1 to 128 bytes"));
    }
    let digest = match &question.digest {
        None => app.policies.active_digest(&tenant).await?,
        Some(digest) => digest.as_str().parse().map_err(|error: NoDigest| {
            Problem::field(Code::InvalidField, "/digest", error.to_string())
        })?,
    };
    let asked = Asked::read(question.key, question.context.as_ref(), question.purpose)?;
    asked.note();
    audit::target(&format!("policy {digest}"));
    let who = match question.caller {
        None => credential.caller.clone(),
        Some(asking) => caller(asking)?,
    };
    let request = PolicyRequest {
        id,
        tenant: tenant.as_str().to_owned(),
        caller: who,
        operation,
        key: asked.key.map(std::borrow::Cow::into_owned),
        context: asked.context,
        purpose: asked.purpose.map(|purpose| purpose.into_inner().into_owned()),
        time: clock::unix_ms(),
    };
    let Explained { baseline, policy } = app.policies.explain(&tenant, &digest, &request).await?;
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
