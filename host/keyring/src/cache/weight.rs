//! What entries take, by estimate, in bytes.

use crate::key::Key;
use crate::names::{KeyName, TenantName};

/// What the cache itself needs for an entry, what metadata and a version's part of it take
/// without their texts, and what an expanded version takes.
const OVERHEAD: usize = 320;
const METADATA: usize = 480;
const LISTED: usize = 240;
/// An entry of the history without its texts.
const NOTED: usize = 96;
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
    let labels: usize =
        key.about.labels.iter().map(|(name, value)| 96 + name.len() + value.len()).sum();
    let texts = [&key.about.owner, &key.about.description];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    let history: usize = key
        .history
        .iter()
        .map(|entry| NOTED + entry.actor.len() + entry.reason.as_ref().map_or(0, String::len))
        .sum();
    let said = labels + texts + history;
    weight(OVERHEAD + METADATA + names + listed + attributes + said + expanded.max(1) * EXPANDED)
}

/// A key's name under its id.
pub(super) fn of_name(tenant: &TenantName, name: &KeyName) -> u32 {
    weight(OVERHEAD + tenant.as_str().len() + name.as_str().len())
}

/// A tenant.
pub(super) fn of_tenant(name: &TenantName) -> u32 {
    weight(2 * OVERHEAD + name.as_str().len())
}
