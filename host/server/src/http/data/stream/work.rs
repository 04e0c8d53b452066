//! What gives a response's bytes: a stream that is sealed, opened, or opened in part.

use bytes::{Bytes, BytesMut};
use keyward_crypto::stream::{CHUNK_LEN, SEALED_CHUNK_LEN};

use super::part::Part;
use super::source::Source;
use crate::http::Problem;
use crate::metered::{MeteredOpener, MeteredSealer};

/// Something that gives the response's bytes, piece by piece.
pub trait Work: Send + 'static {
    /// The next piece; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Problem>> + Send;
    /// Whether the last piece was given.
    fn is_over(&self) -> bool;
}

/// Seals a stream.
pub struct Sealing {
    pub source: Source,
    pub chunks: MeteredSealer,
}

impl Work for Sealing {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let (plaintext, ends) = self.source.chunks(CHUNK_LEN).await?;
        let count = plaintext.len() / CHUNK_LEN + 1;
        let mut out = Vec::with_capacity(plaintext.len() + count * 16);
        if ends {
            self.chunks.seal_chunk_into(&plaintext, true, &mut out).map_err(Problem::internal)?;
        } else {
            for chunk in plaintext.chunks(CHUNK_LEN) {
                self.chunks.seal_chunk_into(chunk, false, &mut out).map_err(Problem::internal)?;
            }
        }
        Ok(Some(out.into()))
    }

    fn is_over(&self) -> bool {
        self.source.is_over()
    }
}

/// Opens a whole stream.
pub struct Opening {
    pub source: Source,
    pub chunks: MeteredOpener,
}

impl Work for Opening {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let (mut sealed, ends) = self.source.chunks(SEALED_CHUNK_LEN).await?;
        let mut out = BytesMut::with_capacity(sealed.len());
        let length = sealed.len();
        // Even an empty last chunk has a tag.
        let mut at = 0;
        while at < length || (ends && at == 0) {
            let end = length.min(at + SEALED_CHUNK_LEN);
            let chunk = sealed.get_mut(at..end).unwrap_or_default();
            let opened = self.chunks.open_chunk_in_place(chunk, ends);
            out.extend_from_slice(opened.map_err(|_| Problem::ciphertext_invalid())?);
            at = end.max(1);
        }
        Ok(Some(out.freeze()))
    }

    fn is_over(&self) -> bool {
        self.chunks.is_complete()
    }
}

/// Opens the chunks that hold a range of the plaintext; the source is at the first of them.
pub struct OpeningPart {
    pub source: Source,
    pub chunks: MeteredOpener,
    pub part: Part,
}

impl Work for OpeningPart {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let Some(chunk) = self.part.next_chunk() else {
            return Ok(None);
        };
        let mut sealed = self.source.take_front(chunk.sealed_len).await?;
        let opened = self.chunks.open_chunk_at(chunk.number, &mut sealed, chunk.is_last);
        let opened = opened.map_err(|_| Problem::ciphertext_invalid())?;
        let wanted = opened.get(chunk.wanted).ok_or_else(Problem::ciphertext_invalid)?;
        Ok(Some(Bytes::copy_from_slice(wanted)))
    }

    fn is_over(&self) -> bool {
        self.part.is_over()
    }
}
