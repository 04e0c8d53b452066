//! Answers that are made while they are sent: they are still the request's.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use keyward_keyring::origin::{self, Origin};
use tracing::Span;

struct Streamed {
    body: Body,
    origin: Arc<Origin>,
    /// The request's; it ends with the answer.
    span: Span,
}

/// `body`, made for `origin` and in `span`. A body that is whole already is left as it is.
pub fn within(origin: Arc<Origin>, span: Span, body: Body) -> Body {
    if body.is_end_stream() || body.size_hint().exact().is_some() {
        return body;
    }
    Body::new(Streamed { body, origin, span })
}

impl HttpBody for Streamed {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { body, origin, span } = &mut *self;
        let _entered = span.enter();
        origin::during(origin, || Pin::new(body).poll_frame(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
