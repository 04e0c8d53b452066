//! Opening a stream, chunk by chunk or at random.

use zeroize::Zeroize;

use super::sealer::is_chunk_len;
use super::{keys, nonce};
use crate::provider::{self, AeadKey, Provider, TAG_LEN};
use crate::{Binding, CryptoError, KeyVersion};

/// A stream being opened. It holds its own key, so the [`KeyVersion`] need not outlive it.
pub struct StreamOpener<P: Provider = provider::Default> {
    key: P::Aes256Gcm,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Next(u32),
    Complete,
    /// A chunk did not open: none after it does.
    Broken,
}

impl<P: Provider> StreamOpener<P> {
    /// Reads the header of a stream, its first [`StreamHeader::LEN`](super::StreamHeader::LEN)
    /// bytes and no more. [`CryptoError::CiphertextInvalid`] unless `key` sealed it under an equal
    /// binding.
    pub fn new(
        key: &KeyVersion<P>,
        binding: &Binding<'_>,
        header: &[u8],
    ) -> Result<Self, CryptoError> {
        let key = keys::resume(key, binding, header)?;
        Ok(Self { key, state: State::Next(0) })
    }

    /// Opens the next chunk where it lies: `chunk` is a whole sealed chunk, and the plaintext is
    /// returned, the front of it. `last` says that the stream ends with this chunk; it opens only
    /// if it was sealed as the last, so a stream that was cut or continued does not go unnoticed
    /// (see [`is_complete`](Self::is_complete)).
    ///
    /// [`CryptoError::CiphertextInvalid`] when it does not open; `chunk` is wiped then, and no
    /// later chunk opens. [`CryptoError::StreamEnded`] after the last chunk.
    pub fn open_chunk_in_place<'a>(
        &mut self,
        chunk: &'a mut [u8],
        last: bool,
    ) -> Result<&'a mut [u8], CryptoError> {
        let index = match self.state {
            State::Next(index) => index,
            State::Complete => return Err(CryptoError::StreamEnded),
            State::Broken => {
                chunk.zeroize();
                return Err(CryptoError::CiphertextInvalid);
            }
        };
        // Whatever fails below, the stream is broken.
        self.state = State::Broken;
        let plaintext = self.open_chunk_at(index.into(), chunk, last)?;
        self.state = match (last, index.checked_add(1)) {
            (true, _) => State::Complete,
            (false, Some(next)) => State::Next(next),
            (false, None) => State::Broken,
        };
        Ok(plaintext)
    }

    /// Whether the last chunk was opened in turn. Only then is the plaintext the whole of what was
    /// sealed; whoever stops before has to treat what came as cut off.
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// Opens chunk `index` wherever the reader is, as
    /// [`open_chunk_in_place`](Self::open_chunk_in_place) does; see
    /// [`chunk_span`](super::chunk_span) for which chunks a range needs. Nothing is learnt of
    /// chunks that were not opened: that the stream is whole shows with its last chunk only.
    pub fn open_chunk_at<'a>(
        &self,
        index: u64,
        chunk: &'a mut [u8],
        last: bool,
    ) -> Result<&'a mut [u8], CryptoError> {
        match self.plaintext_of(index, chunk, last) {
            Ok(length) => Ok(&mut chunk[..length]),
            Err(error) => {
                chunk.zeroize();
                Err(error)
            }
        }
    }

    /// Opens the chunk in place; the plaintext's length.
    fn plaintext_of(&self, index: u64, chunk: &mut [u8], last: bool) -> Result<usize, CryptoError> {
        let invalid = CryptoError::CiphertextInvalid;
        let index = u32::try_from(index).map_err(|_| invalid)?;
        let (in_out, tag) = chunk.split_last_chunk_mut::<TAG_LEN>().ok_or(invalid)?;
        if !is_chunk_len(in_out.len(), index, last) {
            return Err(invalid);
        }
        self.key.open(&nonce(index, last), &[], in_out, tag)?;
        Ok(in_out.len())
    }
}
