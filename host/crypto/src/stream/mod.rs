//! Streams: plaintexts of any length sealed in chunks of 64 KiB, read in order or at random.
//!
//! The construction is STREAM (Hoang, Reyhanitabar, Rogaway, Vizár, CRYPTO 2015) over AES-256-GCM
//! with one key for each stream, as in Tink's AES-GCM-HKDF streaming; byte by byte in
//! `docs/ciphertext.md`. A stream opens only under the binding it was sealed with. Truncation,
//! reordering, duplication and appended data are detected, and no byte of a chunk is given out
//! before its tag has been verified. There is no I/O here: the caller moves the bytes.
//!
//! A stream is at most 2^32 chunks, 256 TiB.

mod keys;
mod layout;
mod opener;
mod sealer;

pub use keys::StreamHeader;
pub use layout::{CHUNK_LEN, ChunkSpan, SEALED_CHUNK_LEN, chunk_span, plaintext_len, sealed_len};
pub use opener::StreamOpener;
pub use sealer::StreamSealer;

use crate::provider::NONCE_LEN;

/// The nonce of one chunk: seven zero bytes, the chunk's number u32 big-endian, and 1 for the last
/// chunk, 0 for others. The key is for one stream only, so no nonce repeats.
fn nonce(index: u32, last: bool) -> [u8; NONCE_LEN] {
    let mut nonce = [0; NONCE_LEN];
    nonce[7..11].copy_from_slice(&index.to_be_bytes());
    nonce[11] = u8::from(last);
    nonce
}
