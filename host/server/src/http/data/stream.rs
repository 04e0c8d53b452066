//! `stream/encrypt` and `stream/decrypt`: raw bytes of any length, in constant memory.
//!
//! A chunk is sealed or opened as soon as it is whole, and more is read only when the caller has
//! taken it. Nothing is released before it is authenticated. What is wrong before the first chunk
//! is an ordinary error; later the response has begun, and the connection is broken off, so that
//! nobody takes a part for the whole.
//!
//! `Range` opens a part of the plaintext, and of the stream only the chunks that hold it.

mod part;
mod source;
mod work;

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use futures_util::stream;
use hyper::body::Body as _;
use keyward_crypto::stream::{StreamHeader, plaintext_len, sealed_len};
use keyward_keyring::{KeyName, KeyringError};
use keyward_policy_host::Obligations;

use self::part::Part;
use self::source::Source;
use self::work::{Opening, OpeningPart, Sealing, Work};
use super::item::Asked;
use super::{Call, Decrypt, Encrypt, Operation};
use crate::app::App;
use crate::audit;
use crate::clock;
use crate::errors::Code;
use crate::execute::{Opener, Sealer};
use crate::http::auth::Access;
use crate::http::json::Text;
use crate::http::{Params, Problem, request_id};

/// base64url (RFC 4648 section 5), with padding or without.
const BASE64URL: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
/// Which key version the bytes were made with.
const KEY_VERSION: HeaderName = HeaderName::from_static("x-keyward-key-version");

/// `POST …/stream/encrypt?key=…&context=…&purpose=…` (context: base64url).
pub async fn encrypt(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let (call, Query { asked, sealed_length }, request) = begin(app, path, request).await?;
    if sealed_length.is_some() {
        return Err(bad("`sealed_length` is for ranges of stream/decrypt".into()));
    }
    let body = request.into_body();
    call.check_key(asked.key.as_deref())?;
    let policy_request = call.request(Encrypt::NAME, &asked);
    let plan = call.run(call.decider.authorize(&policy_request)).await?;
    audit::allowed();
    call.check_grant(plan.key.as_deref(), asked.key.as_deref())?;
    call.check_key(plan.key.as_deref())?;
    let place = call.place();
    let sealer = Sealer::prepare(place.keyring, place.tenant, asked.key.as_deref(), plan).await?;
    let obligations = sealer.obligations().clone();
    obligations.record(call.tenant.as_str(), &call.id);
    let (header, chunks) = sealer.stream(asked.bound_context())?;
    let length = body.size_hint().exact();
    check_length(&obligations, length)?;
    let source = Source::new(body, obligations, call.app.http.body_timeout);
    let first = Bytes::copy_from_slice(&header);
    let work = Sealing { source, chunks };
    Ok(respond(first, sealer.version(), length.and_then(sealed_len), work))
}

/// `POST …/stream/decrypt?key=…&context=…&purpose=…` (context: base64url), with a `Range` header for
/// a part of the plaintext, and with `&sealed_length=…` if the body is the stream's header and the
/// chunks of that part.
pub async fn decrypt(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let (call, Query { mut asked, sealed_length }, request) = begin(app, path, request).await?;
    let length = request.body().size_hint().exact();
    let part = Part::asked(request.headers(), sealed_length.or(length))?;
    if let Some(sealed_length) = sealed_length {
        check_sent(part.as_ref(), length, sealed_length)?;
    }
    let body = request.into_body();
    let timeout = call.app.http.body_timeout;
    let mut source = Source::new(body, Obligations::default(), timeout);
    let header = source.take_front(StreamHeader::LEN).await?;
    let front = StreamHeader::parse(&header).map_err(|_| Problem::ciphertext_invalid())?;
    let place = call.place();
    let key = if let Some(name) = asked.key.as_deref() {
        let name: KeyName = name.parse()?;
        place.keyring.key(place.tenant, &name).await?
    } else {
        let found = place.keyring.key_by_id(place.tenant, front.key_id).await;
        found.map_err(|error| match error {
            KeyringError::KeyNotFound { .. } => Problem::ciphertext_invalid(),
            error => error.into(),
        })?
    };
    if key.id() != front.key_id {
        return Err(Problem::ciphertext_invalid());
    }
    asked.key = Some(key.name().to_string().into());
    asked.note();
    call.check_key(asked.key.as_deref())?;
    let policy_request = call.request(Decrypt::NAME, &asked);
    let plan = call.run(call.decider.authorize(&policy_request)).await?;
    audit::allowed();
    call.check_grant(plan.key.as_deref(), asked.key.as_deref())?;
    let opener = Opener::prepare(key, plan)?;
    source.obligations = opener.obligations().clone();
    source.obligations.record(call.tenant.as_str(), &call.id);
    check_length(&source.obligations, length)?;
    let context = asked.bound_context();
    let chunks = opener.stream(place.keyring, front.key_version, context, &header).await?;
    let version = front.key_version;
    // The first chunk is opened before anything is answered.
    let Some(part) = part else {
        let mut work = Opening { source, chunks };
        let first = work.next().await?.unwrap_or_default();
        return Ok(respond(first, version, length.and_then(plaintext_len), work));
    };
    if sealed_length.is_none() {
        source.pass(part.sealed().start - StreamHeader::LEN as u64).await?;
    }
    let (length, content_range) = (part.len(), part.content_range());
    let mut work = OpeningPart { source, chunks, part };
    let first = work.next().await?.unwrap_or_default();
    let mut response = respond(first, version, Some(length), work);
    *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    response.headers_mut().insert(CONTENT_RANGE, content_range);
    Ok(response)
}

/// Whoever says how long the stream is sends its header and the chunks of the range, no more.
fn check_sent(part: Option<&Part>, sent: Option<u64>, sealed_length: u64) -> Result<(), Problem> {
    let Some(part) = part else {
        return Err(bad("`sealed_length` is for a range: add a Range header".into()));
    };
    let span = part.sealed();
    let wanted = StreamHeader::LEN as u64 + (span.end - span.start);
    if sent.is_some_and(|sent| sent != wanted) {
        return Err(bad(format!(
            "the body has to be the stream's first {} bytes and then its bytes {} to {} of \
             {sealed_length}: {wanted} bytes in all",
            StreamHeader::LEN,
            span.start,
            span.end - 1,
        )));
    }
    Ok(())
}

/// What both directions begin with.
async fn begin(
    app: Arc<App>,
    path: Params,
    request: Request,
) -> Result<(Call, Query, Request), Problem> {
    let Access { credential, tenant, .. } = Access::data(&app, path, request.headers()).await?;
    let query = Query::read(request.uri().query().unwrap_or_default())?;
    query.asked.note();
    let id = request_id::of(&request).as_str().to_owned();
    let decider = app.policies.decider(&tenant)?;
    audit::policy(decider.digest());
    let call = Call { app, tenant, decider, credential, id, time: clock::unix_ms() };
    Ok((call, query, request))
}

/// What the query says.
struct Query {
    asked: Asked<'static>,
    /// The length in bytes of the stream of which the body is a part.
    sealed_length: Option<u64>,
}

impl Query {
    fn read(query: &str) -> Result<Self, Problem> {
        let (mut key, mut purpose, mut context, mut sealed_length) = (None, None, None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let slot = match name.as_ref() {
                "key" => &mut key,
                "purpose" => &mut purpose,
                "context" => &mut context,
                "sealed_length" => &mut sealed_length,
                _ => {
                    let known = "key, purpose, context, sealed_length";
                    return Err(bad(format!("a query parameter is none of {known}")));
                }
            };
            if slot.replace(value.into_owned()).is_some() {
                return Err(bad(format!("query parameter `{name}` is given twice")));
            }
        }
        let context = context.map(|text| BASE64URL.decode(text)).transpose().map_err(|_| {
            bad("query parameter `context` is not base64url (RFC 4648 section 5)".into())
        })?;
        let mut asked = Asked::read(key.map(Text::from), None, purpose.map(Text::from))?;
        asked.set_context(context)?;
        let sealed_length = sealed_length
            .map(|text| text.parse())
            .transpose()
            .map_err(|_| bad("query parameter `sealed_length` is not a number of bytes".into()))?;
        Ok(Self { asked, sealed_length })
    }
}

fn bad(detail: String) -> Problem {
    Problem::new(Code::InvalidRequest, detail)
}

/// Refuses what announces itself as too long.
fn check_length(obligations: &Obligations, length: Option<u64>) -> Result<(), Problem> {
    let length = length.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    Ok(obligations.check_len(length)?)
}

fn respond(first: Bytes, version: u32, length: Option<u64>, work: impl Work) -> Response<Body> {
    let rest = (!work.is_over()).then_some(work);
    let state = (Some(first), rest, audit::ending());
    let pieces = stream::unfold(state, |(first, rest, record)| async {
        // Ended with the last piece: once all bytes are there, nobody may ask for more.
        if let Some(first) = first {
            let Some(rest) = rest else {
                audit::end(record, None);
                return Some((Ok(first), (None, None, None)));
            };
            return Some((Ok(first), (None, Some(rest), record)));
        }
        let mut work = rest?;
        match work.next().await {
            Ok(Some(piece)) if work.is_over() => {
                audit::end(record, None);
                Some((Ok(piece), (None, None, None)))
            }
            Ok(Some(piece)) => Some((Ok(piece), (None, Some(work), record))),
            Ok(None) => {
                audit::end(record, None);
                None
            }
            Err(problem) => {
                audit::end(record, Some(problem.code));
                tracing::debug!(code = problem.code.as_str(), "a stream was broken off");
                Some((Err(io::Error::other(problem.code.as_str())), (None, None, None)))
            }
        }
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(KEY_VERSION, HeaderValue::from(version));
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_parameters() {
        let read = |query| Query::read(query).map(|query| query.asked);
        let asked = read("key=demo&purpose=audit%20trail&context=-_8").unwrap();
        assert_eq!(asked.key.as_deref(), Some("demo"));
        assert_eq!(asked.bound_context(), [0xfb, 0xff]);
        assert_eq!(read("context=-_8%3D").unwrap().bound_context(), [0xfb, 0xff]);
        for bad in ["other=1", "key=a&key=b", "context=%2B%2F8", "sealed_length=-1"] {
            let error = read(bad).err().map(|problem| problem.code);
            assert_eq!(error, Some(Code::InvalidRequest), "{bad}");
        }
    }
}
