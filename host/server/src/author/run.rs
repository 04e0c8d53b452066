//! One case: the request it is, and what comes of it.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_crypto::Header;
use keyward_policy_host::{Caller, Detail, Observe, Payload, Plan, PolicyError, Request, Trace};

use super::cases::{self, Case, File, Or, Time};
use super::sandbox::{Sandbox, Tenant};
use crate::client::failure::Failure;
use crate::execute::{Opener, Sealer};
use crate::http::Problem;

/// The host's clock where a case gives no time: 2027-01-15T08:00:00Z. Always the same, so that a
/// case gives the same tomorrow.
pub const TIME: u64 = 1_800_000_000_000;
/// Media type of bytes.
const BYTES: &str = "application/octet-stream";

/// What went in and what came of it.
pub struct Run {
    pub request: Request,
    pub payload: Option<Payload>,
    pub trace: Trace,
    /// What came out, if the decision allowed it: of `invoke`, or of the host that carried out the
    /// plan of an encrypt or decrypt with a payload.
    pub output: Option<Result<Payload, Failed>>,
}

/// An error after the decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Its code in docs/errors.md.
    pub code: &'static str,
    /// What the caller reads.
    pub text: String,
}

/// The outputs of a file's cases, by name.
pub type Outputs = HashMap<String, Vec<u8>>;

/// Runs a case. `outputs` has those of earlier ones, and gets this one's.
pub async fn run(
    sandbox: &Sandbox,
    tenant: &Tenant,
    file: &File,
    case: &Case,
    outputs: &mut Outputs,
) -> Result<Run, Failure> {
    let payload = match &case.payload {
        Some(payload) => Some(content(file, case, payload, outputs)?),
        None => None,
    };
    let mut request = request(file, case);
    if request.operation == "decrypt" && request.key.is_none() {
        request.key = key_of(tenant, payload.as_ref()).await;
    }
    let invoked = payload.as_ref().filter(|_| request.operation.starts_with("invoke/"));
    let observe = Observe { detail: Detail::Values, script: None, ..Observe::default() };
    let trace = sandbox.host.observe(&sandbox.policy, &request, invoked, observe).await;
    let trace = trace.map_err(|error| Failure::local("the policy did not run", &error))?;
    let output = match (&trace.decision, &payload) {
        (Ok(plan), Some(payload)) => carry_out(&trace, plan, tenant, &request, payload).await,
        _ => None,
    };
    if let Some(Ok(output)) = &output {
        outputs.insert(case.name.clone(), output.body.clone());
    }
    Ok(Run { request, payload, trace, output })
}

/// The request that a case is.
fn request(file: &File, case: &Case) -> Request {
    let time = match &case.time {
        Some(Or::Short(Time(time))) => *time,
        _ => TIME,
    };
    Request {
        id: "case".into(),
        tenant: file.tenant.clone(),
        caller: caller(file.caller(case)),
        operation: case.operation.clone(),
        key: case.key.clone(),
        context: case.context.clone().map(String::into_bytes),
        purpose: case.purpose.clone(),
        time,
    }
}

/// As the contract has it.
pub fn caller(caller: cases::Caller) -> Caller {
    let cases::Caller { subject, roles, claims } = caller;
    Caller { subject, roles, claims: claims.into_iter().collect() }
}

fn content(
    file: &File,
    case: &Case,
    payload: &cases::Payload,
    outputs: &Outputs,
) -> Result<Payload, Failure> {
    let wrong = |what: String| {
        Failure::Usage(format!("{}: case \"{}\": {what}", file.path.display(), case.name))
    };
    let (default_type, body) = if let Some(text) = &payload.text {
        ("text/plain", text.clone().into_bytes())
    } else if let Some(json) = &payload.json {
        ("application/json", json.to_string().into_bytes())
    } else if let Some(text) = &payload.base64 {
        let decoded = STANDARD.decode(text);
        (BYTES, decoded.map_err(|error| wrong(format!("`base64`: {error}")))?)
    } else if let Some(name) = &payload.file {
        let path = file.path.parent().unwrap_or(Path::new(".")).join(name);
        let json = path.extension().is_some_and(|extension| extension == "json");
        let body = std::fs::read(&path).map_err(|error| Failure::file("read", &path, &error))?;
        (if json { "application/json" } else { BYTES }, body)
    } else {
        let of = payload.output_of.as_deref().unwrap_or_default();
        let body = outputs
            .get(of)
            .cloned()
            .ok_or_else(|| wrong(format!("`output_of`: the case \"{of}\" gave no output")))?;
        let json = serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
        (if json { "application/json" } else { BYTES }, body)
    };
    let content_type = payload.content_type.clone().unwrap_or_else(|| default_type.into());
    Ok(Payload { content_type, body })
}

/// The name of the key a ciphertext was made with, which a server puts into the request.
async fn key_of(tenant: &Tenant, payload: Option<&Payload>) -> Option<String> {
    let header = Header::parse(&payload?.body).ok()?;
    let key = tenant.keyring.key_by_id(&tenant.name, header.key_id).await.ok()?;
    Some(key.name().to_string())
}

async fn carry_out(
    trace: &Trace,
    plan: &Plan,
    tenant: &Tenant,
    request: &Request,
    payload: &Payload,
) -> Option<Result<Payload, Failed>> {
    let context = request.context.as_deref().unwrap_or_default();
    let done = match request.operation.as_str() {
        "encrypt" => encrypt(plan, tenant, request, context, payload).await,
        "decrypt" => decrypt(plan, tenant, context, payload).await,
        _ => {
            return Some(match trace.output.as_ref()? {
                Ok(payload) => Ok(payload.clone()),
                Err(error) => Err(Failed::from(error)),
            });
        }
    };
    let done = done.map(|body| Payload { content_type: BYTES.into(), body });
    Some(done.map_err(|problem| Failed {
        code: problem.code.as_str(),
        text: problem.detail.into_owned(),
    }))
}

async fn encrypt(
    plan: &Plan,
    tenant: &Tenant,
    request: &Request,
    context: &[u8],
    payload: &Payload,
) -> Result<Vec<u8>, Problem> {
    let key = request.key.as_deref();
    let sealer = Sealer::prepare(&tenant.keyring, &tenant.name, key, plan.clone()).await?;
    sealer.seal(context, &payload.body)
}

async fn decrypt(
    plan: &Plan,
    tenant: &Tenant,
    context: &[u8],
    payload: &Payload,
) -> Result<Vec<u8>, Problem> {
    let header = Header::parse(&payload.body).map_err(|_| Problem::ciphertext_invalid())?;
    let key = tenant.keyring.key_by_id(&tenant.name, header.key_id).await;
    let key = key.map_err(|_| Problem::ciphertext_invalid())?;
    let opener = Opener::prepare(Arc::clone(&key), plan.clone())?;
    let (mut plaintext, _) = opener.open(&tenant.keyring, &header, context, &payload.body).await?;
    Ok(std::mem::take(&mut *plaintext))
}

impl From<&PolicyError> for Failed {
    fn from(error: &PolicyError) -> Self {
        Self { code: error.code(), text: error.to_string() }
    }
}
