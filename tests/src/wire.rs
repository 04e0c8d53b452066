//! One request, sent again and again over one connection with as little work as there can be: what
//! is measured is the server, not the client.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// A connection and the request it carries.
pub struct Wire {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Wire {
    /// `POST` of JSON by whoever holds the token.
    pub fn post(address: &str, token: &str, path: &str, body: &str) -> Self {
        Self::post_of(address, token, path, "application/json", body.as_bytes())
    }

    /// `POST` of anything by whoever holds the token.
    pub fn post_of(address: &str, token: &str, path: &str, media_type: &str, body: &[u8]) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: keyward\r\nauthorization: Bearer {token}\r\n\
             content-type: {media_type}\r\ncontent-length: {length}\r\n\r\n"
        );
        Self { stream, request: [head.as_bytes(), body].concat(), buffer: vec![0; 64 << 10] }
    }

    /// Sends it up to the end of its headers and no further.
    pub fn send_headers(&mut self) {
        let end = self.request.windows(4).position(|four| four == b"\r\n\r\n").unwrap() + 4;
        self.stream.write_all(&self.request[..end]).unwrap();
    }

    /// Sends it and waits for the whole answer; its status, 0 if there was none.
    pub fn go(&mut self) -> u16 {
        if self.stream.write_all(&self.request).is_err() {
            return 0;
        }
        self.answer()
    }

    /// Waits for an answer to what was sent; its status, 0 if there was none.
    pub fn answer(&mut self) -> u16 {
        let mut got = 0;
        loop {
            if got == self.buffer.len() {
                self.buffer.resize(got * 2, 0);
            }
            match self.stream.read(&mut self.buffer[got..]) {
                Ok(0) | Err(_) => return 0,
                Ok(more) => got += more,
            }
            if let Some((status, whole)) = head(&self.buffer[..got])
                && got >= whole
            {
                return status;
            }
        }
    }
}

/// The status, and the length of headers and body together, once the headers are there.
fn head(bytes: &[u8]) -> Option<(u16, usize)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?.to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.map_or(Some(0), |text| text.trim().parse().ok())?;
    Some((status, end + 4 + length))
}
