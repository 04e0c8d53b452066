//! `…/policy/trust` and `…/policy/ceiling`: what operators allow a tenant's policies to be.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use keyward_policy_host::Ceiling;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::App;
use crate::clock;
use crate::errors::Code;
use crate::http::auth::{self, Access};
use crate::http::json;
use crate::http::openapi::{Endpoint, Tag, Who, schema};
use crate::http::routes::Routes;
use crate::http::{Params, Problem, body, output};
use crate::policies::signature::SignerKey;
use crate::policies::{CeilingRecord, Signer, Trust, TrustRecord};

/// Most signers of a tenant, and the longest name of one, in bytes.
const MAX_SIGNERS: usize = 32;
const MAX_NAME: usize = 128;
/// The largest number that every JSON parser keeps.
const MAX_SIZE: u64 = 1 << 53;

/// To set what only operators set.
async fn operating(app: &App, path: Params, headers: &HeaderMap) -> Result<Access, Problem> {
    let access = Access::managing(app, path, headers).await?;
    auth::for_operators(&access.credential)?;
    Ok(access)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewPolicyTrust")]
struct NewTrust {
    #[schemars(length(max = 32))]
    signers: Vec<NewSigner>,
    /// Whether policies without a signature pass; `null` or absent: as the server's settings say.
    #[serde(default)]
    unsigned: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewPolicySigner")]
struct NewSigner {
    #[schemars(with = "schema::SignerName")]
    name: String,
    #[schemars(with = "schema::SignerPublicKey")]
    public_key: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyTrust")]
struct TrustView<'a> {
    signers: Vec<SignerView<'a>>,
    /// Whether policies without a signature pass, as things are.
    unsigned: bool,
    /// Whether an operator set it, and it is not the server's default.
    own: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    set_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    set_by: Option<&'a str>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicySigner")]
struct SignerView<'a> {
    name: &'a str,
    #[schemars(with = "schema::SignerKeyId")]
    keyid: String,
    public_key: &'a str,
}

impl<'a> TrustView<'a> {
    fn of(record: Option<&'a TrustRecord>, trust: &Trust) -> Self {
        let signers = record.into_iter().flat_map(|record| &record.signers);
        let signers = signers.map(|signer| SignerView {
            name: &signer.name,
            keyid: SignerKey::from_pem(&signer.public_key)
                .map_or_else(|_| String::new(), |key| key.id().to_owned()),
            public_key: &signer.public_key,
        });
        Self {
            signers: signers.collect(),
            unsigned: trust.takes_unsigned(),
            own: record.is_some(),
            set_at: record.map(|record| clock::rfc3339(record.set_at)),
            set_by: record.map(|record| record.set_by.as_str()),
        }
    }
}

/// `GET …/policy/trust`.
async fn trust(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { tenant, .. } = Access::managing(&app, path, request.headers()).await?;
    let (record, trust) = app.policies.trust(&tenant).await?;
    output::json(StatusCode::OK, &TrustView::of(record.as_ref(), &trust))
}

/// `PUT …/policy/trust`.
async fn set_trust(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = operating(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let new: NewTrust = json::parse(&bytes)?;
    let record = TrustRecord {
        signers: signers(new.signers)?,
        unsigned: new.unsigned,
        set_at: clock::unix_ms(),
        set_by: credential.caller.subject.clone(),
    };
    app.policies.set_trust(&tenant, &record).await?;
    let count = record.signers.len();
    tracing::info!(%tenant, by = record.set_by, signers = count, "trust of policies set");
    let (record, trust) = app.policies.trust(&tenant).await?;
    output::json(StatusCode::OK, &TrustView::of(record.as_ref(), &trust))
}

fn signers(given: Vec<NewSigner>) -> Result<Vec<Signer>, Problem> {
    let bad = |at: String, detail: &'static str| Problem::field(Code::InvalidField, at, detail);
    if given.len() > MAX_SIGNERS {
        return Err(bad("/signers".into(), "at most 32 signers"));
    }
    let (mut ids, mut signers) = (BTreeSet::new(), Vec::new());
    for (index, NewSigner { name, public_key }) in given.into_iter().enumerate() {
        let at = |field: &str| format!("/signers/{index}/{field}");
        if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
            return Err(bad(at("name"), "must have 1 to 128 bytes and no control characters"));
        }
        let key = SignerKey::from_pem(&public_key).map_err(|_| {
            let detail = "must be an Ed25519 public key in PEM (SubjectPublicKeyInfo), as `keyward \
                          policy keygen` writes it";
            bad(at("public_key"), detail)
        })?;
        if !ids.insert(key.id().to_owned()) {
            return Err(bad(at("public_key"), "is given twice"));
        }
        signers.push(Signer { name, public_key: key.pem() });
    }
    Ok(signers)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewPolicyCeiling")]
struct NewCeiling {
    /// Interfaces that policies may import; `null` or absent: all.
    #[serde(default)]
    #[schemars(with = "Option<Vec<schema::PolicyInterface>>")]
    interfaces: Option<Vec<String>>,
    /// Largest component, in bytes; `null` or absent: as the server's settings say.
    #[serde(default)]
    #[schemars(with = "Option<schema::MaxPolicySize>")]
    max_size: Option<u64>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "PolicyCeiling")]
struct CeilingView {
    /// Interfaces that policies may import; absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    interfaces: Option<BTreeSet<String>>,
    /// Largest component, in bytes; absent: as the server's settings say.
    #[serde(skip_serializing_if = "Option::is_none")]
    max_size: Option<u64>,
    /// Whether an operator set one.
    own: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    set_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    set_by: Option<String>,
}

impl CeilingView {
    fn of(record: Option<CeilingRecord>) -> Self {
        let Some(CeilingRecord { interfaces, max_size, set_at, set_by }) = record else {
            let (interfaces, max_size) = (None, None);
            return Self { interfaces, max_size, own: false, set_at: None, set_by: None };
        };
        let set_at = Some(clock::rfc3339(set_at));
        Self { interfaces, max_size, own: true, set_at, set_by: Some(set_by) }
    }
}

/// `GET …/policy/ceiling`.
async fn ceiling(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { tenant, .. } = Access::managing(&app, path, request.headers()).await?;
    output::json(StatusCode::OK, &CeilingView::of(app.policies.ceiling(&tenant).await?))
}

/// `PUT …/policy/ceiling`.
async fn set_ceiling(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = operating(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let new: NewCeiling = json::parse(&bytes)?;
    if new.max_size.is_some_and(|size| !(1..=MAX_SIZE).contains(&size)) {
        let detail = "must be 1 to 9007199254740992 bytes";
        return Err(Problem::field(Code::InvalidField, "/max_size", detail));
    }
    let record = CeilingRecord {
        interfaces: new.interfaces.map(interfaces).transpose()?,
        max_size: new.max_size,
        set_at: clock::unix_ms(),
        set_by: credential.caller.subject.clone(),
    };
    app.policies.set_ceiling(&tenant, &record).await?;
    tracing::info!(%tenant, by = record.set_by, "ceiling of policies set");
    output::json(StatusCode::OK, &CeilingView::of(Some(record)))
}

fn interfaces(given: Vec<String>) -> Result<BTreeSet<String>, Problem> {
    let known: Vec<&str> = Ceiling::interfaces().collect();
    let mut interfaces = BTreeSet::new();
    for (index, name) in given.into_iter().enumerate() {
        if !known.contains(&name.as_str()) {
            let detail = format!("no such interface; there are {}", known.join(", "));
            return Err(Problem::field(Code::InvalidField, format!("/interfaces/{index}"), detail));
        }
        interfaces.insert(name);
    }
    Ok(interfaces)
}

/// Their routes.
pub(super) fn routes(routes: &mut Routes) {
    let managing = |id, summary| Endpoint::new(Tag::Tenants, Who::Managers, id, summary);
    let operating = |id, summary| {
        Endpoint::new(Tag::Tenants, Who::Operators, id, summary).fails(&[
            Code::TenantNotFound,
            Code::InvalidName,
            Code::Conflict,
        ])
    };
    let path = "/api/v1/tenants/{tenant}/policy/trust";
    let endpoint = managing("getPolicyTrust", "Whose signatures policies need")
        .answers::<TrustView<'_>>(200, "What applies");
    routes.get(path, trust, endpoint);
    let endpoint = operating("setPolicyTrust", "Set whose signatures policies need")
        .about("What is active stays active; GET …/policy shows whether it is still trusted.")
        .json::<NewTrust>(json!({ "signers": [], "unsigned": true }))
        .answers::<TrustView<'_>>(200, "What applies now");
    routes.put(path, set_trust, endpoint);
    let path = "/api/v1/tenants/{tenant}/policy/ceiling";
    let endpoint = managing("getPolicyCeiling", "What policies may want at most")
        .answers::<CeilingView>(200, "The ceiling");
    routes.get(path, ceiling, endpoint);
    let endpoint = operating("setPolicyCeiling", "Set what policies may want at most")
        .about("An active policy above it is shut at once, and opened again when it is raised.")
        .json::<NewCeiling>(json!({ "interfaces": null }))
        .answers::<CeilingView>(200, "The ceiling now");
    routes.put(path, set_ceiling, endpoint);
}
