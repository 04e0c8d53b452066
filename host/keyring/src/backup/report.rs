//! What a backup holds, as told to whoever made it or is about to restore it.

use std::fmt;

use super::header::{End, Header};
use super::origin::{Origin, hex};
use super::scope::Scope;

/// What an archive holds. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// When the backup was begun, in milliseconds since the Unix epoch.
    pub created_at: u64,
    /// What was backed up.
    pub scope: Scope,
    /// The store it comes from.
    pub origin: Origin,
    /// How many records it holds, those of keys included.
    pub records: u64,
    /// How many keys.
    pub keys: u64,
    /// How many versions of keys, destroyed ones included.
    pub versions: u64,
    /// `sha256:` and the 64 hexadecimal digits of the SHA-256 of what is encrypted in it. The same
    /// digest is the same backup.
    pub digest: String,
}

impl Summary {
    pub(super) fn new(header: Header, counts: Counts, end: &End) -> Self {
        let Header { created_at, scope, origin } = header;
        let Counts { keys, versions } = counts;
        let digest = format!("sha256:{}", hex(&end.digest));
        Self { created_at, scope, origin, records: end.frames, keys, versions, digest }
    }
}

#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) keys: u64,
    pub(super) versions: u64,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scope, keys, versions, records, origin, digest, .. } = self;
        writeln!(f, "{scope}: {keys} keys with {versions} versions, {records} records")?;
        write!(f, "origin {origin}\ndigest {digest}")
    }
}

/// What a backup did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// What it wrote.
    pub summary: Summary,
    /// The length of the encrypted backup in bytes.
    pub bytes: u64,
    /// Records that are damaged in the store, or missing although others name them: the backup has
    /// them as they are, or not at all. Empty for a store in order.
    pub damaged: Vec<String>,
}
