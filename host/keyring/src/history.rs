//! What was done to a key, by whom, and why.

use std::str::FromStr;

use crate::error::KeyringError;
use crate::key::Stamp;
use crate::record;

/// How many entries of a key's history are kept: the newest ones.
pub const HISTORY_LIMIT: usize = 100;
/// The longest reason, in bytes.
pub const MAX_REASON: usize = 512;
const MAX_ACTOR: usize = 256;

/// Who changes a key and, if they say so, why. A text alone is the actor without a reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Author<'a> {
    /// The actor, 1 to 256 bytes.
    pub actor: &'a str,
    /// The reason, 1 to [`MAX_REASON`] bytes without control characters. It is kept in the clear
    /// for whoever may see the key: nothing secret belongs in it.
    pub reason: Option<&'a str>,
}

impl<'a> From<&'a str> for Author<'a> {
    fn from(actor: &'a str) -> Self {
        Self { actor, reason: None }
    }
}

impl<'a> From<&'a String> for Author<'a> {
    fn from(actor: &'a String) -> Self {
        actor.as_str().into()
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident $name:literal)*) => {
        /// What was done to a key.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Action {
            $($(#[$doc])* $variant,)*
        }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The action's name, such as `destroy_version`: as records have it, so none ever changes.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }

        impl FromStr for Action {
            type Err = ();

            fn from_str(name: &str) -> Result<Self, ()> {
                match name {
                    $($name => Ok(Self::$variant),)*
                    _ => Err(()),
                }
            }
        }
    };
}

actions! {
    /// The key was created, with this version.
    Create "create"
    /// This version was added and became current.
    Rotate "rotate"
    /// This version became current again.
    Rollback "rollback"
    /// When the key is rotated by itself was changed.
    RotationPolicy "rotation_policy"
    /// The key was disabled.
    Disable "disable"
    /// The key was enabled.
    Enable "enable"
    /// From then on, only this version and later ones decrypted.
    MinDecrypt "min_decrypt_version"
    /// From then on, only this version and later ones encrypted.
    MinEncrypt "min_encrypt_version"
    /// Every version below this one was destroyed.
    Trim "trim"
    /// This version was destroyed.
    DestroyVersion "destroy_version"
    /// The key was deleted.
    Delete "delete"
    /// The deleted key was restored.
    Restore "restore"
    /// Labels, owner or description were changed.
    Attributes "attributes"
    /// The key was created with this version, or this version was added, of material that the
    /// caller brought.
    Import "import"
    /// The material of this version was given out, wrapped to a public key.
    Export "export"
    /// From then on, the key's material was not given out any more.
    NotExportable "not_exportable"
    /// The key's destruction began.
    Destroy "destroy"
}

/// One change of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryEntry {
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// Who, as the caller of the change named it.
    pub actor: String,
    /// What.
    pub action: Action,
    /// The version it is about, if it is about one; see [`Action`].
    pub version: Option<u32>,
    /// Why, if the actor said so.
    pub reason: Option<String>,
}

/// Who does something now, and why: an [`Author`] that was checked.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    pub(crate) at: u64,
    pub(crate) actor: String,
    pub(crate) reason: Option<String>,
}

impl Cause {
    /// Fails with [`KeyringError::InvalidName`] (field `actor` or `reason`).
    pub(crate) fn of<'a>(author: impl Into<Author<'a>>) -> Result<Self, KeyringError> {
        let Author { actor, reason } = author.into();
        if actor.is_empty() || actor.len() > MAX_ACTOR {
            let reason = "must have 1 to 256 bytes";
            return Err(KeyringError::InvalidName { field: "actor", reason });
        }
        let is_bad = |text: &str| {
            text.is_empty() || text.len() > MAX_REASON || text.chars().any(char::is_control)
        };
        if reason.is_some_and(is_bad) {
            let reason = "must have 1 to 512 bytes and no control characters";
            return Err(KeyringError::InvalidName { field: "reason", reason });
        }
        let at = record::now_ms();
        Ok(Self { at, actor: actor.to_owned(), reason: reason.map(str::to_owned) })
    }

    pub(crate) fn stamp(&self) -> Stamp {
        Stamp { at: self.at, by: self.actor.clone() }
    }

    pub(crate) fn entry(&self, action: Action, version: Option<u32>) -> HistoryEntry {
        let Self { at, actor, reason } = self.clone();
        HistoryEntry { at, actor, action, version, reason }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(actor: &str, reason: Option<&str>) -> Option<&'static str> {
        match Cause::of(Author { actor, reason }) {
            Ok(_) => None,
            Err(KeyringError::InvalidName { field, .. }) => Some(field),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn actors_and_reasons_are_bounded() {
        assert_eq!(field_of("a", None), None);
        assert_eq!(field_of("a", Some("because \u{e9}")), None);
        assert_eq!(field_of(&"a".repeat(256), Some(&"r".repeat(512))), None);
        for actor in [String::new(), "a".repeat(257)] {
            assert_eq!(field_of(&actor, None), Some("actor"));
        }
        for reason in [String::new(), "r".repeat(513), "a\nb".to_owned(), "\u{7f}".to_owned()] {
            assert_eq!(field_of("a", Some(&reason)), Some("reason"), "{reason:?}");
        }
    }
}
