//! Whether the process lives, and whether it can serve. Neither needs a credential, so neither
//! names a tenant.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

use super::openapi::{Endpoint, Tag, Who};
use super::routes::Routes;
use super::{Problem, output};
use crate::app::App;
use crate::errors::Code;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Health")]
struct Health {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// `GET /livez`: 200 while the process answers.
pub async fn live() -> Result<Response<Body>, Problem> {
    output::json(StatusCode::OK, &Health { status: "live", warnings: Vec::new() })
}

/// `GET /readyz`: 200 when requests can be served, else 503 with the reasons.
pub async fn ready(State(app): State<Arc<App>>) -> Result<Response<Body>, Problem> {
    let reasons = app.not_ready().await;
    if !reasons.is_empty() {
        return Err(Problem::new(Code::NotReady, reasons.join("; ")));
    }
    output::json(StatusCode::OK, &Health { status: "ready", warnings: app.warnings() })
}

/// Their routes.
pub fn routes(routes: &mut Routes) {
    let of = |id, summary| Endpoint::new(Tag::Server, Who::Anybody, id, summary);
    let endpoint = of("getLive", "Whether the process lives").answers::<Health>(200, "It does");
    routes.get("/livez", live, endpoint);
    let endpoint = of("getReady", "Whether requests can be served")
        .answers::<Health>(200, "They can")
        .fails(&[Code::NotReady]);
    routes.get("/readyz", ready, endpoint);
}
