//! The body of a request on data: the fields of one item, or `items`.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::operation::Operation;
use crate::errors::Code;
use crate::http::Problem;
use crate::http::json::{self, Object, Text};

/// Items kept in memory at most, whatever the configured limit: what comes after is counted only.
const MAX_KEPT: usize = 100_000;

/// A body, understood so far that it is one item or several. The items of a batch are not looked
/// at here: what is wrong with one is its own error and not the batch's.
pub enum Body<'a, F> {
    One(F),
    Batch(Items<'a>),
}

/// The items of a batch.
pub struct Items<'a> {
    /// The first [`MAX_KEPT`] of them.
    kept: Vec<&'a RawValue>,
    /// How many there are.
    count: usize,
}

/// Reads a body.
pub fn read<O: Operation>(bytes: &[u8]) -> Result<Body<'_, O::Fields<'_>>, Problem> {
    let error = match serde_json::from_slice(bytes) {
        Ok(Object(fields)) => return Ok(Body::One(fields)),
        Err(error) => error,
    };
    // No item has a field `items`, so a batch always comes this way, after its first bytes.
    let Ok(Batch { items: Some(items), beside }) = serde_json::from_slice(bytes) else {
        return Err(json::explain::<Object<O::Fields<'_>>>(bytes, error));
    };
    if let Some(field) = beside {
        let detail = "stands beside `items`; in a batch each item has its own fields";
        return Err(Problem::field(Code::InvalidField, json::pointer(&field), detail));
    }
    match items {
        Ok(items) => Ok(Body::Batch(items)),
        Err(NotAnArray) => {
            Err(Problem::field(Code::InvalidField, "/items", "must be an array of items"))
        }
    }
}

/// The items, if there are at least one and at most `limit`.
pub fn checked(items: Items<'_>, limit: usize) -> Result<Vec<&[u8]>, Problem> {
    let Items { kept, count } = items;
    if count == 0 {
        return Err(Problem::field(Code::NoItems, "/items", "a batch has at least one item"));
    }
    if count > limit.min(MAX_KEPT) {
        let detail = format!("{count} items; a batch has at most {limit}");
        return Err(Problem::field(Code::TooManyItems, "/items", detail));
    }
    Ok(kept.into_iter().map(|raw| raw.get().as_bytes()).collect())
}

struct NotAnArray;

/// Any object: its `items`, and the first field that is another.
struct Batch<'a> {
    items: Option<Result<Items<'a>, NotAnArray>>,
    beside: Option<String>,
}

impl<'de> Deserialize<'de> for Batch<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct BatchVisitor;

        impl<'de> Visitor<'de> for BatchVisitor {
            type Value = Batch<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Batch<'de>, A::Error> {
                let mut batch = Batch { items: None, beside: None };
                while let Some(name) = map.next_key::<Text<'de>>()? {
                    if name.as_str() == "items" && batch.items.is_none() {
                        let ItemsOrNot(items) = map.next_value()?;
                        batch.items = Some(items);
                    } else {
                        map.next_value::<IgnoredAny>()?;
                        batch.beside.get_or_insert_with(|| name.as_str().to_owned());
                    }
                }
                Ok(batch)
            }
        }

        deserializer.deserialize_map(BatchVisitor)
    }
}

/// Items, or any other JSON, read in one pass: a batch may be long.
struct ItemsOrNot<'a>(Result<Items<'a>, NotAnArray>);

impl<'de> Deserialize<'de> for ItemsOrNot<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ItemsVisitor).map(Self)
    }
}

struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Result<Items<'de>, NotAnArray>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        while kept.len() < MAX_KEPT {
            match seq.next_element()? {
                Some(item) => kept.push(item),
                None => return Ok(Ok(Items { count: kept.len(), kept })),
            }
        }
        let mut count = kept.len();
        while seq.next_element::<IgnoredAny>()?.is_some() {
            count += 1;
        }
        Ok(Ok(Items { kept, count }))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Err(NotAnArray))
    }

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Err(NotAnArray))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Err(NotAnArray))
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
        Ok(Err(NotAnArray))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(Err(NotAnArray))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(Err(NotAnArray))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Err(NotAnArray))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::data::Encrypt;

    fn outcome(body: &str) -> Result<usize, (Code, Option<String>)> {
        match read::<Encrypt>(body.as_bytes()) {
            Ok(Body::One(_)) => Ok(0),
            Ok(Body::Batch(items)) => Ok(items.count),
            Err(problem) => Err((problem.code, problem.field)),
        }
    }

    #[test]
    fn one_item_or_several() {
        assert_eq!(outcome(r#"{"plaintext":""}"#), Ok(0));
        assert_eq!(outcome(r#"{"items":[{"plaintext":""},5,{"no":1}]}"#), Ok(3));
        assert_eq!(outcome(r#"{"items":[]}"#), Ok(0));
    }

    #[test]
    fn what_is_wrong_with_the_body_itself_is_said() {
        let field = |field: &str| Err((Code::InvalidField, Some(field.to_owned())));
        for (body, expected) in [
            (r#"{"items":{}}"#, field("/items")),
            (r#"{"items":5}"#, field("/items")),
            (r#"{"items":-5}"#, field("/items")),
            (r#"{"items":0.5}"#, field("/items")),
            (r#"{"items":"[]"}"#, field("/items")),
            (r#"{"items":true}"#, field("/items")),
            (r#"{"items":null}"#, field("/items")),
            (r#"{"items":{"a":[1,{}]}}"#, field("/items")),
            (r#"{"items":[],"key":"a"}"#, field("/key")),
            (r#"{"key":"a","items":[]}"#, field("/key")),
            (r#"{"a/b":"a","items":[]}"#, field("/a~1b")),
            (r#"{"items":[],"items":[]}"#, field("/items")),
            (r#"{"key":"a"}"#, field("/plaintext")),
            (r#"{"plaintext":5}"#, field("/plaintext")),
            (r"[]", field("")),
            (r#"{"items":[}"#, Err((Code::InvalidJson, None))),
            (r#"{"items":[{]}"#, Err((Code::InvalidJson, None))),
            ("", Err((Code::InvalidJson, None))),
        ] {
            assert_eq!(outcome(body), expected, "{body}");
        }
    }
}
