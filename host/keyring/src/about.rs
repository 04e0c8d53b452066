//! What people say about a key: labels, an owner, a description. Keyward shows them and acts on
//! none of them; what policies read are a key's attributes.

use std::collections::BTreeMap;

use crate::error::KeyringError;

const MAX_LABELS: usize = 32;
const MAX_LABEL_NAME: usize = 63;
const MAX_LABEL_VALUE: usize = 256;
const MAX_OWNER: usize = 256;
const MAX_DESCRIPTION: usize = 1024;

/// What is said about a key. Names and texts have no control characters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// At most 32, with names of 1 to 63 bytes and values of at most 256.
    pub labels: BTreeMap<String, String>,
    /// Whom to ask about the key, 1 to 256 bytes.
    pub owner: Option<String>,
    /// What the key is for, 1 to 1,024 bytes.
    pub description: Option<String>,
}

/// What becomes of a value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Edit<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is removed; what then holds is the default.
    Remove,
    /// It is replaced by this.
    Set(T),
}

impl<T> Edit<T> {
    pub(crate) fn apply(self, before: Option<T>) -> Option<T> {
        match self {
            Self::Keep => before,
            Self::Remove => None,
            Self::Set(value) => Some(value),
        }
    }
}

/// Changes of a key's settings, done all at once or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyEdit {
    /// The lowest version that decrypts, unwraps and verifies, from 1 to the lowest that encrypts.
    /// By default 1.
    pub min_decrypt_version: Edit<u32>,
    /// The lowest version that encrypts, signs and makes MACs, from the lowest that decrypts to
    /// the current one. By default whatever decrypts.
    pub min_encrypt_version: Edit<u32>,
    /// Whether the key's material is given out. It can be forbidden, and not allowed again. By
    /// default it is not.
    pub exportable: Edit<bool>,
    /// Label by label; [`Edit::Remove`] removes all of them.
    pub labels: Edit<BTreeMap<String, Edit<String>>>,
    /// See [`About::owner`].
    pub owner: Edit<String>,
    /// See [`About::description`].
    pub description: Edit<String>,
}

impl KeyEdit {
    /// What is said about the key after the edit. Fails with [`KeyringError::InvalidName`].
    pub(crate) fn about(&self, before: &About) -> Result<About, KeyringError> {
        let mut after = before.clone();
        match &self.labels {
            Edit::Keep => {}
            Edit::Remove => after.labels.clear(),
            Edit::Set(labels) => {
                for (name, edit) in labels {
                    match edit.clone().apply(after.labels.remove(name)) {
                        Some(value) => after.labels.insert(name.clone(), value),
                        None => None,
                    };
                }
            }
        }
        after.owner = self.owner.clone().apply(after.owner);
        after.description = self.description.clone().apply(after.description);
        after.check()?;
        Ok(after)
    }
}

impl About {
    /// Fails with [`KeyringError::InvalidName`] (field `labels`, `owner` or `description`).
    pub(crate) fn check(&self) -> Result<(), KeyringError> {
        let invalid = |field, reason| Err(KeyringError::InvalidName { field, reason });
        let is_text = |text: &str, max| text.len() <= max && !text.chars().any(char::is_control);
        let is_line = |text: &str, max| !text.is_empty() && is_text(text, max);
        if self.labels.len() > MAX_LABELS {
            return invalid("labels", "there may be at most 32 labels");
        }
        if !self.labels.keys().all(|name| is_line(name, MAX_LABEL_NAME)) {
            let reason = "a label's name must have 1 to 63 bytes and no control characters";
            return invalid("labels", reason);
        }
        if !self.labels.values().all(|value| is_text(value, MAX_LABEL_VALUE)) {
            let reason = "a label's value must have at most 256 bytes and no control characters";
            return invalid("labels", reason);
        }
        if self.owner.as_ref().is_some_and(|owner| !is_line(owner, MAX_OWNER)) {
            return invalid("owner", "must have 1 to 256 bytes and no control characters");
        }
        if self.description.as_ref().is_some_and(|text| !is_line(text, MAX_DESCRIPTION)) {
            return invalid("description", "must have 1 to 1024 bytes and no control characters");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(about: &About) -> Option<&'static str> {
        match about.check() {
            Ok(()) => None,
            Err(KeyringError::InvalidName { field, .. }) => Some(field),
            Err(error) => panic!("{error}"),
        }
    }

    fn label(name: &str, value: &str) -> About {
        About { labels: BTreeMap::from([(name.into(), value.into())]), ..About::default() }
    }

    #[test]
    fn what_is_said_is_bounded() {
        let many = |count: usize| About {
            labels: (0..count).map(|n| (n.to_string(), String::new())).collect(),
            ..About::default()
        };
        let owner = |text: &str| About { owner: Some(text.into()), ..About::default() };
        let about = |text: &str| About { description: Some(text.into()), ..About::default() };
        for good in [
            many(32),
            label(&"n".repeat(63), &"v".repeat(256)),
            owner(&"o".repeat(256)),
            about(&"d".repeat(1024)),
        ] {
            assert_eq!(field_of(&good), None);
        }
        for (bad, field) in [
            (many(33), "labels"),
            (label("", ""), "labels"),
            (label(&"n".repeat(64), ""), "labels"),
            (label("a\tb", ""), "labels"),
            (label("a", &"v".repeat(257)), "labels"),
            (label("a", "\n"), "labels"),
            (owner(""), "owner"),
            (owner(&"o".repeat(257)), "owner"),
            (owner("\0"), "owner"),
            (about(""), "description"),
            (about(&"d".repeat(1025)), "description"),
            (about("\u{1b}[1m"), "description"),
        ] {
            assert_eq!(field_of(&bad), Some(field));
        }
    }

    /// RFC 7396, as far as it applies.
    #[test]
    fn an_edit_sets_what_it_names_and_removes_what_it_names_null() {
        let set = |text: &str| Edit::Set(text.to_owned());
        let labels = BTreeMap::from([("a".into(), set("1")), ("b".into(), set("2"))]);
        let edit = KeyEdit { labels: Edit::Set(labels), owner: set("me"), ..KeyEdit::default() };
        let first = edit.about(&About::default()).unwrap();
        assert_eq!((first.labels.len(), first.owner.as_deref()), (2, Some("me")));
        let labels = BTreeMap::from([("a".into(), Edit::Remove), ("c".into(), Edit::Remove)]);
        let edit = KeyEdit {
            labels: Edit::Set(labels),
            owner: Edit::Remove,
            description: set("for tests"),
            ..KeyEdit::default()
        };
        let second = edit.about(&first).unwrap();
        let left = About { description: Some("for tests".into()), ..label("b", "2") };
        assert_eq!(second, left);
        assert_eq!(KeyEdit::default().about(&second).unwrap(), second);
        let all = KeyEdit { labels: Edit::Remove, ..KeyEdit::default() };
        assert!(all.about(&second).unwrap().labels.is_empty());
    }
}
