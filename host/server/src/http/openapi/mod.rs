//! The description of the API, OpenAPI 3.1: `GET /api/v1/openapi.json`, and docs/openapi.json.
//!
//! It is made of what the routes say of themselves ([`Routes`](super::routes::Routes)) and of the
//! types that are read and written, whose schemas stand beside them.

mod document;
mod endpoint;
pub mod problems;
pub mod schema;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use bytes::Bytes;

pub use self::endpoint::{Endpoint, SchemaOf, Tag, Who, schema_of};
use super::Problem;
use super::routes::Routes;

/// How long it may be used without asking again. It changes with the program alone.
const FRESH: HeaderValue = HeaderValue::from_static("public, max-age=300");

/// The document as it is sent.
struct Rendered {
    bytes: Bytes,
    etag: HeaderValue,
}

/// Made when it is first asked for.
static DOCUMENT: LazyLock<Option<Rendered>> = LazyLock::new(|| {
    let (_, described) = super::all_routes().into_parts();
    let bytes = serde_json::to_vec(&document::of(&described)).ok()?;
    let digest = keyward_crypto::sha256(&bytes);
    let etag = HeaderValue::from_str(&format!("\"{}\"", hex::encode(&digest[..16]))).ok()?;
    Some(Rendered { bytes: bytes.into(), etag })
});

/// `GET /api/v1/openapi.json`.
pub async fn show(headers: HeaderMap) -> Result<Response<Body>, Problem> {
    let Some(Rendered { bytes, etag }) = &*DOCUMENT else {
        return Err(Problem::internal("the description of the API cannot be written"));
    };
    let mut response = if is_known(&headers, etag) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let mut response = Response::new(Body::from(bytes.clone()));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        response
    };
    response.headers_mut().insert(ETAG, etag.clone());
    response.headers_mut().insert(CACHE_CONTROL, FRESH);
    Ok(response)
}

/// RFC 9110 section 13.1.2, with weak comparison.
fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let given = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = given.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| {
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes()
    })
}

/// Its route.
pub fn routes(routes: &mut Routes) {
    let endpoint = Endpoint::new(Tag::Server, Who::Anybody, "getOpenApi", "This description")
        .about(
            "With `If-None-Match` it is sent only if it changed, which it does with the program.",
        )
        .answers::<schema::AnyObject>(200, "The OpenAPI 3.1 document")
        .with_header("ETag", "Names this state of the document.")
        .answers_nothing(304, "It is the one that `If-None-Match` names");
    routes.get("/api/v1/openapi.json", show, endpoint);
}
