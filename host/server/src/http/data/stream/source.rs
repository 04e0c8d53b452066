//! A body that is read chunk by chunk.

use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, BytesMut};
use keyward_policy_host::Obligations;

use crate::http::{Problem, body};

/// A body that is read chunk by chunk.
pub struct Source {
    body: Body,
    buffer: BytesMut,
    ended: bool,
    total: usize,
    /// What the plan says of its length.
    pub obligations: Obligations,
    /// How long to wait for more.
    timeout: Duration,
}

impl Source {
    /// Reads `body`; waits no longer than `timeout` for more of it.
    pub fn new(body: Body, obligations: Obligations, timeout: Duration) -> Self {
        Self { body, buffer: BytesMut::new(), ended: false, total: 0, obligations, timeout }
    }

    /// The first `length` bytes, or fewer if there are no more.
    pub async fn take_front(&mut self, length: usize) -> Result<BytesMut, Problem> {
        while self.buffer.len() < length && !self.ended {
            self.fill().await?;
        }
        let length = length.min(self.buffer.len());
        Ok(self.buffer.split_to(length))
    }

    /// Whole chunks of `size` bytes, as many as are there, and whether the last of them is the
    /// body's last. A whole chunk is held back until more follows.
    pub async fn chunks(&mut self, size: usize) -> Result<(BytesMut, bool), Problem> {
        while self.buffer.len() <= size && !self.ended {
            self.fill().await?;
        }
        if self.ended && self.buffer.len() <= size {
            return Ok((self.buffer.split(), true));
        }
        let whole = (self.buffer.len() - 1) / size * size;
        Ok((self.buffer.split_to(whole), false))
    }

    /// Leaves out `length` bytes, or fewer if there are no more.
    pub async fn pass(&mut self, mut length: u64) -> Result<(), Problem> {
        loop {
            let there = self.buffer.len();
            let now = usize::try_from(length).map_or(there, |length| length.min(there));
            self.buffer.advance(now);
            length -= now as u64;
            if length == 0 || self.ended {
                return Ok(());
            }
            self.fill().await?;
        }
    }

    /// Whether all was read and taken.
    pub fn is_over(&self) -> bool {
        self.ended && self.buffer.is_empty()
    }

    async fn fill(&mut self) -> Result<(), Problem> {
        let Some(data) = body::next(&mut self.body, self.timeout).await? else {
            self.ended = true;
            return Ok(());
        };
        self.total = self.total.saturating_add(data.len());
        self.obligations.check_len(self.total)?;
        self.buffer.extend_from_slice(&data);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn source(parts: &'static [&'static str]) -> Source {
        let parts = parts.iter().map(|part| Ok::<_, std::io::Error>(*part));
        let body = Body::from_stream(stream::iter(parts));
        Source::new(body, Obligations::default(), Duration::from_secs(5))
    }

    #[tokio::test]
    async fn a_whole_chunk_is_held_back_until_more_follows() {
        let mut source = source(&["abc", "d", "efg", "hi"]);
        let mut all = Vec::new();
        loop {
            let (piece, ends) = source.chunks(3).await.unwrap();
            all.push(String::from_utf8(piece.to_vec()).unwrap());
            if ends {
                break;
            }
        }
        assert_eq!(all, ["abc", "def", "ghi"]);
    }

    #[tokio::test]
    async fn what_is_passed_over_is_not_taken() {
        let mut source = source(&["abc", "defg", "h"]);
        assert_eq!(&source.take_front(1).await.unwrap()[..], b"a");
        source.pass(4).await.unwrap();
        assert_eq!(&source.take_front(2).await.unwrap()[..], b"fg");
        source.pass(9).await.unwrap();
        assert!(source.is_over());
    }
}
