//! The JSON of a KV v2 secret: what is written, and what is accepted when it is read.
//!
//! A record's secret has the fields `value` (its bytes in base64) or `transit` (the same wrapped
//! by Vault Transit, see [`super::wrap`]), and `write`, a random name of the write that made the
//! revision. Other fields are left alone. Nothing a value contains ever gets into an error.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use keyward_crypto::random_bytes;
use serde::de::{self, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use crate::store::StoreError;

/// Names one write, so that whoever does not hear its answer can find out whether it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WriteId(String);

impl WriteId {
    /// 96 random bits as text.
    pub(super) fn random() -> Result<Self, StoreError> {
        let mut bytes = [0; 12];
        random_bytes(&mut bytes).map_err(|_| StoreError::Random)?;
        Ok(Self(URL_SAFE_NO_PAD.encode(bytes)))
    }
}

/// What a secret holds.
#[derive(Clone)]
pub(super) enum Payload {
    /// The record's bytes.
    Plain(Zeroizing<Vec<u8>>),
    /// The record's bytes as Vault Transit wrapped them: `vault:v1:…`.
    Wrapped(String),
}

/// One revision that can be read.
pub(super) struct Secret {
    pub(super) payload: Payload,
    pub(super) write: Option<WriteId>,
}

/// What a read of `data/<path>` found.
pub(super) enum Found {
    /// No secret, or no such revision of it.
    Nothing,
    /// The revision was deleted but can be restored.
    Deleted { version: u64 },
    /// The revision was destroyed: its data is gone for good.
    Destroyed { version: u64 },
    /// The revision. `deletes_at` says when Vault is going to delete it by itself.
    Live { version: u64, deletes_at: Option<String>, secret: Secret },
}

/// The answer to a write.
pub(super) struct Written {
    pub(super) version: u64,
    /// When Vault is going to delete the revision by itself.
    pub(super) deletes_at: Option<String>,
}

/// The body of `POST data/<path>`: the secret, to be written only over revision `cas`.
pub(super) fn write_body(payload: &Payload, write: &WriteId, cas: u64) -> Zeroizing<Vec<u8>> {
    let (field, text) = match payload {
        Payload::Plain(value) => ("value", base64(value)),
        Payload::Wrapped(text) => ("transit", Zeroizing::new(text.clone())),
    };
    let mut body = Zeroizing::new(Vec::with_capacity(text.len() + 128));
    body.extend_from_slice(br#"{"data":{""#);
    body.extend_from_slice(field.as_bytes());
    body.extend_from_slice(br#"":""#);
    body.extend_from_slice(text.as_bytes()); // base64 or `vault:v1:` and base64: checked
    body.extend_from_slice(br#"","write":""#);
    body.extend_from_slice(write.0.as_bytes());
    body.extend_from_slice(format!("\"}},\"options\":{{\"cas\":{cas}}}}}").as_bytes());
    body
}

/// Standard base64 with padding, in memory that is wiped.
pub(super) fn base64(value: &[u8]) -> Zeroizing<String> {
    // Enough capacity at once, so that no outgrown copy is left behind.
    let mut text = Zeroizing::new(String::with_capacity(value.len().div_ceil(3) * 4));
    STANDARD.encode_string(value, &mut text);
    text
}

/// The bytes of standard base64 with padding, in memory that is wiped.
pub(super) fn from_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(text.len().div_ceil(4) * 3));
    STANDARD.decode_vec(text, &mut bytes).ok()?;
    Some(bytes)
}

/// Whether `text` looks like a ciphertext of Vault Transit, `vault:v<n>:<base64>`; then it needs
/// no escaping in JSON.
pub(super) fn is_transit_ciphertext(text: &str) -> bool {
    let parts = text.strip_prefix("vault:v").and_then(|rest| rest.split_once(':'));
    parts.is_some_and(|(version, data)| {
        !version.is_empty()
            && version.bytes().all(|byte| byte.is_ascii_digit())
            && !data.is_empty()
            && data.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=-_:".contains(&byte))
    })
}

/// Reads the answer to `GET data/<path>`, with status 200 or 404. The error is why the answer
/// makes no sense.
pub(super) fn read_answer(body: &[u8]) -> Result<Found, &'static str> {
    const NOT_KV2: &str = "the answer is not one of a KV v2 engine";
    let answer: Answer<ReadData> = serde_json::from_slice(body).map_err(|_| NOT_KV2)?;
    let Some(data) = answer.data else {
        // What Vault says of nothing: `{"errors":[]}`.
        let nothing = answer.errors.is_some_and(|errors| errors.is_empty());
        return if nothing { Ok(Found::Nothing) } else { Err(NOT_KV2) };
    };
    let Metadata { version, deletion_time, destroyed } = data.metadata;
    match data.data {
        None if destroyed => Ok(Found::Destroyed { version }),
        None if deletion_time.is_empty() => Err("the secret has no data"),
        None => Ok(Found::Deleted { version }),
        Some(fields) => {
            let secret = fields.into_secret()?;
            Ok(Found::Live { version, deletes_at: not_empty(deletion_time), secret })
        }
    }
}

/// Reads the answer to `POST data/<path>`; `None` when it is not one of a KV v2 engine.
pub(super) fn write_answer(body: &[u8]) -> Option<Written> {
    let answer: Answer<Metadata> = serde_json::from_slice(body).ok()?;
    let Metadata { version, deletion_time, .. } = answer.data?;
    Some(Written { version, deletes_at: not_empty(deletion_time) })
}

fn not_empty(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

#[derive(Deserialize)]
struct Answer<T> {
    #[serde(default = "Option::default")]
    data: Option<T>,
    errors: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
struct ReadData {
    data: Option<Fields>,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    version: u64,
    #[serde(default)]
    deletion_time: String,
    #[serde(default)]
    destroyed: bool,
}

/// The fields of a secret. Only a JSON object has any: what `derive` makes would take them from an
/// array as well.
#[derive(Default)]
struct Fields {
    value: Field,
    transit: Field,
    write: Field,
}

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Fields, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = entries.next_key::<String>()? {
            match name.as_str() {
                "value" => fields.value = entries.next_value()?,
                "transit" => fields.transit = entries.next_value()?,
                "write" => fields.write = entries.next_value()?,
                _ => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(fields)
    }
}

impl Fields {
    fn into_secret(self) -> Result<Secret, &'static str> {
        let payload = match (self.value, self.transit) {
            (Field::Text(text), Field::Absent) => {
                Payload::Plain(from_base64(&text).ok_or("its field \"value\" is not base64")?)
            }
            (Field::Absent, Field::Text(text)) => {
                if !is_transit_ciphertext(&text) {
                    return Err("its field \"transit\" is not a ciphertext of Vault Transit");
                }
                Payload::Wrapped(text.as_str().to_owned())
            }
            (Field::Absent, Field::Absent) => {
                return Err("it has neither the field \"value\" nor \"transit\"");
            }
            (Field::Other, _) => return Err("its field \"value\" is not a text"),
            (_, Field::Other) => return Err("its field \"transit\" is not a text"),
            (Field::Text(_), Field::Text(_)) => {
                return Err("it has both the fields \"value\" and \"transit\"");
            }
        };
        let write = match self.write {
            Field::Text(text) => Some(WriteId(text.as_str().to_owned())),
            Field::Absent | Field::Other => None,
        };
        Ok(Secret { payload, write })
    }
}

/// A field of any JSON type, of which only a text is kept.
#[derive(Default)]
enum Field {
    #[default]
    Absent,
    Text(Zeroizing<String>),
    Other,
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Field, E> {
        Ok(Field::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Field, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Field, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Field::Other)
    }
}

#[cfg(test)]
#[path = "secret_tests.rs"]
mod tests;
