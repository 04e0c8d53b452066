//! Query parameters of the routes of policies.

use crate::errors::Code;
use crate::http::{Problem, json};
use crate::policies::ComponentDigest;

/// How many policies a page has unless the query says otherwise, and at most.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

fn bad(name: &str, detail: &'static str) -> Problem {
    let name: String = name.chars().take(64).collect();
    Problem::field(Code::InvalidRequest, json::pointer(&name), detail)
}

/// A digest in a path or a query; an error names the parameter.
pub(super) fn digest(name: &str, text: &str) -> Result<ComponentDigest, Problem> {
    text.parse().map_err(|_| {
        bad(name, "must be a component's digest: `sha256:` and 64 hexadecimal digits in lower case")
    })
}

/// Which page of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    pub after: Option<ComponentDigest>,
    pub limit: usize,
}

impl Page {
    pub fn read(query: &str) -> Result<Self, Problem> {
        let mut page = Self { after: None, limit: DEFAULT_LIMIT };
        parameters(query, &["after", "limit"], |name, value| {
            if name == "after" {
                page.after = Some(digest(name, value)?);
            } else {
                let limit = value.parse().ok().filter(|n| (1..=MAX_LIMIT).contains(n));
                page.limit = limit.ok_or_else(|| bad(name, "must be a number from 1 to 1000"))?;
            }
            Ok(())
        })?;
        Ok(page)
    }
}

/// Two components to compare; the first is the active one unless it is named.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub from: Option<ComponentDigest>,
    pub to: ComponentDigest,
}

impl Pair {
    pub fn read(query: &str) -> Result<Self, Problem> {
        let (mut from, mut to) = (None, None);
        parameters(query, &["from", "to"], |name, value| {
            let digest = digest(name, value)?;
            *(if name == "from" { &mut from } else { &mut to }) = Some(digest);
            Ok(())
        })?;
        let to =
            to.ok_or_else(|| bad("to", "is missing: the digest of the component to compare"))?;
        Ok(Self { from, to })
    }
}

fn parameters(
    query: &str,
    known: &[&str],
    mut each: impl FnMut(&str, &str) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut seen = Vec::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if !known.contains(&&*name) {
            return Err(bad(&name, "no such query parameter; docs/api.md lists them"));
        }
        if seen.contains(&name) {
            return Err(bad(&name, "is given twice"));
        }
        each(&name, &value)?;
        seen.push(name);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let page = Page::read(&format!("after={digest}&limit=7")).unwrap();
        assert_eq!((page.after.unwrap().as_str(), page.limit), (&*digest, 7));
        assert_eq!(Page::read("").unwrap(), Page { after: None, limit: 100 });
        let pair = Pair::read(&format!("to={digest}")).unwrap();
        assert_eq!((pair.from, pair.to.as_str()), (None, &*digest));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, field) in [
            ("limit=0", "/limit"),
            ("limit=1001", "/limit"),
            ("limit=", "/limit"),
            ("limit=1&limit=2", "/limit"),
            ("after=sha256:", "/after"),
            ("after=..%2Fx", "/after"),
            ("page=1", "/page"),
        ] {
            let problem = Page::read(query).unwrap_err();
            assert_eq!(problem.code, Code::InvalidRequest, "{query}");
            assert_eq!(problem.field.as_deref(), Some(field), "{query}");
        }
        assert_eq!(Pair::read("").unwrap_err().field.as_deref(), Some("/to"));
        assert_eq!(Pair::read("from=x").unwrap_err().field.as_deref(), Some("/from"));
    }
}
