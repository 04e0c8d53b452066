//! What a restore would do, or did.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// How a store differs from a backup. Nothing in it is secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Difference {
    /// By tenant.
    pub tenants: BTreeMap<String, TenantDifference>,
    /// Records of no tenant: tokens, components of policies.
    pub other: Records,
}

/// How a tenant differs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TenantDifference {
    /// Keys that are not equal.
    pub keys: Vec<KeyDifference>,
    /// How many keys are in the store with all that the backup has of them.
    pub equal_keys: u64,
    /// Records other than those of keys.
    pub records: Records,
}

/// Records that stand on their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Records {
    /// Paths of those that the store does not have.
    pub create: Vec<String>,
    /// How many are equal.
    pub equal: u64,
    /// Paths of those that have another value in the store.
    pub conflict: Vec<String>,
}

/// How a key differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct KeyDifference {
    /// The key's name.
    pub name: String,
    /// The path of its metadata.
    pub path: String,
    /// How many versions the backup has of it.
    pub versions: u64,
    /// What is to be done.
    pub action: KeyAction,
    /// Versions of which the store has other material than the backup.
    pub clashes: Vec<u32>,
}

/// What a restore has to do with a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyAction {
    /// The store does not have it.
    Create,
    /// The store has it. What the store says stays.
    Extend {
        /// Versions that the store does not list.
        added: Vec<u32>,
        /// Versions that the store lists and whose material it lost.
        repaired: Vec<u32>,
    },
    /// The store has something else where the key has to go.
    Conflict(Reason),
}

/// Why a key cannot be restored beside what the store has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Reason {
    /// A key with this name and another id. To replace it is to destroy it.
    OtherKey,
    /// Material that no key lists, such as of a creation under way.
    Leftover,
    /// The id belongs to a key of another name.
    IdTaken,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OtherKey => "the store has another key of this name",
            Self::Leftover => "the store has material of an unfinished creation",
            Self::IdTaken => "the store has its id under another name",
        })
    }
}

impl Difference {
    /// Whether the store has everything that the backup has.
    pub fn is_empty(&self) -> bool {
        let is_equal = |records: &Records| records.create.is_empty() && records.conflict.is_empty();
        is_equal(&self.other)
            && self.tenants.values().all(|t| t.keys.is_empty() && is_equal(&t.records))
    }

    /// The paths of records of the store that stand against the backup.
    pub fn conflicts(&self) -> impl Iterator<Item = &str> {
        let keys = self.keys().filter(|key| key.is_conflict()).map(|key| key.path.as_str());
        let tenants = self.tenants.values().flat_map(|tenant| &tenant.records.conflict);
        keys.chain(tenants.chain(&self.other.conflict).map(String::as_str))
    }

    /// The path of a key of the store that no restore replaces.
    pub(super) fn clash(&self) -> Option<&str> {
        let mut keys = self.keys();
        keys.find(|key| key.is_clash()).map(|key| key.path.as_str())
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &KeyDifference> {
        self.tenants.values().flat_map(|tenant| &tenant.keys)
    }

    /// The records of which `path` is one.
    pub(super) fn records(&mut self, path: &str) -> &mut Records {
        match path.strip_prefix("tenants/").and_then(|rest| rest.split('/').next()) {
            Some(tenant) => &mut self.tenants.entry(tenant.to_owned()).or_default().records,
            None => &mut self.other,
        }
    }
}

impl KeyDifference {
    fn is_conflict(&self) -> bool {
        self.is_clash() || matches!(self.action, KeyAction::Conflict(_))
    }

    fn is_clash(&self) -> bool {
        !self.clashes.is_empty() || matches!(self.action, KeyAction::Conflict(Reason::IdTaken))
    }
}

impl fmt::Display for Difference {
    /// One line for each thing that differs, `+` for what is created and `!` for what conflicts,
    /// and a last one with the counts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut create, mut equal, mut conflict) = (0, 0, 0);
        let mut records = |f: &mut fmt::Formatter<'_>, records: &Records| {
            create += records.create.len();
            equal += records.equal;
            conflict += records.conflict.len();
            for path in &records.create {
                writeln!(f, "+ {path}")?;
            }
            for path in &records.conflict {
                writeln!(f, "! {path}: it has another value in the store")?;
            }
            Ok::<_, fmt::Error>(())
        };
        let (mut new, mut extended, mut same, mut strange) = (0, 0, 0, 0);
        for (tenant, difference) in &self.tenants {
            same += difference.equal_keys;
            for key in &difference.keys {
                let name = format!("tenant {tenant}, key {}", key.name);
                match &key.action {
                    KeyAction::Create => {
                        new += 1;
                        writeln!(f, "+ {name}: {} versions", key.versions)?;
                    }
                    KeyAction::Extend { added, repaired } => {
                        if !added.is_empty() || !repaired.is_empty() {
                            extended += 1;
                            let (added, repaired) = (numbers(added), numbers(repaired));
                            writeln!(f, "+ {name}: versions {added}; material of {repaired}")?;
                        }
                    }
                    KeyAction::Conflict(reason) => {
                        strange += 1;
                        writeln!(f, "! {name}: {reason}")?;
                    }
                }
                if !key.clashes.is_empty() {
                    strange += 1;
                    let clashes = numbers(&key.clashes);
                    writeln!(f, "! {name}: other material in the store for versions {clashes}")?;
                }
            }
            records(f, &difference.records)?;
        }
        records(f, &self.other)?;
        write!(
            f,
            "keys: {new} to create, {extended} to extend, {same} equal, {strange} in conflict; other \
             records: {create} to create, {equal} equal, {conflict} in conflict"
        )
    }
}

fn numbers(versions: &[u32]) -> String {
    if versions.is_empty() {
        return "none".to_owned();
    }
    versions.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")
}
