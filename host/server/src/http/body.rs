//! Reads a request's body, bounded in time: whole and bounded in size, or as it comes.

use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body as _;

use super::Problem;
use crate::app::App;
use crate::errors::Code;

/// Refuses a body of another media type than `wanted`; parameters do not matter.
pub fn require(headers: &HeaderMap, wanted: &'static str) -> Result<(), Problem> {
    let given = headers.get(CONTENT_TYPE).map(|value| value.to_str().unwrap_or(""));
    let essence = given.map(|text| text.split(';').next().unwrap_or("").trim());
    match essence {
        Some(essence) if essence.eq_ignore_ascii_case(wanted) => Ok(()),
        _ => Err(Problem::new(
            Code::UnsupportedMediaType,
            format!("this route takes `Content-Type: {wanted}`"),
        )),
    }
}

/// Reads the body of a request that must say it is JSON, within the server's limits.
pub async fn read_json(app: &App, request: Request) -> Result<Bytes, Problem> {
    require(request.headers(), "application/json")?;
    read(request.into_body(), app.bodies.max_bytes(), app.http.body_timeout).await
}

/// The same for a body that may be left out: no bytes then.
pub async fn read_optional_json(app: &App, request: Request) -> Result<Bytes, Problem> {
    let length = request.headers().get(CONTENT_LENGTH);
    let is_announced = length.is_some_and(|length| length.as_bytes() != b"0");
    if !is_announced && request.body().is_end_stream() {
        return Ok(Bytes::new());
    }
    read_json(app, request).await
}

/// Reads the body of a request that must say it is a JSON merge patch (RFC 7396), or JSON.
pub async fn read_merge_patch(app: &App, request: Request) -> Result<Bytes, Problem> {
    const MERGE_PATCH: &str = "application/merge-patch+json";
    let headers = request.headers();
    require(headers, MERGE_PATCH).or_else(|_| require(headers, "application/json"))?;
    read(request.into_body(), app.bodies.max_bytes(), app.http.body_timeout).await
}

/// Reads the body to its end, if it has at most `limit` bytes and arrives within `timeout`.
pub async fn read(body: Body, limit: usize, timeout: Duration) -> Result<Bytes, Problem> {
    // What announces itself as too large is not read at all.
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large(limit));
    }
    tokio::time::timeout(timeout, collect(body, limit)).await.unwrap_or_else(|_| {
        let detail = format!("the body did not arrive within {} s", timeout.as_secs());
        Err(Problem::new(Code::BodyTimeout, detail))
    })
}

/// The next piece of a body that is worked off as it comes, if it arrives within `timeout`; `None`
/// at the end.
pub async fn next(body: &mut Body, timeout: Duration) -> Result<Option<Bytes>, Problem> {
    tokio::time::timeout(timeout, next_data(body)).await.unwrap_or_else(|_| {
        let detail = format!("nothing more of the body arrived within {} s", timeout.as_secs());
        Err(Problem::new(Code::BodyTimeout, detail))
    })
}

async fn next_data(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    while let Some(frame) = body.frame().await {
        let incomplete =
            |_| Problem::new(Code::BodyIncomplete, "the connection failed within the body");
        if let Ok(data) = frame.map_err(incomplete)?.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// The usual body is one frame, and is not copied.
async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Problem> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(data) = next_data(&mut body).await? {
        if first.len() + rest.len() + data.len() > limit {
            return Err(too_large(limit));
        }
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut whole = BytesMut::with_capacity(first.len() + rest.len());
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&rest);
    Ok(whole.freeze())
}

fn too_large(limit: usize) -> Problem {
    Problem::new(Code::PayloadTooLarge, format!("the body may have at most {limit} bytes"))
}
