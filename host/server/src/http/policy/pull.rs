//! `…/policies/pull`: a component from a registry that the operator lists.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::Response;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::changing;
use super::kept::{KeptView, show_pushed};
use crate::app::App;
use crate::errors::Code;
use crate::http::auth::Access;
use crate::http::json::{self, Text};
use crate::http::openapi::{Endpoint, Tag, Who, problems, schema};
use crate::http::routes::Routes;
use crate::http::{Params, Problem, body};
use crate::oci::Location;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PolicyPull")]
struct Pull<'a> {
    #[serde(borrow)]
    #[schemars(with = "schema::ArtefactLocation")]
    from: Text<'a>,
}

/// `POST …/policies/pull`: pulls an artefact, admits its component and keeps it.
async fn pull(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = changing(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let asked: Pull<'_> = json::parse(&bytes)?;
    let from: Location = asked.from.as_str().parse().map_err(|error: crate::oci::OciError| {
        Problem::field(Code::InvalidField, json::pointer("from"), error.to_string())
    })?;
    let pushed = app.policies.pull(&tenant, &from, &credential.caller.subject).await?;
    show_pushed(&app, &tenant, &pushed).await
}

/// Its route.
pub(super) fn routes(routes: &mut Routes) {
    let endpoint = Endpoint::new(Tag::Tenants, Who::Managers, "pullPolicy", "Pull a policy")
        .about(
            "From an OCI registry that the operator lists, with its signatures; it is admitted and \
             kept, and decides nothing yet.",
        )
        .json::<Pull<'_>>(json!({ "from": "oci://registry.example/policies/mine:1.0" }))
        .answers::<KeptView<'_>>(201, "It is kept")
        .answers::<KeptView<'_>>(200, "It was kept before")
        .fails(problems::COMPONENT)
        .fails(problems::PUSH)
        .fails(problems::PULL);
    routes.post("/api/v1/tenants/{tenant}/policies/pull", pull, endpoint);
}
