//! What a caller sees of a value that is not theirs to see.

use std::borrow::Cow;

use crate::json;

/// Stands for values of which nothing is shown, whatever their length.
const HIDDEN: &str = "\"****\"";

/// A string token for a value: letters and digits become `*`, all but the last `keep`. What
/// separates them stays, so a card number is still recognised as one. Shows nothing of a value
/// with fewer than twice `keep` letters and digits, nor of one that is neither string nor number.
pub fn mask(value: &str, keep: usize) -> String {
    let text = match value.trim().as_bytes().first() {
        Some(b'"') => json::unquote(value.trim()),
        Some(b'-' | b'0'..=b'9') => Cow::Borrowed(value.trim()),
        _ => return HIDDEN.to_owned(),
    };
    let shown = |character: &char| character.is_ascii_alphanumeric() || !character.is_ascii();
    let length = text.chars().filter(shown).count();
    if length < keep.saturating_mul(2) || length == 0 {
        return HIDDEN.to_owned();
    }
    let mut left = length;
    let masked: String = text
        .chars()
        .map(|character| {
            if !shown(&character) {
                return character;
            }
            left -= 1;
            if left < keep { character } else { '*' }
        })
        .collect();
    json::quote(&masked)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_end_and_the_form() {
        for (value, keep, expected) in [
            ("\"4111 1111 1111 1234\"", 4, "\"**** **** **** 1234\""),
            ("\"DE89-3704-0044\"", 4, "\"****-****-0044\""),
            ("4111111111111234", 4, "\"************1234\""),
            ("\"secret\"", 0, "\"******\""),
            ("\"secret\"", 4, "\"****\""),
            ("\"Ærø Ærø\"", 1, "\"*** **ø\""),
            ("\"\"", 4, "\"****\""),
            ("\"a\\\"b\"", 1, "\"*\\\"b\""),
            ("true", 4, "\"****\""),
            ("null", 0, "\"****\""),
            ("{\"a\": 1}", 1, "\"****\""),
        ] {
            assert_eq!(mask(value, keep), expected, "{value}");
        }
    }
}
