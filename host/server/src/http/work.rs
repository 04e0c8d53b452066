//! One item of encrypt or decrypt, from the fields of the body to the fields of the answer.
//! Pointers in its problems are relative to the item.

use std::fmt::Write;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use keyward_crypto::{Header, text};
use keyward_keyring::{Key, KeyName, Keyring, KeyringError, TenantName};
use keyward_policy_host::{Obligations, Plan};

use super::Problem;
use super::items::Item;
use super::json::Text;
use crate::errors::Code;
use crate::execute::{Opener, Sealer};

/// Longest context and purpose, in bytes: both enter the policy.
const MAX_CONTEXT: usize = 64 << 10;
const MAX_PURPOSE: usize = 1 << 10;
const MAX_REFERENCE: usize = 1 << 10;

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// `plaintext` to `ciphertext`.
    Encrypt,
    /// `ciphertext` to `plaintext`.
    Decrypt,
}

impl Direction {
    /// The operation's name, as policies know it.
    pub fn operation(self) -> &'static str {
        match self {
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
        }
    }
}

/// What an item asks for, decoded.
pub struct Work {
    context: Option<Vec<u8>>,
    payload: Payload,
}

enum Payload {
    Plaintext(Vec<u8>),
    Ciphertext { bytes: Vec<u8>, header: Header, key: Arc<Key> },
}

impl Work {
    /// Decodes an item. For decrypt this finds the key the ciphertext was made with.
    pub async fn read(
        direction: Direction,
        keyring: &Keyring,
        tenant: &TenantName,
        item: &Item<'_>,
    ) -> Result<Self, Problem> {
        check_len("/purpose", item.purpose.as_ref(), MAX_PURPOSE)?;
        check_len("/reference", item.reference.as_ref(), MAX_REFERENCE)?;
        let context = match &item.context {
            None => None,
            Some(text) => Some(base64("/context", text)?),
        };
        if context.as_ref().is_some_and(|bytes| bytes.len() > MAX_CONTEXT) {
            return Err(too_long("/context", MAX_CONTEXT));
        }
        let payload = match direction {
            Direction::Encrypt => {
                refuse("/ciphertext", item.ciphertext.as_ref(), "encrypt takes `plaintext`")?;
                Payload::Plaintext(base64(
                    "/plaintext",
                    required("/plaintext", item.plaintext.as_ref())?,
                )?)
            }
            Direction::Decrypt => {
                refuse("/plaintext", item.plaintext.as_ref(), "decrypt takes `ciphertext`")?;
                let ciphertext = required("/ciphertext", item.ciphertext.as_ref())?;
                find(keyring, tenant, ciphertext.as_str(), item.key.as_ref()).await?
            }
        };
        Ok(Self { context, payload })
    }

    /// Bytes of the payload.
    pub fn len(&self) -> usize {
        match &self.payload {
            Payload::Plaintext(bytes) | Payload::Ciphertext { bytes, .. } => bytes.len(),
        }
    }

    /// The caller's context.
    pub fn context(&self) -> Option<&[u8]> {
        self.context.as_deref()
    }

    /// The key to ask the policy about: the named one, or the one the ciphertext was made with.
    pub fn key<'a>(&'a self, item: &'a Item<'_>) -> Option<&'a str> {
        match &self.payload {
            Payload::Plaintext(_) => item.key.as_ref().map(Text::as_str),
            Payload::Ciphertext { key, .. } => Some(key.name().as_str()),
        }
    }
}

/// A plan, ready for every item it was decided for.
pub enum Ready {
    Seal(Sealer),
    Open(Opener),
}

impl Ready {
    /// Prepares a plan.
    pub async fn prepare(
        keyring: &Keyring,
        tenant: &TenantName,
        work: &Work,
        item: &Item<'_>,
        plan: Plan,
    ) -> Result<Self, Problem> {
        match &work.payload {
            Payload::Plaintext(_) => {
                let key = item.key.as_ref().map(Text::as_str);
                Ok(Self::Seal(Sealer::prepare(keyring, tenant, key, plan).await?))
            }
            Payload::Ciphertext { key, .. } => {
                Ok(Self::Open(Opener::prepare(Arc::clone(key), plan)?))
            }
        }
    }

    /// What the plan obliges the host to.
    pub fn obligations(&self) -> &Obligations {
        match self {
            Self::Seal(sealer) => sealer.obligations(),
            Self::Open(opener) => opener.obligations(),
        }
    }

    /// Does the bytes and appends the answer's fields.
    pub async fn execute(
        &self,
        keyring: &Keyring,
        work: &Work,
        out: &mut String,
    ) -> Result<(), Problem> {
        let context = work.context().unwrap_or_default();
        let version = match (self, &work.payload) {
            (Self::Seal(sealer), Payload::Plaintext(plaintext)) => {
                let ciphertext = sealer.seal(context, plaintext)?;
                out.push_str("\"ciphertext\":\"");
                out.push_str(&text::encode(&ciphertext));
                sealer.version()
            }
            (Self::Open(opener), Payload::Ciphertext { bytes, header, .. }) => {
                let (plaintext, version) = opener.open(keyring, header, context, bytes).await?;
                out.push_str("\"plaintext\":\"");
                STANDARD.encode_string(plaintext.as_slice(), out);
                version
            }
            _ => return Err(Problem::internal("a plan for the other direction")),
        };
        // Writing to a string cannot fail.
        let _ = write!(out, "\",\"key_version\":{version}");
        Ok(())
    }
}

/// The key of a ciphertext, by the id in its header. A key the caller names must be that one.
async fn find(
    keyring: &Keyring,
    tenant: &TenantName,
    ciphertext: &str,
    named: Option<&Text<'_>>,
) -> Result<Payload, Problem> {
    let blame = |error: KeyringError| match error {
        KeyringError::KeyNotFound { .. } => Problem::ciphertext_invalid(),
        error => error.into(),
    };
    let named = match named {
        None => None,
        Some(name) => {
            let at_key = |error: KeyringError| match Problem::from(error) {
                problem if problem.code.status().is_client_error() => {
                    Problem { field: Some("/key".into()), ..problem }
                }
                problem => problem,
            };
            let name: KeyName = name.as_str().parse().map_err(at_key)?;
            Some(keyring.key(tenant, &name).await.map_err(at_key)?)
        }
    };
    let bytes = text::decode(ciphertext).map_err(|_| Problem::ciphertext_invalid())?;
    let header = Header::parse(&bytes).map_err(|_| Problem::ciphertext_invalid())?;
    let key = match named {
        Some(key) if key.id() == header.key_id => key,
        Some(_) => return Err(Problem::ciphertext_invalid()),
        None => keyring.key_by_id(tenant, header.key_id).await.map_err(blame)?,
    };
    Ok(Payload::Ciphertext { bytes, header, key })
}

/// RFC 4648 section 4, padding required: what encodes differently is not the same text.
pub fn base64(field: &'static str, text: &Text<'_>) -> Result<Vec<u8>, Problem> {
    STANDARD.decode(text.as_str()).map_err(|error| {
        let detail = format!("not standard base64 with padding (RFC 4648 section 4): {error}");
        Problem::field(Code::InvalidBase64, field, detail)
    })
}

fn required<'t, 'a>(
    field: &'static str,
    value: Option<&'t Text<'a>>,
) -> Result<&'t Text<'a>, Problem> {
    let missing = || Problem::field(Code::InvalidField, field, "missing");
    value.ok_or_else(missing)
}

fn refuse(field: &'static str, value: Option<&Text<'_>>, why: &'static str) -> Result<(), Problem> {
    match value {
        None => Ok(()),
        Some(_) => Err(Problem::field(Code::InvalidField, field, why)),
    }
}

fn check_len(field: &'static str, value: Option<&Text<'_>>, limit: usize) -> Result<(), Problem> {
    match value {
        Some(text) if text.as_str().len() > limit => Err(too_long(field, limit)),
        _ => Ok(()),
    }
}

fn too_long(field: &'static str, limit: usize) -> Problem {
    Problem::field(Code::InvalidField, field, format!("longer than {limit} bytes"))
}
