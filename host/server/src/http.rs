//! The HTTP API: routes, and what they share.

mod audit;
mod auth;
mod backup;
mod body;
mod data;
mod health;
mod incoming;
mod invoke;
mod json;
mod keys;
mod log;
mod method;
mod metrics;
mod openapi;
mod outage_log;
mod output;
mod paging;
mod policy;
mod problem;
mod quotas;
mod receipts;
mod request_id;
mod restore;
mod routes;
mod scope;
mod streamed;
mod tenants;
mod tokens;
mod vault;

use std::sync::Arc;

use axum::Router;
use axum::extract::RawPathParams;

pub use self::problem::{ItemError, Problem};
pub use self::request_id::RequestId;
use self::routes::Routes;
pub use self::scope::Scope;
use self::scope::Timeouts;
use crate::app::App;
use crate::errors::Code;

/// The whole API, ready for [`net::serve`](crate::net::serve).
pub fn service(app: Arc<App>) -> Scope {
    let usual = app.http.body_timeout + app.http.request_timeout;
    let timeouts = Timeouts { usual, policy: usual + app.policies.host().compile_timeout() };
    let requests = Arc::clone(&app.requests);
    let limits = Arc::clone(&app.limits);
    let audit = app.audit.as_ref().map(|audit| audit.log.clone());
    let traces = app.traces.clone();
    Scope::new(router(app), timeouts, requests, limits, audit, traces)
}

/// Every route. A new one is added where its handler is, together with what docs/openapi.json says
/// of it: whatever module it is in, its `routes` is called here.
fn all_routes() -> Routes {
    let mut all = Routes::default();
    health::routes(&mut all);
    metrics::routes(&mut all);
    openapi::routes(&mut all);
    tenants::routes(&mut all);
    quotas::routes(&mut all);
    tokens::routes(&mut all);
    policy::routes(&mut all);
    data::routes(&mut all);
    invoke::routes(&mut all);
    keys::routes(&mut all);
    receipts::routes(&mut all);
    vault::routes(&mut all);
    log::routes(&mut all);
    audit::routes(&mut all);
    backup::routes(&mut all);
    restore::routes(&mut all);
    all
}

fn router(app: Arc<App>) -> Router {
    // The routes have whole paths: a nested router would rewrite the path of every request.
    let (router, _) = all_routes().into_parts();
    router.fallback(no_route).method_not_allowed_fallback(no_method).with_state(app)
}

async fn no_route() -> Problem {
    Problem::new(Code::RouteNotFound, "no route has this path; see docs/api.md")
}

async fn no_method() -> Problem {
    Problem::new(Code::MethodNotAllowed, "the Allow header lists the methods of this route")
}

/// The path's parameter `name`.
fn param<'a>(params: &'a RawPathParams, name: &str) -> Result<&'a str, Problem> {
    params
        .iter()
        .find_map(|(key, value)| (key == name).then_some(value))
        .ok_or_else(|| Problem::internal(format!("the route has no parameter {name}")))
}

type Params = Result<RawPathParams, axum::extract::rejection::RawPathParamsRejection>;

/// The path's parameters, unless they are not UTF-8.
fn params(params: Params) -> Result<RawPathParams, Problem> {
    params.map_err(|_| {
        Problem::new(Code::InvalidRequest, "the path is not UTF-8 once percent-decoded")
    })
}

#[cfg(test)]
mod tests;
