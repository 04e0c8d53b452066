//! What entries take, by estimate, in bytes.

use crate::key::Key;
use crate::names::{KeyName, TenantName};

/// What the cache itself needs for an entry, what metadata and a version's part of it take
/// without their texts, and what an expanded version takes.
const OVERHEAD: usize = 320;
const METADATA: usize = 480;
const LISTED: usize = 240;
const EXPANDED: usize = 2048;

fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// A key, with at least one expanded version.
pub(super) fn of_key(key: &Key) -> u32 {
    let listed: usize = key.versions.iter().map(|info| LISTED + info.description.len()).sum();
    let attributes: usize =
        key.attributes.iter().map(|(name, value)| 96 + name.len() + value.len()).sum();
    let expanded = key.cached.as_ref().map_or(0, |cached| cached.keep.count());
    let names = 2 * (key.tenant.as_str().len() + key.name.as_str().len());
    weight(OVERHEAD + METADATA + names + listed + attributes + expanded.max(1) * EXPANDED)
}

/// A key's name under its id.
pub(super) fn of_name(tenant: &TenantName, name: &KeyName) -> u32 {
    weight(OVERHEAD + tenant.as_str().len() + name.as_str().len())
}

/// A tenant.
pub(super) fn of_tenant(name: &TenantName) -> u32 {
    weight(2 * OVERHEAD + name.as_str().len())
}
