//! Batches of any length: `application/x-ndjson`, one item to a line, one answer to a line.
//!
//! Lines are worked off as they arrive and answered before more is read, so memory stays constant
//! and a caller that reads slowly slows itself down alone. A line that is wrong has its own error.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Response};
use bytes::{Bytes, BytesMut};
use futures_util::stream;

use super::Call;
use super::batch::{self, Frame};
use super::operation::Operation;
use crate::audit;
use crate::errors::Code;
use crate::http::{Problem, body};

const MEDIA_TYPE: &str = "application/x-ndjson";
/// Lines worked off at once: they share the policy's decisions.
const MAX_LINES: usize = 256;
/// Bytes worked off at once, except for a single longer line.
const MAX_BYTES: usize = 256 << 10;

/// Whether the request's body is lines.
pub fn are_in(headers: &HeaderMap) -> bool {
    let given = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.and_then(|text| text.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case(MEDIA_TYPE))
}

/// Answers line by line.
pub fn answer<O: Operation>(call: Call, body: Body) -> Response<Body> {
    let lines = Lines::new(body, call.app.bodies.max_bytes(), call.app.http.body_timeout);
    let state = Some((call, lines, audit::ending()));
    let answers = stream::unfold(state, |state| async {
        let (call, mut lines, mut record) = state?;
        let mut out = String::new();
        let end = match lines.next().await {
            Ok(None) => {
                audit::end(record, None);
                return None;
            }
            Ok(Some(chunk)) => {
                let items: Vec<&[u8]> = split(&chunk).collect();
                call.app.limits.items_in_time(call.tenant.as_str(), items.len()).await;
                // What there is: the policy broke, or the host, and nothing of the chunk was done.
                let work = call.batch::<O>(&items, Frame::Lines, &mut out);
                let (done, kept) = audit::within(record.take(), work).await;
                record = kept;
                done.err()
            }
            Err(problem) => Some(problem),
        };
        // What ends the answer early is its last line, marked as such.
        let Some(problem) = end else {
            return Some((Ok(Bytes::from(out)), Some((call, lines, record))));
        };
        audit::end(record, Some(problem.code));
        call.app.requests.failed(problem.code);
        out.clear();
        batch::open_item(&mut out, None);
        let text = serde_json::to_string(&problem.as_item()).unwrap_or_default();
        out.push_str("\"error\":");
        out.push_str(&text);
        out.push_str(",\"last\":true}\n");
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(out)), None))
    });
    let mut response = Response::new(Body::from_stream(answers));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The lines of a chunk, without empty ones.
fn split(chunk: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = chunk.split(|byte| *byte == b'\n');
    lines.map(<[u8]>::trim_ascii).filter(|line| !line.is_empty())
}

/// Cuts a body into chunks of whole lines.
struct Lines {
    body: Body,
    buffer: BytesMut,
    ended: bool,
    /// Longest line.
    limit: usize,
    /// How long to wait for more.
    timeout: Duration,
}

impl Lines {
    fn new(body: Body, limit: usize, timeout: Duration) -> Self {
        Self { body, buffer: BytesMut::new(), ended: false, limit, timeout }
    }

    /// The next chunk that has at least one line.
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        loop {
            if let Some(end) = self.end_of_chunk() {
                return Ok(Some(self.buffer.split_to(end).freeze()));
            }
            if self.ended {
                return Ok(None);
            }
            if self.buffer.len() > self.limit {
                let detail = format!("a line may have at most {} bytes", self.limit);
                return Err(Problem::new(Code::PayloadTooLarge, detail));
            }
            self.fill().await?;
        }
    }

    /// Where to cut: after as many whole lines as are there, within bounds.
    fn end_of_chunk(&self) -> Option<usize> {
        let mut end = None;
        for (count, at) in memchr::memchr_iter(b'\n', &self.buffer).enumerate() {
            if end.is_some() && (count == MAX_LINES || at >= MAX_BYTES) {
                return end;
            }
            end = Some(at + 1);
        }
        // The last line may lack its newline.
        let rest = self.ended && end.is_none() && !self.buffer.is_empty();
        if rest { Some(self.buffer.len()) } else { end }
    }

    async fn fill(&mut self) -> Result<(), Problem> {
        match body::next(&mut self.body, self.timeout).await? {
            Some(data) => self.buffer.extend_from_slice(&data),
            None => self.ended = true,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn chunks(parts: &[&'static str], limit: usize) -> Result<Vec<Vec<String>>, Code> {
        let parts: Vec<_> = parts.iter().map(|part| Ok::<_, std::io::Error>(*part)).collect();
        let body = Body::from_stream(stream::iter(parts));
        let mut lines = Lines::new(body, limit, Duration::from_secs(5));
        let mut all = Vec::new();
        while let Some(chunk) = lines.next().await.map_err(|problem| problem.code)? {
            let text = |line: &[u8]| String::from_utf8(line.to_vec()).unwrap();
            all.push(split(&chunk).map(text).collect());
        }
        Ok(all)
    }

    #[tokio::test]
    async fn lines_are_cut_wherever_the_frames_end() {
        let one = chunks(&["{\"a\"", ":1}\n{\"b\":2}\r\n\n{", "}"], 100).await;
        assert_eq!(
            one,
            Ok(vec![vec![r#"{"a":1}"#.into(), r#"{"b":2}"#.into()], vec!["{}".into()]])
        );
        assert_eq!(chunks(&[], 100).await, Ok(vec![]));
        assert_eq!(chunks(&["\n\n"], 100).await, Ok(vec![vec![]]));
    }

    #[tokio::test]
    async fn a_chunk_is_bounded_and_so_is_a_line() {
        let many: &'static str = "x\n".repeat(MAX_LINES * 2 + 1).leak();
        let sizes = chunks(&[many], 100).await.unwrap();
        let sizes: Vec<_> = sizes.iter().map(Vec::len).collect();
        assert_eq!(sizes, [MAX_LINES, MAX_LINES, 1]);
        let endless: &'static str = "x".repeat(101).leak();
        assert_eq!(chunks(&[endless, endless], 100).await, Err(Code::PayloadTooLarge));
    }
}
