//! `POST …/policy/record`: one run of a policy with the tenant's keys, and all that crossed its
//! boundary.
//!
//! What the policy decrypts is in the recording. So this is for who may have the tenant's data
//! anyway: a tenant-admin can make a token that encrypts and decrypts; an operator cannot, and may
//! not do this.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use keyward_policy_host::{Payload, PolicyError};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::changing;
use super::question::{Asking, Question};
use crate::app::App;
use crate::errors::Code;
use crate::http::auth::Access;
use crate::http::data::item::base64;
use crate::http::json::{self, Text};
use crate::http::openapi::{Endpoint, Tag, Who, problems, schema};
use crate::http::routes::Routes;
use crate::http::{Params, Problem, body, request_id};
use crate::policies::{Explained, Look};
use crate::recording::{Outcome, Recorded, Recording};
use crate::tokens::Reach;
use crate::tokens::scope::Kind;

/// Longest media type of a payload, in bytes.
const MAX_CONTENT_TYPE: usize = 128;
/// What a recording is.
const MEDIA_TYPE: &str = "application/x-ndjson";

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PolicyRecordQuestion")]
struct Asked<'a> {
    #[serde(borrow)]
    question: Question<'a>,
    /// What an `invoke/NAME` is given; without it its decision alone is recorded.
    #[serde(borrow, default)]
    payload: Option<Given<'a>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PolicyRecordPayload")]
struct Given<'a> {
    /// Its media type.
    #[serde(borrow)]
    #[schemars(with = "String")]
    content_type: Text<'a>,
    #[serde(borrow)]
    #[schemars(with = "schema::Base64")]
    body: Text<'a>,
}

impl Given<'_> {
    fn read(self) -> Result<Payload, Problem> {
        let content_type = self.content_type.into_inner().into_owned();
        if !(1..=MAX_CONTENT_TYPE).contains(&content_type.len()) {
            let (field, detail) = ("/payload/content_type", "must have 1 to 128 bytes");
            return Err(Problem::field(Code::InvalidField, field, detail));
        }
        Ok(Payload { content_type, body: base64("/payload/body", &self.body)? })
    }
}

/// `POST …/policy/record`.
async fn record(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = changing(&app, path, request.headers()).await?;
    if credential.reach == Reach::Operator {
        let detail = "a recording has what a policy decrypts, which is not for operators; use a \
                      tenant-admin's token";
        return Err(Problem::new(Code::Forbidden, detail));
    }
    if !app.may_record {
        return Err(Problem::new(Code::PolicyRecordingOff, Code::PolicyRecordingOff.about()));
    }
    let id = request_id::of(&request).as_str().to_owned();
    let bytes = body::read_json(&app, request).await?;
    let asked: Asked<'_> = json::parse(&bytes)?;
    let payload = asked.payload.map(Given::read).transpose()?;
    let question = asked.question.read(&app, &tenant, &credential, id).await;
    let Asking { digest, request } = question.map_err(|problem| {
        let field = problem.field.as_ref().map(|field| format!("/question{field}"));
        Problem { field, ..problem }
    })?;
    credential.scope.check(Kind::Operations, &request.operation)?;
    if payload.is_some() && !request.operation.starts_with("invoke/") {
        let detail = "only an operation invoke/NAME has a payload that a policy sees";
        return Err(Problem::field(Code::InvalidField, "/payload", detail));
    }
    let look = Look::Values(payload.as_ref());
    let Explained { baseline, policy } =
        app.policies.explain(&tenant, &digest, &request, look).await?;
    let trace = match (policy, baseline) {
        (Some(trace), _) => trace,
        (None, Some((_, trace))) => {
            let refused = trace.decision.err();
            let refused = refused.ok_or_else(|| Problem::internal("no policy was asked"))?;
            return Err(PolicyError::Baseline(Box::new(refused)).into());
        }
        (None, None) => return Err(Problem::internal("no policy was asked")),
    };
    if trace.overflowed {
        let code = Code::PolicyRecordingTooLarge;
        return Err(Problem::new(code, code.about()));
    }
    let run = Recorded {
        case: format!("live {}", request.id),
        request: (&request).into(),
        payload: payload.as_ref().map(Into::into),
        outcome: Outcome::of(&trace),
        calls: trace.calls,
    };
    let recording = Recording { policy: digest.to_string(), runs: vec![run] };
    let bytes = recording.to_bytes().map_err(Problem::internal)?;
    let mut response = Response::new(Body::from(bytes));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Its route.
pub(super) fn routes(routes: &mut Routes) {
    let endpoint = Endpoint::new(
        Tag::Tenants,
        Who::TenantAdmins,
        "recordPolicy",
        "One run of a policy, with all that crossed its boundary",
    )
    .about(
        "For tenant-admins alone, where `policy.record` allows it. The answer is what `keyward policy \
         replay` takes; it has what the policy decrypted, in clear. Of what the policy remembers by it \
         nothing lasts.",
    )
    .json::<Asked<'_>>(json!({ "question": { "operation": "encrypt", "key": "demo" } }))
    .answers_with(200, "The recording, as JSON lines", MEDIA_TYPE, None)
    .fails(&[
        Code::PolicyNotSet,
        Code::PolicyNotKept,
        Code::PolicyRecordingOff,
        Code::PolicyRecordingTooLarge,
        Code::OperationNotFound,
        Code::InvalidBase64,
        Code::PolicyRefused,
    ])
    .fails(problems::COMPONENT);
    routes.post("/api/v1/tenants/{tenant}/policy/record", record, endpoint);
}
