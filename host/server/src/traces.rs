//! Traces of requests, for OpenTelemetry: what became of a request, span by span, in as many requests
//! as are sampled.
//!
//! Spans are `tracing`'s, below one target, and only requests that are sampled have any: everything
//! below a request's span looks whether there is one. In them are names of operations, routes and host
//! functions, statuses, and identifiers of requests; never a tenant's name, a key's, or anything that
//! a caller sent.

mod export;
mod parent;
mod queue;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use compact_str::{CompactString, format_compact};
use keyward_policy_host::spans::{self, TARGET};
use opentelemetry::trace::{
    SpanContext, SpanId, Status, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tokio::sync::watch;
use tracing::level_filters::LevelFilter;
use tracing::{Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::registry::LookupSpan;

use self::export::Exporter;
pub use self::parent::Parent;
use self::queue::{Counters, Queue};
use crate::config::TracesConfig;
use crate::errors::Code;
use crate::metrics::Route;

/// The traces of this process.
static TRACES: OnceLock<Arc<Traces>> = OnceLock::new();

/// Begins traces, and sends them.
pub struct Traces {
    /// The share of requests without a trace of their caller's that get one.
    sample: f64,
    counters: Arc<Counters>,
    /// Until it is started.
    exporter: Mutex<Option<Exporter>>,
    stop: watch::Sender<bool>,
}

/// What makes spans of OpenTelemetry of `tracing`'s, and the traces it is for.
pub fn layer<S>(config: &TracesConfig) -> Result<(impl Layer<S> + use<S>, Arc<Traces>), String>
where
    S: Subscriber + for<'s> LookupSpan<'s> + Send + Sync,
{
    let counters = Arc::<Counters>::default();
    let (queue, spans) = Queue::new(Arc::clone(&counters));
    let resource = Resource::builder_empty()
        .with_service_name(config.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let exporter = Exporter::new(config, (&resource).into(), Arc::clone(&counters), spans)?;
    let provider = SdkTracerProvider::builder()
        // Requests are sampled before there is a span.
        .with_sampler(Sampler::AlwaysOn)
        .with_resource(resource)
        .with_span_processor(queue)
        .build();
    let layer = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("keyward"))
        .with_context_activation(false)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_filter(
            FilterFn::new(|metadata| metadata.is_span() && metadata.target() == TARGET)
                .with_max_level_hint(LevelFilter::INFO),
        );
    let (stop, _) = watch::channel(false);
    let exporter = Mutex::new(Some(exporter));
    let traces = Traces { sample: config.sample, counters, exporter, stop };
    Ok((layer, Arc::new(traces)))
}

/// Has the process's requests traced; its layer is in force.
pub fn install(traces: Arc<Traces>) {
    let _ = TRACES.set(traces);
}

/// The process's traces, if there are any. Call it within a runtime: the first call starts to send
/// them.
pub fn start() -> Option<Arc<Traces>> {
    let traces = TRACES.get()?;
    let exporter = traces.exporter.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(exporter) = exporter {
        tokio::spawn(exporter.run(traces.stop.subscribe()));
    }
    Some(Arc::clone(traces))
}

impl Traces {
    /// The span of a request, below its caller's; a span that is none unless the request is sampled.
    /// It is if its caller's trace is, and without such a trace by chance.
    pub fn request(&self, parent: Option<&Parent>, method: &'static str, route: Route) -> Span {
        let is_sampled = match parent {
            Some(parent) => parent.is_sampled,
            None => self.sample > 0.0 && fastrand::f64() < self.sample,
        };
        if !is_sampled || matches!(route, Route::Health | Route::Metrics) {
            return Span::none();
        }
        let span = tracing::info_span!(
            target: TARGET,
            parent: None,
            "request",
            otel.name = %format_compact!("{method} {}", route.as_str()),
            otel.kind = "server",
            http.request.method = method,
            keyward.route = route.as_str(),
        );
        if let Some(parent) = parent.and_then(remote) {
            // Fails only where there is no span.
            let _ = span.set_parent(parent);
        }
        span
    }

    /// Spans by what came of them.
    pub fn outcomes(&self) -> [(&'static str, u64); 3] {
        self.counters.outcomes()
    }

    /// Sends what is left, within `time`.
    pub async fn flush(&self, time: Duration) {
        self.stop.send_replace(true);
        // The exporter's task has a receiver for as long as it works.
        if tokio::time::timeout(time, self.stop.closed()).await.is_err() {
            tracing::warn!("the receiver of traces is too slow: the last ones are lost");
        }
    }
}

fn remote(parent: &Parent) -> Option<Context> {
    let trace = TraceId::from_hex(&parent.trace).ok()?;
    let span = SpanId::from_bytes(parent.span);
    let (flags, state) = (TraceFlags::SAMPLED, TraceState::NONE);
    let context = SpanContext::new(trace, span, flags, true, state);
    Some(Context::new().with_remote_span_context(context))
}

/// The trace that a request's span belongs to: 32 hex digits.
pub fn trace_of(span: &Span) -> Option<CompactString> {
    if span.is_none() {
        return None;
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| format_compact!("{}", context.trace_id()))
}

/// Notes in a request's span how it ended.
pub fn end(span: &Span, request_id: &str, status: StatusCode, code: Option<Code>) {
    if span.is_none() {
        return;
    }
    span.set_attribute("keyward.request_id", request_id.to_owned());
    span.set_attribute("http.response.status_code", i64::from(status.as_u16()));
    if let Some(code) = code {
        span.set_attribute("error.type", code.as_str());
    }
    if status.is_server_error() {
        span.set_status(Status::error(code.map_or("", Code::as_str)));
    }
}

macro_rules! below {
    ($($(#[$doc:meta])* $name:ident $label:literal)*) => {
        $(
            $(#[$doc])*
            pub fn $name(operation: &'static str) -> Span {
                if !spans::is_traced() {
                    return Span::none();
                }
                tracing::info_span!(
                    target: TARGET,
                    $label,
                    otel.name = %format_compact!(concat!($label, " {}"), operation),
                    keyward.operation = operation,
                )
            }
        )*
    };
}

below! {
    /// The span of a policy's run, in a request that is traced.
    policy "policy"
    /// The span of a call of the key store, in a request that is traced.
    store "store"
}
