//! Recipients: who they are, and what is sealed to them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use keyward_policy::{Error, Request, recipients, state};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{number, parse};

/// HPKE's `info`: what these messages are. The tenant's name follows, so that a sealed number cannot
/// be passed off as another tenant's.
const INFO: &str = "keyward cards v1 ";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Recipient {
    name: String,
    public_key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ForRecipient {
    recipient: String,
    number: String,
}

/// `invoke/register`. Whoever is known already gets the new key.
pub fn register(body: &[u8]) -> Result<Value, Error> {
    let Recipient { name, public_key } = parse(body)?;
    let der = STANDARD
        .decode(&public_key)
        .map_err(|_| Error::invalid("`public_key` is DER of a SubjectPublicKeyInfo in base64"))?;
    // Tried once, so that a key that nothing can be sealed to is refused here and now.
    recipients::seal(&der, INFO.as_bytes(), b"", b"")?;
    state::put(&entry(&name)?, &der, None)?;
    Ok(json!({ "name": name }))
}

/// `invoke/seal`.
pub fn seal(request: &Request, body: &[u8]) -> Result<Value, Error> {
    let ForRecipient { recipient, number } = parse(body)?;
    number::check(&number)?;
    let known = state::get(&entry(&recipient)?)?;
    let known = known.ok_or_else(|| Error::not_found("no such recipient is registered"))?;
    let info = [INFO, &request.tenant].concat();
    let sealed = recipients::seal(&known.value, info.as_bytes(), b"", number.as_bytes())?;
    Ok(json!({ "recipient": recipient, "sealed": STANDARD.encode(sealed) }))
}

fn entry(name: &str) -> Result<String, Error> {
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !(1..=64).contains(&name.len()) || !name.bytes().all(is_name) {
        return Err(Error::invalid("a recipient's name is of [a-z0-9-]{1,64}"));
    }
    Ok(format!("recipient:{name}"))
}
