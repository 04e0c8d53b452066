//! A range of the plaintext, and which bytes of a stream hold it.

use std::ops::Range;

use axum::http::header::RANGE;
use axum::http::{HeaderMap, HeaderValue};
use http_range_header::{RangeUnsatisfiableError, parse_range_header};
use keyward_crypto::stream::{CHUNK_LEN, SEALED_CHUNK_LEN, chunk_span, plaintext_len};

use crate::errors::Code;
use crate::http::Problem;

/// The chunks yet to be opened, and what is wanted of them.
pub struct Part {
    /// What is wanted, in bytes of the plaintext.
    range: Range<u64>,
    /// Length of the whole plaintext.
    total: u64,
    /// Numbers of the chunks yet to be opened.
    numbers: Range<u64>,
    /// Where the chunks are in the stream.
    sealed: Range<u64>,
    reaches_end: bool,
}

/// A chunk to be opened.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk {
    pub number: u64,
    /// Its length in the stream, in bytes.
    pub sealed_len: usize,
    /// Whether it is the stream's last.
    pub is_last: bool,
    /// Which bytes of its plaintext are wanted.
    pub wanted: Range<usize>,
}

impl Part {
    /// The part that a `Range` header (RFC 9110 section 14.2) asks for of a stream whose length in
    /// bytes, header included, is `sealed_len`. `None`: there is no such header.
    pub fn asked(headers: &HeaderMap, sealed_len: Option<u64>) -> Result<Option<Self>, Problem> {
        let Some(range) = headers.get(RANGE) else {
            return Ok(None);
        };
        let Some(sealed_len) = sealed_len else {
            let detail = "a range needs the stream's length: send the whole stream with \
                          Content-Length, or give `sealed_length`";
            return Err(Problem::new(Code::InvalidRequest, detail));
        };
        let total = plaintext_len(sealed_len).ok_or_else(Problem::ciphertext_invalid)?;
        let range = range.to_str().ok().map(parse_range_header).and_then(Result::ok);
        let Some(range) = range.filter(|ranges| ranges.len() == 1) else {
            let detail = "the Range header is not one range of bytes, such as `bytes=0-99`";
            return Err(Problem::new(Code::InvalidRequest, detail));
        };
        let outside = || {
            let detail =
                format!("the plaintext has {total} bytes, and none of them is in the range");
            Problem::new(Code::RangeNotSatisfiable, detail)
        };
        let range = match range.validate(total) {
            Ok(ranges) => ranges.into_iter().next().ok_or_else(outside)?,
            Err(RangeUnsatisfiableError::Unsatisfiable | _) => return Err(outside()),
        };
        let range = *range.start()..range.end() + 1;
        let span = chunk_span(range.clone(), total).ok_or_else(outside)?;
        Ok(Some(Self {
            range,
            total,
            numbers: span.chunks,
            sealed: span.sealed,
            reaches_end: span.reaches_end,
        }))
    }

    /// Where its chunks are in the stream, in bytes from the stream's beginning.
    pub fn sealed(&self) -> Range<u64> {
        self.sealed.clone()
    }

    /// How many bytes are wanted.
    pub fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// `Content-Range`, RFC 9110 section 14.4.
    pub fn content_range(&self) -> HeaderValue {
        let (first, last) = (self.range.start, self.range.end - 1);
        let text = format!("bytes {first}-{last}/{}", self.total);
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("bytes */*"))
    }

    /// The next chunk to be opened.
    pub fn next_chunk(&mut self) -> Option<Chunk> {
        let number = self.numbers.next()?;
        let is_final = self.numbers.is_empty();
        let start = number * CHUNK_LEN as u64;
        // Offsets within a chunk, which are small.
        let within = |at: u64| usize::try_from(at.saturating_sub(start)).unwrap_or(CHUNK_LEN);
        let wanted = within(self.range.start)..within(self.range.end).min(CHUNK_LEN);
        let left = self.sealed.end - self.sealed.start;
        let sealed_len = usize::try_from(left).unwrap_or(usize::MAX).min(SEALED_CHUNK_LEN);
        self.sealed.start += sealed_len as u64;
        Some(Chunk { number, sealed_len, is_last: is_final && self.reaches_end, wanted })
    }

    /// Whether there is none.
    pub fn is_over(&self) -> bool {
        self.numbers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use keyward_crypto::stream::sealed_len;

    use super::*;

    const CHUNK: u64 = CHUNK_LEN as u64;

    fn asked(range: &str, plaintext_len: u64) -> Result<Option<Part>, Problem> {
        let headers = HeaderMap::from_iter([(RANGE, HeaderValue::try_from(range).unwrap())]);
        Part::asked(&headers, sealed_len(plaintext_len))
    }

    #[test]
    fn a_range_over_two_chunks() {
        let mut part = asked("bytes=65535-65536", 3 * CHUNK).unwrap().unwrap();
        assert_eq!(
            (part.len(), part.content_range()),
            (2, "bytes 65535-65536/196608".parse().unwrap())
        );
        let chunk = |number, wanted| {
            Some(Chunk { number, sealed_len: SEALED_CHUNK_LEN, is_last: false, wanted })
        };
        assert_eq!(part.next_chunk(), chunk(0, CHUNK_LEN - 1..CHUNK_LEN));
        assert!(!part.is_over());
        assert_eq!(part.next_chunk(), chunk(1, 0..1));
        assert!(part.is_over());
        assert_eq!(part.next_chunk(), None);
    }

    #[test]
    fn the_end_of_a_stream() {
        for range in ["bytes=-3", "bytes=65538-", "bytes=65538-999999"] {
            let mut part = asked(range, CHUNK + 5).unwrap().unwrap();
            assert_eq!((part.len(), part.sealed().end), (3, sealed_len(CHUNK + 5).unwrap()));
            let last = Chunk { number: 1, sealed_len: 5 + 16, is_last: true, wanted: 2..5 };
            assert_eq!(part.next_chunk(), Some(last));
        }
    }

    #[test]
    fn what_cannot_be_answered() {
        let code = |range: &str, length| asked(range, length).err().map(|problem| problem.code);
        for (range, length) in
            [("bytes=5-", 5), ("bytes=9-10", 5), ("bytes=-0", 5), ("bytes=0-", 0)]
        {
            assert_eq!(code(range, length), Some(Code::RangeNotSatisfiable), "{range}");
        }
        for range in
            ["bytes=0-1,3-4", "bytes=3-1", "bytes=", "bytes=a-b", "lines=0-1", "bytes=-1-2"]
        {
            assert_eq!(code(range, 5), Some(Code::InvalidRequest), "{range}");
        }
        assert_eq!(code("bytes=-1", 0), Some(Code::RangeNotSatisfiable));
        let headers = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=0-1"))]);
        for (length, wanted) in [(None, Code::InvalidRequest), (Some(7), Code::CiphertextInvalid)] {
            let error = Part::asked(&headers, length).err().map(|problem| problem.code);
            assert_eq!(error, Some(wanted));
        }
        assert!(Part::asked(&HeaderMap::new(), None).unwrap().is_none());
    }
}
