//! Sealing a stream, chunk by chunk.

use super::keys::{self, SALT_LEN};
use super::{CHUNK_LEN, StreamHeader, nonce};
use crate::provider::{self, AeadKey, Provider};
use crate::{Binding, CryptoError, KeyVersion, random_bytes};

/// A stream being sealed. It holds its own key, so the [`KeyVersion`] need not outlive it.
pub struct StreamSealer<P: Provider = provider::Default> {
    key: P::Aes256Gcm,
    /// Number of the next chunk; `None` when there may be none.
    next: Option<u32>,
    ended: bool,
}

impl<P: Provider> StreamSealer<P> {
    /// Begins a stream under `key`, bound to `binding`: the header, to be written first, and the
    /// sealer of its chunks. Keys of the AEAD algorithms only, otherwise
    /// [`CryptoError::OperationNotSupported`].
    pub fn new(
        key: &KeyVersion<P>,
        binding: &Binding<'_>,
    ) -> Result<([u8; StreamHeader::LEN], Self), CryptoError> {
        let mut salt = [0; SALT_LEN];
        random_bytes(&mut salt)?;
        Self::with_salt(key, binding, &salt)
    }

    /// [`new`](Self::new) with the salt given: the seam for pinned vectors.
    pub(crate) fn with_salt(
        key: &KeyVersion<P>,
        binding: &Binding<'_>,
        salt: &[u8; SALT_LEN],
    ) -> Result<([u8; StreamHeader::LEN], Self), CryptoError> {
        let (header, key) = keys::start(key, binding, salt)?;
        Ok((header, Self { key, next: Some(0), ended: false }))
    }

    /// Appends the next sealed chunk to `out`, 16 bytes longer than `plaintext`.
    ///
    /// Every chunk but the last is of [`CHUNK_LEN`] bytes. The last has at least one, unless it is
    /// the only one; so whoever seals holds a full chunk back until it is known whether more
    /// follows. Otherwise [`CryptoError::ChunkLength`]. After the last chunk
    /// [`CryptoError::StreamEnded`]; past 2^32 chunks [`CryptoError::TooLong`].
    pub fn seal_chunk_into(
        &mut self,
        plaintext: &[u8],
        last: bool,
        out: &mut Vec<u8>,
    ) -> Result<(), CryptoError> {
        if self.ended {
            return Err(CryptoError::StreamEnded);
        }
        let index = self.next.ok_or(CryptoError::TooLong)?;
        if !is_chunk_len(plaintext.len(), index, last) {
            return Err(CryptoError::ChunkLength);
        }
        let start = out.len();
        out.extend_from_slice(plaintext);
        let tag = self.key.seal(&nonce(index, last), &[], &mut out[start..])?;
        out.extend_from_slice(&tag);
        self.next = index.checked_add(1);
        self.ended = last;
        Ok(())
    }
}

/// Whether the chunk of this number may have this many plaintext bytes.
pub(super) const fn is_chunk_len(length: usize, index: u32, last: bool) -> bool {
    if last { length <= CHUNK_LEN && (length > 0 || index == 0) } else { length == CHUNK_LEN }
}
