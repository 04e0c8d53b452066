//! Lists of keys, page by page.

use std::borrow::Cow;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use keyward_keyring::{KeyName, KeyQuery};
use schemars::JsonSchema;
use serde::Serialize;

use super::view::KeyView;
use crate::app::App;
use crate::http::auth::Access;
use crate::http::openapi::schema;
use crate::http::paging::{DEFAULT_LIMIT, bad, read_limit};
use crate::http::{Params, Problem, output};
use crate::tokens::scope::Kind;

/// Longest prefix, in bytes: as long as a name.
const MAX_PREFIX: usize = 128;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "KeyList")]
pub(super) struct KeyList<'a> {
    keys: Vec<KeyView<'a>>,
    /// `after` of the next page, if there may be one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<schema::KeyName>")]
    next: Option<&'a str>,
}

/// `GET …/keys?state=…&prefix=…&after=…&limit=…`.
pub async fn list(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let Access { credential, tenant, .. } = Access::reading(&app, path, request.headers()).await?;
    let wanted = Wanted::read(request.uri().query().unwrap_or_default())?;
    let Wanted { deleted, prefix, after, limit } = &wanted;
    let query = KeyQuery {
        deleted: *deleted,
        prefix: prefix.as_deref().unwrap_or_default(),
        after: after.as_ref(),
        limit: limit.unwrap_or(DEFAULT_LIMIT),
    };
    let page = app.keyring.page_of_keys(&tenant, &query).await?;
    let in_scope = |name: &KeyName| credential.scope.check(Kind::Keys, name.as_str()).is_ok();
    let keys = page.keys.iter().filter(|key| in_scope(key.name()));
    let keys = keys.map(|key| KeyView::of(key)).collect();
    let next = page.next.as_ref().map(KeyName::as_str);
    output::json(StatusCode::OK, &KeyList { keys, next })
}

/// What the query asks for.
#[derive(Debug, Default)]
struct Wanted<'a> {
    deleted: bool,
    prefix: Option<Cow<'a, str>>,
    after: Option<KeyName>,
    limit: Option<usize>,
}

impl<'a> Wanted<'a> {
    fn read(query: &'a str) -> Result<Self, Problem> {
        let (mut wanted, mut seen) = (Self::default(), Vec::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "state" if value == "deleted" => wanted.deleted = true,
                "state" => return Err(bad("state", "the only value is `deleted`")),
                "limit" => wanted.limit = Some(read_limit(&value)?),
                "after" => {
                    let detail = "must be the `next` of a page, which is a key's name";
                    wanted.after = Some(value.parse().map_err(|_| bad("after", detail))?);
                }
                "prefix" if is_prefix(&value) => wanted.prefix = Some(value),
                "prefix" => {
                    let detail = "no key's name begins so: they have 1 to 128 of A-Z, a-z, 0-9, \
                                  '.', '_' and '-', beginning with a letter or digit";
                    return Err(bad("prefix", detail));
                }
                other => {
                    let name: String = other.chars().take(64).collect();
                    let detail = "the query parameters are `state`, `prefix`, `after` and `limit`";
                    return Err(bad(&name, detail));
                }
            }
            if seen.contains(&name) {
                return Err(bad(&name, "is given twice"));
            }
            seen.push(name);
        }
        Ok(wanted)
    }
}

/// Whether a key's name may begin so.
fn is_prefix(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    text.len() <= MAX_PREFIX
        && text.bytes().all(is_inner)
        && text.bytes().next().is_none_or(|first| first.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::errors::Code;

    #[test]
    fn queries_are_read() {
        let all = Wanted::read("state=deleted&prefix=a.%2D&after=b&limit=1000").unwrap();
        assert!(all.deleted && all.limit == Some(1000));
        assert_eq!(all.prefix.as_deref(), Some("a.-"));
        assert_eq!(all.after.unwrap().as_str(), "b");
        let none = Wanted::read("").unwrap();
        assert!(!none.deleted && none.limit.is_none() && none.after.is_none());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let long = format!("prefix={}", "a".repeat(129));
        for (query, field) in [
            ("limit=0", "/limit"),
            ("limit=1001", "/limit"),
            ("limit=-1", "/limit"),
            ("limit=", "/limit"),
            ("limit=1e2", "/limit"),
            ("limit=99999999999999999999", "/limit"),
            ("limit=1&limit=2", "/limit"),
            ("after=", "/after"),
            ("after=..%2Fx", "/after"),
            ("prefix=.", "/prefix"),
            ("prefix=a%2F", "/prefix"),
            ("prefix=%C3%BC", "/prefix"),
            (&long, "/prefix"),
            ("state=enabled", "/state"),
            ("page=1", "/page"),
        ] {
            let problem = Wanted::read(query).unwrap_err();
            assert_eq!(problem.code, Code::InvalidRequest, "{query}");
            assert_eq!(problem.field.as_deref(), Some(field), "{query}");
        }
    }
}
