//! A key's rotation policy, as its record has it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cache::millis;
use crate::error::KeyringError;
use crate::rotation::Rotation;

/// A rotation policy; `every` in milliseconds.
#[derive(Serialize, Deserialize)]
pub(super) struct RotationRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    every: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_messages: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
}

impl From<Rotation> for RotationRecord {
    fn from(rotation: Rotation) -> Self {
        Self {
            every: rotation.every().map(millis),
            max_messages: rotation.max_messages(),
            max_bytes: rotation.max_bytes(),
        }
    }
}

impl TryFrom<RotationRecord> for Rotation {
    type Error = KeyringError;

    fn try_from(record: RotationRecord) -> Result<Self, KeyringError> {
        let every = record.every.map(Duration::from_millis);
        Self::new(every, record.max_messages, record.max_bytes)
    }
}
