//! What a task works for, so that whatever is logged on the way names the request that it belongs to.
//!
//! It travels with the task and not in arguments. A task that works for the one that starts it is
//! started with [`carried`].

use std::future::Future;
use std::sync::Arc;

use compact_str::CompactString;
use tracing::{Instrument, Span};

tokio::task_local! {
    static ORIGIN: Arc<Origin>;
}

/// The request that a task works for. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The request's identifier: 1–64 of `A-Z a-z 0-9 . _ -`.
    pub request_id: CompactString,
    /// The trace it belongs to, if it belongs to one: 32 hex digits (W3C Trace Context).
    pub trace_id: Option<CompactString>,
}

/// Runs `work` for `origin`.
pub fn within<F: Future>(origin: Arc<Origin>, work: F) -> impl Future<Output = F::Output> + use<F> {
    ORIGIN.scope(origin, work)
}

/// Does `work` for `origin`, here and now.
pub fn during<T>(origin: &Arc<Origin>, work: impl FnOnce() -> T) -> T {
    ORIGIN.sync_scope(Arc::clone(origin), work)
}

/// What the current task works for, if it is known, as `look` sees it.
pub fn with<T>(look: impl FnOnce(&Origin) -> T) -> Option<T> {
    ORIGIN.try_with(|origin| look(origin)).ok()
}

/// `work`, to be run by another task for what the current one works for, in the current span.
pub fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> + use<F> {
    let origin = ORIGIN.try_with(Arc::clone).ok();
    let work = work.instrument(Span::current());
    async move {
        match origin {
            Some(origin) => within(origin, work).await,
            None => work.await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_knows_what_it_works_for_and_the_ones_it_starts_do() {
        let id = || with(|origin| origin.request_id.clone());
        assert_eq!(id(), None);
        let origin = Arc::new(Origin { request_id: "one".into(), trace_id: None });
        let (carried, other) = within(origin, async {
            let carried = tokio::spawn(carried(async move { id() }));
            (carried.await.unwrap(), tokio::spawn(async move { id() }).await.unwrap())
        })
        .await;
        assert_eq!((carried.as_deref(), other), (Some("one"), None));
        assert_eq!(carried_outside().await, None);
    }

    async fn carried_outside() -> Option<CompactString> {
        carried(async { with(|origin| origin.request_id.clone()) }).await
    }
}
