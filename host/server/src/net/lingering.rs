//! Request bodies that nobody read to the end.
//!
//! A client that sends all of a body before it reads sees a reset connection instead of the answer
//! if the server closes while data is on its way; and one that sends a body in a packet of its own
//! finds its connection closed at the next request, without having been told. So the rest is read
//! and thrown away, within bounds, while the answer is already being sent.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::http::header::EXPECT;
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use tokio::runtime::Handle;

/// Most bytes thrown away, and the longest time spent on it.
const MAX_BYTES: usize = 32 << 20;
const MAX_TIME: Duration = Duration::from_secs(10);

/// The request with a body that lingers, if it has one. A client that waits for leave to send
/// (100-continue) will not send after it got the answer.
pub fn wrap(request: Request<Incoming>) -> Request<Body> {
    if request.body().is_end_stream() || request.headers().contains_key(EXPECT) {
        return request.map(Body::new);
    }
    request.map(|body| Body::new(Lingering(Some(body))))
}

/// A body that is read to its end when dropped. Empty once it was.
struct Lingering(Option<Incoming>);

impl HttpBody for Lingering {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Lingering {
    fn drop(&mut self) {
        let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) else { return };
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(tokio::time::timeout(MAX_TIME, discard(body)));
        }
    }
}

async fn discard(mut body: Incoming) {
    let mut bytes = 0;
    while bytes <= MAX_BYTES {
        match body.frame().await {
            Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, Bytes::len),
            _ => return,
        }
    }
}
