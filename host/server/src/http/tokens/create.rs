//! `POST …/tokens`: the one time a token is shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keyward_keyring::Rotation;
use keyward_policy_host::Caller;
use schemars::JsonSchema;
use serde::Deserialize;

use super::view::MintedView;
use super::{Managed, blame, grant};
use crate::app::App;
use crate::errors::Code;
use crate::http::openapi::schema;
use crate::http::{Params, Problem, body, json, output};
use crate::tokens::scope::{Kind, Scope, ScopeError};
use crate::tokens::{NewToken, OPERATOR};
use crate::{audit, clock, operator};

/// Most roles and claims of a token, and the longest subject, role, claim name or value.
const MAX_STATEMENTS: usize = 32;
const MAX_STATEMENT_LEN: usize = 256;
/// Most bytes of all of them: every request of a batch carries them into the policy.
const MAX_CALLER: usize = 4 << 10;
/// Longest name and description.
const MAX_NAME: usize = 128;
const MAX_DESCRIPTION: usize = 1024;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewToken")]
pub(super) struct NewTenantToken {
    #[schemars(with = "schema::Subject")]
    subject: String,
    #[schemars(with = "Vec<schema::Role>", length(max = 32))]
    roles: Vec<String>,
    #[serde(default)]
    #[schemars(with = "schema::Claims")]
    claims: BTreeMap<String, String>,
    #[serde(default)]
    #[schemars(with = "Option<schema::TokenName>")]
    name: Option<String>,
    #[serde(default)]
    #[schemars(with = "Option<schema::Description>")]
    description: Option<String>,
    /// Not together with `expires_at`; with neither it does not end by itself.
    #[serde(default)]
    #[schemars(with = "Option<schema::Ttl>")]
    ttl: Option<String>,
    #[serde(default)]
    #[schemars(with = "Option<schema::Timestamp>")]
    expires_at: Option<String>,
    #[serde(default)]
    scope: Option<json::Object<TenantScope>>,
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewOperatorToken")]
pub(super) struct NewOperator {
    #[schemars(with = "schema::Subject")]
    subject: String,
    #[serde(default)]
    #[schemars(with = "Option<schema::TokenName>")]
    name: Option<String>,
    #[serde(default)]
    #[schemars(with = "Option<schema::Description>")]
    description: Option<String>,
    /// Not together with `expires_at`; with neither it does not end by itself.
    #[serde(default)]
    #[schemars(with = "Option<schema::Ttl>")]
    ttl: Option<String>,
    #[serde(default)]
    #[schemars(with = "Option<schema::Timestamp>")]
    expires_at: Option<String>,
    #[serde(default)]
    scope: Option<json::Object<OperatorScope>>,
}

/// What it may be used for; what is left out is not limited.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewTokenScope")]
struct TenantScope {
    #[serde(default)]
    #[schemars(with = "Option<Vec<schema::OperationPattern>>", length(min = 1, max = 32))]
    operations: Option<Vec<String>>,
    #[serde(default)]
    #[schemars(with = "Option<Vec<schema::KeyPattern>>", length(min = 1, max = 32))]
    keys: Option<Vec<String>>,
}

/// What it may be used for; what is left out is not limited.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewOperatorScope")]
struct OperatorScope {
    #[serde(default)]
    #[schemars(with = "Option<Vec<schema::OperationPattern>>", length(min = 1, max = 32))]
    operations: Option<Vec<String>>,
    #[serde(default)]
    #[schemars(with = "Option<Vec<schema::KeyPattern>>", length(min = 1, max = 32))]
    keys: Option<Vec<String>>,
    #[serde(default)]
    #[schemars(with = "Option<Vec<schema::TenantPattern>>", length(min = 1, max = 32))]
    tenants: Option<Vec<String>>,
}

impl OperatorScope {
    fn read(&self) -> Result<Scope, Problem> {
        let mut scope = Scope::default();
        for (kind, patterns) in [
            (Kind::Operations, &self.operations),
            (Kind::Keys, &self.keys),
            (Kind::Tenants, &self.tenants),
        ] {
            let at = format!("/scope/{}", kind.name());
            scope = scope.with(kind, patterns.as_deref()).map_err(|error| {
                let field = match error {
                    ScopeError::Pattern { index } => format!("{at}/{index}"),
                    ScopeError::Count => at,
                };
                Problem::field(Code::InvalidField, field, error.to_string())
            })?;
        }
        Ok(scope)
    }
}

/// `POST …/tenants/{tenant}/tokens`.
pub(super) async fn of_tenant(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let managed = Managed::of(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let new: NewTenantToken = json::parse(&bytes)?;
    let scope = new.scope.map(|json::Object(TenantScope { operations, keys })| OperatorScope {
        operations,
        keys,
        tenants: None,
    });
    let expires_at = end(new.ttl.as_deref(), new.expires_at.as_deref())?;
    let (name, description) = labels(new.name, new.description)?;
    let caller = checked(Caller {
        subject: new.subject,
        roles: new.roles,
        claims: new.claims.into_iter().collect(),
    })?;
    let scope = scope.as_ref().map_or(Ok(Scope::default()), OperatorScope::read)?;
    mint(&app, &managed, (caller, scope, expires_at, name, description)).await
}

/// `POST /api/v1/tokens`.
pub(super) async fn of_operator(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let managed = Managed::of(&app, path, request.headers()).await?;
    let bytes = body::read_json(&app, request).await?;
    let new: NewOperator = json::parse(&bytes)?;
    let expires_at = end(new.ttl.as_deref(), new.expires_at.as_deref())?;
    let (name, description) = labels(new.name, new.description)?;
    check_subject(&new.subject)?;
    let caller = Caller { subject: new.subject, ..operator::caller() };
    let scope = new.scope.as_ref().map_or(Ok(Scope::default()), |scope| scope.0.read())?;
    mint(&app, &managed, (caller, scope, expires_at, name, description)).await
}

type Parts = (Caller, Scope, Option<u64>, Option<String>, Option<String>);

async fn mint(
    app: &App,
    managed: &Managed,
    (caller, scope, expires_at, name, description): Parts,
) -> Result<Response<Body>, Problem> {
    let by = &managed.credential.caller.subject;
    let (reach, created_by) = (managed.reach.clone(), by.clone());
    let new = NewToken { reach, caller, scope, expires_at, name, description, created_by };
    grant::check(&managed.credential, &new)?;
    let (token, minted) = app.tokens.mint(new).await.map_err(blame)?;
    let id = &minted.id;
    audit::target(&format!("token {id}"));
    tracing::info!(id, by, subject = minted.caller.subject, "token minted");
    output::json(StatusCode::CREATED, &MintedView::of(&token, minted))
}

/// When it is to end, in ms since 1970.
pub(super) fn end(ttl: Option<&str>, expires_at: Option<&str>) -> Result<Option<u64>, Problem> {
    let bad = |field: &'static str, detail| Problem::field(Code::InvalidField, field, detail);
    let now = clock::unix_ms();
    match (ttl, expires_at) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err(bad("/expires_at", "give this or `ttl`, not both")),
        (Some(ttl), None) => Ok(Some(now.saturating_add(duration("/ttl", ttl)?))),
        (None, Some(text)) => {
            // Milliseconds alone would be read as well, and taken for seconds by whoever wrote it.
            let at = text.contains('T').then(|| keyward_audit::parse_time(text)).flatten();
            let at =
                at.ok_or_else(|| bad("/expires_at", "must be a time, as 2026-02-28T12:00:00Z"))?;
            if at <= now {
                return Err(bad("/expires_at", "has passed"));
            }
            Ok(Some(at))
        }
    }
}

/// A duration in ms.
pub(super) fn duration(field: &'static str, text: &str) -> Result<u64, Problem> {
    let read = Rotation::parse_every(text).ok();
    let ms = read.and_then(|time| u64::try_from(time.as_millis()).ok());
    ms.ok_or_else(|| {
        let detail = "must be a whole number and ms, s, m, h or d: from 1s to 3650d";
        Problem::field(Code::InvalidField, field, detail)
    })
}

fn labels(
    name: Option<String>,
    description: Option<String>,
) -> Result<(Option<String>, Option<String>), Problem> {
    for (field, text, most) in
        [("/name", &name, MAX_NAME), ("/description", &description, MAX_DESCRIPTION)]
    {
        if text.as_ref().is_some_and(|text| !is_line(text, most)) {
            let detail = format!("must have 1 to {most} bytes and no control characters");
            return Err(Problem::field(Code::InvalidField, field, detail));
        }
    }
    Ok((name, description))
}

fn check_subject(subject: &str) -> Result<(), Problem> {
    if is_line(subject, MAX_STATEMENT_LEN) {
        return Ok(());
    }
    let detail = "must have 1 to 256 bytes and no control characters";
    Err(Problem::field(Code::InvalidField, "/subject", detail))
}

fn checked(caller: Caller) -> Result<Caller, Problem> {
    let bad =
        |field: String, detail: &'static str| Problem::field(Code::InvalidField, field, detail);
    check_subject(&caller.subject)?;
    if caller.roles.len() > MAX_STATEMENTS {
        return Err(bad("/roles".into(), "at most 32 roles"));
    }
    for (index, role) in caller.roles.iter().enumerate() {
        if role == OPERATOR {
            let detail = "no tenant's token can be an operator's";
            return Err(bad(format!("/roles/{index}"), detail));
        }
        if !is_role(role) {
            let detail = "a role has 1 to 64 of a-z, 0-9 and -";
            return Err(bad(format!("/roles/{index}"), detail));
        }
    }
    if caller.claims.len() > MAX_STATEMENTS {
        return Err(bad("/claims".into(), "at most 32 claims"));
    }
    if !caller
        .claims
        .iter()
        .all(|(name, value)| is_line(name, MAX_STATEMENT_LEN) && value.len() <= MAX_STATEMENT_LEN)
    {
        return Err(bad("/claims".into(), "names and values have at most 256 bytes"));
    }
    let statements = [&caller.subject].into_iter().chain(&caller.roles);
    let statements = statements.chain(caller.claims.iter().flat_map(|(name, value)| [name, value]));
    if statements.map(String::len).sum::<usize>() > MAX_CALLER {
        return Err(bad(String::new(), "subject, roles and claims together have over 4096 bytes"));
    }
    Ok(caller)
}

fn is_role(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_line(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && !text.chars().any(char::is_control)
}
