//! The bytes of a line: `BODY` `,"hash":"` 64 hexadecimal digits `"}`, and a newline. What is hashed
//! is what is written; nothing is ever written in two ways.

use crate::hash::Hash;
use crate::time;

/// Stands between the body and the hash.
const BEFORE_HASH: &[u8] = b",\"hash\":\"";
/// Ends the line.
const AFTER_HASH: &[u8] = b"\"}";
/// Of all that follows the body, without the newline.
const SUFFIX: usize = BEFORE_HASH.len() + 64 + AFTER_HASH.len();
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Begins a body: sequence number, kind and time.
pub(crate) fn begin(out: &mut Vec<u8>, seq: u64, kind: &str, time_ms: u64) {
    out.extend_from_slice(b"{\"seq\":");
    push_number(out, seq);
    text(out, "kind", kind);
    number(out, "time_ms", time_ms);
    out.extend_from_slice(b",\"time\":\"");
    time::push_rfc3339(out, time_ms);
    out.push(b'"');
}

/// Appends `,"name":"value"`, escaped.
pub(crate) fn text(out: &mut Vec<u8>, name: &str, value: &str) {
    push_name(out, name);
    push_string(out, value);
}

/// The same unless there is none.
pub(crate) fn optional(out: &mut Vec<u8>, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        text(out, name, value);
    }
}

/// Appends `,"name":value`.
pub(crate) fn number(out: &mut Vec<u8>, name: &str, value: u64) {
    push_name(out, name);
    push_number(out, value);
}

/// Appends `,"name":`.
pub(crate) fn push_name(out: &mut Vec<u8>, name: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}

/// Ends the line: its hash, and the newline.
pub(crate) fn end(out: &mut Vec<u8>, hash: &Hash) {
    out.extend_from_slice(BEFORE_HASH);
    push_hex(out, hash);
    out.extend_from_slice(AFTER_HASH);
    out.push(b'\n');
}

/// Body and hash of a line without its newline; none if it has another form.
pub(crate) fn split(line: &[u8]) -> Option<(&[u8], Hash)> {
    let (body, suffix) = line.split_at_checked(line.len().checked_sub(SUFFIX)?)?;
    let digits = suffix.strip_prefix(BEFORE_HASH)?.strip_suffix(AFTER_HASH)?;
    if !digits.iter().all(|digit| DIGITS.contains(digit)) {
        return None;
    }
    let mut hash = [0; 32];
    hex::decode_to_slice(digits, &mut hash).ok()?;
    Some((body, hash))
}

/// The sequence number and the kind a body begins with, if it begins so.
pub(crate) fn start_of(body: &[u8]) -> Option<(u64, &[u8])> {
    let rest = body.strip_prefix(b"{\"seq\":")?;
    let end = memchr::memchr(b',', rest)?;
    let (digits, rest) = rest.split_at(end);
    if digits.first() == Some(&b'0') || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let seq = std::str::from_utf8(digits).ok()?.parse().ok()?;
    let rest = rest.strip_prefix(b",\"kind\":\"")?;
    Some((seq, &rest[..memchr::memchr(b'"', rest)?]))
}

/// Appends lower-case hexadecimal digits.
pub(crate) fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

/// Appends decimal digits.
pub(crate) fn push_number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = DIGITS[usize::try_from(value % 10).unwrap_or(0)];
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a JSON string, quotes included. Besides what JSON wants escaped, so is every control
/// and line-breaking character: a terminal shows the line as it is.
pub(crate) fn push_string(out: &mut Vec<u8>, value: &str) {
    out.push(b'"');
    let plain = |byte: u8| (0x20..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
    if value.bytes().all(plain) {
        out.extend_from_slice(value.as_bytes());
    } else {
        for c in value.chars() {
            push_char(out, c);
        }
    }
    out.push(b'"');
}

fn push_char(out: &mut Vec<u8>, c: char) {
    match c {
        '"' => out.extend_from_slice(b"\\\""),
        '\\' => out.extend_from_slice(b"\\\\"),
        c if is_hidden(c) => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(b"\\u");
                push_hex(out, &unit.to_be_bytes());
            }
        }
        c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Whether it would not be seen for what it is: controls, line and paragraph separators, and what
/// changes the direction of text or has no width.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_json_in_one_line() {
        for text in ["", "plain", "a\"b\\c", "a\nb\r\u{0}\u{7f}\u{85}\u{2028}\u{202e}é\u{1f512}"] {
            let mut out = Vec::new();
            push_string(&mut out, text);
            assert!(!out.iter().any(u8::is_ascii_control), "{text:?}");
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn a_line_comes_apart_as_it_was_put_together() {
        let mut out = Vec::new();
        begin(&mut out, 17, "request", 0);
        let body = out.clone();
        end(&mut out, &[0xab; 32]);
        let line = out.strip_suffix(b"\n").unwrap();
        assert_eq!(split(line), Some((&body[..], [0xab; 32])));
        assert_eq!(start_of(&body), Some((17, &b"request"[..])));
        serde_json::from_slice::<serde_json::Value>(line).unwrap();
        for bad in ["{\"seq\":017,\"kind\":\"a\"", "{\"seq\":,\"kind\":\"a\"", "{\"seq\":1"] {
            assert_eq!(start_of(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(split(line.to_ascii_uppercase().as_slice()), None);
        assert_eq!(split(b"{}"), None);
    }

    #[test]
    fn numbers() {
        for value in [0, 7, 10, 1_000_000, u64::MAX] {
            let mut out = Vec::new();
            push_number(&mut out, value);
            assert_eq!(out, value.to_string().into_bytes());
        }
    }
}
