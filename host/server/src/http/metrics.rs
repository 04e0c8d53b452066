//! `GET /metrics`. Like the health checks it takes no credential, so it shows nothing secret.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};

use super::Problem;
use super::openapi::{Endpoint, Tag, Who};
use super::routes::Routes;
use crate::app::App;
use crate::metrics;

/// `GET /metrics`: the Prometheus text format, version 0.0.4.
pub async fn show(State(app): State<Arc<App>>) -> Result<Response<Body>, Problem> {
    let text = metrics::render(&app).await.map_err(Problem::internal)?;
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(metrics::CONTENT_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// Its route.
pub fn routes(routes: &mut Routes) {
    let endpoint = Endpoint::new(Tag::Server, Who::Anybody, "getMetrics", "Figures for Prometheus")
        .answers_with(200, "The text format, version 0.0.4", "text/plain", None);
    routes.get("/metrics", show, endpoint);
}
