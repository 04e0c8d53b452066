//! Puts application and network together: listen, serve, drain.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{App, StartError};
use crate::config::Config;
use crate::net::{self, Drained, Tls};
use crate::reload::Reloader;

/// Connections that wait to be accepted; the system may allow fewer.
const BACKLOG: i32 = 1024;

/// Builds the application that `config` describes.
pub async fn build(config: Config) -> Result<Arc<App>, StartError> {
    App::build(config).await
}

/// A bound socket, ready to serve.
pub struct Bound {
    listener: std::net::TcpListener,
    options: net::Options,
    reloader: Reloader,
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
    pub fn bind(config: &mut Config) -> Result<Self, ServeError> {
        let tls = config.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
        let failed = |error| ServeError::Listen { address: config.listen, error };
        let listener = listen(config.listen).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let options = net::Options {
            tls,
            clients: Arc::new(ArcSwap::from_pointee(config.mtls.clone())),
            header_timeout: config.http.header_timeout,
            drain_timeout: config.http.drain_timeout,
            max_connections: config.http.max_connections,
        };
        let reloader = Reloader {
            source: config.source.take(),
            tls: options.tls.clone().zip(config.tls.as_ref().map(|tls| tls.reload)),
            clients: Arc::clone(&options.clients),
        };
        Ok(Self { listener, options, reloader, address })
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
        if let Some(tls) = &self.options.tls {
            app.tls(Arc::clone(tls));
        }
        let reloading = self.reloader.run(Arc::clone(&app)).map_err(ServeError::Signals)?;
        let failed = |error| ServeError::Listen { address: self.address, error };
        let listener = TcpListener::from_std(self.listener).map_err(failed)?;
        let serving = net::serve(listener, service, self.options, shutdown);
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

/// Listens there: without a runtime, whose threads come later.
fn listen(address: SocketAddr) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart need not wait for connections of before to be forgotten.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}
