//! How a log is kept.

use std::path::PathBuf;
use std::time::Duration;

/// What a request meets while entries cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnStall {
    /// It waits, and is refused before anything is done.
    Block,
    /// It is served without an entry, and counted.
    Shed,
}

/// How a log is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where its files are.
    pub dir: PathBuf,
    /// A file of so many bytes is followed by a new one.
    pub rotate_bytes: u64,
    /// A file this old is followed by a new one.
    pub rotate_after: Duration,
    /// How long an entry stays unsigned at most.
    pub checkpoint_every: Duration,
    /// How many entries stay unsigned at most.
    pub checkpoint_entries: u64,
    /// What a request meets while entries cannot be written.
    pub on_stall: OnStall,
    /// How long a request waits then.
    pub stall_timeout: Duration,
    /// A request is answered once its entry is on disk.
    pub strict: bool,
    /// Most entries in memory, those of requests under way included.
    pub queue: usize,
}
