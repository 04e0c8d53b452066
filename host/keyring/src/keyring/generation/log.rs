//! The record of changes.

use std::collections::VecDeque;

use keyward_crypto::KeyId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::change::Change;
use crate::error::KeyringError;

/// Where the record is.
pub(super) const PATH: &str = "changes";
const FORMAT: u32 = 1;

/// How many changes the record names.
pub(super) const KEPT: usize = 256;

/// The record.
#[derive(Debug, Deserialize, Serialize)]
pub(super) struct Log {
    format: u32,
    /// Tells this record from one that was there before and is gone.
    pub(super) incarnation: String,
    pub(super) generation: u64,
    /// The newest changes, the last of them that of `generation`.
    changes: VecDeque<Value>,
}

impl Log {
    pub(super) fn new() -> Result<Self, KeyringError> {
        let incarnation = KeyId::random()?.to_string();
        Ok(Self { format: FORMAT, incarnation, generation: 0, changes: VecDeque::new() })
    }

    pub(super) fn parse(value: &[u8]) -> Result<Self, KeyringError> {
        let log: Option<Self> = serde_json::from_slice(value).ok();
        log.filter(|log| log.format == FORMAT && log.changes.len() as u64 <= log.generation)
            .ok_or_else(|| KeyringError::Corrupt { path: PATH.to_owned() })
    }

    pub(super) fn append(&mut self, changes: &[Change]) {
        self.generation += changes.len() as u64;
        self.changes.extend(changes.iter().map(Change::to_json));
        let surplus = self.changes.len().saturating_sub(KEPT);
        self.changes.drain(..surplus);
    }

    /// The changes after generation `seen`, with their numbers, if the record reaches back so far.
    pub(super) fn after(&self, seen: u64) -> Option<impl Iterator<Item = (u64, Change)>> {
        let first = self.generation - self.changes.len() as u64 + 1;
        (first <= seen.saturating_add(1) && seen <= self.generation).then(|| {
            (first..)
                .zip(&self.changes)
                .filter(move |(number, _)| *number > seen)
                .map(|(number, change)| (number, Change::from_json(change)))
        })
    }
}
