//! How a token is kept in the store.
//!
//! | path | content |
//! |---|---|
//! | `tokens/<id>` | the token's hash and what it stands for; id = the first 16 bytes of the hash in hex |
//! | `operators/<id>`, `tenants/<tenant>/tokens/<id>` | whose it is, so that they can be listed |
//! | `token-uses/<id>` | when it was last used; in no backup |

use std::str::FromStr;

use keyward_keyring::TenantName;
use keyward_policy_host::Caller;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::scope::{Kind, Scope};
use super::{Credential, Details, NewToken, Reach, TokenError};

/// Where tokens are.
pub(super) const TOKENS: &str = "tokens";
/// Where operators' tokens are listed.
pub(super) const OPERATORS: &str = "operators";
/// Where it is kept when tokens were last used.
pub(super) const USES: &str = "token-uses";
/// What a record that only has to be there holds.
pub(super) const MARK: &[u8] = b"{}";

/// Bytes of the hash that make up the id.
const ID_BYTES: usize = 16;

pub(super) fn id_of(hash: &[u8; 32]) -> String {
    hex::encode(&hash[..ID_BYTES])
}

/// Whether a token may have this identifier, which may come from a path.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 2 * ID_BYTES && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

pub(super) fn path(id: &str) -> String {
    format!("{TOKENS}/{id}")
}

pub(super) fn use_path(id: &str) -> String {
    format!("{USES}/{id}")
}

/// Where the tokens of this reach are listed.
pub(super) fn index(reach: &Reach) -> String {
    match reach {
        Reach::Operator => OPERATORS.into(),
        Reach::Tenant(tenant) => format!("tenants/{tenant}/tokens"),
    }
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
    /// Unix time in ms, as all times here.
    created_at: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    created_by: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    #[serde(default, skip_serializing_if = "StoredScope::is_unbounded")]
    scope: StoredScope,
    /// The token that took its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replaced_by: Option<String>,
}

#[derive(Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
enum StoredReach {
    Operator,
    Tenant(String),
}

/// `None`: unbounded.
#[derive(Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct StoredScope {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    operations: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tenants: Option<Vec<String>>,
}

impl StoredScope {
    fn is_unbounded(&self) -> bool {
        self.operations.is_none() && self.keys.is_none() && self.tenants.is_none()
    }

    fn of(scope: &Scope) -> Self {
        Self {
            operations: scope.patterns(Kind::Operations),
            keys: scope.patterns(Kind::Keys),
            tenants: scope.patterns(Kind::Tenants),
        }
    }

    fn read(&self) -> Option<Scope> {
        let scope = Scope::default().with(Kind::Operations, self.operations.as_deref());
        let scope = scope.and_then(|scope| scope.with(Kind::Keys, self.keys.as_deref()));
        scope.and_then(|scope| scope.with(Kind::Tenants, self.tenants.as_deref())).ok()
    }
}

impl TokenRecord {
    pub(super) fn of(hash: &[u8; 32], new: NewToken, created_at: u64) -> Self {
        let reach = match &new.reach {
            Reach::Operator => StoredReach::Operator,
            Reach::Tenant(tenant) => StoredReach::Tenant(tenant.as_str().to_owned()),
        };
        let Caller { subject, roles, claims } = new.caller;
        Self {
            hash: hex::encode(hash),
            reach,
            subject,
            roles,
            claims,
            created_at,
            created_by: Some(new.created_by),
            expires_at: new.expires_at,
            name: new.name,
            description: new.description,
            scope: StoredScope::of(&new.scope),
            replaced_by: None,
        }
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
        self.hash().is_some_and(|stored| stored.ct_eq(hash).into())
    }

    /// The hash it is of.
    pub(super) fn hash(&self) -> Option<[u8; 32]> {
        hex::decode(&self.hash).ok()?.try_into().ok()
    }

    /// Has it end at `at`, unless it does so earlier, in favour of another one.
    pub(super) fn end(&mut self, at: u64, replaced_by: &str) {
        self.expires_at = Some(self.expires_at.map_or(at, |before| before.min(at)));
        self.replaced_by = Some(replaced_by.to_owned());
    }

    pub(super) fn into_credential(self, id: String) -> Result<Credential, TokenError> {
        let details = self.into_details(id)?;
        let Details { id, reach, caller, scope, expires_at, .. } = details;
        Ok(Credential { id, reach, caller, scope, expires_at })
    }

    pub(super) fn into_details(self, id: String) -> Result<Details, TokenError> {
        let corrupt = || TokenError::Corrupt { path: path(&id) };
        let reach = match &self.reach {
            StoredReach::Operator => Reach::Operator,
            StoredReach::Tenant(name) => {
                Reach::Tenant(TenantName::from_str(name).map_err(|_| corrupt())?)
            }
        };
        let scope = self.scope.read().ok_or_else(corrupt)?;
        Ok(Details {
            reach,
            caller: Caller { subject: self.subject, roles: self.roles, claims: self.claims },
            scope,
            name: self.name,
            description: self.description,
            created_at: self.created_at,
            created_by: self.created_by,
            expires_at: self.expires_at,
            replaced_by: self.replaced_by,
            last_used_at: None,
            id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str =
        r#"{"hash":"00","reach":{"tenant":"acme"},"subject":"s","roles":["r"],"created_at":1}"#;

    #[test]
    fn records_of_before_are_unbounded_and_without_an_end() {
        let record = TokenRecord::from_bytes(OLD.as_bytes(), String::new()).unwrap();
        let details = record.into_details("id".into()).unwrap();
        assert_eq!((details.expires_at, details.name, details.created_by), (None, None, None));
        assert_eq!(details.scope, Scope::default());
    }

    #[test]
    fn a_scope_that_cannot_be_read_is_not_taken_for_none() {
        for scope in [r#"{"keys":[]}"#, r#"{"keys":["?"]}"#, r#"{"more":["a"]}"#] {
            let text = format!("{},\"scope\":{scope}}}", &OLD[..OLD.len() - 1]);
            let read = TokenRecord::from_bytes(text.as_bytes(), String::new())
                .and_then(|record| record.into_credential("id".into()));
            assert!(matches!(read, Err(TokenError::Corrupt { .. })), "{scope}");
        }
    }

    #[test]
    fn identifiers_are_told_from_other_paths() {
        assert!(is_id(&"0a".repeat(16)));
        for bad in ["", "..", &"0A".repeat(16), &"0".repeat(31), &"0a".repeat(17), &"g".repeat(32)]
        {
            assert!(!is_id(bad), "{bad}");
        }
    }
}
