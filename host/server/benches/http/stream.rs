//! One long body in and out at once, over one connection.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Instant;

/// Bytes written at once, and a buffer's length for what is read.
const PIECE: usize = 256 << 10;

/// A body to send.
#[derive(Clone, Copy)]
pub enum Body<'a> {
    /// Zeros.
    Zeros(u64),
    /// These bytes.
    These(&'a [u8]),
}

impl Body<'_> {
    fn len(self) -> u64 {
        match self {
            Self::Zeros(len) => len,
            Self::These(bytes) => bytes.len() as u64,
        }
    }

    fn send(self, mut to: &TcpStream) {
        match self {
            Self::Zeros(len) => {
                let piece = vec![0; PIECE];
                let mut left = len;
                while left > 0 {
                    let now = usize::try_from(left).map_or(PIECE, |left| left.min(PIECE));
                    to.write_all(&piece[..now]).unwrap();
                    left -= now as u64;
                }
            }
            Self::These(bytes) => {
                bytes.chunks(PIECE).for_each(|piece| to.write_all(piece).unwrap());
            }
        }
    }
}

/// Posts `body` while it reads the answer. Seconds from the first byte out to the last byte in;
/// the answer goes to `keep`, if given.
pub fn exchange(
    address: &str,
    path: &str,
    authorization: &str,
    body: Body<'_>,
    mut keep: Option<&mut Vec<u8>>,
) -> f64 {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\n{authorization}\r\n\
         Content-Type: application/octet-stream\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let start = Instant::now();
    stream.write_all(head.as_bytes()).unwrap();
    let sender = stream.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || body.send(&sender));
        let mut buffer = vec![0; PIECE];
        let mut head = Vec::new();
        let end = loop {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "{path}: closed before its answer");
            head.extend_from_slice(&buffer[..read]);
            if let Some(end) = memchr::memmem::find(&head, b"\r\n\r\n") {
                break end + 4;
            }
        };
        let text = String::from_utf8_lossy(&head[..end]).to_ascii_lowercase();
        assert!(text.starts_with("http/1.1 200"), "{path}: {text}");
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: u64 = length.expect("an answer of known length").trim().parse().unwrap();
        let mut filled = (head.len() - end) as u64;
        if let Some(keep) = &mut keep {
            keep.extend_from_slice(&head[end..]);
        }
        while filled < length {
            let read = stream.read(&mut buffer).unwrap();
            assert!(read > 0, "{path}: broken off after {filled} bytes");
            filled += read as u64;
            if let Some(keep) = &mut keep {
                keep.extend_from_slice(&buffer[..read]);
            }
        }
        let _ = stream.shutdown(Shutdown::Both);
    });
    start.elapsed().as_secs_f64()
}
