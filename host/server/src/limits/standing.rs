//! How one request stands with the limits: its place, its turns, and what its answer tells of them.
//!
//! It travels with the task that handles the request, as the audit entry does.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::rate::Rate;
use super::shares::{Arrived, Slot};
use super::tenants::TenantState;
use super::turns::Turn;
use crate::metrics::Route;

const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");

tokio::task_local! {
    static STANDING: RefCell<Standing>;
}

/// What an answer says of a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Whose rate it is: `token`, `tenant`, `operation` or `items`.
    pub name: &'static str,
    /// Which.
    pub rate: Rate,
    /// What is left.
    pub left: u32,
}

/// How a request stands.
pub struct Standing {
    pub(super) route: Route,
    arrived: Option<Arrived>,
    pub(super) slot: Option<Slot>,
    pub(super) tenant: Option<Arc<TenantState>>,
    pub(super) turn: Option<Turn>,
    told: [Option<Told>; 4],
}

impl Standing {
    /// Of a request that has just arrived.
    pub fn new(route: Route, arrived: Option<Arrived>) -> Self {
        let (slot, tenant, turn, told) = Default::default();
        Self { route, arrived, slot, tenant, turn, told }
    }

    pub(super) fn tell(&mut self, told: Told) {
        let free = self.told.iter_mut().find(|it| it.is_none_or(|it| it.name == told.name));
        if let Some(slot) = free {
            *slot = Some(told);
        }
    }

    /// Puts what is to be told into the headers of an answer: `RateLimit-Policy` and `RateLimit` of
    /// draft-ietf-httpapi-ratelimit-headers-10.
    pub fn write(&self, headers: &mut HeaderMap) {
        if self.told[0].is_none() {
            return;
        }
        let (mut policy, mut left) = (String::with_capacity(96), String::with_capacity(96));
        for Told { name, rate, left: cells } in self.told.iter().flatten() {
            let (quota, window) = (rate.burst(), rate.seconds_of(rate.burst()));
            let separator = if policy.is_empty() { "" } else { ", " };
            let reset = rate.seconds_of(quota.saturating_sub(*cells));
            let _ = write!(policy, "{separator}\"{name}\";q={quota};w={window}");
            let _ = write!(left, "{separator}\"{name}\";r={cells};t={reset}");
        }
        for (name, text) in [(RATELIMIT_POLICY, policy), (RATELIMIT, left)] {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        }
    }

    /// The body of an answer that is made while it is sent: that, too, is work in turns, and the
    /// request is under way until its end.
    pub fn accompany(mut self, body: Body) -> Body {
        let is_whole = body.is_end_stream() || body.size_hint().exact().is_some();
        if is_whole || self.turn.is_none() && self.arrived.is_none() {
            return body;
        }
        self.pause();
        Body::new(Accompanied { body, standing: self })
    }

    fn poll_resume(&mut self, cx: &Context<'_>) -> Poll<()> {
        self.turn.as_mut().map_or(Poll::Ready(()), |turn| turn.poll_take(cx))
    }

    fn pause(&mut self) {
        if let Some(turn) = &mut self.turn {
            turn.pause();
        }
    }
}

/// Changes how the request being handled stands; nothing where there is none.
pub fn with<T>(change: impl FnOnce(&mut Standing) -> T) -> Option<T> {
    STANDING.try_with(|standing| change(&mut standing.borrow_mut())).ok()
}

/// Does the work of a request, in turns once it [has taken](super::Limits::turn) one: a turn ends
/// when the work waits, and the work goes on with another.
pub async fn within<F: Future>(standing: Standing, work: F) -> (F::Output, Option<Standing>) {
    let mut work = pin!(work);
    let in_turns = poll_fn(|cx| {
        let resumed = with(|standing| standing.poll_resume(cx));
        ready!(resumed.unwrap_or(Poll::Ready(())));
        let polled = work.as_mut().poll(cx);
        if polled.is_pending() {
            with(Standing::pause);
        }
        polled
    });
    let mut scoped = pin!(STANDING.scope(RefCell::new(standing), in_turns));
    let done = scoped.as_mut().await;
    (done, scoped.take_value().map(RefCell::into_inner))
}

struct Accompanied {
    body: Body,
    standing: Standing,
}

impl HttpBody for Accompanied {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        ready!(self.standing.poll_resume(cx));
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.standing.pause();
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_told_in_structured_fields() {
        let mut standing = Standing::new(Route::Encrypt, None);
        let mut headers = HeaderMap::new();
        standing.write(&mut headers);
        assert!(headers.is_empty());
        let rate = |text: &str| text.parse().unwrap();
        standing.tell(Told { name: "token", rate: rate("10/s burst 25"), left: 5 });
        standing.tell(Told { name: "tenant", rate: rate("60/m"), left: 60 });
        standing.tell(Told { name: "token", rate: rate("10/s burst 25"), left: 4 });
        standing.write(&mut headers);
        assert_eq!(headers["ratelimit-policy"], r#""token";q=25;w=3, "tenant";q=60;w=60"#);
        assert_eq!(headers["ratelimit"], r#""token";r=4;t=3, "tenant";r=60;t=0"#);
    }
}
