//! Reads JSON (RFC 8259) where it lies, token by token.
//!
//! A document is edited, never rebuilt: whatever is not protected keeps its bytes, so numbers keep
//! their digits, members their order. That needs the place of every token in the text and no tree,
//! and no recursion on a guest's small stack. Stricter than the RFC in two points: a lone
//! surrogate escape is an error, and so is nesting beyond [`MAX_DEPTH`].

use std::borrow::Cow;
use std::ops::Range;

/// Most containers within each other; what common parsers accept, so that what is written here
/// can be read there.
pub const MAX_DEPTH: usize = 128;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    ObjectStart,
    ObjectEnd,
    ArrayStart,
    ArrayEnd,
    /// A member's name; its value follows.
    Name,
    String,
    Number,
    /// `true`, `false` or `null`.
    Literal,
}

/// A token and its place in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub span: Range<usize>,
}

/// Where a text stops being JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyntaxError {
    /// Offset in bytes.
    pub at: usize,
    /// What should be there.
    pub expected: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    FirstElement,
    FirstMember,
    Member,
    CommaOrEnd,
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Container {
    Object,
    Array,
}

/// Yields the tokens of one text.
pub struct Reader<'a> {
    text: &'a str,
    at: usize,
    comma: usize,
    expect: Expect,
    open: Vec<Container>,
}

impl<'a> Reader<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, comma: 0, expect: Expect::Value, open: Vec::new() }
    }

    /// Where the last comma between members or elements was.
    pub fn last_comma(&self) -> usize {
        self.comma
    }

    /// Where the next comma is, if one is next.
    pub fn comma_ahead(&mut self) -> Option<usize> {
        self.skip_whitespace();
        (self.peek() == Some(b',')).then_some(self.at)
    }

    /// The next token; `None` after the text's only value.
    pub fn next(&mut self) -> Result<Option<Token>, SyntaxError> {
        self.skip_whitespace();
        match (self.expect, self.peek()) {
            (Expect::Nothing, None) => Ok(None),
            (Expect::Nothing, Some(_)) => Err(self.error("nothing after the document")),
            (Expect::FirstElement, Some(b']')) | (Expect::FirstMember, Some(b'}')) => {
                Ok(Some(self.close()))
            }
            (Expect::Value | Expect::FirstElement, _) => self.value().map(Some),
            (Expect::FirstMember | Expect::Member, _) => self.name().map(Some),
            (Expect::CommaOrEnd, Some(b',')) => {
                self.comma = self.at;
                self.at += 1;
                self.expect = match self.open.last() {
                    Some(Container::Object) => Expect::Member,
                    _ => Expect::Value,
                };
                self.next()
            }
            (Expect::CommaOrEnd, next) => match (self.open.last(), next) {
                (Some(Container::Object), Some(b'}')) | (Some(Container::Array), Some(b']')) => {
                    Ok(Some(self.close()))
                }
                (Some(Container::Object), _) => Err(self.error("`,` or `}`")),
                _ => Err(self.error("`,` or `]`")),
            },
        }
    }

    fn value(&mut self) -> Result<Token, SyntaxError> {
        let start = self.at;
        let kind = match self.peek() {
            Some(b'{') => return self.enter(Container::Object),
            Some(b'[') => return self.enter(Container::Array),
            Some(b'"') => {
                self.string()?;
                Kind::String
            }
            Some(b'-' | b'0'..=b'9') => {
                self.number()?;
                Kind::Number
            }
            Some(b't') => self.literal("true")?,
            Some(b'f') => self.literal("false")?,
            Some(b'n') => self.literal("null")?,
            _ => return Err(self.error("a value")),
        };
        self.expect = self.after_value();
        Ok(Token { kind, span: start..self.at })
    }

    fn enter(&mut self, container: Container) -> Result<Token, SyntaxError> {
        if self.open.len() == MAX_DEPTH {
            return Err(self.error("no more than 128 levels of nesting"));
        }
        self.open.push(container);
        let kind = match container {
            Container::Object => {
                self.expect = Expect::FirstMember;
                Kind::ObjectStart
            }
            Container::Array => {
                self.expect = Expect::FirstElement;
                Kind::ArrayStart
            }
        };
        self.at += 1;
        Ok(Token { kind, span: self.at - 1..self.at })
    }

    fn close(&mut self) -> Token {
        let kind = match self.open.pop() {
            Some(Container::Object) => Kind::ObjectEnd,
            _ => Kind::ArrayEnd,
        };
        self.expect = self.after_value();
        self.at += 1;
        Token { kind, span: self.at - 1..self.at }
    }

    fn after_value(&self) -> Expect {
        if self.open.is_empty() { Expect::Nothing } else { Expect::CommaOrEnd }
    }

    fn name(&mut self) -> Result<Token, SyntaxError> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.error("a member's name in quotes"));
        }
        self.string()?;
        let span = start..self.at;
        self.skip_whitespace();
        if self.peek() != Some(b':') {
            return Err(self.error("`:`"));
        }
        self.at += 1;
        self.expect = Expect::Value;
        Ok(Token { kind: Kind::Name, span })
    }

    /// Passes a string, which starts here.
    fn string(&mut self) -> Result<(), SyntaxError> {
        self.at += 1;
        loop {
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(());
                }
                Some(b'\\') => {
                    let escape = self.at;
                    self.at += 1;
                    match self.peek() {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => {
                            self.at += 1;
                        }
                        Some(b'u') => {
                            let (_, length) = unicode_escape(&self.text.as_bytes()[escape..])
                                .ok_or_else(|| self.error("a Unicode escape of a character"))?;
                            self.at = escape + length;
                        }
                        _ => return Err(self.error("an escape")),
                    }
                }
                Some(0x20..) => self.at += 1,
                Some(_) => return Err(self.error("an escape instead of a control character")),
                None => return Err(self.error("the end of the string")),
            }
        }
    }

    fn number(&mut self) -> Result<(), SyntaxError> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err(self.error("a digit"));
        }
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
        Ok(())
    }

    fn literal(&mut self, word: &'static str) -> Result<Kind, SyntaxError> {
        let here = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !here.starts_with(word.as_bytes()) {
            return Err(self.error(word));
        }
        self.at += word.len();
        Ok(Kind::Literal)
    }

    fn skip_whitespace(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn error(&self, expected: &'static str) -> SyntaxError {
        SyntaxError { at: self.at, expected }
    }
}

/// Whether the text is one JSON value, with nothing but whitespace around it.
pub fn is_value(text: &str) -> bool {
    let mut reader = Reader::new(text);
    loop {
        match reader.next() {
            Ok(Some(_)) => {}
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
}

/// The characters of a string token, quotes included, that a [`Reader`] has accepted.
pub fn unquote(token: &str) -> Cow<'_, str> {
    let inner = token.get(1..token.len().saturating_sub(1)).unwrap_or_default();
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(escape) = rest.find('\\') {
        text.push_str(&rest[..escape]);
        let bytes = &rest.as_bytes()[escape..];
        let (character, length) = match bytes.get(1) {
            Some(b'b') => ('\u{8}', 2),
            Some(b'f') => ('\u{c}', 2),
            Some(b'n') => ('\n', 2),
            Some(b'r') => ('\r', 2),
            Some(b't') => ('\t', 2),
            Some(b'u') => unicode_escape(bytes).unwrap_or((char::REPLACEMENT_CHARACTER, 2)),
            Some(other) => (char::from(*other), 2),
            None => break,
        };
        text.push(character);
        rest = rest.get(escape + length..).unwrap_or_default();
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// Writes a string token, with the fewest escapes.
pub fn quote(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut token = String::with_capacity(text.len() + 2);
    token.push('"');
    for character in text.chars() {
        match character {
            '"' => token.push_str("\\\""),
            '\\' => token.push_str("\\\\"),
            '\n' => token.push_str("\\n"),
            '\r' => token.push_str("\\r"),
            '\t' => token.push_str("\\t"),
            '\u{8}' => token.push_str("\\b"),
            '\u{c}' => token.push_str("\\f"),
            '\0'..='\u{1f}' => {
                token.push_str("\\u00");
                token.push(char::from(HEX[(character as usize) >> 4]));
                token.push(char::from(HEX[(character as usize) & 15]));
            }
            _ => token.push(character),
        }
    }
    token.push('"');
    token
}

/// The character a `\uXXXX` escape (or a pair of them) stands for, and the escape's length.
fn unicode_escape(bytes: &[u8]) -> Option<(char, usize)> {
    let unit = |at: usize| -> Option<u32> {
        if bytes.get(at..at + 2)? != b"\\u" {
            return None;
        }
        bytes
            .get(at + 2..at + 6)?
            .iter()
            .try_fold(0, |value, digit| Some(value << 4 | char::from(*digit).to_digit(16)?))
    };
    let first = unit(0)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((char::from_u32(first)?, 6));
    }
    let second = unit(6).filter(|second| (0xdc00..0xe000).contains(second))?;
    let character = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
    Some((char::from_u32(character)?, 12))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> SyntaxError {
        let mut reader = Reader::new(text);
        loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("accepted: {text}"),
                Err(error) => return error,
            }
        }
    }

    #[test]
    fn says_where_a_text_stops_being_json() {
        for (text, at, expected) in [
            ("", 0, "a value"),
            ("  x", 2, "a value"),
            ("{\"a\" 1}", 5, "`:`"),
            ("{a: 1}", 1, "a member's name in quotes"),
            ("{\"a\": 1,}", 8, "a member's name in quotes"),
            ("[1,]", 3, "a value"),
            ("[1 2]", 3, "`,` or `]`"),
            ("{\"a\": 1]", 7, "`,` or `}`"),
            ("[1", 2, "`,` or `]`"),
            ("\"ab", 3, "the end of the string"),
            ("\"a\nb\"", 2, "an escape instead of a control character"),
            ("\"\\x\"", 2, "an escape"),
            ("\"\\ud800\"", 2, "a Unicode escape of a character"),
            ("01", 1, "nothing after the document"),
            ("-", 1, "a digit"),
            ("1.", 2, "a digit"),
            ("1e+", 3, "a digit"),
            ("nul", 0, "null"),
            ("1 2", 2, "nothing after the document"),
        ] {
            assert_eq!(error(text), SyntaxError { at, expected }, "{text}");
        }
    }

    #[test]
    fn nests_as_deep_as_it_says() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(is_value(&nested(MAX_DEPTH)));
        assert_eq!(error(&nested(MAX_DEPTH + 1)).at, MAX_DEPTH);
    }

    #[test]
    fn unquotes_escapes() {
        let token = r#""a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00z""#;
        assert_eq!(unquote(token), "a\"\\/\u{8}\u{c}\n\r\té😀z");
        assert!(matches!(unquote("\"plain\""), Cow::Borrowed("plain")));
    }

    proptest! {
        #[test]
        fn accepts_what_serde_json_accepts(text in r#"[\[\]{}:,"\\a0-9eE.+\- tfnulrs]{0,12}"#) {
            let accepted = serde_json::from_str::<&serde_json::value::RawValue>(&text).is_ok();
            prop_assert_eq!(is_value(&text), accepted);
        }

        #[test]
        fn quoting_and_unquoting_is_the_identity(text in any::<String>()) {
            let token = quote(&text);
            prop_assert!(is_value(&token));
            prop_assert_eq!(&unquote(&token), &text);
            prop_assert_eq!(serde_json::from_str::<String>(&token).unwrap(), text);
        }
    }
}
