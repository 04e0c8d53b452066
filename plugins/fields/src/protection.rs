//! Protects and reveals documents: collects the fields, asks the host for all of them in a few
//! calls, and puts the results in their places.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use keyward_policy::{Ciphertext, Error, Key, Plaintext, Request, bind};

use crate::document::{Walker, pointer_at};
use crate::json::{self, Kind};
use crate::mask::mask;
use crate::rules::{DETERMINISTIC_KEY, KEY, Protection, Rules};

/// Keeps this policy's authenticated data apart from any other's.
const DOMAIN: &[u8] = b"keyward fields v1";
/// Begins every protected field.
const PREFIX: &str = "kw1.";
/// Fields in one call of the host: bounds what a call copies, and costs little.
const BATCH: usize = 512;

/// A place in the document and what it becomes.
struct Edit {
    place: Range<usize>,
    replacement: String,
}

/// Fields that go to the host with one key. Each belongs to an edit, by number.
struct Batch<T> {
    key: &'static str,
    items: Vec<T>,
    edits: Vec<usize>,
}

impl<T> Batch<T> {
    fn new(key: &'static str) -> Self {
        Self { key, items: Vec::new(), edits: Vec::new() }
    }

    fn push(&mut self, item: T, edit: usize) {
        self.items.push(item);
        self.edits.push(edit);
    }

    /// Has the items processed, and `put`s each result with the number of its edit.
    fn run(
        &self,
        process: impl Fn(&Key, &[T]) -> Vec<Result<Vec<u8>, Error>>,
        mut put: impl FnMut(usize, Result<Vec<u8>, Error>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if self.items.is_empty() {
            return Ok(());
        }
        let key = Key::open(self.key)?;
        for (items, edits) in self.items.chunks(BATCH).zip(self.edits.chunks(BATCH)) {
            let results = process(&key, items);
            if results.len() != items.len() {
                return Err(Error::unavailable("the host answered in part"));
            }
            for (edit, result) in edits.iter().zip(results) {
                put(*edit, result)?;
            }
        }
        Ok(())
    }
}

/// The document with every field protected as its rule says.
pub fn protect(rules: &Rules, request: &Request, text: &str) -> Result<String, Error> {
    let mut edits = Vec::new();
    let mut random = Batch::new(KEY);
    let mut deterministic = Batch::new(DETERMINISTIC_KEY);
    let mut walker = Walker::new(text);
    while let Some(kind) = walker.next()? {
        let Some(protection) = protection(rules, walker.path(), kind) else {
            continue;
        };
        match protection {
            Protection::Clear => {
                walker.take()?;
            }
            Protection::Drop => {
                let cut = walker.cut()?;
                let gone = if cut.is_some() { "" } else { "null" };
                let place = cut.unwrap_or(0..text.len());
                edits.push(Edit { place, replacement: gone.to_owned() });
            }
            Protection::Encrypt | Protection::Deterministic | Protection::Mask { .. } => {
                let aad = authenticated_data(walker.path(), request);
                let place = walker.take()?;
                let value = &text[place.clone()];
                if is_protected(value) {
                    return Err(at(text, &place, "is protected already"));
                }
                let edit = edits.len();
                if protection == Protection::Deterministic {
                    // One text for one string, however it was escaped.
                    let data = match kind {
                        Kind::String => json::quote(&json::unquote(value)).into_bytes(),
                        _ => value.as_bytes().to_vec(),
                    };
                    deterministic.push(Plaintext { data, aad }, edit);
                } else {
                    random.push(Plaintext { data: value.as_bytes().to_vec(), aad }, edit);
                }
                edits.push(Edit { place, replacement: String::new() });
            }
        }
    }
    for batch in [random, deterministic] {
        batch.run(Key::encrypt_many, |edit, result| {
            let ciphertext = result?;
            let field = &mut edits[edit].replacement;
            field.reserve_exact(PREFIX.len() + 2 + ciphertext.len().div_ceil(3) * 4);
            field.push('"');
            field.push_str(PREFIX);
            URL_SAFE_NO_PAD.encode_string(&ciphertext, field);
            field.push('"');
            Ok(())
        })?;
    }
    Ok(apply(text, &edits))
}

/// The document as the caller may see it.
pub fn reveal(rules: &Rules, request: &Request, text: &str) -> Result<String, Error> {
    let mut edits = Vec::new();
    let mut masks = Vec::new();
    let mut random = Batch::new(KEY);
    let mut deterministic = Batch::new(DETERMINISTIC_KEY);
    let mut walker = Walker::new(text);
    while let Some(kind) = walker.next()? {
        let Some(protection) = protection(rules, walker.path(), kind) else {
            continue;
        };
        let revealed_to = rules
            .rule_for(walker.path())
            .map_or(rules.unlisted_revealed_to, |rule| rule.revealed_to);
        let revealed = request.caller.has_any_role(revealed_to);
        let batch = match protection {
            Protection::Clear | Protection::Drop => {
                walker.take()?;
                continue;
            }
            Protection::Deterministic => &mut deterministic,
            Protection::Encrypt | Protection::Mask { .. } => &mut random,
        };
        let aad = authenticated_data(walker.path(), request);
        let place = walker.take()?;
        let data = ciphertext(&text[place.clone()])
            .ok_or_else(|| at(text, &place, "is not a protected field"))?;
        let mask = match protection {
            Protection::Mask { keep } if !revealed => Some(keep),
            _ if !revealed => continue,
            _ => None,
        };
        batch.push(Ciphertext { data, aad }, edits.len());
        edits.push(Edit { place, replacement: String::new() });
        masks.push(mask);
    }
    for batch in [random, deterministic] {
        batch.run(Key::decrypt_many, |edit, result| {
            let Edit { place, replacement } = &mut edits[edit];
            let value = result.map_err(|error| match error {
                Error::Invalid(_) => at(text, place, "does not open: damaged, or of another field"),
                other => other,
            })?;
            let value = String::from_utf8(value).ok().filter(|value| json::is_value(value));
            let value = value.ok_or_else(|| at(text, place, "does not hold JSON"))?;
            *replacement = match masks[edit] {
                Some(keep) => mask(&value, keep),
                None => value,
            };
            Ok(())
        })?;
    }
    Ok(apply(text, &edits))
}

/// What happens to the value at a path; `None`: look at what is inside.
fn protection(rules: &Rules, path: &str, kind: Kind) -> Option<Protection> {
    if let Some(rule) = rules.rule_for(path) {
        return Some(rule.protection);
    }
    let scalar = !matches!(kind, Kind::ObjectStart | Kind::ArrayStart);
    (scalar && rules.unlisted != Protection::Clear).then_some(rules.unlisted)
}

/// What a field's ciphertext is bound to: its path and the request's context. Not the index, so
/// that arrays can be sorted and cut.
fn authenticated_data(path: &str, request: &Request) -> Vec<u8> {
    let context = request.bound_context().unwrap_or_default();
    let mut aad = Vec::with_capacity(DOMAIN.len() + path.len() + context.len() + 12);
    bind(&mut aad, DOMAIN);
    bind(&mut aad, path.as_bytes());
    bind(&mut aad, context);
    aad
}

fn is_protected(value: &str) -> bool {
    value.strip_prefix('"').is_some_and(|text| text.starts_with(PREFIX))
}

/// The ciphertext in a protected field's value.
fn ciphertext(value: &str) -> Option<Vec<u8>> {
    let text = value.strip_prefix('"')?.strip_suffix('"')?.strip_prefix(PREFIX)?;
    URL_SAFE_NO_PAD.decode(text).ok()
}

fn at(text: &str, place: &Range<usize>, problem: &str) -> Error {
    Error::invalid([&pointer_at(text, place.start), " ", problem].concat())
}

/// The text with all edits made; they are in the text's order and do not overlap.
fn apply(text: &str, edits: &[Edit]) -> String {
    let kept: usize = text.len() - edits.iter().map(|edit| edit.place.len()).sum::<usize>();
    let added: usize = edits.iter().map(|edit| edit.replacement.len()).sum();
    let mut result = String::with_capacity(kept + added);
    let mut copied = 0;
    for edit in edits {
        result.push_str(&text[copied..edit.place.start]);
        result.push_str(&edit.replacement);
        copied = edit.place.end;
    }
    result.push_str(&text[copied..]);
    result
}
