//! Where an archive is written: counted, hashed, encrypted, and handed on in pieces.

use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use age::stream::StreamWriter;
use aws_lc_rs::digest::{Context, SHA256};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::envelope::Recipients;
use super::error::BackupError;
use super::frame::{self, Kind};
use super::header::{End, Header};
use super::origin::Signer;
use crate::store::StoreError;

/// How much is encrypted before it is handed on, in bytes.
const PIECE: usize = 64 << 10;

/// What was encrypted and not yet handed on.
#[derive(Clone, Default)]
struct Encrypted(Arc<Mutex<Vec<u8>>>);

impl Encrypted {
    fn take(&self) -> Vec<u8> {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for Encrypted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub(super) struct Sink<'a, W> {
    age: StreamWriter<Encrypted>,
    encrypted: Encrypted,
    out: &'a mut W,
    hash: Context,
    frames: u64,
    bytes: u64,
}

impl<'a, W: AsyncWrite + Unpin + Send> Sink<'a, W> {
    pub(super) async fn begin(
        recipients: &Recipients,
        header: &Header,
        out: &'a mut W,
    ) -> Result<Self, BackupError> {
        let recipients = recipients.clone();
        let encryptor = tokio::task::spawn_blocking(move || recipients.encryptor());
        let encryptor = encryptor.await.map_err(|_| StoreError::Unavailable {
            reason: "the runtime is shutting down".to_owned(),
        })??;
        let encrypted = Encrypted::default();
        let age = encryptor.wrap_output(encrypted.clone()).map_err(|e| BackupError::writing(&e))?;
        let hash = Context::new(&SHA256);
        let mut this = Self { age, encrypted, out, hash, frames: 0, bytes: 0 };
        this.write(&header.encode()).await?;
        Ok(this)
    }

    pub(super) async fn put(
        &mut self,
        kind: Kind,
        path: &str,
        value: &[u8],
    ) -> Result<(), BackupError> {
        let too_large =
            || StoreError::ValueTooLarge { size: value.len(), limit: crate::store::MAX_VALUE };
        let head = frame::head(kind, path, value).ok_or_else(too_large)?;
        self.write(&head).await?;
        self.write(value).await?;
        self.frames += 1;
        Ok(())
    }

    /// Ends the archive. Gives its end and the number of encrypted bytes.
    pub(super) async fn finish(mut self, signer: &Signer) -> Result<(End, u64), BackupError> {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.hash.clone().finish().as_ref());
        let end = End { frames: self.frames, digest, signature: signer.sign(&digest) };
        self.put(Kind::End, "", &end.encode()).await?;
        let Self { age, encrypted, out, mut bytes, .. } = self;
        age.finish().map_err(|error| BackupError::writing(&error))?;
        hand_on(&encrypted, out, &mut bytes).await?;
        out.flush().await.map_err(|error| BackupError::writing(&error))?;
        Ok((end, bytes))
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        self.hash.update(bytes);
        for piece in bytes.chunks(PIECE) {
            self.age.write_all(piece).map_err(|error| BackupError::writing(&error))?;
            hand_on(&self.encrypted, self.out, &mut self.bytes).await?;
        }
        Ok(())
    }
}

async fn hand_on<W: AsyncWrite + Unpin>(
    encrypted: &Encrypted,
    out: &mut W,
    bytes: &mut u64,
) -> Result<(), BackupError> {
    let piece = encrypted.take();
    out.write_all(&piece).await.map_err(|error| BackupError::writing(&error))?;
    *bytes += piece.len() as u64;
    Ok(())
}
