//! The second wrap: key material is encrypted by a key of Vault Transit before it goes into KV, so
//! that whoever may read KV alone, or has a copy of it, learns nothing.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use zeroize::Zeroizing;

use super::frame::{frame, unframe};
use super::secret::{Payload, base64, from_base64, is_transit_ciphertext};
use super::wire::{self, Answer, Request};
use super::{VaultStore, malformed};
use crate::store::StoreError;
use crate::vault::Operation;

/// How key material lies in KV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrap {
    /// As it is: protected by Vault's own encryption and policies.
    Plain,
    /// Encrypted by the configured key of Vault Transit as well.
    Transit,
}

impl fmt::Display for Wrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Plain => "plain",
            Self::Transit => "transit",
        })
    }
}

impl FromStr for Wrap {
    type Err = &'static str;

    /// Reads `plain` or `transit`; the error says so.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "plain" => Ok(Self::Plain),
            "transit" => Ok(Self::Transit),
            _ => Err("must be plain or transit"),
        }
    }
}

/// Whether the record at `path` is key material: one below
/// `tenants/<tenant>/keys/<key>/versions/`.
pub(super) fn is_material(path: &str) -> bool {
    let mut segments = path.split('/');
    let mut next = || segments.next();
    let (tenants, _, keys, _, versions, rest) = (next(), next(), next(), next(), next(), next());
    (tenants, keys, versions) == (Some("tenants"), Some("keys"), Some("versions")) && rest.is_some()
}

impl VaultStore {
    /// The form in which a new value goes to `path`.
    pub(super) async fn payload(&self, path: &str, value: &[u8]) -> Result<Payload, StoreError> {
        match self.transit_key() {
            Some(_) if is_material(path) => self.wrap(path, value).await,
            _ => Ok(Payload::Plain(Zeroizing::new(value.to_vec()))),
        }
    }

    /// Has Transit encrypt the value for this path.
    pub(super) async fn wrap(&self, path: &str, value: &[u8]) -> Result<Payload, StoreError> {
        let key = self.transit_key().ok_or_else(|| no_key(path))?;
        let body = body("plaintext", &base64(&frame(path, value)));
        let request = Request::post_json(self.transit_path("encrypt", key), body);
        let ciphertext = match self.send(Operation::TransitEncrypt, &request).await? {
            Answer::Ok(body) => wire::data(&body).map(|data: Ciphertext| data.ciphertext),
            Answer::NotFound(_) | Answer::Refused => return Err(self.transit_refused(path, key)),
        };
        let ciphertext = ciphertext.filter(|text| is_transit_ciphertext(text));
        ciphertext.map(Payload::Wrapped).ok_or_else(|| malformed(&request))
    }

    /// The record's value, whichever form it has.
    pub(super) async fn value(
        &self,
        path: &str,
        payload: Payload,
    ) -> Result<Zeroizing<Vec<u8>>, StoreError> {
        let ciphertext = match payload {
            Payload::Plain(value) => return Ok(value),
            Payload::Wrapped(ciphertext) => ciphertext,
        };
        let key = self.transit_key().ok_or_else(|| no_key(path))?;
        let request =
            Request::post_json(self.transit_path("decrypt", key), body("ciphertext", &ciphertext));
        let plaintext = match self.send(Operation::TransitDecrypt, &request).await? {
            Answer::Ok(body) => {
                wire::data(&body).and_then(|data: Plaintext<'_>| from_base64(data.plaintext))
            }
            Answer::NotFound(_) | Answer::Refused => return Err(self.transit_refused(path, key)),
        };
        let framed = plaintext.ok_or_else(|| malformed(&request))?;
        unframe(path, &framed).ok_or_else(|| StoreError::CorruptedInVault {
            path: path.to_owned(),
            reason: "it was wrapped by Vault Transit for another path".to_owned(),
        })
    }

    pub(super) fn transit_refused(&self, path: &str, key: &str) -> StoreError {
        StoreError::TransitRefused {
            path: path.to_owned(),
            key: format!("{}/keys/{key}", self.transit_mount()),
        }
    }

    pub(super) fn transit_key(&self) -> Option<&str> {
        self.vault.config().transit_key.as_deref()
    }

    pub(super) fn transit_mount(&self) -> &str {
        &self.vault.config().transit_mount
    }

    pub(super) fn transit_path(&self, operation: &str, key: &str) -> String {
        format!("{}/{operation}/{key}", self.transit_mount())
    }
}

fn no_key(path: &str) -> StoreError {
    StoreError::TransitKeyMissing { path: path.to_owned() }
}

/// `{"<field>":"<text>"}` for a text that needs no escaping.
fn body(field: &str, text: &str) -> Zeroizing<Vec<u8>> {
    let mut body = Zeroizing::new(Vec::with_capacity(field.len() + text.len() + 8));
    for part in ["{\"", field, "\":\"", text, "\"}"] {
        body.extend_from_slice(part.as_bytes());
    }
    body
}

#[derive(Deserialize)]
struct Ciphertext {
    ciphertext: String,
}

/// Borrowed, so that no copy of it is left behind: base64 is never escaped in JSON.
#[derive(Deserialize)]
struct Plaintext<'a> {
    plaintext: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_material_is_wrapped() {
        for path in ["tenants/demo/keys/orders/versions/1", "tenants/a/keys/b/versions/x/y"] {
            assert!(is_material(path), "{path}");
        }
        for path in [
            "tenants/demo",
            "tenants/demo/keys/versions",
            "tenants/demo/keys/orders/versions",
            "tenants/demo/key-ids/0011",
            "tenants/demo/policy",
            "tokens/keys/x/keys/versions/1",
            "tenants/demo/keys/versions/1",
        ] {
            assert!(!is_material(path), "{path}");
        }
    }

    #[test]
    fn names_round_trip() {
        for wrap in [Wrap::Plain, Wrap::Transit] {
            assert_eq!(wrap.to_string().parse(), Ok(wrap));
        }
        assert!("Transit".parse::<Wrap>().is_err());
    }
}
