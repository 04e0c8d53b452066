//! `stream/encrypt` and `stream/decrypt`: raw bytes of any length, in constant memory.
//!
//! A chunk is sealed or opened as soon as it is whole, and more is read only when the caller has
//! taken it. Nothing is released before it is authenticated. What is wrong before the first chunk
//! is an ordinary error; later the response has begun, and the connection is broken off, so that
//! nobody takes a part for the whole.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, Response};
use base64::Engine;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::{Bytes, BytesMut};
use futures_util::stream;
use hyper::body::Body as _;
use keyward_crypto::stream::{
    CHUNK_LEN, SEALED_CHUNK_LEN, StreamHeader, plaintext_len, sealed_len,
};
use keyward_keyring::{KeyName, KeyringError};
use keyward_policy_host::Obligations;

use super::item::Asked;
use super::{Call, Decrypt, Encrypt, Operation};
use crate::app::App;
use crate::clock;
use crate::errors::Code;
use crate::execute::{Opener, Sealer};
use crate::http::auth::Access;
use crate::http::json::Text;
use crate::http::{Params, Problem, body, request_id};
use crate::metered::{MeteredOpener, MeteredSealer};

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
    let (call, asked, body) = begin(app, path, request).await?;
    let host = call.app.policies.host();
    let plan = host.authorize(call.policy(), &call.request(Encrypt::NAME, &asked)).await?;
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
    Ok(respond(first, sealer.version(), length.and_then(sealed_len), Some(work)))
}

/// `POST …/stream/decrypt?key=…&context=…&purpose=…` (context: base64url).
pub async fn decrypt(
    State(app): State<Arc<App>>,
    path: Params,
    request: Request,
) -> Result<Response<Body>, Problem> {
    let (call, mut asked, body) = begin(app, path, request).await?;
    let length = body.size_hint().exact();
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
    let host = call.app.policies.host();
    let plan = host.authorize(call.policy(), &call.request(Decrypt::NAME, &asked)).await?;
    let opener = Opener::prepare(key, plan)?;
    source.obligations = opener.obligations().clone();
    source.obligations.record(call.tenant.as_str(), &call.id);
    check_length(&source.obligations, length)?;
    let context = asked.bound_context();
    let chunks = opener.stream(place.keyring, front.key_version, context, &header).await?;
    let mut work = Opening { source, chunks };
    // The first chunk is opened before anything is answered.
    let first = work.next().await?.unwrap_or_default();
    let rest = (!work.chunks.is_complete()).then_some(work);
    Ok(respond(first, front.key_version, length.and_then(plaintext_len), rest))
}

/// What both directions begin with.
async fn begin(
    app: Arc<App>,
    path: Params,
    request: Request,
) -> Result<(Call, Asked<'static>, Body), Problem> {
    let Access { credential, tenant, .. } = Access::data(&app, path, request.headers()).await?;
    let asked = read_query(request.uri().query().unwrap_or_default())?;
    let id = request_id::of(&request).as_str().to_owned();
    let active = app.policies.active(&tenant)?;
    let call = Call { app, tenant, active, credential, id, time: clock::unix_ms() };
    Ok((call, asked, request.into_body()))
}

fn read_query(query: &str) -> Result<Asked<'static>, Problem> {
    let bad = |detail: String| Problem::new(Code::InvalidRequest, detail);
    let (mut key, mut purpose, mut context) = (None, None, None);
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        let slot = match name.as_ref() {
            "key" => &mut key,
            "purpose" => &mut purpose,
            "context" => &mut context,
            _ => return Err(bad("a query parameter is none of key, purpose, context".into())),
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
    Ok(asked)
}

/// Refuses what announces itself as too long.
fn check_length(obligations: &Obligations, length: Option<u64>) -> Result<(), Problem> {
    let length = length.map_or(0, |length| usize::try_from(length).unwrap_or(usize::MAX));
    Ok(obligations.check_len(length)?)
}

/// A body that is read chunk by chunk.
struct Source {
    body: Body,
    buffer: BytesMut,
    ended: bool,
    total: usize,
    obligations: Obligations,
    /// How long to wait for more.
    timeout: Duration,
}

impl Source {
    fn new(body: Body, obligations: Obligations, timeout: Duration) -> Self {
        Self { body, buffer: BytesMut::new(), ended: false, total: 0, obligations, timeout }
    }

    /// The first `length` bytes, or fewer if there are no more.
    async fn take_front(&mut self, length: usize) -> Result<BytesMut, Problem> {
        while self.buffer.len() < length && !self.ended {
            self.fill().await?;
        }
        let length = length.min(self.buffer.len());
        Ok(self.buffer.split_to(length))
    }

    /// Whole chunks of `size` bytes, as many as are there, and whether the last of them is the
    /// body's last. A whole chunk is held back until more follows.
    async fn chunks(&mut self, size: usize) -> Result<(BytesMut, bool), Problem> {
        while self.buffer.len() <= size && !self.ended {
            self.fill().await?;
        }
        if self.ended && self.buffer.len() <= size {
            return Ok((self.buffer.split(), true));
        }
        let whole = (self.buffer.len() - 1) / size * size;
        Ok((self.buffer.split_to(whole), false))
    }

    async fn fill(&mut self) -> Result<(), Problem> {
        let Some(data) = body::next(&mut self.body, self.timeout).await? else {
            self.ended = true;
            return Ok(());
        };
        self.total = self.total.saturating_add(data.len());
        self.obligations.check_len(self.total)?;
        self.buffer.extend_from_slice(&data);
        Ok(())
    }
}

/// Something that gives the response's bytes, piece by piece.
trait Work: Send + 'static {
    /// The next piece; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, Problem>> + Send;
    /// Whether the last piece was given.
    fn is_over(&self) -> bool;
}

struct Sealing {
    source: Source,
    chunks: MeteredSealer,
}

impl Work for Sealing {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let (plaintext, ends) = self.source.chunks(CHUNK_LEN).await?;
        let count = plaintext.len() / CHUNK_LEN + 1;
        let mut out = Vec::with_capacity(plaintext.len() + count * 16);
        if ends {
            self.chunks.seal_chunk_into(&plaintext, true, &mut out).map_err(Problem::internal)?;
        } else {
            for chunk in plaintext.chunks(CHUNK_LEN) {
                self.chunks.seal_chunk_into(chunk, false, &mut out).map_err(Problem::internal)?;
            }
        }
        Ok(Some(out.into()))
    }

    fn is_over(&self) -> bool {
        self.source.ended && self.source.buffer.is_empty()
    }
}

struct Opening {
    source: Source,
    chunks: MeteredOpener,
}

impl Work for Opening {
    async fn next(&mut self) -> Result<Option<Bytes>, Problem> {
        let (mut sealed, ends) = self.source.chunks(SEALED_CHUNK_LEN).await?;
        let mut out = BytesMut::with_capacity(sealed.len());
        let length = sealed.len();
        // Even an empty last chunk has a tag.
        let mut at = 0;
        while at < length || (ends && at == 0) {
            let end = length.min(at + SEALED_CHUNK_LEN);
            let chunk = sealed.get_mut(at..end).unwrap_or_default();
            let opened = self.chunks.open_chunk_in_place(chunk, ends);
            out.extend_from_slice(opened.map_err(|_| Problem::ciphertext_invalid())?);
            at = end.max(1);
        }
        Ok(Some(out.freeze()))
    }

    fn is_over(&self) -> bool {
        self.chunks.is_complete()
    }
}

fn respond(
    first: Bytes,
    version: u32,
    length: Option<u64>,
    rest: Option<impl Work>,
) -> Response<Body> {
    let pieces = stream::unfold((Some(first), rest), |(first, rest)| async {
        if let Some(first) = first {
            return Some((Ok(first), (None, rest)));
        }
        let mut work = rest?;
        match work.next().await {
            Ok(Some(piece)) => {
                let rest = (!work.is_over()).then_some(work);
                Some((Ok(piece), (None, rest)))
            }
            Ok(None) => None,
            Err(problem) => {
                tracing::debug!(code = problem.code.as_str(), "a stream was broken off");
                Some((Err(io::Error::other(problem.code.as_str())), (None, None)))
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
        let asked = read_query("key=demo&purpose=audit%20trail&context=-_8").unwrap();
        assert_eq!(asked.key.as_deref(), Some("demo"));
        assert_eq!(asked.bound_context(), [0xfb, 0xff]);
        assert_eq!(read_query("context=-_8%3D").unwrap().bound_context(), [0xfb, 0xff]);
        for bad in ["other=1", "key=a&key=b", "context=%2B%2F8"] {
            let error = read_query(bad).err().map(|problem| problem.code);
            assert_eq!(error, Some(Code::InvalidRequest), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_whole_chunk_is_held_back_until_more_follows() {
        let parts = ["abc", "d", "efg", "hi"].map(Ok::<_, io::Error>);
        let body = Body::from_stream(stream::iter(parts));
        let mut source = Source::new(body, Obligations::default(), Duration::from_secs(5));
        let mut all = Vec::new();
        loop {
            let (piece, ends) = source.chunks(3).await.unwrap();
            all.push(String::from_utf8(piece.to_vec()).unwrap());
            if ends {
                break;
            }
        }
        assert_eq!(all, ["abc", "def", "ghi"]);
    }
}
