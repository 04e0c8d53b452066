//! Successful responses.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

use super::Problem;

/// The media type of bytes that are nothing in particular.
pub const BYTES: &str = "application/octet-stream";

/// A 200 with JSON written by hand.
pub fn json_text(body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// JSON of a value.
pub fn json(status: StatusCode, value: &impl Serialize) -> Result<Response<Body>, Problem> {
    let body = serde_json::to_string(value).map_err(Problem::internal)?;
    let mut response = json_text(body);
    *response.status_mut() = status;
    Ok(response)
}

/// Appends a JSON string, quotes and escapes included.
pub fn push_json_string(out: &mut String, text: &str) {
    // Serialising a string cannot fail.
    out.push_str(&serde_json::to_string(text).unwrap_or_default());
}
