//! Reads JSON bodies, and says precisely what is wrong with one.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::error::Category;

use super::Problem;
use crate::errors::Code;

/// Longest detail taken over from the parser.
const MAX_DETAIL: usize = 300;

/// Text borrowed from the body unless it has escapes. (`Option<Cow<str>>` would always copy.)
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Text<'a>(Cow<'a, str>);

impl Text<'_> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Text<'static> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

impl<'a> Text<'a> {
    /// The text, borrowed if it was.
    pub fn into_inner(self) -> Cow<'a, str> {
        self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;

        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(TextVisitor)
    }
}

/// A struct from a JSON object alone. (Derived code takes arrays too, field by field.)
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

/// Reads a body, which must be an object. An error names line and column, or the field.
pub fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, Problem> {
    match serde_json::from_slice(body) {
        Ok(Object(value)) => Ok(value),
        Err(error) => Err(explain::<Object<T>>(body, error)),
    }
}

/// The problem with a body that could not be read as `T`: reads it again, slowly, to find out
/// where it went wrong.
pub fn explain<'a, T: Deserialize<'a>>(body: &'a [u8], mut error: serde_json::Error) -> Problem {
    // What is not JSON at all is called so, even if a field before the flaw is wrong as well.
    if let Err(syntax) = serde_json::from_slice::<IgnoredAny>(body) {
        error = syntax;
    }
    if error.classify() != Category::Data {
        let detail = if body.is_empty() {
            "the body is empty; it must be a JSON object".into()
        } else {
            shorten(format!("the body is not JSON: {error}"))
        };
        return Problem::new(Code::InvalidJson, detail);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let Err(error) = serde_path_to_error::deserialize::<_, T>(&mut deserializer) else {
        return Problem::new(Code::InvalidJson, shorten(error.to_string()));
    };
    let message = error.inner().to_string();
    let mut pointer = String::new();
    for segment in error.path() {
        match segment {
            serde_path_to_error::Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            serde_path_to_error::Segment::Map { key } => push(&mut pointer, key),
            serde_path_to_error::Segment::Enum { variant } => push(&mut pointer, variant),
            serde_path_to_error::Segment::Unknown => {}
        }
    }
    // The parser names these in its message, and the path ends above them.
    for prefix in ["unknown field `", "missing field `", "duplicate field `"] {
        let named = message.strip_prefix(prefix).and_then(|rest| rest.split('`').next());
        if let Some(name) = named {
            let step = self::pointer(name);
            if !pointer.ends_with(&step) {
                pointer.push_str(&step);
            }
        }
    }
    Problem::field(Code::InvalidField, pointer, shorten(message))
}

fn push(pointer: &mut String, step: &str) {
    pointer.push('/');
    pointer.push_str(&escape(step));
}

/// The JSON Pointer (RFC 6901) of an object's member.
pub fn pointer(member: &str) -> String {
    format!("/{}", escape(member))
}

/// RFC 6901 section 3.
fn escape(step: &str) -> String {
    step.replace('~', "~0").replace('/', "~1")
}

fn shorten(mut text: String) -> String {
    if text.len() > MAX_DETAIL {
        let end = (0..=MAX_DETAIL).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer<'a> {
        #[serde(borrow)]
        name: Text<'a>,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only its type matters")]
        count: u32,
    }

    fn field_of(body: &str) -> (Code, Option<String>) {
        let problem = parse::<Outer<'_>>(body.as_bytes()).unwrap_err();
        (problem.code, problem.field)
    }

    #[test]
    fn text_is_borrowed_unless_escaped() {
        let outer: Outer<'_> = parse(br#"{"name":"plain"}"#).unwrap();
        assert!(matches!(outer.name.0, Cow::Borrowed("plain")) && outer.inner.is_empty());
        let outer: Outer<'_> = parse(br#"{"name":"a\nb"}"#).unwrap();
        assert_eq!(outer.name.as_str(), "a\nb");
    }

    #[test]
    fn the_field_to_blame_is_named() {
        for (body, field) in [
            (r#"{"name":1}"#, "/name"),
            (r#"{"name":"x","extra":1}"#, "/extra"),
            (r#"{"name":"x","a/b":1}"#, "/a~1b"),
            (r"{}", "/name"),
            (r#"{"name":"x","name":"y"}"#, "/name"),
            (r#"{"name":"x","inner":[{"count":1},{"count":"2"}]}"#, "/inner/1/count"),
            (r#"{"name":"x","inner":[{"count":1},{}]}"#, "/inner/1/count"),
            (r#"{"name":"x","inner":[{"count":1,"more":1}]}"#, "/inner/0/more"),
        ] {
            assert_eq!(field_of(body), (Code::InvalidField, Some(field.into())), "{body}");
        }
    }

    #[test]
    fn bad_syntax_has_line_and_column() {
        for body in [
            "",
            "{",
            "hello",
            r#"{"unknown""#,
            "{\"name\":\n!}",
            "{\"name\":\"x\"} {}",
            "\u{feff}{}",
        ] {
            assert_eq!(field_of(body), (Code::InvalidJson, None), "{body}");
        }
        let problem = parse::<Outer<'_>>(b"{\"name\":\n!}").unwrap_err();
        assert!(problem.detail.contains("line 2 column 1"), "{}", problem.detail);
    }

    #[test]
    fn bodies_of_the_wrong_type_blame_the_whole() {
        for body in ["[]", "null", "5", r#"["name"]"#, r#"["name",[]]"#] {
            assert_eq!(field_of(body), (Code::InvalidField, Some(String::new())), "{body}");
        }
    }
}
