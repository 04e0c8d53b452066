//! Spans of traced requests. Whether a request is traced is seen from the span that it is in.

use tracing::Span;

/// The target of such spans, and of nothing else.
pub const TARGET: &str = "keyward::traces";

/// Whether what is done now belongs to a request that is traced.
pub fn is_traced() -> bool {
    Span::current().metadata().is_some_and(|metadata| metadata.target() == TARGET)
}

/// The span of a call of a host function: its name, and nothing that is passed.
pub(crate) fn host_call(function: &'static str) -> Span {
    tracing::info_span!(
        target: TARGET,
        "host_call",
        otel.name = format_args!("host {function}"),
        keyward.operation = function,
    )
}
