//! A key's metadata as backups see it: its id and versions. Fields that mean nothing here are kept
//! as they are, whoever wrote them.

use std::collections::{BTreeMap, BTreeSet};

use keyward_crypto::Algorithm;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

/// A key's metadata.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Document {
    id: String,
    versions: BTreeMap<u32, Version>,
    fields: Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq)]
struct Version {
    is_destroyed: bool,
    fingerprint: Option<String>,
    fields: Value,
}

/// As much of a key's metadata as tells which material must be there: what a race with rotations
/// needs to read quickly, however long the history is.
#[derive(Deserialize)]
pub(super) struct Outline {
    pub(super) id: String,
    versions: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    version: u32,
    #[serde(default)]
    destroyed: Option<IgnoredAny>,
}

impl Outline {
    /// `None` when the bytes are not a key's metadata.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The versions whose material must be there.
    pub(super) fn alive(&self) -> impl Iterator<Item = u32> + '_ {
        self.versions.iter().filter(|info| info.destroyed.is_none()).map(|info| info.version)
    }
}

impl Document {
    /// `None` when the bytes are not a key's metadata.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        #[derive(Deserialize)]
        struct Known {
            version: u32,
            #[serde(default)]
            destroyed: Option<Value>,
            #[serde(default)]
            fingerprint: Option<String>,
        }
        let mut fields: Map<String, Value> = serde_json::from_slice(bytes).ok()?;
        let id = fields.get("id")?.as_str()?.to_owned();
        let is_id = id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        let Value::Array(listed) = fields.remove("versions")? else { return None };
        let mut versions = BTreeMap::new();
        for fields in listed {
            let Known { version, destroyed, fingerprint } = Known::deserialize(&fields).ok()?;
            let is_destroyed = destroyed.is_some();
            versions.insert(version, Version { is_destroyed, fingerprint, fields });
        }
        is_id.then_some(Self { id, versions, fields })
    }

    /// The key's id, 16 hexadecimal digits.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// What the key is for, if this version of the program knows it.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        self.fields.get("algorithm")?.as_str()?.parse().ok()
    }

    pub(super) fn count(&self) -> u64 {
        self.versions.len() as u64
    }

    /// The versions whose material must be there.
    pub(super) fn alive(&self) -> impl Iterator<Item = u32> + '_ {
        self.versions.iter().filter(|(_, info)| !info.is_destroyed).map(|(version, _)| *version)
    }

    pub(super) fn lists(&self, version: u32) -> bool {
        self.versions.contains_key(&version)
    }

    pub(super) fn is_destroyed(&self, version: u32) -> bool {
        self.versions.get(&version).is_some_and(|info| info.is_destroyed)
    }

    pub(super) fn fingerprint(&self, version: u32) -> Option<&str> {
        self.versions.get(&version)?.fingerprint.as_deref()
    }

    /// Adds the versions of `other` that this does not list, but for those in `without`. Whatever
    /// this says itself stays: what was destroyed, what is current. Gives the versions added.
    pub(super) fn add(&mut self, other: &Self, without: &BTreeSet<u32>) -> Vec<u32> {
        let mut added = Vec::new();
        for (version, info) in &other.versions {
            if !self.lists(*version) && !without.contains(version) {
                self.versions.insert(*version, info.clone());
                added.push(*version);
            }
        }
        added
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut fields = self.fields.clone();
        let versions = self.versions.values().map(|info| info.fields.clone()).collect();
        fields.insert("versions".to_owned(), Value::Array(versions));
        // Maps with text as keys: cannot fail.
        serde_json::to_vec(&fields).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(versions: &str) -> Document {
        let text = format!(
            r#"{{"format":2,"id":"00000000000000ab","current_version":1,"new":[1],"versions":[{versions}]}}"#
        );
        Document::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn unknown_fields_survive() {
        let document = document(r#"{"version":1,"what":"ever"}"#);
        assert_eq!(Document::parse(&document.encode()).unwrap(), document);
        let text = String::from_utf8(document.encode()).unwrap();
        assert!(text.contains(r#""new":[1]"#) && text.contains(r#""what":"ever""#), "{text}");
    }

    #[test]
    fn the_union_keeps_what_is_there() {
        let mut here = document(
            r#"{"version":1,"destroyed":{"at":1,"by":"x"}},{"version":3,"fingerprint":"f"}"#,
        );
        let there = document(
            r#"{"version":1},{"version":2},{"version":3,"destroyed":{"at":1,"by":"x"}},{"version":4},{"version":5}"#,
        );
        assert_eq!(here.add(&there, &BTreeSet::from([4])), [2, 5]);
        assert_eq!(here.alive().collect::<Vec<_>>(), [2, 3, 5]);
        assert!(here.is_destroyed(1) && !here.is_destroyed(3));
        assert_eq!((here.fingerprint(3), here.count()), (Some("f"), 4));
    }

    #[test]
    fn what_is_no_metadata_is_none() {
        for bad in ["", "[]", r#"{"id":"x","versions":[]}"#, r#"{"id":"00000000000000ab"}"#] {
            assert_eq!(Document::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
