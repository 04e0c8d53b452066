//! Puts application and network together: listen, serve, drain.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{App, StartError};
use crate::config::Config;
use crate::net::{self, Drained, Tls};

/// Builds the application that `config` describes.
pub async fn build(config: Config) -> Result<Arc<App>, StartError> {
    App::build(config).await
}

/// A bound socket, ready to serve.
pub struct Bound {
    listener: TcpListener,
    options: net::Options,
    /// How often it is looked for new files of TLS.
    reload: Option<Duration>,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Why the server cannot listen, or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The address cannot be had.
    #[error(
        "cannot listen on {address}: {error}; choose another address with --listen or `listen`"
    )]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] net::TlsError),
    /// Signals cannot be received.
    #[error("cannot receive signals: {0}")]
    Signals(std::io::Error),
}

impl Bound {
    /// Binds the address before anything slow happens, so that a taken port is found out at once.
    pub async fn bind(config: &Config) -> Result<Self, ServeError> {
        let tls = config.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
        let failed = |error| ServeError::Listen { address: config.listen, error };
        let listener = TcpListener::bind(config.listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let options = net::Options {
            tls,
            clients: Arc::new(config.mtls.clone()),
            header_timeout: config.http.header_timeout,
            drain_timeout: config.http.drain_timeout,
            max_connections: config.http.max_connections,
        };
        let reload = config.tls.as_ref().map(|tls| tls.reload);
        Ok(Self { listener, options, reload, address })
    }

    /// Base URL of the API.
    pub fn url(&self) -> String {
        let scheme = if self.options.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// Serves until SIGTERM or SIGINT, then drains. Meanwhile it sees `starting` through, which
    /// gets the application ready if it is not.
    pub async fn serve(
        self,
        app: Arc<App>,
        starting: impl Future<Output = ()>,
    ) -> Result<Drained, ServeError> {
        let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
        let service = app.service();
        tracing::info!(url = self.url(), "listening");
        let ending = Arc::clone(&app);
        let shutdown = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            ending.start_draining();
            tracing::info!("shutting down: answering what is in flight");
        };
        let reloading = match (&self.options.tls, self.reload) {
            (Some(tls), Some(period)) => {
                app.tls(Arc::clone(tls));
                Some(reload(Arc::clone(tls), period).map_err(ServeError::Signals)?)
            }
            _ => None,
        };
        let reloading = async {
            match reloading {
                Some(reloading) => reloading.await,
                None => std::future::pending().await,
            }
        };
        let serving = net::serve(self.listener, service, self.options, shutdown);
        let never_ending = async {
            starting.await;
            std::future::pending::<()>().await;
        };
        let drained = tokio::select! {
            drained = serving => drained,
            () = never_ending => Drained::Clean,
            () = reloading => Drained::Clean,
        };
        app.shutdown().await;
        match drained {
            Drained::Clean => tracing::info!("all requests answered"),
            Drained::Cut(connections) => {
                tracing::warn!(connections, "drain timeout passed; connections were cut");
            }
        }
        Ok(drained)
    }
}

/// Takes new files of TLS: now and then, and at SIGHUP. Never ends.
fn reload(tls: Arc<Tls>, period: Duration) -> std::io::Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        let asked = async {
            while hangup.recv().await.is_some() {
                tls.reload();
            }
            std::future::pending::<()>().await;
        };
        tokio::join!(asked, tls.follow(period));
    })
}
