//! The network side: accepts connections, speaks HTTP/1.1 (over TLS if set up), drains at the end.

mod lingering;
mod tls;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower::Service;

use arc_swap::ArcSwap;

use crate::mtls::{ClientCertificate, Mapping};

pub use self::tls::{Statistics as TlsStatistics, Tls, TlsError};

/// Pause after the system refused a connection, for instance for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How connections are served.
#[derive(Clone)]
pub struct Options {
    /// Serve HTTPS.
    pub tls: Option<Arc<Tls>>,
    /// Whom client certificates speak for. May change: for the connections that come then.
    pub clients: Arc<ArcSwap<Mapping>>,
    /// Time for headers, and for a TLS handshake, to arrive; also the longest idle time.
    pub header_timeout: Duration,
    /// Time requests in flight have to finish at shutdown.
    pub drain_timeout: Duration,
    /// Largest number of connections at once; more wait to be accepted.
    pub max_connections: usize,
}

impl Default for Options {
    /// Plain HTTP with the defaults of the configuration.
    fn default() -> Self {
        Self {
            tls: None,
            clients: Arc::default(),
            header_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(10),
            max_connections: 10_000,
        }
    }
}

/// The other end of a request's connection, among the request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub SocketAddr);

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// Every request in flight was answered.
    Clean,
    /// The drain timeout passed; this many connections were cut.
    Cut(usize),
}

/// Serves `service` until `shutdown` resolves; then stops accepting, answers what is in flight
/// and closes.
pub async fn serve<S, F>(
    listener: TcpListener,
    service: S,
    options: Options,
    shutdown: impl Future<Output = ()>,
) -> Drained
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = F>
        + Clone
        + Send
        + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(options.max_connections.min(Semaphore::MAX_PERMITS)));
    let graceful = GracefulShutdown::new();
    let (stopping, stop) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (stream, peer, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (service, options, watcher) = (service.clone(), options.clone(), graceful.watcher());
        let (stop, used) = (stop.clone(), Arc::new(AtomicBool::new(false)));
        connections.spawn(async move {
            tokio::select! {
                () = connection((stream, peer), service, options, watcher, &used) => {}
                () = stopped_unused(stop, &used) => {}
            }
            drop(slot);
        });
    }
    drop(listener);
    stopping.send_replace(true);
    drain(graceful, connections, options.drain_timeout).await
}

/// Resolves at shutdown for a connection that never carried a request: there is no answer to wait
/// for, be it silent, half way through its TLS handshake or within its first headers.
async fn stopped_unused(mut stop: watch::Receiver<bool>, used: &AtomicBool) {
    // An error means that nobody will say stop any more, which is the same.
    let _ = stop.wait_for(|stop| *stop).await;
    if used.load(Ordering::Relaxed) {
        std::future::pending::<()>().await;
    }
}

async fn drain(
    graceful: GracefulShutdown,
    mut connections: JoinSet<()>,
    timeout: Duration,
) -> Drained {
    if tokio::time::timeout(timeout, graceful.shutdown()).await.is_ok() {
        return Drained::Clean;
    }
    while connections.try_join_next().is_some() {}
    let cut = connections.len();
    connections.shutdown().await;
    Drained::Cut(cut)
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, Peer, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((stream, Peer(address), slot))
}

async fn connection<S, F>(
    (stream, peer): (TcpStream, Peer),
    service: S,
    options: Options,
    watcher: Watcher,
    used: &Arc<AtomicBool>,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = F>
        + Clone
        + Send
        + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
{
    // Answers are small and written at once: waiting to coalesce them costs 40 ms.
    let _ = stream.set_nodelay(true);
    let Some(tls) = &options.tls else {
        return speak((stream, peer, None), service, &options, watcher, used).await;
    };
    match tokio::time::timeout(options.header_timeout, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
            let certificate = shown.map(|leaf| Arc::new(options.clients.load().identify(leaf)));
            speak((stream, peer, certificate), service, &options, watcher, used).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "TLS handshake failed"),
        Err(_) => tracing::debug!("TLS handshake timed out"),
    }
}

async fn speak<I, S, F>(
    (io, peer, certificate): (I, Peer, Option<Arc<ClientCertificate>>),
    service: S,
    options: &Options,
    watcher: Watcher,
    used: &Arc<AtomicBool>,
) where
    I: AsyncRead + AsyncWrite + Unpin + 'static,
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = F>
        + Clone
        + 'static,
    F: Future<Output = Result<Response<Body>, Infallible>> + 'static,
{
    let used = Arc::clone(used);
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        used.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(peer);
        if let Some(certificate) = &certificate {
            request.extensions_mut().insert(Arc::clone(certificate));
        }
        // Every service here is always ready.
        service.clone().call(lingering::wrap(request))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(options.header_timeout)
        .serve_connection(TokioIo::new(io), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::debug!(%error, "connection ended early");
    }
}

#[cfg(test)]
mod tests;
