//! Which records belong to a backup.
//!
//! What this host's other parts keep in the store is known here by path, and where it decides to
//! which tenant a record belongs, by the one field that says so:
//!
//! | path | content | in the backup of a tenant |
//! |---|---|---|
//! | `tenants/<t>`, `tenants/<t>/…` | keys, versions, policies | its own |
//! | `components/<digest>`, `components/<digest>/<n>` | a policy's component | that it keeps or has active |
//! | `tokens/<id>` | a token's hash and reach | those whose reach is the tenant |
//! | `operators/<id>` | marks a token as an operator's | none |
//! | `token-uses/<id>` | when a token was last used | never |
//! | `changes`, `backup-origin`, `receipt-key` | what hosts tell each other; this store's signing keys | never |

use std::fmt;

use serde::{Deserialize, Serialize};

use super::origin;
use crate::names::TenantName;
use crate::receipt;
use crate::record::TENANTS;

pub(super) const TOKENS: &str = "tokens";
pub(super) const COMPONENTS: &str = "components";

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// The whole store.
    All,
    /// One tenant: its keys, its policy with the component, and its tokens' hashes.
    Tenant(TenantName),
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all tenants"),
            Self::Tenant(tenant) => write!(f, "tenant {tenant}"),
        }
    }
}

/// Whether the record at `path` means something beyond this store and moment.
pub(super) fn is_lasting(path: &str) -> bool {
    path != "changes"
        && path != origin::PATH
        && path != receipt::PURPOSE.path
        && !path.starts_with("token-uses/")
}

impl Scope {
    /// Whether a backup of this scope may hold the record.
    pub(super) fn admits(&self, path: &str, value: &[u8]) -> bool {
        let Self::Tenant(tenant) = self else { return is_lasting(path) };
        let mut segments = path.split('/');
        match segments.next() {
            Some(TENANTS) => segments.next() == Some(tenant.as_str()),
            Some(COMPONENTS) => segments.next().is_some(),
            Some(TOKENS) => is_token_of(tenant, value),
            _ => false,
        }
    }
}

/// Whether this is the record of a token that speaks for the tenant.
pub(super) fn is_token_of(tenant: &TenantName, value: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Token {
        reach: Reach,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Reach {
        Operator,
        Tenant(String),
    }
    let token = serde_json::from_slice::<Token>(value);
    token.is_ok_and(|token| match token.reach {
        Reach::Operator => false,
        Reach::Tenant(name) => name == tenant.as_str(),
    })
}

/// The folder of the component that a policy record names, if `path` is one: that of the active
/// policy, or that of one that is kept.
pub(super) fn component_of(path: &str, value: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Policy {
        digest: String,
    }
    let (tenant, rest) = path.strip_prefix("tenants/")?.split_once('/')?;
    let kept = rest.strip_prefix("policies/");
    if tenant.is_empty() || (rest != "policy" && kept.is_none_or(|name| name.contains('/'))) {
        return None;
    }
    let digest = serde_json::from_slice::<Policy>(value).ok()?.digest;
    let hex = digest.strip_prefix("sha256:")?;
    let is_digest = hex.len() == 64 && hex.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digest.then(|| format!("{COMPONENTS}/{hex}"))
}

/// The tenant and the name of the key whose metadata is at `path`.
pub(super) fn key_at(path: &str) -> Option<(&str, &str)> {
    let (tenant, key) = path.strip_prefix("tenants/")?.split_once("/keys/")?;
    (!tenant.contains('/') && !key.contains('/')).then_some((tenant, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_backup_admits_nothing_of_others() {
        let scope = Scope::Tenant("demo".parse().unwrap());
        let token = |reach: &str| format!(r#"{{"hash":"00","reach":{reach},"subject":"s"}}"#);
        let own = token(r#"{"tenant":"demo"}"#);
        for good in ["tenants/demo", "tenants/demo/keys/k", "components/ab/0"] {
            assert!(scope.admits(good, b""), "{good}");
        }
        assert!(scope.admits("tokens/ab", own.as_bytes()));
        for bad in ["tenants/demo2", "tenants", "operators/ab", "changes", "x", "components"] {
            assert!(!scope.admits(bad, b""), "{bad}");
        }
        for reach in [r#"{"tenant":"demo2"}"#, r#""operator""#, "1"] {
            assert!(!scope.admits("tokens/ab", token(reach).as_bytes()), "{reach}");
        }
        assert!(Scope::All.admits("operators/ab", b"") && !Scope::All.admits("changes", b""));
        assert!(!Scope::All.admits(origin::PATH, b""));
        assert!(!Scope::All.admits("receipt-key", b""));
        assert!(!Scope::All.admits("token-uses/ab", b"{}"));
    }

    #[test]
    fn paths_are_told_apart() {
        assert_eq!(key_at("tenants/a/keys/k"), Some(("a", "k")));
        for other in ["tenants/a", "tenants/a/keys/k/versions/1", "tenants/a/b/keys/k", "keys/k"] {
            assert_eq!(key_at(other), None, "{other}");
        }
        let policy = format!(r#"{{"digest":"sha256:{}"}}"#, "a".repeat(64));
        let component = component_of("tenants/a/policy", policy.as_bytes());
        assert_eq!(component, Some(format!("components/{}", "a".repeat(64))));
        let kept = format!("tenants/a/policies/{}", "a".repeat(64));
        let component = component_of(&kept, policy.as_bytes());
        assert_eq!(component, Some(format!("components/{}", "a".repeat(64))));
        assert_eq!(component_of("tenants/a/policies/a/b", policy.as_bytes()), None);
        assert_eq!(component_of("tenants/a/policy-trust", policy.as_bytes()), None);
        assert_eq!(component_of("tenants/a/keys/policy", policy.as_bytes()), None);
        assert_eq!(component_of("tenants/a/policy", br#"{"digest":"sha256:../x"}"#), None);
    }
}
