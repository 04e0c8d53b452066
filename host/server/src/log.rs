//! The log: text or JSON lines on standard error.

use tracing_subscriber::EnvFilter;

use crate::config::{ConfigError, LogConfig};

/// Starts logging. Once per process; a second call changes nothing.
pub fn start(config: &LogConfig) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.filter).map_err(|error| {
        ConfigError::new(format!("`log.level`: {:?} cannot be used: {error}", config.filter))
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if config.json {
        builder.json().flatten_event(true).try_init()
    } else {
        use std::io::IsTerminal;
        builder.with_ansi(std::io::stderr().is_terminal()).try_init()
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(())
}
