//! Spans to a receiver: OTLP over HTTP, as protobuf (OTLP 1.x, section "OTLP/HTTP").

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::trace::SpanData;
use prost::Message;
use reqwest::Client;
use reqwest::header::{CONTENT_TYPE, HeaderMap};
use tokio::sync::{mpsc, watch};

use super::queue::Counters;
use crate::config::TracesConfig;
use crate::outbound;

/// Most spans of one request.
const BATCH: usize = 512;
/// How long a span waits for others to travel with.
const LINGER: Duration = Duration::from_secs(1);
/// How long the receiver may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Why spans did not arrive. The URL may hold what is nobody's business, and is left out.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("it cannot be reached, or does not answer in time: {0}")]
    Unreachable(reqwest::Error),
    #[error("it answers {0}")]
    Refused(reqwest::StatusCode),
}

/// Sends spans.
pub struct Exporter {
    client: Client,
    endpoint: String,
    headers: HeaderMap,
    resource: ResourceAttributesWithSchema,
    counters: Arc<Counters>,
    spans: mpsc::Receiver<SpanData>,
}

impl Exporter {
    /// To the receiver of `config`, whose spans come from `spans`.
    pub fn new(
        config: &TracesConfig,
        resource: ResourceAttributesWithSchema,
        counters: Arc<Counters>,
        spans: mpsc::Receiver<SpanData>,
    ) -> Result<Self, String> {
        let client = outbound::client("traces.otlp", TIMEOUT, None)?;
        let (endpoint, headers) = (config.endpoint.clone(), config.headers.clone());
        Ok(Self { client, endpoint, headers, resource, counters, spans })
    }

    /// Sends spans as they come, until `stop` says so; then what is left.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut is_failing = false;
        loop {
            let is_over = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => true,
                () = self.gather(&mut batch) => false,
            };
            if is_over {
                // Nobody is told of failures any more.
                while self.take_waiting(&mut batch) {
                    let _ = self.send(&mut batch).await;
                }
                return;
            }
            match self.send(&mut batch).await {
                Ok(()) if is_failing => {
                    is_failing = false;
                    tracing::info!("the receiver of traces takes them again");
                }
                // Each outage is told once.
                Err(error) if !is_failing => {
                    is_failing = true;
                    tracing::warn!(%error, "the receiver of traces does not take them; they are lost");
                }
                Ok(()) | Err(_) => {}
            }
        }
    }

    /// Waits for a batch: a full one, or what came within a moment.
    async fn gather(&mut self, batch: &mut Vec<SpanData>) {
        if batch.is_empty() && self.spans.recv_many(batch, BATCH).await == 0 {
            return std::future::pending().await;
        }
        let end = tokio::time::Instant::now() + LINGER;
        while batch.len() < BATCH {
            let more = self.spans.recv_many(batch, BATCH - batch.len());
            match tokio::time::timeout_at(end, more).await {
                Ok(1..) => {}
                _ => return,
            }
        }
    }

    /// Fills the batch with what waits already; whether there is anything to send.
    fn take_waiting(&mut self, batch: &mut Vec<SpanData>) -> bool {
        while batch.len() < BATCH
            && let Ok(span) = self.spans.try_recv()
        {
            batch.push(span);
        }
        !batch.is_empty()
    }

    async fn send(&self, batch: &mut Vec<SpanData>) -> Result<(), ExportError> {
        let spans = batch.len();
        let resource_spans =
            group_spans_by_resource_and_scope(std::mem::take(batch), &self.resource);
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let sent = self.post(body).await;
        match &sent {
            Ok(()) => self.counters.exported(spans),
            Err(_) => self.counters.failed(spans),
        }
        sent
    }

    async fn post(&self, body: Vec<u8>) -> Result<(), ExportError> {
        let request = self.client.post(&self.endpoint).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/x-protobuf").body(body);
        let unreachable = |error: reqwest::Error| ExportError::Unreachable(error.without_url());
        let status = request.send().await.map_err(unreachable)?.status();
        if status.is_success() { Ok(()) } else { Err(ExportError::Refused(status)) }
    }
}
