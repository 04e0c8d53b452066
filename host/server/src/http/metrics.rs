//! `GET /metrics`. Like the health checks it takes no credential, so it shows nothing secret.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, VARY};
use axum::http::{HeaderMap, HeaderValue, Response};

use super::Problem;
use super::openapi::{Endpoint, Tag, Who};
use super::routes::Routes;
use crate::app::App;
use crate::metrics::{self, Exposition};

/// `GET /metrics`: in the Prometheus text format, or in `OpenMetrics` for who prefers it.
pub async fn show(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let exposition = Exposition::preferred(accept);
    let text = metrics::render(&app, exposition).await.map_err(Problem::internal)?;
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(exposition.content_type()));
    headers.insert(VARY, HeaderValue::from_static("accept"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Its route.
pub fn routes(routes: &mut Routes) {
    let endpoint = Endpoint::new(Tag::Server, Who::Anybody, "getMetrics", "Figures for Prometheus")
        .about("In OpenMetrics, which has traces as exemplars, for who prefers it by `Accept`.")
        .answers_with(200, "The figures", "text/plain", None)
        .answers_with(200, "The figures", "application/openmetrics-text", None);
    routes.get("/metrics", show, endpoint);
}
