//! What sinks look at in a line; they send all of it.

use std::borrow::Cow;

use serde::Deserialize;

/// What sinks look at in a line.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Seen<'a> {
    #[serde(borrow)]
    pub kind: Cow<'a, str>,
    pub time_ms: u64,
    #[serde(borrow)]
    pub time: Cow<'a, str>,
    #[serde(borrow)]
    pub tenant: Cow<'a, str>,
    #[serde(borrow)]
    pub operation: Cow<'a, str>,
    #[serde(borrow)]
    pub trace_id: Cow<'a, str>,
    pub status: Option<u16>,
}

/// How much somebody should care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Severity {
    /// Things as they are meant to be.
    Info,
    /// A request that was refused or failed, entries that are missing.
    Warning,
    /// The log is not what was signed.
    Critical,
}

impl Seen<'_> {
    /// Reads a line; of one that is damaged nothing is seen.
    pub(super) fn read(line: &[u8]) -> Seen<'_> {
        serde_json::from_slice(line).unwrap_or_default()
    }

    pub(super) fn severity(&self) -> Severity {
        match &*self.kind {
            "damage" | "" => Severity::Critical,
            "crash" | "lost" | "skip" => Severity::Warning,
            _ if self.status.is_some_and(|status| status >= 400) => Severity::Warning,
            _ => Severity::Info,
        }
    }
}
