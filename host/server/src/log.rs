//! The log: text or JSON lines on standard error. A line that is about a request names it.

mod level;
mod lines;

use std::io::IsTerminal;
use std::sync::{Arc, OnceLock};

use keyward_policy_host::spans;
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

pub use self::level::{InForce, Level, LevelError, Lifetime};
use self::lines::AboutRequests;
use crate::config::{ConfigError, LogConfig, TracesConfig};
use crate::traces;

/// Crates whose lines may hold what a Vault, a registry or a bucket answered, and so are never logged,
/// whatever `log.level` asks for.
const SILENCED: [&str; 4] = ["vaultrs", "rustify", "oci_client", "object_store"];

/// The level of this process's log.
static LEVEL: OnceLock<Arc<Level>> = OnceLock::new();

/// Starts logging, and tracing if it is set up. Once per process; a second call changes nothing.
pub fn start(config: &LogConfig, traces: Option<&TracesConfig>) -> Result<(), ConfigError> {
    let (filter, handle) = reload::Layer::new(filter(config)?);
    let lines = lines(config, filter, std::io::stderr, std::io::stderr().is_terminal());
    let (spans, traces) = match traces.map(traces::layer).transpose().map_err(ConfigError::new)? {
        Some((spans, traces)) => (Some(spans), Some(traces)),
        None => (None, None),
    };
    if tracing_subscriber::registry().with(lines).with(spans).try_init().is_ok() {
        if let Some(traces) = traces {
            traces::install(traces);
        }
        let _ = LEVEL.set(Arc::new(Level::new(config.filter.clone(), Some(handle))));
    } else {
        tracing::debug!("logging was started before");
    }
    Ok(())
}

/// The level of the log, to be looked at and changed. Where logging was not started, as within
/// another program, it is kept and has no effect.
pub fn level(config: &LogConfig) -> Arc<Level> {
    LEVEL.get().map_or_else(|| Arc::new(Level::new(config.filter.clone(), None)), Arc::clone)
}

/// Whether the configuration can be used.
pub fn check(config: &LogConfig) -> Result<(), ConfigError> {
    filter(config).map(drop)
}

fn filter(config: &LogConfig) -> Result<EnvFilter, ConfigError> {
    EnvFilter::try_new(&config.filter).map_err(|error| {
        ConfigError::new(format!("`log.level`: {:?} cannot be used: {error}", config.filter))
    })
}

fn lines<W, F>(
    config: &LogConfig,
    filter: F,
    writer: W,
    colours: bool,
) -> impl Layer<Registry> + use<W, F>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
    F: Filter<Registry> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer);
    let layer = if config.json {
        layer.json().flatten_event(true).map_event_format(AboutRequests::json).boxed()
    } else {
        // Told to the format itself: it writes into memory first, which is no terminal.
        let layer = layer.with_ansi(colours);
        layer.map_event_format(|format| AboutRequests::text(format.with_ansi(colours))).boxed()
    };
    layer.with_filter(Heard(filter))
}

/// What `F` lets pass, but for crates that are silenced and the spans of traces. Asks `F` each time, for it changes.
struct Heard<F>(F);

impl<S, F> Filter<S> for Heard<F>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    F: Filter<S>,
{
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        is_heard(metadata) && self.0.enabled(metadata, context)
    }

    fn callsite_enabled(
        &self,
        metadata: &'static Metadata<'static>,
    ) -> tracing::subscriber::Interest {
        if is_heard(metadata) {
            self.0.callsite_enabled(metadata)
        } else {
            tracing::subscriber::Interest::never()
        }
    }

    // It lets the process know which levels nobody listens to.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.0.max_level_hint()
    }

    fn event_enabled(&self, event: &tracing::Event<'_>, context: &Context<'_, S>) -> bool {
        self.0.event_enabled(event, context)
    }

    fn on_new_span(
        &self,
        attributes: &tracing::span::Attributes<'_>,
        id: &tracing::span::Id,
        context: Context<'_, S>,
    ) {
        self.0.on_new_span(attributes, id, context);
    }

    fn on_record(
        &self,
        id: &tracing::span::Id,
        values: &tracing::span::Record<'_>,
        context: Context<'_, S>,
    ) {
        self.0.on_record(id, values, context);
    }

    fn on_enter(&self, id: &tracing::span::Id, context: Context<'_, S>) {
        self.0.on_enter(id, context);
    }

    fn on_exit(&self, id: &tracing::span::Id, context: Context<'_, S>) {
        self.0.on_exit(id, context);
    }

    fn on_close(&self, id: tracing::span::Id, context: Context<'_, S>) {
        self.0.on_close(id, context);
    }
}

fn is_heard(metadata: &Metadata<'_>) -> bool {
    let name = metadata.target().split("::").next().unwrap_or_default();
    !SILENCED.contains(&name) && metadata.target() != spans::TARGET
}

#[cfg(test)]
mod tests;
