//! `POST …/invoke/{operation}`: the payload goes to the policy, raw, and its answer comes back.

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
use super::{Params, Problem, body, param, request_id};
use crate::app::App;
use crate::audit;
use crate::clock;
use crate::errors::Code;

/// `POST …/invoke/{operation}?key=…&purpose=…&context=…` (context: standard base64).
pub async fn invoke(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { path, credential, tenant } = Access::data(&app, path, request.headers()).await?;
    let query = Query::read(request.uri().query().unwrap_or_default())?;
    let known = query.key.as_deref().filter(|key| key.parse::<KeyName>().is_ok());
    audit::asked(known, query.purpose.as_deref());
    let content_type = content_type(request.headers())?;
    let policy_request = PolicyRequest {
        id: request_id::of(&request).as_str().to_owned(),
        tenant: tenant.as_str().to_owned(),
        caller: credential.caller.clone(),
        operation: format!("invoke/{}", param(&path, "operation")?),
        key: query.key,
        context: query.context,
        purpose: query.purpose,
        time: clock::unix_ms(),
    };
    let limit = app.http.max_invoke;
    let bytes = body::read(request.into_body(), limit, app.http.body_timeout).await?;
    let active = app.policies.active(&tenant)?;
    audit::policy(&active.record.digest);
    let payload = Payload { content_type, body: bytes.into() };
    let answer = app.policies.host().invoke(&active.policy, &policy_request, &payload).await?;
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

#[derive(Debug, Default, PartialEq, Eq)]
struct Query {
    key: Option<String>,
    purpose: Option<String>,
    context: Option<Vec<u8>>,
}

impl Query {
    fn read(query: &str) -> Result<Self, Problem> {
        let bad = |detail: String| Problem::new(Code::InvalidRequest, detail);
        let mut read = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let twice = match name.as_ref() {
                "key" => read.key.replace(value.into_owned()).is_some(),
                "purpose" => read.purpose.replace(value.into_owned()).is_some(),
                "context" => {
                    let context = STANDARD.decode(value.as_bytes()).map_err(|_| {
                        bad("query parameter `context` is not standard base64 with padding, \
                             percent-encoded"
                            .into())
                    })?;
                    read.context.replace(context).is_some()
                }
                _ => {
                    return Err(bad("a query parameter is none of key, purpose, context".into()));
                }
            };
            if twice {
                return Err(bad(format!("query parameter `{name}` is given twice")));
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_parameters() {
        let query = Query::read("key=demo&purpose=audit%20trail&context=%2B%2F8%3D").unwrap();
        assert_eq!(query.key.as_deref(), Some("demo"));
        assert_eq!(query.purpose.as_deref(), Some("audit trail"));
        assert_eq!(query.context.as_deref(), Some(&[0xfb, 0xff][..]));
        assert_eq!(Query::read("").unwrap(), Query::default());
        for bad in ["other=1", "key=a&key=b", "context=_-8="] {
            assert_eq!(Query::read(bad).unwrap_err().code, Code::InvalidRequest, "{bad}");
        }
    }
}
