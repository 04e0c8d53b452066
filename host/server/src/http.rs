//! The HTTP API: routes, and what they share.

mod audit;
mod auth;
mod backup;
mod body;
mod data;
mod health;
mod invoke;
mod json;
mod keys;
mod metrics;
mod outage_log;
mod output;
mod policy;
mod problem;
mod request_id;
mod restore;
mod scope;
mod tenants;
mod vault;

use std::sync::Arc;

use axum::Router;
use axum::extract::RawPathParams;
use axum::routing::{delete, get, post, put};

pub use self::problem::{ItemError, Problem};
pub use self::request_id::RequestId;
pub use self::scope::Scope;
use crate::app::App;
use crate::errors::Code;

/// The whole API, ready for [`net::serve`](crate::net::serve).
pub fn service(app: Arc<App>) -> Scope {
    let timeout = app.http.body_timeout + app.http.request_timeout;
    let requests = Arc::clone(&app.requests);
    let audit = app.audit.as_ref().map(|audit| audit.log.clone());
    Scope::new(router(app), timeout, requests, audit)
}

fn router(app: Arc<App>) -> Router {
    // Written out: a nested router would rewrite the path of every request.
    Router::new()
        .route("/livez", get(health::live))
        .route("/readyz", get(health::ready))
        .route("/metrics", get(metrics::show))
        .route("/api/v1/tenants", get(tenants::list).post(tenants::create))
        .route("/api/v1/tenants/{tenant}/encrypt", post(data::run::<data::Encrypt>))
        .route("/api/v1/tenants/{tenant}/decrypt", post(data::run::<data::Decrypt>))
        .route("/api/v1/tenants/{tenant}/rewrap", post(data::run::<data::Rewrap>))
        .route("/api/v1/tenants/{tenant}/datakey", post(data::run::<data::Datakey>))
        .route("/api/v1/tenants/{tenant}/sign", post(data::run::<data::Sign>))
        .route("/api/v1/tenants/{tenant}/verify", post(data::run::<data::Verify>))
        .route("/api/v1/tenants/{tenant}/mac", post(data::run::<data::Mac>))
        .route("/api/v1/tenants/{tenant}/mac/verify", post(data::run::<data::VerifyMac>))
        .route("/api/v1/tenants/{tenant}/derive", post(data::run::<data::Derive>))
        .route("/api/v1/tenants/{tenant}/random", post(data::run::<data::Random>))
        .route("/api/v1/tenants/{tenant}/hash", post(data::run::<data::Hash>))
        .route("/api/v1/tenants/{tenant}/stream/encrypt", post(data::stream::encrypt))
        .route("/api/v1/tenants/{tenant}/stream/decrypt", post(data::stream::decrypt))
        .route("/api/v1/tenants/{tenant}/invoke/{operation}", post(invoke::invoke))
        .route("/api/v1/tenants/{tenant}/keys", get(keys::list).post(keys::create))
        .route(
            "/api/v1/tenants/{tenant}/keys/{name}",
            get(keys::show).patch(keys::patch).delete(keys::delete),
        )
        .route("/api/v1/tenants/{tenant}/keys/{name}/history", get(keys::history))
        .route("/api/v1/tenants/{tenant}/keys/{name}/trim", post(keys::trim))
        .route("/api/v1/tenants/{tenant}/keys/{name}/restore", post(keys::restore))
        .route("/api/v1/tenants/{tenant}/keys/{name}/destroy", post(keys::destroy))
        .route("/api/v1/tenants/{tenant}/keys/{name}/rotate", post(keys::rotate))
        .route(
            "/api/v1/tenants/{tenant}/keys/{name}/rotation",
            put(keys::put_rotation).delete(keys::delete_rotation),
        )
        .route("/api/v1/tenants/{tenant}/keys/{name}/public", get(keys::public))
        .route("/api/v1/tenants/{tenant}/keys/{name}/import", post(keys::import))
        .route("/api/v1/tenants/{tenant}/keys/{name}/import-version", post(keys::import_version))
        .route("/api/v1/tenants/{tenant}/keys/{name}/export", post(keys::export))
        .route("/api/v1/tenants/{tenant}/keys/{name}/usage", get(keys::usage))
        .route("/api/v1/tenants/{tenant}/keys/{name}/disable", post(keys::disable))
        .route("/api/v1/tenants/{tenant}/keys/{name}/enable", post(keys::enable))
        .route("/api/v1/tenants/{tenant}/outage", put(tenants::set_outage).get(tenants::outage))
        .route("/api/v1/tenants/{tenant}/tokens", post(tenants::mint_token))
        .route("/api/v1/tenants/{tenant}/policy", put(policy::activate).get(policy::show))
        .route("/api/v1/vault/health", get(vault::health))
        .route("/api/v1/vault/metrics", get(vault::metrics))
        .route("/api/v1/vault/status", get(vault::status))
        .route("/api/v1/vault/cache/clear", post(vault::clear_cache))
        .route("/api/v1/vault/token/renew", post(vault::renew_token))
        .route(
            "/api/v1/vault/keys/{key}/versions",
            get(vault::list_versions).post(vault::create_version),
        )
        .route("/api/v1/vault/keys/{key}/versions/{version}", delete(vault::destroy_version))
        .route("/api/v1/vault/keys/{key}/rollback", post(vault::rollback))
        .route("/api/v1/vault/keys/{key}/history", get(vault::history))
        .route("/api/v1/tenants/{tenant}/audit", get(audit::of_tenant))
        .route("/api/v1/audit", get(audit::all))
        .route("/api/v1/backup", post(backup::make))
        .route("/api/v1/restore", post(restore::run))
        .route("/api/v1/restore/recipient", get(restore::recipient))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        .with_state(app)
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
