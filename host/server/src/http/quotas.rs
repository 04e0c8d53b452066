//! `…/quotas`: what operators give one tenant, and what it uses.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Response, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::auth::{self, Access};
use super::openapi::{Endpoint, Tag, Who, schema};
use super::routes::Routes;
use super::{Params, Problem, body, json, output};
use crate::app::App;
use crate::clock;
use crate::errors::Code;
use crate::limits::{OperationRates, OwnRate, QuotaRecord, Quotas};

/// Most patterns of keys, and the longest, in bytes.
const MAX_PATTERNS: usize = 64;
const MAX_PATTERN: usize = 256;
/// Largest weight: nobody is worth more than a hundred others.
const MAX_WEIGHT: u32 = 100;
const MIB: u32 = 1 << 20;

/// What is read and what is shown have the same fields; what is shown leaves out what is not set.
macro_rules! fields {
    ($($(#[$meta:meta])* $name:ident: $type:ty,)*) => {
        #[derive(Default, Deserialize, JsonSchema)]
        #[serde(deny_unknown_fields, default)]
        #[schemars(rename = "NewQuotas")]
        struct Fields {
            $($(#[$meta])* $name: Option<$type>,)*
        }

        #[derive(Default, Serialize, JsonSchema)]
        #[schemars(rename = "Quotas")]
        struct Shown {
            $($(#[$meta])* #[serde(skip_serializing_if = "Option::is_none")] $name: Option<$type>,)*
        }
    };
}

fields! {
    /// Names of the keys that the tenant's policies may use; `*` is any text. Absent: all.
    #[schemars(with = "Option<schema::QuotaKeys>")]
    keys: Vec<String>,
    /// Requests. Absent, here and below: as the server's settings say.
    #[schemars(with = "Option<schema::QuotaRate>")]
    requests: String,
    /// Items of batches.
    #[schemars(with = "Option<schema::QuotaRate>")]
    items: String,
    /// Requests by kind, in place of all that the server's settings say.
    #[schemars(with = "Option<BTreeMap<String, schema::QuotaRate>>")]
    operations: BTreeMap<String, String>,
    /// Requests under way at once.
    #[schemars(range(min = 1, max = 1_000_000))]
    in_flight: u32,
    /// How many other tenants this one is worth when several want more than there is.
    #[schemars(range(min = 1, max = 100))]
    weight: u32,
    /// Policy instances at once.
    #[schemars(range(min = 1, max = 10_000))]
    instances: u32,
    /// Host calls of one policy run.
    #[schemars(range(min = 1, max = 10_000_000))]
    host_calls: u32,
    /// Bytes that one host call or result passes.
    #[schemars(range(min = 1024, max = 67_108_864))]
    host_call_bytes: u32,
    /// Memory of one policy run, in bytes.
    #[schemars(range(min = 65_536, max = 16_777_216))]
    memory_bytes: u32,
    /// CPU time of all policy runs together in each second, in milliseconds.
    #[schemars(range(min = 1, max = 1_000_000))]
    cpu_ms_per_second: u32,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TenantQuotas")]
struct View {
    quotas: Shown,
    /// Whether an operator set them.
    own: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::Timestamp>")]
    set_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    set_by: Option<String>,
    /// What is used, on the host that answers.
    #[serde(rename = "use")]
    used: UseView,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TenantUse")]
struct UseView {
    /// Requests under way, this one not included unless it is the tenant's.
    in_flight: usize,
    /// Policy instances at the moment.
    instances: u32,
    /// Policy runs since the tenant was first seen.
    runs: u64,
    /// Their CPU time, in milliseconds.
    cpu_ms: u64,
    /// Their host calls.
    host_calls: u64,
    /// The most memory that one of them had, in bytes.
    peak_memory_bytes: usize,
}

impl View {
    fn of(app: &App, tenant: &str, record: Option<QuotaRecord>) -> Self {
        let used = app.limits.used(tenant);
        let used = UseView {
            in_flight: used.in_flight,
            instances: used.policies.instances,
            runs: used.policies.runs,
            cpu_ms: u64::try_from(used.policies.cpu.as_millis()).unwrap_or(u64::MAX),
            host_calls: used.policies.host_calls,
            peak_memory_bytes: used.policies.peak_memory_bytes,
        };
        let Some(QuotaRecord { quotas, set_at, set_by }) = record else {
            let (quotas, set_at, set_by) = Default::default();
            return Self { quotas, own: false, set_at, set_by, used };
        };
        let (set_at, set_by) = (Some(clock::rfc3339(set_at)), Some(set_by));
        Self { quotas: Shown::of(quotas), own: true, set_at, set_by, used }
    }
}

impl Shown {
    fn of(quotas: Quotas) -> Self {
        let Quotas { keys, in_flight, instances, host_calls, host_call_bytes, .. } = quotas;
        let operations = quotas
            .operations
            .map(|all| all.into_iter().map(|(kind, rate)| (kind, String::from(rate))).collect());
        Self {
            keys,
            requests: quotas.requests.map(String::from),
            items: quotas.items.map(String::from),
            operations,
            in_flight,
            weight: quotas.weight.map(NonZeroU32::get),
            instances,
            host_calls,
            host_call_bytes,
            memory_bytes: quotas.memory_bytes,
            cpu_ms_per_second: quotas.cpu_ms_per_second,
        }
    }
}

impl Fields {
    fn checked(self) -> Result<Quotas, Problem> {
        let wrong = |field: &str, detail: String| {
            Problem::field(Code::InvalidField, format!("/{field}"), detail)
        };
        let within = |field: &str, value: Option<u32>, min: u32, max: u32| match value {
            Some(value) if !(min..=max).contains(&value) => {
                Err(wrong(field, format!("must be {min} to {max}")))
            }
            value => Ok(value),
        };
        let rate = |field: &str, text: Option<String>| {
            text.map(OwnRate::try_from)
                .transpose()
                .map_err(|error| wrong(field, format!("{error}, or `off`")))
        };
        if let Some(keys) = &self.keys {
            if keys.len() > MAX_PATTERNS {
                return Err(wrong("keys", format!("at most {MAX_PATTERNS} patterns")));
            }
            let bad = |it: &String| it.is_empty() || it.len() > MAX_PATTERN || !it.is_ascii();
            if let Some(at) = keys.iter().position(bad) {
                let detail = format!("must be 1 to {MAX_PATTERN} ASCII characters");
                return Err(wrong(&format!("keys/{at}"), detail));
            }
        }
        let operations = self.operations.map(|all| {
            let known = |kind: &str| OperationRates::read([(kind, "1/s")]).map(drop);
            all.into_iter()
                .map(|(kind, text)| {
                    let field = format!("operations{}", json::pointer(&kind));
                    known(&kind).map_err(|detail| wrong(&field, detail))?;
                    let rate = OwnRate::try_from(text)
                        .map_err(|error| wrong(&field, format!("{error}, or `off`")))?;
                    Ok((kind, rate))
                })
                .collect::<Result<BTreeMap<_, _>, Problem>>()
        });
        Ok(Quotas {
            keys: self.keys,
            requests: rate("requests", self.requests)?,
            items: rate("items", self.items)?,
            operations: operations.transpose()?,
            in_flight: within("in_flight", self.in_flight, 1, 1_000_000)?,
            weight: within("weight", self.weight, 1, MAX_WEIGHT)?.and_then(NonZeroU32::new),
            instances: within("instances", self.instances, 1, 10_000)?,
            host_calls: within("host_calls", self.host_calls, 1, 10_000_000)?,
            host_call_bytes: within("host_call_bytes", self.host_call_bytes, 1 << 10, 64 * MIB)?,
            memory_bytes: within("memory_bytes", self.memory_bytes, 64 << 10, 16 * MIB)?,
            cpu_ms_per_second: within("cpu_ms_per_second", self.cpu_ms_per_second, 1, 1_000_000)?,
        })
    }
}

async fn operating(app: &App, path: Params, headers: &HeaderMap) -> Result<Access, Problem> {
    let access = Access::managing(app, path, headers).await?;
    auth::for_operators(&access.credential)?;
    Ok(access)
}

/// `GET …/quotas`.
async fn show(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { tenant, .. } = Access::managing(&app, path, request.headers()).await?;
    let record = app.quotas.get(&tenant).await?;
    output::json(StatusCode::OK, &View::of(&app, tenant.as_str(), record))
}

/// `PUT …/quotas`.
async fn set(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = operating(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let fields: Fields = json::parse(&bytes)?;
    let record = QuotaRecord {
        quotas: fields.checked()?,
        set_at: clock::unix_ms(),
        set_by: credential.caller.subject.clone(),
    };
    app.quotas.set(&tenant, &record).await?;
    tracing::info!(%tenant, by = record.set_by, "quotas set");
    output::json(StatusCode::OK, &View::of(&app, tenant.as_str(), Some(record)))
}

/// `DELETE …/quotas`.
async fn remove(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = operating(&app, path, request.headers()).await?;
    app.quotas.remove(&tenant).await?;
    tracing::info!(%tenant, by = credential.caller.subject, "quotas removed");
    output::json(StatusCode::OK, &View::of(&app, tenant.as_str(), None))
}

/// Their routes.
pub fn routes(routes: &mut Routes) {
    let path = "/api/v1/tenants/{tenant}/quotas";
    let endpoint = Endpoint::new(
        Tag::Tenants,
        Who::Managers,
        "getQuotas",
        "What a tenant may, and what it uses",
    )
    .answers::<View>(200, "Quotas and use");
    routes.get(path, show, endpoint);
    let operating = |id, summary| {
        Endpoint::new(Tag::Tenants, Who::Operators, id, summary)
            .answers::<View>(200, "Quotas and use")
            .fails(&[Code::TenantNotFound, Code::InvalidName, Code::Conflict])
    };
    let endpoint = operating("setQuotas", "Set what a tenant may")
        .about("Replaces all of them: what is absent or `null` is as the server's settings say.")
        .json::<Fields>(json!({ "requests": "100/s burst 200", "keys": ["*"] }));
    routes.put(path, set, endpoint);
    let endpoint = operating("removeQuotas", "Let a tenant have what all have");
    routes.delete(path, remove, endpoint);
}
