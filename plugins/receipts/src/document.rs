//! JSON of which two readers cannot think differently.
//!
//! What is signed must mean the same to everybody. Parsers differ on a name that occurs twice and
//! on numbers beyond what a double holds, so neither is accepted.

use std::fmt;

use keyward_policy::Error;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// Most containers within each other. Reading and writing recurse on a guest's small stack.
pub const MAX_DEPTH: usize = 16;

/// Largest magnitude up to which every integer is a double of its own: 2^53 - 1.
const MAX_NUMBER: u64 = (1 << 53) - 1;

/// Reads JSON that nests at most `depth` deep.
pub fn read<'a, T: Deserialize<'a>>(text: &'a [u8], depth: usize) -> Result<T, Error> {
    if depth_of(text) > depth {
        return Err(Error::invalid(format!("nested more than {depth} deep")));
    }
    serde_json::from_slice(text)
        .map_err(|error| Error::invalid(["not accepted: ", &without_value(&error)].concat()))
}

/// What is wrong, without the value it is wrong with: errors reach logs, documents do not.
fn without_value(error: &serde_json::Error) -> String {
    let text = error.to_string();
    // `invalid type: string "…", expected …`: what follows the last comma is serde's own.
    match text.rsplit_once(", expected ") {
        Some((value, expected)) if value.starts_with("invalid ") => {
            ["expected ", expected].concat()
        }
        _ => text,
    }
}

/// How deep `text` nests, if it is JSON; of anything else, a number.
fn depth_of(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// Any JSON value, strictly.
#[derive(Debug, Clone, PartialEq)]
pub struct Document(pub Value);

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Strict).map(Self)
    }
}

struct Strict;

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Value, E> {
        within(value.unsigned_abs() <= MAX_NUMBER)?;
        Ok(value.into())
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Value, E> {
        within(value <= MAX_NUMBER)?;
        Ok(value.into())
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        // Exact: it is less than 2^53.
        #[expect(clippy::cast_precision_loss, reason = "none is lost")]
        within(value.abs() <= MAX_NUMBER as f64)?;
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut array = Vec::new();
        while let Some(Document(element)) = elements.next_element()? {
            array.push(element);
        }
        Ok(Value::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Document(value))) = members.next_entry::<String, _>()? {
            if object.contains_key(&name) {
                return Err(A::Error::custom(format!("the name {name:?} occurs twice")));
            }
            object.insert(name, value);
        }
        Ok(Value::Object(object))
    }
}

fn within<E: serde::de::Error>(range: bool) -> Result<(), E> {
    if range {
        return Ok(());
    }
    Err(E::custom("a number beyond ±(2^53 - 1), which readers round: write it as a string"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_everybody_reads_the_same_way_is_accepted() {
        for text in [
            "null",
            "[true,false,-9007199254740991,9007199254740991,0.5,-0.0,1e15]",
            r#"{"a":{"a":1},"b":[{"a":"\u0061"}]}"#,
        ] {
            let Document(value) = read(text.as_bytes(), 8).unwrap();
            assert_eq!(value, serde_json::from_str::<Value>(text).unwrap());
        }
        for (text, why) in [
            (r#"{"a":1,"b":2,"a":1}"#, "\"a\" occurs twice"),
            (r#"[{"x":{"a":1,"\u0061":1}}]"#, "\"a\" occurs twice"),
            ("9007199254740992", "2^53"),
            ("-9007199254740992", "2^53"),
            ("18446744073709551616", "2^53"),
            ("1e300", "2^53"),
            ("1e400", "not accepted"),
            ("NaN", "not accepted"),
            ("[1,]", "not accepted"),
            ("{} {}", "not accepted"),
            ("", "not accepted"),
            ("\"\\ud800\"", "not accepted"),
        ] {
            let refused = read::<Document>(text.as_bytes(), 8).unwrap_err();
            assert!(matches!(&refused, Error::Invalid(said) if said.contains(why)), "{refused}");
        }
        assert!(read::<Document>(b"\"\xff\"", 8).is_err());
    }

    #[test]
    fn errors_do_not_repeat_values() {
        for text in [r#"{"a":"secret"}"#, "\"secret\"", r#"["secret, expected nothing"]"#] {
            let refused = read::<std::collections::BTreeMap<String, u8>>(text.as_bytes(), 8);
            let Err(Error::Invalid(said)) = refused else { panic!("{text}") };
            assert!(said.starts_with("not accepted: expected "), "{said}");
            assert!(!said.contains("secret") && said.contains("line 1"), "{said}");
        }
    }

    #[test]
    fn depth_is_counted_outside_of_strings() {
        for (text, depth) in [
            ("1", 0),
            ("[]", 1),
            (r#"[{"a":[]},[]]"#, 3),
            (r#"["[[[","\"[[","\\",{}]"#, 2),
            ("]]][", 1),
        ] {
            assert_eq!(depth_of(text.as_bytes()), depth, "{text}");
        }
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read::<Document>(nested(4).as_bytes(), 4).is_ok());
        assert!(read::<Document>(nested(5).as_bytes(), 4).is_err());
    }
}
