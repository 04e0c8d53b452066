//! The log: text or JSON lines on standard error.

use std::io::IsTerminal;

use tracing::Metadata;
use tracing_subscriber::filter::{FilterFn, LevelFilter};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use crate::config::{ConfigError, LogConfig};

/// Crates whose lines may hold what a Vault answered, and so are never logged, whatever
/// `log.level` asks for.
const SILENCED: [&str; 2] = ["vaultrs", "rustify"];

/// Starts logging. Once per process; a second call changes nothing.
pub fn start(config: &LogConfig) -> Result<(), ConfigError> {
    let lines = lines(config, std::io::stderr, std::io::stderr().is_terminal())?;
    if tracing_subscriber::registry().with(lines).try_init().is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(())
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

fn lines<W>(
    config: &LogConfig,
    writer: W,
    colours: bool,
) -> Result<impl Layer<Registry> + use<W>, ConfigError>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = filter(config)?;
    let layer = fmt::layer().with_writer(writer);
    let layer = if config.json {
        layer.json().flatten_event(true).boxed()
    } else {
        layer.with_ansi(colours).boxed()
    };
    // The hint lets the process know which levels nobody listens to.
    let most = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    let heard = FilterFn::new(is_heard).with_max_level_hint(most);
    Ok(layer.with_filter(filter).with_filter(heard))
}

fn is_heard(metadata: &Metadata<'_>) -> bool {
    let name = metadata.target().split("::").next().unwrap_or_default();
    !SILENCED.contains(&name)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_directive_makes_the_vault_crates_talk() {
        for json in [false, true] {
            let filter = "trace,vaultrs=trace,vaultrs::client=trace,rustify=trace".to_owned();
            let buffer = Buffer::default();
            let writer = buffer.clone();
            let lines = lines(&LogConfig { json, filter }, move || writer.clone(), false).unwrap();
            tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
                tracing::error!(target: "vaultrs", "hvs.one");
                tracing::error!(target: "vaultrs::client", "hvs.two");
                tracing::info!(target: "rustify::clients::reqwest", "hvs.three");
                let _span = tracing::info_span!(target: "rustify", "call", body = "hvs.four");
                tracing::trace!(target: "keyward", "heard");
            });
            let text = String::from_utf8(buffer.0.lock().unwrap().clone()).unwrap();
            assert!(text.contains("heard") && !text.contains("hvs."), "{text}");
        }
    }
}
