//! What stands in the log beside requests: what the log itself went through.

use serde::Deserialize;

use crate::entry::Entry;
use crate::hash::Hash;
use crate::line;
use crate::log::Head;
use crate::sealed::Keys;
use crate::tree::Tree;

/// Of [`Event::File`]'s entries.
pub(crate) const FILE: &str = "file";
/// Of [`Event::Checkpoint`]'s entries.
pub(crate) const CHECKPOINT: &str = "checkpoint";
/// Of [`Event::Damage`]'s entries.
pub(crate) const DAMAGE: &str = "damage";
/// Of [`Event::Stop`]'s entries.
pub(crate) const STOP: &str = "stop";
/// Of [`Event::Crash`]'s entries.
pub(crate) const CRASH: &str = "crash";
/// Of [`Event::Lost`]'s entries.
pub(crate) const LOST: &str = "lost";

/// Of [`Event::Skip`]'s entries.
pub(crate) const SKIP: &str = "skip";

/// Of [`Event::Keys`]'s entries.
pub(crate) const KEYS: &str = "keys";

/// The version of the format in `docs/audit.md`.
pub(crate) const FORMAT: u64 = 1;

/// Entries that somebody who reads along was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skip {
    /// Who.
    pub sink: &'static str,
    /// The first of them.
    pub first: u64,
    /// The last of them.
    pub last: u64,
}

/// Something to be recorded.
pub(crate) enum Event<'a> {
    /// A request was answered.
    Request(&'a Entry),
    /// A file begins: what it continues.
    File { log: &'a str, size: u64, hash: &'a Hash, tree: &'a Tree },
    /// From here on entries are sealed under these keys, which are sealed themselves.
    Keys(&'a Keys),
    /// The server started.
    Start { version: &'a str },
    /// The server ended in order.
    Stop,
    /// The one before did not end in order.
    Crash { torn_bytes: u64, torn_sha256: Option<Hash>, lost_at_most: u64 },
    /// What is here is not what was signed.
    Damage { reason: &'a str, checkpoint: Option<&'a str> },
    /// Requests were answered without an entry.
    Lost { count: u64, from_ms: u64, until_ms: u64 },
    /// A sink was not given some entries.
    Skip(&'a Skip),
    /// The entries so far were signed.
    Checkpoint { size: u64, note: &'a str },
}

impl Event<'_> {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Request(entry) if entry.is_end => "end",
            Self::Request(_) => "request",
            Self::File { .. } => FILE,
            Self::Keys(_) => KEYS,
            Self::Start { .. } => "start",
            Self::Stop => STOP,
            Self::Crash { .. } => CRASH,
            Self::Damage { .. } => DAMAGE,
            Self::Lost { .. } => LOST,
            Self::Skip(_) => SKIP,
            Self::Checkpoint { .. } => CHECKPOINT,
        }
    }

    /// Appends the fields after the line's beginning.
    pub(crate) fn push(&self, out: &mut Vec<u8>) {
        match self {
            Self::Request(entry) => entry.push(out, None),
            Self::File { log, size, hash, tree } => {
                line::number(out, "format", FORMAT);
                line::text(out, "log", log);
                line::number(out, "after_size", *size);
                line::text(out, "after_hash", &hex::encode(hash));
                line::push_name(out, "tree");
                for (index, root) in tree.roots().iter().enumerate() {
                    out.push(if index == 0 { b'[' } else { b',' });
                    out.push(b'"');
                    line::push_hex(out, root);
                    out.push(b'"');
                }
                out.extend_from_slice(if tree.roots().is_empty() { b"[]" } else { b"]" });
            }
            Self::Keys(Keys { to, sealed }) => {
                line::push_name(out, "to");
                for (index, name) in to.iter().enumerate() {
                    out.push(if index == 0 { b'[' } else { b',' });
                    line::push_string(out, name);
                }
                out.extend_from_slice(if to.is_empty() { b"[]" } else { b"]" });
                line::text(out, "keys", sealed);
            }
            Self::Start { version } => line::text(out, "version", version),
            Self::Stop => {}
            Self::Crash { torn_bytes, torn_sha256, lost_at_most } => {
                line::number(out, "torn_bytes", *torn_bytes);
                line::optional(out, "torn_sha256", torn_sha256.map(hex::encode).as_deref());
                line::number(out, "lost_at_most", *lost_at_most);
            }
            Self::Damage { reason, checkpoint } => {
                line::text(out, "reason", reason);
                line::optional(out, "checkpoint", *checkpoint);
            }
            Self::Lost { count, from_ms, until_ms } => {
                line::number(out, "count", *count);
                line::number(out, "from_ms", *from_ms);
                line::number(out, "until_ms", *until_ms);
            }
            Self::Skip(Skip { sink, first, last }) => {
                line::text(out, "sink", sink);
                line::number(out, "count", last.saturating_sub(*first) + 1);
                line::number(out, "first", *first);
                line::number(out, "last", *last);
            }
            Self::Checkpoint { size, note } => {
                line::number(out, "size", *size);
                line::text(out, "note", note);
            }
        }
    }
}

/// The first line of a file, read again.
#[derive(Debug, Deserialize)]
pub(crate) struct FileLine {
    pub kind: String,
    pub format: u64,
    pub log: String,
    pub after_size: u64,
    after_hash: String,
    tree: Vec<String>,
}

impl FileLine {
    /// Reads a line; none if it is no file's first.
    pub(crate) fn read(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok().filter(|read: &Self| read.kind == FILE)
    }

    /// Hash and tree of the entries before the file.
    pub(crate) fn head(&self) -> Option<Head> {
        let hash = |text: &String| {
            let mut hash = [0; 32];
            hex::decode_to_slice(text, &mut hash).ok().map(|()| hash)
        };
        let tree = Tree::of(self.after_size, self.tree.iter().map(hash).collect::<Option<_>>()?)?;
        Some(Head { hash: hash(&self.after_hash)?, tree })
    }
}

/// A checkpoint's line, or one that tells of damage, read again.
#[derive(Debug, Deserialize)]
pub(crate) struct NoteLine {
    #[serde(default)]
    pub size: u64,
    #[serde(default)]
    pub note: String,
    #[serde(default)]
    pub reason: String,
}

/// What a crash or a loss left, read again.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct LossLine {
    pub time: String,
    pub torn_bytes: u64,
    pub lost_at_most: u64,
    pub count: u64,
}
