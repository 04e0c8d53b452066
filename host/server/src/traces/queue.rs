//! Ended spans on their way to the exporter. Nobody ever waits for it: what finds no room is dropped
//! and counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::Context;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use tokio::sync::mpsc;

/// Most spans that wait.
const CAPACITY: usize = 8192;

/// Counts of spans.
#[derive(Debug, Default)]
pub struct Counters {
    exported: AtomicU64,
    dropped: AtomicU64,
    failed: AtomicU64,
}

impl Counters {
    /// Spans by what came of them.
    pub fn outcomes(&self) -> [(&'static str, u64); 3] {
        [
            ("exported", self.exported.load(Ordering::Relaxed)),
            ("dropped", self.dropped.load(Ordering::Relaxed)),
            ("failed", self.failed.load(Ordering::Relaxed)),
        ]
    }

    pub(super) fn exported(&self, spans: usize) {
        self.exported.fetch_add(spans as u64, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, spans: usize) {
        self.failed.fetch_add(spans as u64, Ordering::Relaxed);
    }
}

/// Takes ended spans.
#[derive(Debug)]
pub struct Queue {
    sender: mpsc::Sender<SpanData>,
    counters: Arc<Counters>,
}

impl Queue {
    /// A queue that counts in `counters`, and its other end.
    pub fn new(counters: Arc<Counters>) -> (Self, mpsc::Receiver<SpanData>) {
        let (sender, receiver) = mpsc::channel(CAPACITY);
        (Self { sender, counters }, receiver)
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.sender.try_send(span).is_err() {
            self.counters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    // The exporter's task flushes; see `Exporter`.
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}
