//! What a running server takes: new files of TLS now and then, and at SIGHUP these and what the
//! configuration says of settings that need no restart.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::App;
use crate::config::{Reading, Setting, Source};
use crate::mtls::Mapping;
use crate::net::Tls;

/// What can change.
pub struct Reloader {
    /// Where the configuration came from.
    pub source: Option<Source>,
    /// What HTTPS is served with, and how often it is looked for new files.
    pub tls: Option<(Arc<Tls>, Duration)>,
    /// Whom client certificates speak for.
    pub clients: Arc<ArcSwap<Mapping>>,
}

/// Counts of configurations read again, and what the last one was.
#[derive(Debug, Default)]
pub struct Counters {
    taken: AtomicU64,
    failed: AtomicU64,
    waiting: AtomicU64,
}

/// The same, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counts {
    /// How often it could be used.
    pub taken: u64,
    /// How often it could not.
    pub failed: u64,
    /// Settings that are others in the configuration and wait for a restart.
    pub waiting: u64,
}

impl Counters {
    /// How often, and what waits.
    pub fn read(&self) -> Counts {
        Counts {
            taken: self.taken.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }
}

impl Reloader {
    /// Takes what is new, without an end.
    pub fn run(self, app: Arc<App>) -> std::io::Result<impl Future<Output = ()>> {
        let mut hangup = signal(SignalKind::hangup())?;
        let Self { mut source, tls, clients } = self;
        Ok(async move {
            let asked = async {
                while hangup.recv().await.is_some() {
                    if let Some((tls, _)) = &tls {
                        tls.reload();
                    }
                    if let Some(source) = &mut source {
                        take(source, &app, &clients);
                    }
                }
                pending::<()>().await;
            };
            let looking = async {
                match &tls {
                    Some((tls, period)) => tls.follow(*period).await,
                    None => pending().await,
                }
            };
            tokio::join!(asked, looking);
        })
    }
}

/// Takes what the configuration says now. One with a mistake changes nothing.
fn take(source: &mut Source, app: &App, clients: &ArcSwap<Mapping>) {
    let counters = &app.reloads;
    let Reading { config, taken, kept } = match source.read() {
        Ok(reading) => reading,
        Err(errors) => {
            counters.failed.fetch_add(1, Ordering::Relaxed);
            for error in errors.iter() {
                tracing::error!("SIGHUP: {error}");
            }
            tracing::error!("SIGHUP: the configuration cannot be used, and nothing of it is");
            return;
        }
    };
    app.bodies.set(&config.http);
    app.limits.set(config.limits);
    clients.store(Arc::new(config.mtls));
    if let Err(error) = app.log_level.configure(&config.log.filter) {
        tracing::error!(%error, "SIGHUP: `log.level`");
    }
    counters.taken.fetch_add(1, Ordering::Relaxed);
    counters.waiting.store(kept.len() as u64, Ordering::Relaxed);
    for setting in kept {
        tracing::warn!(
            "SIGHUP: `{}` is another one in the configuration and needs a restart; the one from \
             the start stays",
            setting.name()
        );
    }
    let names: Vec<_> = taken.iter().map(|setting: &&Setting| setting.name()).collect();
    tracing::info!(settings = names.join(" "), "SIGHUP: the configuration was read again");
}
