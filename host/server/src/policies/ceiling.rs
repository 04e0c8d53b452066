//! `tenants/<tenant>/policy-ceiling`: what a tenant's policies may want at most.

use std::collections::BTreeSet;

use keyward_keyring::TenantName;
use keyward_policy_host::Ceiling;
use serde::{Deserialize, Serialize};

/// What operators set for one tenant.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct CeilingRecord {
    /// Names of the interfaces a policy may import; `None`: all.
    #[serde(default)]
    pub interfaces: Option<BTreeSet<String>>,
    /// Largest component, in bytes; `None`: as the server's settings say.
    #[serde(default)]
    pub max_size: Option<u64>,
    /// Unix time in ms.
    pub set_at: u64,
    /// Subject of the operator's credential.
    pub set_by: String,
}

pub(super) fn path(tenant: &TenantName) -> String {
    format!("tenants/{tenant}/policy-ceiling")
}

impl CeilingRecord {
    /// What it bounds.
    pub fn ceiling(&self) -> Ceiling {
        let max_bytes = self.max_size.map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        Ceiling { interfaces: self.interfaces.clone(), max_bytes }
    }
}

/// That of a record that cannot be read: no policy is below it.
pub(super) fn damaged() -> Ceiling {
    Ceiling { interfaces: Some(BTreeSet::new()), max_bytes: Some(0) }
}
