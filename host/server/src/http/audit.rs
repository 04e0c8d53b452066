//! `GET …/audit`: entries of the audit log, page by page. Operators see all of it, a tenant's admins
//! what is about their tenant.

use std::borrow::Cow;
use std::str::FromStr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keyward_audit::{Outcome, Page, Query, Sight};
use keyward_keyring::TenantName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::auth::{self, Access};
use super::openapi::{Endpoint, Tag, Who, schema};
use super::routes::Routes;
use super::{Params, Problem, json, output};
use crate::app::App;
use crate::errors::Code;
use crate::tokens::scope::Kind;

/// How many entries a page has unless the query says otherwise, and at most.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;
/// Longest text to look for.
const MAX_TEXT: usize = 256;

/// Adds the routes, with what they say of themselves.
pub fn routes(routes: &mut Routes) {
    let described = |who, id, summary| {
        Endpoint::new(Tag::Audit, who, id, summary)
            .query::<schema::AuditText>("subject", "Who asked.")
            .query::<schema::AuditText>("credential", "The credential's public identifier.")
            .query::<schema::AuditText>(
                "operation",
                "Such as `encrypt`; with a `.` in the end whatever begins so, as `key.`.",
            )
            .query::<schema::AuditText>("key", "The key's name.")
            .query::<schema::AuditText>("outcome", "`ok`, `failed`, a status or an error's code.")
            .query::<schema::AuditTime>("since", "Not before this time.")
            .query::<schema::AuditTime>("until", "Before this time.")
            .query::<schema::AuditText>("request_id", "One request's entries.")
            .query::<schema::ByteCount>("after", "`next` of the page before.")
            .query::<schema::PageLimit>("limit", "How many entries at most.")
            .answers::<PageView>(200, "A page of entries, oldest first")
            .fails(&[Code::AuditOff])
    };
    let endpoint = described(Who::Operators, "queryAudit", "Entries of the audit log")
        .query::<schema::TenantName>("tenant", "What is about this tenant.");
    routes.get("/api/v1/audit", all, endpoint);
    let summary = "Entries of the audit log about a tenant";
    let endpoint = described(Who::Managers, "queryTenantAudit", summary);
    routes.get("/api/v1/tenants/{tenant}/audit", of_tenant, endpoint);
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AuditPage")]
struct PageView {
    #[schemars(with = "Vec<schema::AnyObject>")]
    entries: Vec<Box<RawValue>>,
    /// `after` of the next page, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

/// `GET /api/v1/audit`.
pub async fn all(State(app): State<Arc<App>>, request: Request) -> Result<Response<Body>, Problem> {
    let credential = auth::authenticate(&app, request.headers()).await?;
    auth::for_operators(&credential)?;
    let query = read(request.uri().query().unwrap_or_default(), true)?;
    match &query.tenant {
        Some(tenant) => credential.scope.check(Kind::Tenants, tenant)?,
        None => auth::for_all_tenants(&credential)?,
    }
    let Page { entries, next, .. } = look_up(&app, query).await?;
    output::json(StatusCode::OK, &PageView { entries, next })
}

/// `GET …/tenants/{tenant}/audit`.
pub async fn of_tenant(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { tenant, .. } = Access::managing(&app, path, request.headers()).await?;
    let mut query = read(request.uri().query().unwrap_or_default(), false)?;
    query.tenant = Some(tenant.as_str().to_owned());
    let Page { entries, next, .. } = look_up(&app, query).await?;
    let entries = entries.into_iter().map(|entry| without_strangers(entry, &tenant));
    output::json(StatusCode::OK, &PageView { entries: entries.collect(), next })
}

async fn look_up(app: &App, query: Query) -> Result<Page, Problem> {
    let Some(audit) = &app.audit else {
        return Err(Problem::new(Code::AuditOff, Code::AuditOff.about()));
    };
    let (dir, index) = (audit.dir.clone(), audit.log.index().clone());
    let look = move || keyward_audit::query(&dir, &query, Sight::Terms(&index));
    let looked_up = tokio::task::spawn_blocking(look).await;
    looked_up.map_err(Problem::internal)?.map_err(Problem::internal)
}

/// Who tried with a token of another tenant is that tenant's business.
fn without_strangers(entry: Box<RawValue>, tenant: &TenantName) -> Box<RawValue> {
    #[derive(Deserialize)]
    struct Seen<'a> {
        #[serde(borrow)]
        credential_tenant: Option<Cow<'a, str>>,
    }
    let seen = serde_json::from_str(entry.get());
    let is_own = seen.is_ok_and(|seen: Seen<'_>| {
        seen.credential_tenant.is_none_or(|known| known == tenant.as_str())
    });
    if is_own {
        return entry;
    }
    let mut value: serde_json::Map<_, _> = serde_json::from_str(entry.get()).unwrap_or_default();
    for field in ["subject", "credential", "credential_tenant", "client"] {
        value.remove(field);
    }
    to_raw_value(&value).unwrap_or_default()
}

/// Reads the query's parameters; each may be given once.
fn read(text: &str, any_tenant: bool) -> Result<Query, Problem> {
    let bad =
        |name: &str, detail| Problem::field(Code::InvalidRequest, json::pointer(name), detail);
    let mut query = Query { limit: DEFAULT_LIMIT, ..Query::default() };
    let mut seen = Vec::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        let name: String = name.chars().take(64).collect();
        let text = || {
            let fits = (1..=MAX_TEXT).contains(&value.len());
            fits.then(|| value.to_string()).ok_or_else(|| bad(&name, "must have 1 to 256 bytes"))
        };
        let time = || {
            let detail = "must be a time such as 2026-02-28T12:00:00Z, or milliseconds since 1970";
            keyward_audit::parse_time(&value).ok_or_else(|| bad(&name, detail))
        };
        match name.as_str() {
            "tenant" if any_tenant => {
                let tenant = TenantName::from_str(&value);
                tenant.map_err(|_| bad(&name, "is no name that a tenant can have"))?;
                query.tenant = Some(value.to_string());
            }
            "subject" => query.subject = Some(text()?),
            "credential" => query.credential = Some(text()?),
            "operation" => query.operation = Some(text()?),
            "key" => query.key = Some(text()?),
            "request_id" => query.request_id = Some(text()?),
            "outcome" => {
                let detail = "must be `ok`, `failed`, a status such as 403, or an error's code";
                query.outcome = Some(Outcome::read(&value).ok_or_else(|| bad(&name, detail))?);
            }
            "since" => query.since_ms = Some(time()?),
            "until" => query.until_ms = Some(time()?),
            "after" => {
                let after = value.parse().ok().filter(|after| *after < u64::MAX);
                query.after = after.ok_or_else(|| bad(&name, "must be the `next` of a page"))?;
            }
            "limit" => {
                let limit = value.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit));
                query.limit = limit.ok_or_else(|| bad(&name, "must be a number from 1 to 1000"))?;
            }
            _ => {
                let detail = "is none of the query parameters, which docs/api.md lists";
                return Err(bad(&name, detail));
            }
        }
        if seen.contains(&name) {
            return Err(bad(&name, "is given twice"));
        }
        seen.push(name);
    }
    Ok(query)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read() {
        let text = "tenant=acme&subject=a%20b&operation=key.&key=main&outcome=403&since=1\
                    &until=1970-01-01T00:00:01Z&request_id=r&after=7&limit=2";
        let query = read(text, true).unwrap();
        assert_eq!((query.since_ms, query.until_ms, query.after), (Some(1), Some(1000), 7));
        assert_eq!(query.subject.as_deref(), Some("a b"));
        for (text, field) in [
            ("tenant=../x", "/tenant"),
            ("outcome=", "/outcome"),
            ("since=yesterday", "/since"),
            ("after=-1", "/after"),
            ("limit=0", "/limit"),
            ("limit=1001", "/limit"),
            ("key=", "/key"),
            ("key=a&key=b", "/key"),
            ("page=1", "/page"),
        ] {
            assert_eq!(read(text, true).unwrap_err().field.as_deref(), Some(field), "{text}");
        }
        assert_eq!(read("tenant=acme", false).unwrap_err().field.as_deref(), Some("/tenant"));
    }

    #[test]
    fn who_came_from_another_tenant_is_not_shown() {
        let shown = |text: &str| {
            let entry = RawValue::from_string(text.to_owned()).unwrap();
            without_strangers(entry, &"acme".parse().unwrap()).get().to_owned()
        };
        let own = r#"{"seq":1,"credential_tenant":"acme","subject":"a"}"#;
        assert_eq!(shown(own), own);
        let stranger = r#"{"seq":1,"credential_tenant":"other","subject":"a","status":403}"#;
        assert_eq!(shown(stranger), r#"{"seq":1,"status":403}"#);
    }
}
