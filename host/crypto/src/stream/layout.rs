//! Where the bytes of a plaintext are in its stream.

use std::ops::Range;

use super::StreamHeader;
use crate::provider::TAG_LEN;

/// Plaintext bytes of every chunk but the last, which has fewer or as many.
pub const CHUNK_LEN: usize = 64 << 10;
/// Bytes of a sealed chunk of [`CHUNK_LEN`]: the ciphertext, then the tag.
pub const SEALED_CHUNK_LEN: usize = CHUNK_LEN + TAG_LEN;

const HEADER: u64 = StreamHeader::LEN as u64;
const CHUNK: u64 = CHUNK_LEN as u64;
const TAG: u64 = TAG_LEN as u64;
const SEALED_CHUNK: u64 = SEALED_CHUNK_LEN as u64;
const MAX_CHUNKS: u64 = 1 << 32;

/// How many chunks a plaintext has: at least one, which is empty when the plaintext is.
fn chunks(plaintext_len: u64) -> Option<u64> {
    let chunks = plaintext_len.div_ceil(CHUNK).max(1);
    (chunks <= MAX_CHUNKS).then_some(chunks)
}

/// Length of the stream, header included, of a plaintext of this length in bytes. `None` past the
/// limit of 2^32 chunks.
pub fn sealed_len(plaintext_len: u64) -> Option<u64> {
    // The limit is checked first: below it nothing overflows.
    let tags = TAG * chunks(plaintext_len)?;
    Some(HEADER + plaintext_len + tags)
}

/// Length of the plaintext of a stream of this length, header included. `None` when no stream has
/// this length.
pub fn plaintext_len(sealed_len: u64) -> Option<u64> {
    let body = sealed_len.checked_sub(HEADER)?;
    let chunks = body.div_ceil(SEALED_CHUNK);
    let plaintext = body.checked_sub(TAG.checked_mul(chunks)?)?;
    // What does not come back has a chunk too short for its tag, or an empty one at its end.
    (self::sealed_len(plaintext)? == sealed_len).then_some(plaintext)
}

/// The chunks that hold a range of plaintext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkSpan {
    /// Numbers of the chunks, the first chunk of a stream being 0.
    pub chunks: Range<u64>,
    /// Where they are in the stream, in bytes from its beginning.
    pub sealed: Range<u64>,
    /// Plaintext bytes of the first of them that lie before the range.
    pub skip: usize,
    /// Whether the last of them is the last of the stream.
    pub reaches_end: bool,
}

/// The chunks that hold `range` of a plaintext of `plaintext_len` bytes, so that a range can be
/// read without the rest. `None` when the range is empty or goes beyond the plaintext.
pub fn chunk_span(range: Range<u64>, plaintext_len: u64) -> Option<ChunkSpan> {
    if range.is_empty() || range.end > plaintext_len {
        return None;
    }
    let (first, end) = (range.start / CHUNK, range.end.div_ceil(CHUNK));
    let reaches_end = end == chunks(plaintext_len)?;
    let sealed_end =
        if reaches_end { sealed_len(plaintext_len)? } else { HEADER + end * SEALED_CHUNK };
    Some(ChunkSpan {
        chunks: first..end,
        sealed: HEADER + first * SEALED_CHUNK..sealed_end,
        skip: usize::try_from(range.start % CHUNK).ok()?,
        reaches_end,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_invert_each_other() {
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK, MAX_CHUNKS * CHUNK] {
            assert_eq!(plaintext_len(sealed_len(length).unwrap()), Some(length));
        }
        assert_eq!(sealed_len(MAX_CHUNKS * CHUNK + 1), None);
        assert_eq!(sealed_len(u64::MAX), None);
        assert_eq!(plaintext_len(u64::MAX), None);
        // Too short, a chunk without room for its tag, an empty chunk after a full one.
        for wrong in [0, HEADER, HEADER + TAG - 1] {
            assert_eq!(plaintext_len(wrong), None);
        }
        for short in 1..=TAG {
            assert_eq!(plaintext_len(HEADER + SEALED_CHUNK + short), None);
        }
        assert_eq!(plaintext_len(HEADER + SEALED_CHUNK + TAG + 1), Some(CHUNK + 1));
    }

    #[test]
    fn spans_cover_their_range() {
        let length = 2 * CHUNK + 5;
        let span = |range| chunk_span(range, length);
        let at = |chunk: u64| HEADER + chunk * SEALED_CHUNK;
        let first = ChunkSpan { chunks: 0..1, sealed: at(0)..at(1), skip: 3, reaches_end: false };
        assert_eq!(span(3..CHUNK), Some(first));
        let end = sealed_len(length).unwrap();
        let rest = ChunkSpan { chunks: 1..3, sealed: at(1)..end, skip: 0, reaches_end: true };
        assert_eq!(span(CHUNK..2 * CHUNK + 1), Some(rest));
        let last = ChunkSpan { chunks: 2..3, sealed: at(2)..end, skip: 4, reaches_end: true };
        assert_eq!(span(length - 1..length), Some(last));
        for none in [0..0, 7..7, 0..length + 1, length..length + 1] {
            assert_eq!(span(none), None);
        }
    }
}
