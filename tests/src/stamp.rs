//! Policies that differ in nothing but a stamp, which they put on all that they decide and do.

use crate::policy;

/// What the component has where the stamp belongs.
const PLACE: &[u8] = b"keyward-test-stamp-0000000000000000000000000000";

/// The stamp of a number.
pub fn stamp(number: u32) -> String {
    format!("keyward-test-stamp-{number:028}")
}

/// The policy with the stamp of a number.
#[track_caller]
pub fn stamped(number: u32) -> Vec<u8> {
    let mut wasm = policy("stamp");
    let stamp = stamp(number);
    let places: Vec<usize> =
        (0..=wasm.len() - PLACE.len()).filter(|&at| &wasm[at..at + PLACE.len()] == PLACE).collect();
    assert!(!places.is_empty(), "the component has no place for a stamp");
    for at in places {
        wasm[at..at + PLACE.len()].copy_from_slice(stamp.as_bytes());
    }
    wasm
}
