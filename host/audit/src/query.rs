//! Looking entries up: by filters, page by page, in their order.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::dir::{self, Part};
use crate::line;

/// Most bytes read for one page: what answers it stays quick, however large the log.
const MAX_READ: u64 = 64 << 20;

/// Which entries. What is none is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// About this tenant.
    pub tenant: Option<String>,
    /// By this subject.
    pub subject: Option<String>,
    /// This operation; one that ends in `.` stands for all that begin so.
    pub operation: Option<String>,
    /// In which this key took part.
    pub key: Option<String>,
    /// That ended so.
    pub outcome: Option<Outcome>,
    /// Of this request.
    pub request_id: Option<String>,
    /// Not before, in milliseconds since the Unix epoch.
    pub since_ms: Option<u64>,
    /// Before, in milliseconds since the Unix epoch.
    pub until_ms: Option<u64>,
    /// With a higher sequence number.
    pub after: u64,
    /// How many at most.
    pub limit: usize,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With a status below 400.
    Ok,
    /// With another.
    Failed,
    /// With this status.
    Status(u16),
    /// With this code, or an item of it did.
    Code(String),
}

impl Outcome {
    /// `ok`, `failed`, a status, or a code.
    pub fn read(text: &str) -> Option<Self> {
        match text {
            "ok" => Some(Self::Ok),
            "failed" => Some(Self::Failed),
            text => match text.parse() {
                Ok(status) if (100..600).contains(&status) => Some(Self::Status(status)),
                Ok(_) => None,
                Err(_) => {
                    let good = |byte: u8| {
                        byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit()
                    };
                    let is_code = (1..=64).contains(&text.len()) && text.bytes().all(good);
                    is_code.then(|| Self::Code(text.to_owned()))
                }
            },
        }
    }
}

/// Some entries that were asked for.
#[derive(Debug, Default)]
pub struct Page {
    /// The entries as they stand in the log.
    pub entries: Vec<Box<RawValue>>,
    /// [`Query::after`] of the next page, if there may be one.
    pub next: Option<u64>,
}

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

impl Query {
    fn wants(&self, seen: &Seen<'_>) -> bool {
        let same = |wanted: &Option<String>, text: &str| {
            wanted.as_ref().is_none_or(|wanted| wanted == text)
        };
        let operation = self.operation.as_deref().is_none_or(|wanted| {
            wanted == seen.operation
                || (wanted.ends_with('.') && seen.operation.starts_with(wanted))
        });
        let key = self.key.as_deref().is_none_or(|wanted| {
            wanted == seen.key || seen.also.iter().any(|used| used.key == wanted)
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
            && key
            && outcome
            && same(&self.tenant, &seen.tenant)
            && same(&self.subject, &seen.subject)
            && same(&self.request_id, &seen.request_id)
            && self.since_ms.is_none_or(|since| seen.time_ms >= since)
            && self.until_ms.is_none_or(|until| seen.time_ms < until)
    }

    /// A text that a line must have to be wanted: most are left aside without being parsed.
    fn needle(&self) -> Option<Vec<u8>> {
        let texts = [&self.request_id, &self.key, &self.subject, &self.tenant];
        let text = texts.into_iter().flatten().next()?;
        let mut needle = Vec::new();
        line::push_string(&mut needle, text);
        Some(needle)
    }
}

/// A page of the log in `dir`. Blocks.
pub fn query(dir: &Path, query: &Query) -> io::Result<Page> {
    let parts = match dir::parts(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Page::default()),
        parts => parts?,
    };
    let needle = query.needle();
    let needle = needle.as_deref().map(memchr::memmem::Finder::new);
    let from = parts.iter().rposition(|part| part.first <= query.after + 1).unwrap_or(0);
    let (mut page, mut read, mut line) = (Page::default(), 0, Vec::new());
    for (index, part) in parts.iter().enumerate().skip(from) {
        let mut reader = BufReader::with_capacity(256 << 10, File::open(&part.path)?);
        if index == from {
            skip_to(&mut reader, part, query.after)?;
        }
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line)?;
            // What is not whole is being written.
            let Some(whole) = line.strip_suffix(b"\n") else { break };
            let Some((seq, _)) = line::start_of(whole) else { continue };
            if seq <= query.after {
                continue;
            }
            read += length as u64;
            if needle.as_ref().is_none_or(|needle| needle.find(whole).is_some())
                && let Ok(seen) = serde_json::from_slice(whole)
                && query.wants(&seen)
                && let Ok(text) = std::str::from_utf8(whole)
                && let Ok(entry) = RawValue::from_string(text.to_owned())
            {
                page.entries.push(entry);
            }
            if page.entries.len() >= query.limit || read >= MAX_READ {
                page.next = Some(seq);
                return Ok(page);
            }
        }
    }
    Ok(page)
}

/// Goes near the first entry after `after`, never past it: entries are in order, so by halving.
pub(crate) fn skip_to(reader: &mut BufReader<File>, part: &Part, after: u64) -> io::Result<()> {
    let (mut low, mut high) = (0, reader.get_ref().metadata()?.len());
    let mut line = Vec::new();
    while part.first <= after && high - low > 64 << 10 {
        let middle = low + (high - low) / 2;
        reader.seek(SeekFrom::Start(middle))?;
        // The rest of a line, and then a whole one.
        line.clear();
        let rest = reader.read_until(b'\n', &mut line)? as u64;
        line.clear();
        reader.read_until(b'\n', &mut line)?;
        match line::start_of(&line) {
            Some((seq, _)) if seq <= after => low = middle + rest,
            _ => high = middle,
        }
    }
    reader.seek(SeekFrom::Start(low))?;
    Ok(())
}
