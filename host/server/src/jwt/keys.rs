//! A provider's set of keys, and which of them may verify what.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Header};
use serde::Deserialize;
use serde_json::Value;

/// Most keys of a set; a provider has a handful.
const MAX_KEYS: usize = 256;

const RSA: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];

/// Keys that verify signatures.
pub(super) struct KeySet {
    keys: Vec<Key>,
    /// Tells sets with different keys apart.
    pub(super) generation: u64,
}

struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    verifying: DecodingKey,
}

/// Why a set cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum SetError {
    #[error("it is not a JWKS: an object with a list of `keys`")]
    Form,
    #[error("it has over {MAX_KEYS} keys")]
    Size,
    #[error("it has no key that verifies signatures")]
    Empty,
}

impl KeySet {
    /// Reads a set. Keys of kinds that are not known, and those for encryption, are left out.
    pub(super) fn read(json: &[u8], generation: u64) -> Result<Self, SetError> {
        #[derive(Deserialize)]
        struct Set {
            keys: Vec<Value>,
        }
        let Set { keys } = serde_json::from_slice(json).map_err(|_| SetError::Form)?;
        if keys.len() > MAX_KEYS {
            return Err(SetError::Size);
        }
        let keys: Vec<Key> = keys.into_iter().filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err(SetError::Empty);
        }
        Ok(Self { keys, generation })
    }

    /// The keys that may have made a token with this header: of the identifier it names, if it
    /// does, and for its algorithm.
    pub(super) fn candidates(&self, header: &Header) -> impl Iterator<Item = &DecodingKey> {
        let (id, algorithm) = (header.kid.clone(), header.alg);
        let fits =
            move |key: &&Key| key.algorithms.contains(&algorithm) && (id.is_none() || key.id == id);
        self.keys.iter().filter(fits).map(|key| &key.verifying)
    }

    /// How many keys it has.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }
}

impl Key {
    fn read(value: Value) -> Option<Self> {
        let jwk: Jwk = serde_json::from_value(value).ok()?;
        if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
            return None;
        }
        let operations = jwk.common.key_operations.as_deref();
        if operations.is_some_and(|known| !known.contains(&KeyOperations::Verify)) {
            return None;
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => RSA.to_vec(),
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => vec![Algorithm::ES256],
                EllipticCurve::P384 => vec![Algorithm::ES384],
                _ => return None,
            },
            AlgorithmParameters::OctetKeyPair(key) => match key.curve {
                EllipticCurve::Ed25519 => vec![Algorithm::EdDSA],
                _ => return None,
            },
            // A secret that is published is none.
            _ => return None,
        };
        if let Some(only) = jwk.common.key_algorithm {
            let only = only.to_string().parse::<Algorithm>().ok()?;
            algorithms.retain(|known| *known == only);
        }
        let verifying = DecodingKey::from_jwk(&jwk).ok()?;
        (!algorithms.is_empty()).then_some(Self { id: jwk.common.key_id, algorithms, verifying })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ed(more: &Value) -> Value {
        let mut key = json!({ "kty": "OKP", "crv": "Ed25519", "x": "A".repeat(43) });
        key.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        key
    }

    fn read(keys: &Value) -> Result<usize, SetError> {
        let text = json!({ "keys": keys }).to_string();
        KeySet::read(text.as_bytes(), 1).map(|set| set.len())
    }

    #[test]
    fn only_what_verifies_signatures_is_taken() {
        assert_eq!(read(&json!([ed(&json!({})), ed(&json!({ "use": "sig" }))])), Ok(2));
        for bad in [
            ed(&json!({ "use": "enc" })),
            ed(&json!({ "key_ops": ["sign"] })),
            ed(&json!({ "alg": "RS256" })),
            ed(&json!({ "alg": "HS256" })),
            ed(&json!({ "crv": "X25519" })),
            json!({ "kty": "oct", "k": "c2VjcmV0", "alg": "HS256" }),
            json!({ "kty": "new", "z": 1 }),
            json!("text"),
        ] {
            assert_eq!(read(&json!([bad])), Err(SetError::Empty), "{bad}");
            assert_eq!(read(&json!([bad, ed(&json!({}))])), Ok(1), "{bad}");
        }
        assert_eq!(read(&json!(vec![ed(&json!({})); 257])), Err(SetError::Size));
        for bad in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>"] {
            assert_eq!(KeySet::read(bad.as_bytes(), 1).err(), Some(SetError::Form), "{bad}");
        }
    }
}
