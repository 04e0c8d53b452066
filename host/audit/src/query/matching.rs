//! Whether a line is what was asked for.

use std::borrow::Cow;

use memchr::memmem::Finder;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Outcome, Page, Query, Sight};
use crate::event::{FILE, FileLine, KEYS};
use crate::line;
use crate::sealed::{Index, Opener};

/// What filters look at.
#[derive(Deserialize)]
struct Seen<'a> {
    #[serde(default)]
    time_ms: u64,
    #[serde(borrow, default)]
    request_id: Cow<'a, str>,
    #[serde(borrow, default)]
    tenant: Cow<'a, str>,
    #[serde(borrow, default)]
    subject: Cow<'a, str>,
    #[serde(borrow, default)]
    credential: Cow<'a, str>,
    #[serde(borrow, default)]
    operation: Cow<'a, str>,
    #[serde(borrow, default)]
    key: Cow<'a, str>,
    #[serde(borrow, default)]
    also: Vec<SeenUse<'a>>,
    #[serde(default)]
    status: u16,
    #[serde(borrow, default)]
    code: Cow<'a, str>,
    #[serde(borrow, default)]
    items: SeenItems<'a>,
    #[serde(borrow, default)]
    terms: Option<SeenTerms<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct SeenTerms<'a> {
    tenant: &'a str,
    subject: &'a str,
    credential: &'a str,
    #[serde(borrow)]
    key: Vec<&'a str>,
}

#[derive(Deserialize)]
struct SeenUse<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
}

#[derive(Default, Deserialize)]
struct SeenItems<'a> {
    #[serde(borrow, default)]
    failed: std::collections::BTreeMap<Cow<'a, str>, u64>,
}

/// The terms of what is asked for, under the key of some entries.
#[derive(Default)]
struct Terms {
    tenant: Option<String>,
    subject: Option<String>,
    credential: Option<String>,
    key: Option<String>,
}

impl Terms {
    fn of(query: &Query, index: &Index) -> Self {
        let term =
            |field, value: &Option<String>| value.as_ref().map(|value| index.term(field, value));
        Self {
            tenant: term("tenant", &query.tenant),
            subject: term("subject", &query.subject),
            credential: term("credential", &query.credential),
            key: term("key", &query.key),
        }
    }

    fn fit(&self, found: &SeenTerms<'_>) -> bool {
        let same = |wanted: &Option<String>, term: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == term)
        };
        same(&self.tenant, found.tenant)
            && same(&self.subject, found.subject)
            && same(&self.credential, found.credential)
            && self.key.as_deref().is_none_or(|wanted| found.key.contains(&wanted))
    }
}

impl Query {
    /// Whether the fields that are never sealed are as asked for.
    fn wants(&self, seen: &Seen<'_>) -> bool {
        let operation = self.operation.as_deref().is_none_or(|wanted| {
            wanted == seen.operation
                || (wanted.ends_with('.') && seen.operation.starts_with(wanted))
        });
        let outcome = self.outcome.as_ref().is_none_or(|wanted| match wanted {
            Outcome::Ok => (1..400).contains(&seen.status),
            Outcome::Failed => seen.status >= 400,
            Outcome::Status(status) => seen.status == *status,
            Outcome::Code(code) => {
                seen.code == code.as_str() || seen.items.failed.contains_key(code.as_str())
            }
        });
        operation
            && outcome
            && self.request_id.as_ref().is_none_or(|wanted| *wanted == seen.request_id)
            && self.since_ms.is_none_or(|since| seen.time_ms >= since)
            && self.until_ms.is_none_or(|until| seen.time_ms < until)
    }

    /// The fields that may be sealed, where they are not.
    fn fits(&self, seen: &Seen<'_>) -> bool {
        let same = |wanted: &Option<String>, text: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == text)
        };
        same(&self.tenant, &seen.tenant)
            && same(&self.subject, &seen.subject)
            && same(&self.credential, &seen.credential)
            && self.key.as_deref().is_none_or(|wanted| {
                wanted == seen.key || seen.also.iter().any(|used| used.key == wanted)
            })
    }

    fn asks_for_sealed(&self) -> bool {
        [&self.tenant, &self.subject, &self.credential, &self.key].into_iter().any(Option::is_some)
    }

    /// Texts of which a line must have one to be wanted: most are left aside without being parsed.
    fn needles(&self, terms: Option<&Terms>) -> Vec<Finder<'static>> {
        let finder = |text: &str| {
            let mut needle = Vec::new();
            line::push_string(&mut needle, text);
            Finder::new(&needle).into_owned()
        };
        if let Some(request_id) = &self.request_id {
            return vec![finder(request_id)];
        }
        let none = Terms::default();
        let terms = terms.unwrap_or(&none);
        let either = [
            (&self.key, &terms.key),
            (&self.credential, &terms.credential),
            (&self.subject, &terms.subject),
            (&self.tenant, &terms.tenant),
        ];
        let asked = either.into_iter().find(|(text, _)| text.is_some());
        asked
            .into_iter()
            .flat_map(|(text, term)| [text, term])
            .flatten()
            .map(|t| finder(t))
            .collect()
    }
}

/// A query under way: what is known of the lines that come next.
pub(super) struct Looking<'a> {
    query: &'a Query,
    terms: Option<Terms>,
    needles: Vec<Finder<'static>>,
    opener: Option<Opener<'a>>,
}

impl<'a> Looking<'a> {
    pub(super) fn new(query: &'a Query, sight: Sight<'a>) -> Self {
        let (terms, opener) = match sight {
            Sight::Nothing => (None, None),
            Sight::Terms(index) => (Some(Terms::of(query, index)), None),
            Sight::Fields(unseal) => (None, Some(Opener::new(unseal))),
        };
        let needles = query.needles(terms.as_ref());
        Self { query, terms, needles, opener }
    }

    /// Whether it has to see every file from its first line.
    pub(super) fn needs_keys(&self) -> bool {
        self.opener.is_some()
    }

    /// Takes from a line what the following ones are read with.
    pub(super) fn learn(&mut self, kind: &[u8], line: &[u8]) {
        let Some(opener) = &mut self.opener else { return };
        if kind == FILE.as_bytes() {
            opener.begin(FileLine::read(line).map(|file| file.log).unwrap_or_default());
        } else if kind == KEYS.as_bytes() {
            self.terms = opener.take(line).map(|index| Terms::of(self.query, &index));
            self.needles = self.query.needles(self.terms.as_ref());
        }
    }

    /// Adds the line to the page if it is wanted.
    pub(super) fn look(&self, line: &[u8], page: &mut Page) {
        let has = |needle: &Finder<'_>| needle.find(line).is_some();
        // Who sees no terms is told how many entries those are.
        let is_told = self.terms.is_none() && self.query.asks_for_sealed();
        if !self.needles.is_empty() && !self.needles.iter().any(has) && !is_told {
            return;
        }
        let Ok(seen) = serde_json::from_slice::<Seen<'_>>(line) else { return };
        if !self.query.wants(&seen) {
            return;
        }
        let opened = match (&seen.terms, &self.terms) {
            (None, _) if !self.query.fits(&seen) => return,
            (None, _) => None,
            (Some(found), Some(terms)) if !terms.fit(found) => return,
            (Some(_), Some(_)) => self.open(line, page),
            (Some(_), None) => {
                page.unseen += 1;
                if self.query.asks_for_sealed() {
                    return;
                }
                None
            }
        };
        let text = String::from_utf8(opened.unwrap_or_else(|| line.to_vec()));
        page.entries.extend(text.ok().and_then(|text| RawValue::from_string(text).ok()));
    }

    /// A sealed line opened, by who can.
    fn open(&self, line: &[u8], page: &mut Page) -> Option<Vec<u8>> {
        let opened = self.opener.as_ref()?.open(line);
        page.unseen += u64::from(opened.is_none());
        opened
    }
}
