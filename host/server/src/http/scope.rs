//! The outermost service: gives every request its identifier, and every error its body.

use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderName, Request, Response, Uri};
use axum::response::IntoResponse;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, ready};
use keyward_audit::Audit;
use keyward_keyring::origin::{self, Origin};
use tower::Service;
use tracing::level_filters::LevelFilter;
use tracing::{Instrument, Span};

use super::incoming::Incoming;
use super::method;
use super::outage_log;
use super::problem::Problem;
use super::request_id::RequestId;
use super::streamed;
use crate::audit::{self, Record};
use crate::errors::Code;
use crate::limits::{self, Limits};
use crate::metrics::{Requests, Route};
use crate::traces::{self, Parent, Traces};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Time for a restore, which takes as long as the backup is large; its body must not pause for longer
/// than `http.body_timeout`.
const RESTORE: Duration = Duration::from_hours(24);
/// Most characters of an error's detail in the log.
const MAX_LOGGED_DETAIL: usize = 500;

/// How long a request may take.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Nearly every request.
    pub usual: Duration,
    /// One that brings along a policy, which has to be compiled.
    pub policy: Duration,
}

impl Timeouts {
    fn of(self, route: Route) -> Duration {
        match route {
            Route::Restore => RESTORE,
            Route::Policy => self.policy,
            _ => self.usual,
        }
    }
}

/// Wraps the router. One layer instead of several, because it is on the path of every request.
#[derive(Clone)]
pub struct Scope {
    router: Router,
    timeouts: Timeouts,
    requests: Arc<Requests>,
    limits: Arc<Limits>,
    audit: Option<Audit>,
    traces: Option<Arc<Traces>>,
}

impl Scope {
    /// Wraps `router`; a request that takes longer than its timeout is given up. What was answered
    /// is counted in `requests` and, but for what is of nobody's, recorded in `audit`. What `limits`
    /// have no room for is not handled. A share of it has a trace in `traces`.
    pub fn new(
        router: Router,
        timeouts: Timeouts,
        requests: Arc<Requests>,
        limits: Arc<Limits>,
        audit: Option<Audit>,
        traces: Option<Arc<Traces>>,
    ) -> Self {
        Self { router, timeouts, requests, limits, audit, traces }
    }
}

impl Service<Request<Body>> for Scope {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let id = RequestId::accept(request.headers().get(X_REQUEST_ID));
        request.extensions_mut().insert(id.clone());
        let (route, start) = (Route::of(request.uri().path()), Instant::now());
        let requests = Arc::clone(&self.requests);
        let parent = Parent::of(request.headers());
        let span = match &self.traces {
            Some(traces) => traces.request(parent.as_ref(), method::name(request.method()), route),
            None => Span::none(),
        };
        let traced = traces::trace_of(&span);
        let trace_id = traced.clone().or(parent.map(|parent| parent.trace));
        let origin = Arc::new(Origin { request_id: id.as_str().into(), trace_id });
        let audit = self.audit.clone().filter(|_| is_audited(route));
        let record = audit.is_some().then(|| Record::of(&request, &origin));
        // Not `tracing::enabled!`: after it says no, the thread's next event is lost where layers
        // have filters of their own.
        let log = (LevelFilter::current() >= LevelFilter::DEBUG)
            .then(|| (method::name(request.method()), request.uri().clone()));
        let incoming = Incoming::of(&request);
        let (standing, refused) = self.limits.arrive(route);
        let handled = match refused {
            None => Either::Left(incoming.within(self.router.call(request))),
            Some(problem) => Either::Right(ready(Ok(problem.into_response()))),
        };
        let handled = limits::within(standing, AssertUnwindSafe(handled).catch_unwind());
        let handled = tokio::time::timeout(self.timeouts.of(route), handled);
        let (made_for, own) = (Arc::clone(&origin), span.clone());
        let work = async move {
            let placed = match (record, &audit) {
                (Some(record), Some(audit)) => record.reserve(audit).await.map(Some),
                _ => Ok(None),
            };
            let Ok(record) = placed else {
                // Nothing was done.
                let mut response = stalled().into_response();
                finish(&mut response, &id, &requests);
                requests.answered(route, response.status(), start.elapsed(), traced.as_ref());
                traces::end(&own, id.as_str(), response.status(), Some(Code::AuditUnavailable));
                return Ok(response);
            };
            let (handled, record) = audit::within(record, handled).await;
            let mut response = match handled {
                Ok((Ok(Ok(response)), standing)) => in_standing(response, standing),
                Ok((Err(_panic), _)) => Problem::internal("a handler panicked").into_response(),
                Err(_elapsed) => {
                    let detail = "the server gave up on the request; retry after the time given";
                    Problem::new(Code::RequestTimeout, detail).into_response()
                }
            };
            let mut code = finish(&mut response, &id, &requests);
            if let Some(record) = record
                && record.submit(response.status().as_u16(), code).await.is_err()
            {
                response = stalled().into_response();
                code = finish(&mut response, &id, &requests);
            }
            requests.answered(route, response.status(), start.elapsed(), traced.as_ref());
            traces::end(&own, id.as_str(), response.status(), code);
            if let Some((method, uri)) = log {
                log_outcome(method, &uri, &response, start);
            }
            Ok(response.map(|body| streamed::within(made_for, own, body)))
        };
        Box::pin(origin::within(origin, work.instrument(span)))
    }
}

/// The answer, with what the request's standing adds to it.
fn in_standing(mut response: Response<Body>, standing: Option<limits::Standing>) -> Response<Body> {
    let Some(standing) = standing else { return response };
    standing.write(response.headers_mut());
    response.map(|body| standing.accompany(body))
}

/// Health checks and figures show nothing of anybody's and are asked for every few seconds; the API's
/// description is the same for everybody.
fn is_audited(route: Route) -> bool {
    !matches!(route, Route::Health | Route::Metrics | Route::OpenApi)
}

fn stalled() -> Problem {
    let detail = "the audit log cannot be written at the moment; retry after the time given";
    Problem::new(Code::AuditUnavailable, detail)
}

/// Gives the answer its identifier, and an error its body; the error's code.
fn finish(response: &mut Response<Body>, id: &RequestId, requests: &Requests) -> Option<Code> {
    response.headers_mut().insert(X_REQUEST_ID, id.header());
    let problem = response.extensions_mut().remove::<Problem>();
    let code = problem.as_ref().map(|problem| problem.code);
    if let Some(problem) = problem {
        requests.failed(problem.code);
        if response.status().is_server_error() && outage_log::is_worth_a_warning(problem.code) {
            // A policy may have written it: bounded, and escaped because it is logged as text.
            let detail: String = problem.detail.chars().take(MAX_LOGGED_DETAIL).collect();
            let code = problem.code.as_str();
            tracing::warn!(code, detail, "request failed");
        }
        // The router took the body for empty and said so.
        response.headers_mut().remove(CONTENT_LENGTH);
        *response.body_mut() = Body::from(problem.body(id.as_str()));
    }
    code
}

fn log_outcome(method: &'static str, uri: &Uri, response: &Response<Body>, start: Instant) {
    tracing::debug!(
        method,
        path = uri.path(),
        status = response.status().as_u16(),
        micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX),
        "request"
    );
}
