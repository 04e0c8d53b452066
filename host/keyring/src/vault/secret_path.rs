//! Where in Vault the records are.

use std::str::FromStr;

use super::VaultError;
use super::config::{check_segments, invalid};

/// A KV version 2 mount and the folder in it below which all records are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretPath {
    mount: String,
    prefix: String,
}

impl SecretPath {
    /// The mount, such as `secret`.
    pub fn mount(&self) -> &str {
        &self.mount
    }

    /// The folder, such as `e2ee`. Never empty.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// Reads `mount/prefix` and, as Vault's own API spells it, `mount/data/prefix`. A mount of more
/// than one segment needs the second form. Fails with [`VaultError::Config`].
impl FromStr for SecretPath {
    type Err = VaultError;

    fn from_str(path: &str) -> Result<Self, VaultError> {
        let path = path.trim_matches('/');
        check_segments("vault.secret_path", path)?;
        let (mount, prefix) = path
            .split_once("/data/")
            .or_else(|| path.split_once('/'))
            .filter(|(_, prefix)| *prefix != "data")
            .ok_or_else(|| {
                let reason = "it needs a mount and a folder, such as `secret/data/e2ee`";
                invalid("vault.secret_path", reason)
            })?;
        Ok(Self { mount: mount.to_owned(), prefix: prefix.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_paths_with_and_without_data() {
        let parse = |path: &str| {
            path.parse::<SecretPath>().map(|p| (p.mount().to_owned(), p.prefix().to_owned())).ok()
        };
        let pair = |mount: &str, prefix: &str| Some((mount.to_owned(), prefix.to_owned()));
        assert_eq!(parse("secret/data/e2ee"), pair("secret", "e2ee"));
        assert_eq!(parse("secret/e2ee"), pair("secret", "e2ee"));
        assert_eq!(parse("/secret/data/e2ee/prod/"), pair("secret", "e2ee/prod"));
        assert_eq!(parse("secret/e2ee/prod"), pair("secret", "e2ee/prod"));
        assert_eq!(parse("team/kv/data/e2ee"), pair("team/kv", "e2ee"));
        for bad in ["", "/", "secret", "secret/", "secret/data", "secret/data/", "a//b", "a/../b"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
