//! Borrowed forms of the caches' keys, so that a look-up copies no name.

use equivalent::Equivalent;
use keyward_crypto::KeyId;

use crate::names::{KeyName, TenantName};

/// Finds a key by its name.
#[derive(Hash)]
pub(crate) struct ByName<'a>(pub(crate) &'a TenantName, pub(crate) &'a KeyName);

impl Equivalent<(TenantName, KeyName)> for ByName<'_> {
    fn equivalent(&self, (tenant, name): &(TenantName, KeyName)) -> bool {
        self.0 == tenant && self.1 == name
    }
}

/// Finds a key's name by its id.
#[derive(Hash)]
pub(crate) struct ById<'a>(pub(crate) &'a TenantName, pub(crate) KeyId);

impl Equivalent<(TenantName, KeyId)> for ById<'_> {
    fn equivalent(&self, (tenant, id): &(TenantName, KeyId)) -> bool {
        self.0 == tenant && self.1 == *id
    }
}
