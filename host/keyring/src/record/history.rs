//! One entry of a key's history.

use serde::{Deserialize, Serialize};

use crate::history::HistoryEntry;

#[derive(Serialize, Deserialize)]
pub(super) struct HistoryRecord {
    at: u64,
    by: String,
    action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    version: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl HistoryRecord {
    /// `None` when no action has this name.
    pub(super) fn decode(self) -> Option<HistoryEntry> {
        let Self { at, by: actor, action, version, reason } = self;
        Some(HistoryEntry { at, actor, action: action.parse().ok()?, version, reason })
    }
}

impl From<&HistoryEntry> for HistoryRecord {
    fn from(entry: &HistoryEntry) -> Self {
        let HistoryEntry { at, actor, action, version, reason } = entry.clone();
        Self { at, by: actor, action: action.name().to_owned(), version, reason }
    }
}
