//! What may have changed, as keyrings tell each other.

use serde_json::{Value, json};

use crate::names::{KeyName, TenantName};

/// Something another keyring over the same store changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// A tenant's own settings, such as its outage contract.
    Tenant(TenantName),
    /// A key's metadata or versions.
    Key {
        /// The tenant it belongs to.
        tenant: TenantName,
        /// Its name.
        key: KeyName,
    },
    /// A tenant's active policy.
    Policy(TenantName),
    /// A token, by its identifier, which is not secret.
    Token(String),
    /// Any of these: what changed cannot be told.
    Everything,
}

impl Change {
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Tenant(tenant) => json!({ "tenant": tenant }),
            Self::Key { tenant, key } => json!({ "key": [tenant, key] }),
            Self::Policy(tenant) => json!({ "policy": tenant }),
            Self::Token(id) => json!({ "token": id }),
            Self::Everything => json!("everything"),
        }
    }

    /// What this version of the program does not know is [`Change::Everything`].
    pub(crate) fn from_json(value: &Value) -> Self {
        let name = |value: &Value| value.as_str()?.parse().ok();
        let known = || {
            let (kind, of) = value.as_object().filter(|map| map.len() == 1)?.iter().next()?;
            match kind.as_str() {
                "tenant" => Some(Self::Tenant(name(of)?)),
                "key" => {
                    let [tenant, key] = of.as_array()?.as_slice() else { return None };
                    Some(Self::Key { tenant: name(tenant)?, key: key.as_str()?.parse().ok()? })
                }
                "policy" => Some(Self::Policy(name(of)?)),
                "token" => Some(Self::Token(of.as_str()?.to_owned())),
                _ => None,
            }
        };
        known().unwrap_or(Self::Everything)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_read_back_and_unknown_ones_are_everything() {
        let tenant: TenantName = "demo".parse().unwrap();
        let key = "Orders.v1".parse().unwrap();
        for change in [
            Change::Tenant(tenant.clone()),
            Change::Key { tenant: tenant.clone(), key },
            Change::Policy(tenant),
            Change::Token("id".to_owned()),
            Change::Everything,
        ] {
            assert_eq!(Change::from_json(&change.to_json()), change);
        }
        for unknown in [
            json!({ "weather": "rain" }),
            json!({ "key": ["demo"] }),
            json!({ "key": ["demo", "../x"] }),
            json!({ "tenant": "demo", "token": "x" }),
            json!(null),
            json!([]),
        ] {
            assert_eq!(Change::from_json(&unknown), Change::Everything, "{unknown}");
        }
    }
}
