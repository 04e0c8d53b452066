//! `tenants/<tenant>/policy`: which component is active.

use keyward_keyring::TenantName;
use serde::{Deserialize, Serialize};

/// Which component is a tenant's policy, since when, and by whom.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct PolicyRecord {
    /// `sha256:` and the component's digest in hexadecimal.
    pub digest: String,
    /// Unix time in ms.
    pub activated_at: u64,
    /// Subject of the credential that activated it.
    pub activated_by: String,
}

pub(super) fn path(tenant: &TenantName) -> String {
    format!("tenants/{tenant}/policy")
}

impl PolicyRecord {
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers alone: cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The digest's hexadecimal digits; `None` unless it is one.
    pub(super) fn digest_hex(&self) -> Option<&str> {
        let hex = self.digest.strip_prefix("sha256:")?;
        let is_digest = hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        is_digest.then_some(hex)
    }

    /// Name of the component's file; `None` unless the digest is one.
    pub(super) fn file_name(&self) -> Option<String> {
        self.digest_hex().map(|hex| format!("{hex}.wasm"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_digests_name_files() {
        let record = |digest: &str| PolicyRecord {
            digest: digest.into(),
            activated_at: 0,
            activated_by: String::new(),
        };
        assert!(record(&format!("sha256:{}", "a".repeat(64))).file_name().is_some());
        for digest in ["", "sha256:", "sha256:../../etc/passwd", &"a".repeat(64)] {
            assert_eq!(record(digest).file_name(), None);
        }
    }
}
