//! Which page of a list the query asks for.

use super::{Problem, json};
use crate::errors::Code;

/// How many entries a page has unless the query says otherwise, and at most.
pub const DEFAULT_LIMIT: usize = 100;
/// See [`DEFAULT_LIMIT`].
pub const MAX_LIMIT: usize = 1000;

/// The two parameters that a list without any other has.
#[derive(Debug)]
pub struct Paging {
    /// To go on after: the `next` of the page before.
    pub after: Option<String>,
    /// Most entries.
    pub limit: usize,
}

impl Paging {
    /// Reads a query. `is_next` tells whether a list of this kind can have such a `next`.
    pub fn read(query: Option<&str>, is_next: impl Fn(&str) -> bool) -> Result<Self, Problem> {
        let (mut after, mut limit) = (None, None);
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let is_twice = match &*name {
                "after" if is_next(&value) => after.replace(value.into_owned()).is_some(),
                "after" => return Err(bad("after", "must be the `next` of a page")),
                "limit" => limit.replace(read_limit(&value)?).is_some(),
                other => {
                    let name: String = other.chars().take(64).collect();
                    return Err(bad(&name, "the query parameters are `after` and `limit`"));
                }
            };
            if is_twice {
                return Err(bad(&name, "is given twice"));
            }
        }
        Ok(Self { after, limit: limit.unwrap_or(DEFAULT_LIMIT) })
    }
}

/// Reads the parameter `limit`.
pub fn read_limit(value: &str) -> Result<usize, Problem> {
    let limit = value.parse().ok().filter(|n| (1..=MAX_LIMIT).contains(n));
    limit.ok_or_else(|| bad("limit", "must be a number from 1 to 1000"))
}

/// What is wrong with a parameter of this name.
pub fn bad(name: &str, detail: &'static str) -> Problem {
    Problem::field(Code::InvalidRequest, json::pointer(name), detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_and_what_is_wrong_is_named() {
        let is_next = |text: &str| text.starts_with("0-");
        let paging = Paging::read(Some("after=0-a-1&limit=7"), is_next).unwrap();
        assert_eq!((paging.after.as_deref(), paging.limit), (Some("0-a-1"), 7));
        for none in [None, Some("")] {
            let paging = Paging::read(none, is_next).unwrap();
            assert_eq!((paging.after, paging.limit), (None, DEFAULT_LIMIT));
        }
        for (query, field) in [
            ("limit=0", "/limit"),
            ("limit=1001", "/limit"),
            ("limit=x", "/limit"),
            ("limit=", "/limit"),
            ("limit=1&limit=1", "/limit"),
            ("after=0-a&after=0-b", "/after"),
            ("after=..", "/after"),
            ("after=", "/after"),
            ("subject=a", "/subject"),
            ("state=deleted", "/state"),
        ] {
            let problem = Paging::read(Some(query), is_next).unwrap_err();
            assert_eq!(problem.code, Code::InvalidRequest, "{query}");
            assert_eq!(problem.field.as_deref(), Some(field), "{query}");
        }
    }
}
