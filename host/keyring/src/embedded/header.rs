//! The header record: what the root key comes from, and a proof of it.
//!
//! Proof length u16 BE, proof, JSON. The proof is an empty value sealed under the root key with
//! the JSON as authenticated data.

use std::path::Path;

use keyward_crypto::at_rest::{self, RootKey};
use serde::{Deserialize, Serialize};

use crate::store::StoreError;

const FORMAT: u32 = 1;
const LABEL: &[u8] = b"keyward store header v1\0";

/// Where a store's root key comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(super) enum Origin {
    /// 32 random bytes, kept in a file or given as a value.
    Key,
    /// Argon2id (RFC 9106, version 0x13) of a passphrase.
    Passphrase {
        /// 16 bytes, base64.
        salt: String,
        /// Memory in KiB.
        memory_kib: u32,
        /// Passes over the memory.
        passes: u32,
        /// Lanes.
        lanes: u32,
    },
}

#[derive(Serialize, Deserialize)]
struct Fields {
    format: u32,
    root_key: Origin,
}

/// A header as read; not proved yet.
pub(super) struct Header {
    pub(super) origin: Origin,
    json: Vec<u8>,
    proof: Vec<u8>,
}

fn authenticated_data(json: &[u8]) -> Vec<u8> {
    [LABEL, json].concat()
}

pub(super) fn encode(
    root_key: &RootKey,
    origin: Origin,
    database: &Path,
) -> Result<Vec<u8>, StoreError> {
    let json = serde_json::to_vec(&Fields { format: FORMAT, root_key: origin })
        .map_err(|error| corrupted(database, &error.to_string()))?;
    let proof =
        at_rest::seal(root_key, &authenticated_data(&json), &[]).map_err(|_| StoreError::Random)?;
    let length = u16::try_from(proof.len()).map_err(|_| corrupted(database, "proof too long"))?;
    Ok([length.to_be_bytes().as_slice(), &proof, &json].concat())
}

pub(super) fn decode(bytes: &[u8], database: &Path) -> Result<Header, StoreError> {
    let parts = || {
        let (length, rest) = bytes.split_first_chunk::<2>()?;
        rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
    };
    let (proof, json) = parts().ok_or_else(|| corrupted(database, "its header is cut short"))?;
    let fields: Fields = serde_json::from_slice(json)
        .map_err(|_| corrupted(database, "its header cannot be read"))?;
    if fields.format != FORMAT {
        return Err(corrupted(database, "its header has an unknown format"));
    }
    Ok(Header { origin: fields.root_key, json: json.to_vec(), proof: proof.to_vec() })
}

impl Header {
    /// Whether this is the root key that the store was created with.
    pub(super) fn proves(&self, root_key: &RootKey) -> bool {
        at_rest::open(root_key, &authenticated_data(&self.json), &self.proof).is_ok()
    }
}

fn corrupted(database: &Path, reason: &str) -> StoreError {
    StoreError::Corrupted { path: database.to_owned(), reason: reason.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_proves_its_own_key_only() {
        let (key, other) = (RootKey::generate().unwrap(), RootKey::generate().unwrap());
        let path = Path::new("db");
        let bytes = encode(&key, Origin::Key, path).unwrap();
        let header = decode(&bytes, path).unwrap();
        assert_eq!(header.origin, Origin::Key);
        assert!(header.proves(&key));
        assert!(!header.proves(&other));
    }

    #[test]
    fn damage_is_an_error_and_never_a_proof() {
        let key = RootKey::generate().unwrap();
        let path = Path::new("db");
        let bytes = encode(&key, Origin::Key, path).unwrap();
        for cut in 0..bytes.len() {
            assert!(!decode(&bytes[..cut], path).is_ok_and(|header| header.proves(&key)));
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(!decode(&damaged, path).is_ok_and(|header| header.proves(&key)));
        }
    }
}
