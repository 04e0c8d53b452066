//! Names of tenants and keys: validated once, cheap to clone, safe in paths and URLs.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::KeyringError;

/// The longest tenant name, in bytes: a DNS label.
const TENANT_MAX: usize = 63;
/// The longest key name, in bytes.
const KEY_MAX: usize = 128;

/// A tenant's name: 1 to 63 of `a-z`, `0-9` and `-`, beginning and ending with a letter or digit
/// (a DNS label in lower case).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TenantName(Arc<str>);

/// A key's name within its tenant: 1 to 128 of `A-Z`, `a-z`, `0-9`, `.`, `_` and `-`, beginning
/// and ending with a letter or digit. Case matters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyName(Arc<str>);

fn check(
    field: &'static str,
    name: &str,
    max: usize,
    edge: fn(u8) -> bool,
    inner: fn(u8) -> bool,
    reason: &'static str,
) -> Result<(), KeyringError> {
    let bytes = name.as_bytes();
    let ok = bytes.len() <= max
        && bytes.first().copied().is_some_and(edge)
        && bytes.last().copied().is_some_and(edge)
        && bytes.iter().copied().all(inner);
    if ok { Ok(()) } else { Err(KeyringError::InvalidName { field, reason }) }
}

fn tenant_edge(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn tenant_inner(byte: u8) -> bool {
    tenant_edge(byte) || byte == b'-'
}

fn key_edge(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}

fn key_inner(byte: u8) -> bool {
    key_edge(byte) || matches!(byte, b'.' | b'_' | b'-')
}

impl FromStr for TenantName {
    type Err = KeyringError;

    /// Fails with [`KeyringError::InvalidName`] and field `tenant`.
    fn from_str(name: &str) -> Result<Self, KeyringError> {
        check(
            "tenant",
            name,
            TENANT_MAX,
            tenant_edge,
            tenant_inner,
            "must be 1 to 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit",
        )?;
        Ok(Self(name.into()))
    }
}

impl FromStr for KeyName {
    type Err = KeyringError;

    /// Fails with [`KeyringError::InvalidName`] and field `key`.
    fn from_str(name: &str) -> Result<Self, KeyringError> {
        check(
            "key",
            name,
            KEY_MAX,
            key_edge,
            key_inner,
            "must be 1 to 128 of A-Z, a-z, 0-9, '.', '_' and '-', beginning and ending with a \
             letter or digit",
        )?;
        Ok(Self(name.into()))
    }
}

macro_rules! name_impls {
    ($name:ident) => {
        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

name_impls!(TenantName);
name_impls!(KeyName);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edges_of_the_rules() {
        let ok = |name: &str| name.parse::<TenantName>().is_ok();
        assert!(ok("a") && ok("0") && ok("a-b") && ok("a--b") && ok(&"a".repeat(63)));
        for bad in ["", "-", "a-", "-a", "A", "a.b", "a/b", "a b", "é", "a\0", "..", "a\n"] {
            assert!(!ok(bad), "{bad:?}");
        }
        assert!(!ok(&"a".repeat(64)));

        let ok = |name: &str| name.parse::<KeyName>().is_ok();
        assert!(ok("a") && ok("Z9") && ok("a..b") && ok("a_b-c.d") && ok(&"k".repeat(128)));
        for bad in ["", ".", "..", "a.", "_a", "a/b", "a b", "é", "a\0", "a\n", "versions/1"] {
            assert!(!ok(bad), "{bad:?}");
        }
        assert!(!ok(&"k".repeat(129)));
    }

    #[test]
    fn errors_name_the_field() {
        let error = "A".parse::<TenantName>().unwrap_err();
        assert!(matches!(error, KeyringError::InvalidName { field: "tenant", .. }));
        let error = "/".parse::<KeyName>().unwrap_err();
        assert!(matches!(error, KeyringError::InvalidName { field: "key", .. }));
    }

    #[test]
    fn serde_validates() {
        assert_eq!(serde_json::from_str::<TenantName>("\"demo\"").unwrap().as_str(), "demo");
        assert!(serde_json::from_str::<TenantName>("\"../x\"").is_err());
        let name: KeyName = serde_json::from_str("\"Orders.v1\"").unwrap();
        assert_eq!(serde_json::to_string(&name).unwrap(), "\"Orders.v1\"");
    }

    proptest! {
        #[test]
        fn accepts_what_the_pattern_describes(
            tenant in "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?",
            key in "[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?",
        ) {
            prop_assert_eq!(tenant.parse::<TenantName>().unwrap().to_string(), tenant);
            prop_assert_eq!(key.parse::<KeyName>().unwrap().to_string(), key);
        }

        #[test]
        fn whatever_is_accepted_is_one_safe_path_segment(name in "\\PC{0,140}|[ -~]{0,140}") {
            if let Ok(name) = name.parse::<KeyName>() {
                prop_assert!(crate::store::check_path(name.as_str()).is_ok());
                prop_assert!(!name.as_str().contains('/'));
            }
            if let Ok(tenant) = name.parse::<TenantName>() {
                prop_assert!(tenant.as_str().parse::<KeyName>().is_ok());
            }
        }
    }
}
