//! Lines that name the request they are about.

use std::fmt;

use keyward_keyring::origin::{self, Origin};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// A format whose lines end with the request's identifier and its trace's, where there are any.
///
/// It is no span of `tracing`: that would cost every request as much as a policy's decision does,
/// whether anything is logged or not.
pub struct AboutRequests<F> {
    format: F,
    json: bool,
}

impl<F> AboutRequests<F> {
    /// Lines that are text.
    pub fn text(format: F) -> Self {
        Self { format, json: false }
    }

    /// Lines that are JSON objects.
    pub fn json(format: F) -> Self {
        Self { format, json: true }
    }
}

impl<S, N, F> FormatEvent<S, N> for AboutRequests<F>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let Some(origin) = origin::with(Origin::clone) else {
            return self.format.format_event(context, writer, event);
        };
        let mut line = String::with_capacity(256);
        self.format.format_event(context, Writer::new(&mut line), event)?;
        let end = if self.json { "}\n" } else { "\n" };
        let Some(body) = line.strip_suffix(end) else { return writer.write_str(&line) };
        writer.write_str(body)?;
        let Origin { request_id, trace_id } = &origin;
        // What a policy logs says it already.
        let has = |name: &str| event.metadata().fields().field(name).is_some();
        let ids = [("request_id", Some(request_id)), ("trace_id", trace_id.as_ref())];
        for (name, id) in ids.into_iter().filter(|(name, _)| !has(name)) {
            let Some(id) = id else { continue };
            // Neither has characters that would have to be escaped.
            if self.json {
                write!(writer, ",\"{name}\":\"{id}\"")?;
            } else {
                write!(writer, " {name}={id}")?;
            }
        }
        writer.write_str(end)
    }
}
