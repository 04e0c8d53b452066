//! A question to a policy: what `explain` and `record` ask.

use keyward_keyring::TenantName;
use keyward_policy_host::{Caller, Request};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::app::App;
use crate::audit;
use crate::clock;
use crate::errors::Code;
use crate::http::Problem;
use crate::http::data::item::Asked;
use crate::http::json::Text;
use crate::http::openapi::schema;
use crate::policies::{ComponentDigest, NoDigest};
use crate::tokens::Credential;

/// Longest name of an operation, `invoke/` included.
const MAX_OPERATION: usize = 128;
/// Most roles and claims of a caller, and the longest of their texts, in bytes.
const MAX_STATEMENTS: usize = 64;
const MAX_TEXT: usize = 256;

/// As it is asked.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PolicyQuestion")]
pub struct Question<'a> {
    /// As the policy sees it: `encrypt`, `decrypt`, …, or `invoke/NAME`.
    #[serde(borrow)]
    #[schemars(with = "schema::OperationName")]
    operation: Text<'a>,
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::RequestedKey>")]
    key: Option<Text<'a>>,
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::Context>")]
    context: Option<Text<'a>>,
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::Purpose>")]
    purpose: Option<Text<'a>>,
    /// Who would ask; else who does.
    #[serde(default)]
    caller: Option<Who>,
    /// The policy that is asked, one that is kept; else the active one.
    #[serde(borrow, default)]
    #[schemars(with = "Option<schema::ComponentDigest>")]
    digest: Option<Text<'a>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "PolicyCaller")]
struct Who {
    #[schemars(with = "schema::CallerText")]
    subject: String,
    #[serde(default)]
    #[schemars(with = "Vec<schema::CallerText>", length(max = 64))]
    roles: Vec<String>,
    #[serde(default)]
    #[schemars(with = "schema::CallerClaims")]
    claims: std::collections::BTreeMap<String, String>,
}

/// A question that makes sense.
pub struct Asking {
    /// The policy that is asked.
    pub digest: ComponentDigest,
    /// What it is asked.
    pub request: Request,
}

impl Question<'_> {
    /// Checks it, and notes in the request's entry what is asked.
    pub async fn read(
        self,
        app: &App,
        tenant: &TenantName,
        credential: &Credential,
        id: String,
    ) -> Result<Asking, Problem> {
        let operation = self.operation.as_str().to_owned();
        if !(1..=MAX_OPERATION).contains(&operation.len()) {
            let detail = "must have 1 to 128 bytes";
            return Err(Problem::field(Code::InvalidField, "/operation", detail));
        }
        let digest = match &self.digest {
            None => app.policies.active_digest(tenant).await?,
            Some(digest) => digest.as_str().parse().map_err(|error: NoDigest| {
                Problem::field(Code::InvalidField, "/digest", error.to_string())
            })?,
        };
        let asked = Asked::read(self.key, self.context.as_ref(), self.purpose)?;
        asked.note();
        audit::target(&format!("policy {digest}"));
        let who = match self.caller {
            None => credential.caller.clone(),
            Some(who) => caller(who)?,
        };
        let request = Request {
            id,
            tenant: tenant.as_str().to_owned(),
            caller: who,
            operation,
            key: asked.key.map(std::borrow::Cow::into_owned),
            context: asked.context,
            purpose: asked.purpose.map(|purpose| purpose.into_inner().into_owned()),
            time: clock::unix_ms(),
        };
        Ok(Asking { digest, request })
    }
}

fn caller(who: Who) -> Result<Caller, Problem> {
    let bad = |field: &'static str, detail| Problem::field(Code::InvalidField, field, detail);
    let is_text = |text: &String| (1..=MAX_TEXT).contains(&text.len());
    let Who { subject, roles, claims } = who;
    if !is_text(&subject) {
        return Err(bad("/caller/subject", "must have 1 to 256 bytes"));
    }
    if roles.len() > MAX_STATEMENTS || !roles.iter().all(is_text) {
        return Err(bad("/caller/roles", "at most 64, each of 1 to 256 bytes"));
    }
    let is_claim = |(name, value): (&String, &String)| is_text(name) && value.len() <= MAX_TEXT;
    if claims.len() > MAX_STATEMENTS || !claims.iter().all(is_claim) {
        return Err(bad("/caller/claims", "at most 64, names of 1 to 256 bytes, values of 256"));
    }
    Ok(Caller { subject, roles, claims: claims.into_iter().collect() })
}
