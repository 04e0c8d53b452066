//! A request's body that is written while it is being sent.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use indicatif::ProgressBar;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Pieces that wait to be sent.
const WAITING: usize = 2;
/// Bytes read at a time.
const PIECE: usize = 256 << 10;

/// The writing end. Blocks while too much waits. A body that was not [finished](Self::finish) is
/// broken off.
pub struct Writer(Sender<Option<Bytes>>);

/// The body.
pub struct Upload(Receiver<Option<Bytes>>);

/// A body and what writes it.
pub fn pipe() -> (Writer, Upload) {
    let (sender, receiver) = channel(WAITING);
    (Writer(sender), Upload(receiver))
}

impl Writer {
    /// Everything was written.
    pub fn finish(self) {
        // Nobody who reads it any more misses the end.
        let _ = self.0.blocking_send(None);
    }

    fn send(&self, piece: Bytes) -> io::Result<()> {
        let closed = |_| io::Error::new(io::ErrorKind::BrokenPipe, "the server reads no more");
        self.0.blocking_send(Some(piece)).map_err(closed)
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.send(Bytes::copy_from_slice(bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        self.0.poll_recv(context).map(|received| match received {
            Some(Some(piece)) => Some(Ok(Frame::data(piece))),
            Some(None) => None,
            None => Some(Err(io::Error::other("the input could not be read to its end"))),
        })
    }
}

/// Sends `source` to its end, and tells the bar. Blocks.
pub fn copy(mut source: impl Read, writer: Writer, bar: &ProgressBar) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let length = match source.read(&mut piece) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        bar.inc(length as u64);
        if writer.send(Bytes::copy_from_slice(&piece[..length])).is_err() {
            // Why the server reads no more, its answer says.
            return Ok(());
        }
    }
    writer.finish();
    Ok(())
}
