use std::net::SocketAddr;
use std::time::Instant;

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;

const REQUEST: &[u8] = b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n";

struct Running {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<Drained>,
}

async fn start(takes: Duration, options: Options) -> Running {
    let slow = get(move || async move {
        tokio::time::sleep(takes).await;
        "done"
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let service = Router::new().route("/slow", slow);
    let ended = tokio::spawn(serve(listener, service, options, async move {
        let _ = stopped.await;
    }));
    Running { address, stop, ended }
}

#[tokio::test]
async fn requests_in_flight_are_answered_before_the_end() {
    let running = start(Duration::from_millis(300), Options::default()).await;
    let mut busy = TcpStream::connect(running.address).await.unwrap();
    let mut idle = TcpStream::connect(running.address).await.unwrap();
    busy.write_all(REQUEST).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    running.stop.send(()).unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"), "{answer}");
    assert_eq!(idle.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert_eq!(running.ended.await.unwrap(), Drained::Clean);
    assert!(TcpStream::connect(running.address).await.is_err());
}

#[tokio::test]
async fn a_connection_without_a_request_is_not_waited_for() {
    let running = start(Duration::ZERO, Options::default()).await;
    let mut begun = TcpStream::connect(running.address).await.unwrap();
    begun.write_all(&REQUEST[..10]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    running.stop.send(()).unwrap();
    assert_eq!(running.ended.await.unwrap(), Drained::Clean);
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn the_drain_timeout_cuts_what_does_not_end() {
    let options = Options { drain_timeout: Duration::from_millis(100), ..Options::default() };
    let running = start(Duration::from_mins(1), options).await;
    let mut busy = TcpStream::connect(running.address).await.unwrap();
    busy.write_all(REQUEST).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let start = Instant::now();
    running.stop.send(()).unwrap();
    assert_eq!(running.ended.await.unwrap(), Drained::Cut(1));
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_client_that_never_finishes_its_headers_is_cut_off() {
    let options = Options { header_timeout: Duration::from_millis(100), ..Options::default() };
    let running = start(Duration::ZERO, options).await;
    let mut slow = TcpStream::connect(running.address).await.unwrap();
    slow.write_all(b"GET /slow HTTP/1.1\r\nhost:").await.unwrap();
    let mut answer = Vec::new();
    let read = tokio::time::timeout(Duration::from_secs(10), slow.read_to_end(&mut answer)).await;
    assert!(read.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn connections_over_the_limit_wait_their_turn() {
    let options = Options { max_connections: 1, ..Options::default() };
    let running = start(Duration::ZERO, options).await;
    let first = TcpStream::connect(running.address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut second = TcpStream::connect(running.address).await.unwrap();
    second.write_all(REQUEST).await.unwrap();
    let mut byte = [0; 1];
    let early = tokio::time::timeout(Duration::from_millis(200), second.read(&mut byte)).await;
    assert!(early.is_err());
    drop(first);
    assert_eq!(second.read(&mut byte).await.unwrap(), 1);
}
