//! `POST …/invoke/{operation}`: the payload goes to the policy, raw, and its answer comes back.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderMap, HeaderValue, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keyward_keyring::KeyName;
use keyward_policy_host::{Payload, Request as PolicyRequest};

use super::auth::Access;
use super::data::item::Asked;
use super::json::Text;
use super::openapi::{Endpoint, Tag, Who, problems, schema};
use super::routes::Routes;
use super::{Params, Problem, body, param, request_id};
use crate::app::App;
use crate::audit;
use crate::clock;
use crate::errors::Code;
use crate::tokens::scope::Kind;

/// `POST …/invoke/{operation}?key=…&purpose=…&context=…` (context: standard base64).
pub async fn invoke(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { path, credential, tenant } = Access::data(&app, path, request.headers()).await?;
    let asked = read_query(request.uri().query().unwrap_or_default())?;
    let known = asked.key.as_deref().filter(|key| key.parse::<KeyName>().is_ok());
    audit::asked(known, asked.purpose.as_ref().map(Text::as_str));
    if let Some(key) = &asked.key {
        credential.scope.check(Kind::Keys, key)?;
    }
    let content_type = content_type(request.headers())?;
    let policy_request = PolicyRequest {
        id: request_id::of(&request).as_str().to_owned(),
        tenant: tenant.as_str().to_owned(),
        caller: credential.caller.clone(),
        operation: format!("invoke/{}", param(&path, "operation")?),
        key: asked.key.map(Cow::into_owned),
        context: asked.context,
        purpose: asked.purpose.map(|purpose| purpose.into_inner().into_owned()),
        time: clock::unix_ms(),
    };
    let limit = app.http.max_invoke;
    let bytes = body::read(request.into_body(), limit, app.http.body_timeout).await?;
    let decider = app.policies.decider(&tenant)?;
    audit::policy(decider.digest());
    let payload = Payload { content_type, body: bytes.into() };
    let work = decider.invoke(&policy_request, &payload);
    let answer = app.limits.run(tenant.as_str(), work).await?;
    audit::allowed();
    let Ok(answer_type) = HeaderValue::from_str(&answer.content_type) else {
        let detail = "the policy's answer has a content type that is none";
        return Err(Problem::new(Code::PolicyBadPlan, detail));
    };
    let mut response = Response::new(Body::from(answer.body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, answer_type);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

fn content_type(headers: &HeaderMap) -> Result<String, Problem> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok("application/octet-stream".into());
    };
    let text = value.to_str().map_err(|_| {
        Problem::new(Code::InvalidRequest, "the Content-Type header is not visible ASCII")
    })?;
    Ok(text.to_owned())
}

/// What the policy is asked about, with the bounds it has everywhere.
fn read_query(query: &str) -> Result<Asked<'static>, Problem> {
    let bad = |detail: String| Problem::new(Code::InvalidRequest, detail);
    let (mut key, mut purpose, mut context) = (None, None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let slot = match name.as_ref() {
            "key" => &mut key,
            "purpose" => &mut purpose,
            "context" => &mut context,
            _ => return Err(bad("a query parameter is none of key, purpose, context".into())),
        };
        if slot.replace(value.into_owned()).is_some() {
            return Err(bad(format!("query parameter `{name}` is given twice")));
        }
    }
    let context = context.map(|text| STANDARD.decode(text)).transpose().map_err(|_| {
        let detail =
            "query parameter `context` is not standard base64 with padding, percent-encoded";
        bad(detail.into())
    })?;
    let mut asked = Asked::read(key.map(Text::from), None, purpose.map(Text::from))?;
    asked.set_context(context)?;
    Ok(asked)
}

/// Its route.
pub fn routes(routes: &mut Routes) {
    let endpoint = Endpoint::new(
        Tag::Data,
        Who::TenantOnly,
        "invoke",
        "Let the policy work on a payload",
    )
    .about("`GET …/policy` lists the operations, each with the schemas of what goes in and out.")
    .query::<schema::RequestedKey>("key", "Reaches the policy.")
    .query::<schema::Purpose>("purpose", "Reaches the policy.")
    .query::<schema::Context>("context", "Reaches the policy; the URI bounds it, too.")
    .body(false, "*/*", None, None)
    .answers_with(200, "What the policy answers", "*/*", None)
    .with_long_query()
    .fails(&[Code::InvalidField])
    .fails(problems::POLICY)
    .fails(problems::KEY_USE);
    routes.post("/api/v1/tenants/{tenant}/invoke/{operation}", invoke, endpoint);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_parameters() {
        let read = |query: &str| read_query(query).map_err(|problem| (problem.code, problem.field));
        let asked = read("key=demo&purpose=audit%20trail&context=%2B%2F8%3D").ok().unwrap();
        assert_eq!(asked.key.as_deref(), Some("demo"));
        assert_eq!(asked.purpose.as_ref().map(Text::as_str), Some("audit trail"));
        assert_eq!(asked.context.as_deref(), Some(&[0xfb, 0xff][..]));
        let asked = read("").ok().unwrap();
        assert!(asked.key.is_none() && asked.purpose.is_none() && asked.context.is_none());
        for bad in ["other=1", "key=a&key=b", "context=_-8="] {
            assert_eq!(read(bad).err().unwrap(), (Code::InvalidRequest, None), "{bad}");
        }
    }

    /// Both enter the policy.
    #[test]
    fn what_is_too_long_for_an_item_is_too_long_here() {
        let read = |query: &str| read_query(query).map_err(|problem| (problem.code, problem.field));
        assert!(read(&format!("purpose={}", "p".repeat(1024))).is_ok());
        assert!(read(&format!("context={}", STANDARD.encode(vec![0; 65_535]))).is_ok());
        for (query, field) in [
            (format!("purpose={}", "p".repeat(1025)), "/purpose"),
            (format!("context={}", STANDARD.encode(vec![0; 65_538])), "/context"),
        ] {
            let expected = (Code::InvalidField, Some(field.to_owned()));
            assert_eq!(read(&query).err().unwrap(), expected);
        }
    }
}
