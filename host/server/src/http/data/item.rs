//! One item of a request on data, and the decoding that operations share.

use std::borrow::Cow;
use std::fmt::Write;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keyward_crypto::{Header, text};
use keyward_keyring::{Key, KeyName, KeyringError};

use super::operation::Place;
use crate::audit;
use crate::errors::Code;
use crate::http::Problem;
use crate::http::json::Text;

/// Longest context and purpose, in bytes: both enter the policy.
const MAX_CONTEXT: usize = 64 << 10;
const MAX_PURPOSE: usize = 1 << 10;
pub const MAX_REFERENCE: usize = 1 << 10;

/// What the policy is asked about. Items that are equal in this share a decision.
#[derive(PartialEq, Eq, Hash)]
pub struct Asked<'a> {
    /// The key the caller names, or the one the ciphertext was made with.
    pub key: Option<Cow<'a, str>>,
    /// The caller's context, decoded.
    pub context: Option<Vec<u8>>,
    /// What the caller says it is for.
    pub purpose: Option<Text<'a>>,
}

impl<'a> Asked<'a> {
    /// Checks and decodes what the policy sees of an item.
    pub fn read(
        key: Option<Text<'a>>,
        context: Option<&Text<'_>>,
        purpose: Option<Text<'a>>,
    ) -> Result<Self, Problem> {
        check_len("/purpose", purpose.as_ref(), MAX_PURPOSE)?;
        let context = decode_context("/context", context)?;
        Ok(Self { key: key.map(Text::into_inner), context, purpose })
    }

    /// The context, where it is not part of a JSON body.
    pub fn set_context(&mut self, context: Option<Vec<u8>>) -> Result<(), Problem> {
        if context.as_ref().is_some_and(|context| context.len() > MAX_CONTEXT) {
            return Err(too_long("/context", MAX_CONTEXT));
        }
        self.context = context;
        Ok(())
    }

    /// The context to bind: empty when there is none.
    pub fn bound_context(&self) -> &[u8] {
        self.context.as_deref().unwrap_or_default()
    }

    /// Notes key and purpose in the request's entry.
    pub fn note(&self) {
        audit::asked(
            self.key.as_deref().filter(|key| key.parse::<KeyName>().is_ok()),
            self.purpose.as_ref().map(Text::as_str),
        );
    }

    /// Bytes of this that enter the policy.
    pub fn len(&self) -> usize {
        self.key.as_ref().map_or(0, |key| key.len())
            + self.context.as_ref().map_or(0, Vec::len)
            + self.purpose.as_ref().map_or(0, |purpose| purpose.as_str().len())
    }
}

/// An item, decoded.
pub struct Item<'a, W> {
    /// What the policy is asked about.
    pub asked: Asked<'a>,
    /// A second question, for what moves from one place to another.
    pub also: Option<Asked<'a>>,
    /// The caller's own mark, given back as it is.
    pub reference: Option<Text<'a>>,
    /// What is to be done.
    pub work: W,
}

impl<'a, W> Item<'a, W> {
    /// An item with one question.
    pub fn new(asked: Asked<'a>, reference: Option<Text<'a>>, work: W) -> Result<Self, Problem> {
        check_len("/reference", reference.as_ref(), MAX_REFERENCE)?;
        Ok(Self { asked, also: None, reference, work })
    }
}

/// A ciphertext, and the key it was made with.
pub struct Ciphertext {
    pub bytes: Vec<u8>,
    pub header: Header,
    pub key: Arc<Key>,
}

impl Ciphertext {
    /// Finds the key by the id in the header. A key the caller names must be that one.
    pub async fn read(
        place: Place<'_>,
        ciphertext: &Text<'_>,
        named: Option<&str>,
    ) -> Result<Self, Problem> {
        let blame = |error: KeyringError| match error {
            KeyringError::KeyNotFound { .. } => Problem::ciphertext_invalid(),
            error => error.into(),
        };
        let named = match named {
            None => None,
            Some(name) => Some(named_key(place, "/key", name).await?),
        };
        let bytes = text::decode(ciphertext.as_str()).map_err(|_| Problem::ciphertext_invalid())?;
        let header = Header::parse(&bytes).map_err(|_| Problem::ciphertext_invalid())?;
        let key = match named {
            Some(key) if key.id() == header.key_id => key,
            Some(_) => return Err(Problem::ciphertext_invalid()),
            None => match place.recent_key(header.key_id) {
                Some(key) => key,
                None => {
                    place.keyring.key_by_id(place.tenant, header.key_id).await.map_err(blame)?
                }
            },
        };
        place.keep_key(&key);
        Ok(Self { bytes, header, key })
    }
}

/// The key the caller names in `field`.
async fn named_key(place: Place<'_>, field: &'static str, name: &str) -> Result<Arc<Key>, Problem> {
    let at_field = |error: KeyringError| match Problem::from(error) {
        problem if problem.code.status().is_client_error() => {
            Problem { field: Some(field.into()), ..problem }
        }
        problem => problem,
    };
    let name: KeyName = name.parse().map_err(at_field)?;
    place.keyring.key(place.tenant, &name).await.map_err(at_field)
}

/// A context in `field`, decoded.
pub fn decode_context(
    field: &'static str,
    text: Option<&Text<'_>>,
) -> Result<Option<Vec<u8>>, Problem> {
    let Some(text) = text else {
        return Ok(None);
    };
    let context = base64(field, text)?;
    if context.len() > MAX_CONTEXT {
        return Err(too_long(field, MAX_CONTEXT));
    }
    Ok(Some(context))
}

/// RFC 4648 section 4, padding required: what encodes differently is not the same text.
pub fn base64(field: &'static str, text: &Text<'_>) -> Result<Vec<u8>, Problem> {
    STANDARD.decode(text.as_str()).map_err(|error| {
        let detail = format!("not standard base64 with padding (RFC 4648 section 4): {error}");
        Problem::field(Code::InvalidBase64, field, detail)
    })
}

/// Appends `"name":"base64"`.
pub fn push_base64(out: &mut String, name: &str, bytes: &[u8]) {
    out.push('"');
    out.push_str(name);
    out.push_str("\":\"");
    STANDARD.encode_string(bytes, out);
    out.push('"');
}

/// Appends `"ciphertext":"kw1.…"`.
pub fn push_ciphertext(out: &mut String, ciphertext: &[u8]) {
    out.push_str("\"ciphertext\":\"");
    text::encode_into(ciphertext, out);
    out.push('"');
}

/// Appends `,"key_version":N`.
pub fn push_version(out: &mut String, version: u32) {
    // Writing to a string cannot fail.
    let _ = write!(out, ",\"key_version\":{version}");
}

/// Appends `"valid":true` and the version that says so, or `"valid":false`.
pub fn push_valid(out: &mut String, by: Option<u32>) {
    match by {
        Some(version) => {
            out.push_str("\"valid\":true");
            push_version(out, version);
        }
        None => out.push_str("\"valid\":false"),
    }
}

fn check_len(field: &'static str, value: Option<&Text<'_>>, limit: usize) -> Result<(), Problem> {
    match value {
        Some(text) if text.as_str().len() > limit => Err(too_long(field, limit)),
        _ => Ok(()),
    }
}

pub fn too_long(field: &'static str, limit: usize) -> Problem {
    Problem::field(Code::InvalidField, field, format!("longer than {limit} bytes"))
}
