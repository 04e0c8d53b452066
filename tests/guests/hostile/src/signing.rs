//! Signatures a policy must not get.

use keyward_policy::{Error, Key, Request, SignatureForm};

use crate::misdeeds::FOREIGN;

/// Signs with whatever key it reaches by a name that is another tenant's, at any version.
pub fn foreign() -> Result<String, String> {
    let sign = |name: &str| {
        let key = Key::open(name).or_else(|_| Key::open_version(name, 1))?;
        key.sign(b"forged", SignatureForm::Standard).or_else(|_| key.public_key())
    };
    let signed: Vec<&str> = FOREIGN.iter().copied().filter(|name| sign(name).is_ok()).collect();
    if signed.is_empty() {
        Err("signed nothing".to_owned())
    } else {
        Ok(format!("signed with {signed:?}"))
    }
}

/// Uses the named key, which does not sign or not in every form, for everything signatures are
/// made of. Says how each attempt ended.
pub fn unfit(request: &Request) -> Result<String, String> {
    let key = open(request).map_err(|error| error.to_string())?;
    let mut outcomes = Vec::new();
    for form in SignatureForm::ALL {
        outcomes.push(outcome(&key.sign(b"forged", form)));
        outcomes.push(outcome(&key.verify_signature(b"forged", &[0; 64], form)));
    }
    outcomes.push(outcome(&key.public_key()));
    Ok(outcomes.join(" "))
}

/// Not a misdeed: what each of the three gives with a key that fits.
pub fn own(request: &Request) -> Result<String, String> {
    let signed = || {
        let key = open(request)?;
        let signature = key.sign(b"own", SignatureForm::Standard)?;
        let by = key.verify_signature(b"own", &signature, SignatureForm::Standard)?;
        let other = key.verify_signature(b"other", &signature, SignatureForm::Standard)?;
        Ok(format!("{by:?} {other:?} {}", hex(&key.public_key()?)))
    };
    signed().map_err(|error: Error| error.to_string())
}

/// Has more signed than may cross the boundary at once.
pub fn huge(request: &Request) -> Result<String, String> {
    let key = open(request).map_err(|error| error.to_string())?;
    let signature = key.sign(&vec![0; 5 << 20], SignatureForm::Standard);
    Ok(outcome(&signature).to_owned())
}

fn open(request: &Request) -> Result<Key, Error> {
    Key::open(request.key.as_deref().unwrap_or("demo"))
}

fn outcome<T>(result: &Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(Error::Denied(_)) => "denied",
        Err(Error::Invalid(_)) => "invalid",
        Err(Error::NotFound(_)) => "not-found",
        Err(Error::Conflict(_)) => "conflict",
        Err(Error::Unavailable(_)) => "unavailable",
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"))
}
