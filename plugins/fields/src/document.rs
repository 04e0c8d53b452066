//! Walks a document value by value and knows the JSON Pointer (RFC 6901) of each.

use std::borrow::Cow;
use std::ops::Range;

use keyward_policy::Error;

use crate::json::{self, Kind, Reader, Token};

/// A container the walk is inside of.
struct Level {
    array: bool,
    /// Which element, in an array, from 0.
    index: Option<usize>,
    /// Length of the path of the container itself.
    path_len: usize,
    /// Where this container's names start in [`Walker::names`].
    names_from: usize,
    /// Where the current member or element starts, name included.
    member_start: usize,
    /// Where the comma in front of it is, if it is not the first.
    comma_before: usize,
    /// Whether the current member stays in the document, so far.
    current_stays: bool,
    /// Whether an earlier one stays.
    earlier_stay: bool,
}

/// A walk through one document.
pub struct Walker<'a> {
    text: &'a str,
    reader: Reader<'a>,
    levels: Vec<Level>,
    /// Pointer of the current value, with `*` for every array index.
    path: String,
    /// Names of the members so far of all open objects.
    names: Vec<Cow<'a, str>>,
    /// The value last returned.
    value: Option<Token>,
}

impl<'a> Walker<'a> {
    pub fn new(text: &'a str) -> Self {
        Self {
            text,
            reader: Reader::new(text),
            levels: Vec::new(),
            path: String::new(),
            names: Vec::new(),
            value: None,
        }
    }

    /// The next value, in the document's order: a container comes before what it contains.
    pub fn next(&mut self) -> Result<Option<Kind>, Error> {
        loop {
            let Some(token) = self.token()? else {
                return Ok(None);
            };
            if !matches!(token.kind, Kind::Name | Kind::ObjectEnd | Kind::ArrayEnd) {
                let kind = token.kind;
                self.value = Some(token);
                return Ok(Some(kind));
            }
        }
    }

    /// Pointer of the value last returned, with `*` for every array index. A path, not a place:
    /// an element keeps it when the array is sorted.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The text of the value last returned, all of it; the walk goes on behind it.
    pub fn take(&mut self) -> Result<Range<usize>, Error> {
        let Some(token) = self.value.take() else {
            return Ok(0..0);
        };
        if !matches!(token.kind, Kind::ObjectStart | Kind::ArrayStart) {
            return Ok(token.span);
        }
        let outside = self.levels.len() - 1;
        let mut end = token.span.end;
        while self.levels.len() > outside {
            match self.token()? {
                Some(inner) => end = inner.span.end,
                None => break,
            }
        }
        Ok(token.span.start..end)
    }

    /// Like [`Walker::take`], for a value that is to go: what to cut so that the rest is JSON.
    /// `None` for the document itself.
    pub fn cut(&mut self) -> Result<Option<Range<usize>>, Error> {
        let value = self.take()?;
        let comma_behind = self.reader.comma_ahead();
        let Some(level) = self.levels.last_mut() else {
            return Ok(None);
        };
        level.current_stays = false;
        Ok(Some(if level.earlier_stay {
            level.comma_before..value.end
        } else {
            level.member_start..comma_behind.map_or(value.end, |comma| comma + 1)
        }))
    }

    /// Reads a token and keeps the path.
    fn token(&mut self) -> Result<Option<Token>, Error> {
        let token = match self.reader.next() {
            Ok(Some(token)) => token,
            Ok(None) => return Ok(None),
            Err(error) => return Err(not_json(self.text, error)),
        };
        match token.kind {
            Kind::Name => {
                self.member(token.span.start);
                let name = json::unquote(&self.text[token.span.clone()]);
                push_token(&mut self.path, &name);
                self.names.push(name);
            }
            Kind::ObjectEnd | Kind::ArrayEnd => self.leave()?,
            _ => {
                if self.levels.last().is_some_and(|level| level.array) {
                    self.member(token.span.start);
                    self.path.push_str("/*");
                }
                if matches!(token.kind, Kind::ObjectStart | Kind::ArrayStart) {
                    self.levels.push(Level {
                        array: token.kind == Kind::ArrayStart,
                        index: None,
                        path_len: self.path.len(),
                        names_from: self.names.len(),
                        member_start: token.span.end,
                        comma_before: token.span.end,
                        current_stays: false,
                        earlier_stay: false,
                    });
                }
            }
        }
        Ok(Some(token))
    }

    /// Starts the next member or element of the innermost container.
    fn member(&mut self, start: usize) {
        if let Some(level) = self.levels.last_mut() {
            level.index = Some(level.index.map_or(0, |index| index + 1));
            level.earlier_stay |= level.current_stays;
            level.current_stays = true;
            level.member_start = start;
            level.comma_before = self.reader.last_comma();
            self.path.truncate(level.path_len);
        }
    }

    /// Leaves a container: two members of one name would mean two things to two readers.
    fn leave(&mut self) -> Result<(), Error> {
        let Some(level) = self.levels.pop() else {
            return Ok(());
        };
        self.path.truncate(level.path_len);
        let names = &mut self.names[level.names_from..];
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let name = twice[0].clone();
            let mut pointer = self.pointer();
            push_token(&mut pointer, &name);
            return Err(Error::invalid([&pointer, " is there twice"].concat()));
        }
        self.names.truncate(level.names_from);
        Ok(())
    }

    /// Pointer of the current value, with its real indices.
    fn pointer(&self) -> String {
        let mut pointer = String::new();
        for (depth, level) in self.levels.iter().enumerate() {
            let end = self.levels.get(depth + 1).map_or(self.path.len(), |inner| inner.path_len);
            match level.index {
                Some(index) if level.array => {
                    pointer.push('/');
                    pointer.push_str(&index.to_string());
                }
                _ => pointer.push_str(self.path.get(level.path_len..end).unwrap_or_default()),
            }
        }
        pointer
    }
}

/// The pointer of the value that starts at an offset of a document that has been walked before.
pub fn pointer_at(text: &str, start: usize) -> String {
    let mut walker = Walker::new(text);
    while let Ok(Some(_)) = walker.next() {
        if walker.value.as_ref().is_some_and(|token| token.span.start == start) {
            return walker.pointer();
        }
    }
    String::new()
}

fn push_token(pointer: &mut String, name: &str) {
    pointer.push('/');
    for character in name.chars() {
        match character {
            '~' => pointer.push_str("~0"),
            '/' => pointer.push_str("~1"),
            _ => pointer.push(character),
        }
    }
}

fn not_json(text: &str, error: json::SyntaxError) -> Error {
    let before = text.as_bytes().get(..error.at).unwrap_or_default();
    let (lines, last) = match before.iter().rposition(|byte| *byte == b'\n') {
        Some(end) => (before[..=end].split(|byte| *byte == b'\n').count(), end + 1),
        None => (1, 0),
    };
    let column = before.len() - last + 1;
    Error::invalid(
        [
            "not JSON: line ",
            &lines.to_string(),
            ", column ",
            &column.to_string(),
            " (byte ",
            &error.at.to_string(),
            ") should be ",
            error.expected,
        ]
        .concat(),
    )
}
