//! What may be known not to be in the store.

use keyward_crypto::KeyId;

use crate::names::{KeyName, TenantName};

/// Something of an existing tenant's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Absent {
    /// A key of this name.
    Key(TenantName, KeyName),
    /// A key of this id.
    Id(TenantName, KeyId),
    /// Versions of the key beyond those that its cached metadata lists.
    MoreVersions(TenantName, KeyName),
}
