//! HTTP/1.1 messages, whole, as far as Vault and its clients use it.

use std::io::{self, Read as _};
use std::net::TcpStream;

/// A request as it came.
pub(super) struct Request {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// As framed: chunked bodies stay chunked.
    body: Vec<u8>,
}

impl Request {
    /// The same for a connection of its own.
    pub fn to_forward(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        for (name, value) in self.headers.iter().filter(|(name, _)| name != "connection") {
            head.extend([name, ": ", value, "\r\n"]);
        }
        head += "connection: close\r\n\r\n";
        [head.as_bytes(), &self.body].concat()
    }
}

/// Where the head of a message ends.
pub(super) fn head_length(message: &[u8]) -> Option<usize> {
    message.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Reads one request; none when the client closes between two. `rest` keeps what came beyond it.
pub(super) fn read_request(
    client: &mut TcpStream,
    rest: &mut Vec<u8>,
) -> io::Result<Option<Request>> {
    let mut more = |rest: &mut Vec<u8>| {
        let mut buffer = [0; 16 << 10];
        let read = client.read(&mut buffer)?;
        rest.extend_from_slice(&buffer[..read]);
        Ok::<_, io::Error>(read > 0)
    };
    let head = loop {
        match head_length(rest) {
            Some(length) => break length,
            None if more(rest)? => {}
            None => return Ok(None),
        }
    };
    let text = String::from_utf8_lossy(&rest[..head]).into_owned();
    let mut lines = text.split("\r\n");
    let mut start = lines.next().unwrap_or_default().split(' ');
    let mut word = || start.next().unwrap_or_default().to_owned();
    let (method, target) = (word(), word());
    let headers = headers(lines);
    let end = loop {
        match body_length(&headers, &rest[head..]) {
            Some(length) if rest.len() >= head + length => break head + length,
            _ if more(rest)? => {}
            _ => return Err(io::ErrorKind::UnexpectedEof.into()),
        }
    };
    let body = rest[head..end].to_vec();
    rest.drain(..end);
    Ok(Some(Request { method, target, headers, body }))
}

/// Reads what Vault answers until it closes; the connection to the client stays open.
pub(super) fn read_response(vault: &mut TcpStream, request: &Request) -> Option<Vec<u8>> {
    let mut answer = Vec::new();
    vault.read_to_end(&mut answer).ok()?;
    let head = head_length(&answer)?;
    let text = std::str::from_utf8(&answer[..head]).ok()?;
    let mut lines = text.trim_end().split("\r\n");
    let mut new = format!("{}\r\n", lines.next()?);
    let headers = headers(lines);
    for (name, value) in headers.iter().filter(|(name, _)| name != "connection") {
        new.extend([name, ": ", value, "\r\n"]);
    }
    let framed = |name: &str| headers.iter().any(|(known, _)| known == name);
    let bodiless = request.method == "HEAD" || new.starts_with("HTTP/1.1 204");
    if !bodiless && !framed("content-length") && !framed("transfer-encoding") {
        new.extend(["content-length: ", &(answer.len() - head).to_string(), "\r\n"]);
    }
    new += "\r\n";
    Some([new.as_bytes(), &answer[head..]].concat())
}

/// An answer of the proxy's own.
pub(super) fn response(status: u16, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 {status} Injected\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn headers<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect()
}

/// The length of a body that starts with `bytes`, framing included; none while it is unknown.
fn body_length(headers: &[(String, String)], bytes: &[u8]) -> Option<usize> {
    let header = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, it)| it);
    if header("transfer-encoding").is_some_and(|value| value.contains("chunked")) {
        let last = b"0\r\n\r\n";
        if bytes.starts_with(last) {
            return Some(last.len());
        }
        return bytes.windows(7).position(|it| it == b"\r\n0\r\n\r\n").map(|at| at + 7);
    }
    Some(header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0))
}
