//! Looking entries up: by filters, page by page, in their order.

mod matching;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::path::Path;

use serde_json::value::RawValue;

use self::matching::Looking;
use crate::dir::{self, Part};
use crate::line;
use crate::sealed::{Index, Unseal};

/// Most bytes read for one page: what answers it stays quick, however large the log.
const MAX_READ: u64 = 64 << 20;

/// Which entries. What is none is not asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// About this tenant.
    pub tenant: Option<String>,
    /// By this subject.
    pub subject: Option<String>,
    /// With the credential of this public identifier.
    pub credential: Option<String>,
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

/// What is seen of sealed entries.
#[derive(Clone, Copy)]
pub enum Sight<'a> {
    /// Nothing: what asks for a sealed field finds none of them.
    Nothing,
    /// Their terms: they are found, and stay sealed.
    Terms(&'a Index),
    /// All, where they are sealed to this auditor.
    Fields(Unseal<'a>),
}

/// Some entries that were asked for.
#[derive(Debug, Default)]
pub struct Page {
    /// The entries as they stand in the log, or opened.
    pub entries: Vec<Box<RawValue>>,
    /// [`Query::after`] of the next page, if there may be one.
    pub next: Option<u64>,
    /// Sealed entries that were read on the way and not seen into: they are shown sealed, or were left
    /// aside although they might be among what was asked for.
    pub unseen: u64,
}

/// A page of the log in `dir`. Blocks.
pub fn query(dir: &Path, query: &Query, sight: Sight<'_>) -> io::Result<Page> {
    let parts = match dir::parts(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Page::default()),
        parts => parts?,
    };
    let mut looking = Looking::new(query, sight);
    let from = parts.iter().rposition(|part| part.first <= query.after + 1).unwrap_or(0);
    let (mut page, mut read, mut line) = (Page::default(), 0, Vec::new());
    for (index, part) in parts.iter().enumerate().skip(from) {
        let mut reader = BufReader::with_capacity(256 << 10, File::open(&part.path)?);
        if index == from && !looking.needs_keys() {
            skip_to(&mut reader, part, query.after)?;
        }
        loop {
            line.clear();
            let length = reader.read_until(b'\n', &mut line)?;
            // What is not whole is being written.
            let Some(whole) = line.strip_suffix(b"\n") else { break };
            let Some((seq, kind)) = line::start_of(whole) else { continue };
            looking.learn(kind, whole);
            if seq <= query.after {
                continue;
            }
            read += length as u64;
            looking.look(whole, &mut page);
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
