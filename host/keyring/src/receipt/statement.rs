//! What is signed, after the label: every field of a receipt, each with its length where that is
//! not fixed, so that no two receipts have the same bytes.

use super::{Destroyed, Extent, ReceiptKeyId};

/// Numbers are big-endian; text is UTF-8 after its length in bytes (u32), empty for none.
pub(super) fn encode(destroyed: &Destroyed, signed_by: ReceiptKeyId) -> Vec<u8> {
    let mut out = vec![match destroyed.extent {
        Extent::Key => 1,
        Extent::Versions => 2,
    }];
    text(&mut out, destroyed.tenant.as_str());
    text(&mut out, destroyed.key.as_str());
    out.extend_from_slice(&destroyed.id.0.to_be_bytes());
    text(&mut out, &destroyed.algorithm);
    out.extend_from_slice(&length(destroyed.versions.len()));
    for gone in &destroyed.versions {
        out.extend_from_slice(&gone.version.to_be_bytes());
        text(&mut out, gone.fingerprint.as_deref().unwrap_or_default());
    }
    out.extend_from_slice(&destroyed.at.to_be_bytes());
    text(&mut out, &destroyed.by);
    text(&mut out, destroyed.reason.as_deref().unwrap_or_default());
    out.extend_from_slice(&signed_by.0);
    out
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&length(text.len()));
    out.extend_from_slice(text.as_bytes());
}

/// Nothing in a store has 2^32 of anything.
fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}
