//! How a token is kept in the store: `tokens/<id>`, id = the first 16 bytes of the hash in hex.

use std::str::FromStr;

use keyward_keyring::TenantName;
use keyward_policy_host::Caller;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::{Credential, Reach, TokenError};
use crate::clock;

/// Bytes of the hash that make up the id.
const ID_BYTES: usize = 16;

pub(super) fn id_of(hash: &[u8; 32]) -> String {
    hex::encode(&hash[..ID_BYTES])
}

pub(super) fn path(id: &str) -> String {
    format!("tokens/{id}")
}

#[derive(Deserialize, Serialize)]
pub(super) struct TokenRecord {
    /// SHA-256 of the token's text, in hex.
    hash: String,
    /// Said outright: a record that lost a field must not turn into an operator's.
    reach: StoredReach,
    subject: String,
    roles: Vec<String>,
    #[serde(default)]
    claims: Vec<(String, String)>,
    /// Unix time in ms.
    created_at: u64,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum StoredReach {
    Operator,
    Tenant(String),
}

impl TokenRecord {
    pub(super) fn of(hash: &[u8; 32], credential: &Credential) -> Self {
        let reach = match &credential.reach {
            Reach::Operator => StoredReach::Operator,
            Reach::Tenant(tenant) => StoredReach::Tenant(tenant.as_str().to_owned()),
        };
        let Caller { subject, roles, claims } = credential.caller.clone();
        let created_at = clock::unix_ms();
        Self { hash: hex::encode(hash), reach, subject, roles, claims, created_at }
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers alone: cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    pub(super) fn from_bytes(bytes: &[u8], path: String) -> Result<Self, TokenError> {
        serde_json::from_slice(bytes).map_err(|_| TokenError::Corrupt { path })
    }

    /// Whether this is the token with this hash, in constant time.
    pub(super) fn is_of(&self, hash: &[u8; 32]) -> bool {
        hex::decode(&self.hash).is_ok_and(|stored| stored.as_slice().ct_eq(hash).into())
    }

    pub(super) fn into_credential(self, id: String) -> Result<Credential, TokenError> {
        let reach = match self.reach {
            StoredReach::Operator => Reach::Operator,
            StoredReach::Tenant(name) => match TenantName::from_str(&name) {
                Ok(name) => Reach::Tenant(name),
                Err(_) => return Err(TokenError::Corrupt { path: path(&id) }),
            },
        };
        let caller = Caller { subject: self.subject, roles: self.roles, claims: self.claims };
        Ok(Credential { id, reach, caller })
    }
}
