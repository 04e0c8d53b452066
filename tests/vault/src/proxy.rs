//! A proxy between a client and its Vault that makes the network fail in the ways networks do.
//!
//! It understands as much of HTTP/1.1 as it needs to hold one request at a time: what it forwards,
//! and what it answers with when no rule says otherwise, is what the two ends sent.

mod message;
mod rules;

pub use rules::{Fault, Rule, Seen};

use std::io::Write as _;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use message::Request;
use rules::Rules;

/// How often a held request looks whether it is still held.
const TICK: Duration = Duration::from_millis(10);

/// A proxy in front of one Vault, and the handle that controls it; it ends when dropped.
pub struct Proxy {
    /// `http://host:port`: where clients connect.
    pub address: String,
    listen: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: String,
    rules: Mutex<Rules>,
    connections: AtomicU64,
    in_flight: AtomicU64,
    peak: AtomicU64,
    ended: AtomicBool,
}

impl Proxy {
    /// Starts one before the Vault at `upstream` (`http://host:port`); at first it forwards all.
    pub fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream: upstream.trim_start_matches("http://").to_owned(),
            rules: Mutex::default(),
            connections: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            ended: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if accepting.ended.load(Ordering::Relaxed) {
                    return;
                }
                accepting.connections.fetch_add(1, Ordering::Relaxed);
                let shared = Arc::clone(&accepting);
                std::thread::spawn(move || shared.serve(client));
            }
        });
        Self { address: format!("http://{listen}"), listen, shared }
    }

    /// From now on every request suffers this; [`Fault::None`] ends all faults.
    pub fn set(&self, fault: Fault) {
        self.rules(vec![Rule::new(fault)]);
    }

    /// From now on each request suffers the first rule that applies to it, or nothing.
    pub fn rules(&self, rules: Vec<Rule>) {
        self.shared.lock().set(rules);
    }

    /// What passed so far, oldest first; of very many, the latest.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.lock().seen.iter().cloned().collect()
    }

    /// How many requests came so far, whatever became of them.
    pub fn requests(&self) -> u64 {
        self.shared.lock().requests
    }

    /// How many connections were accepted so far.
    pub fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// The most requests in flight at once since this was asked last.
    pub fn peak(&self) -> u64 {
        self.shared.peak.swap(0, Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.listen);
    }
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Serves a connection until either end closes it, or a fault does.
    fn serve(&self, mut client: TcpStream) {
        let _ = client.set_nodelay(true);
        let mut rest = Vec::new();
        while let Ok(Some(request)) = message::read_request(&mut client, &mut rest) {
            if self.ended.load(Ordering::Relaxed) {
                return;
            }
            let fault = self.lock().judge(&request);
            let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
            self.peak.fetch_max(now, Ordering::Relaxed);
            let stays = self.suffer(&mut client, &request, &fault);
            self.in_flight.fetch_sub(1, Ordering::Relaxed);
            if !stays {
                return;
            }
        }
    }

    /// Does to a request what the fault says; `false` ends its connection.
    fn suffer(&self, client: &mut TcpStream, request: &Request, fault: &Fault) -> bool {
        match fault {
            Fault::None => self.forward(client, request),
            Fault::Delay(time) => self.hold(client, *time) && self.forward(client, request),
            Fault::DelayAnswer(time) => match self.exchange(request) {
                Some(answer) => self.hold(client, *time) && client.write_all(&answer).is_ok(),
                None => false,
            },
            Fault::BlackHole => {
                self.hold(client, Duration::MAX);
                false
            }
            Fault::Drop => false,
            Fault::Reset => {
                reset(client);
                false
            }
            Fault::LoseAnswer => {
                self.exchange(request);
                false
            }
            Fault::ResetAnswer => {
                self.exchange(request);
                reset(client);
                false
            }
            Fault::Status(status) => {
                let body = format!("{{\"errors\":[\"injected {status}\"]}}");
                client.write_all(&message::response(*status, body.as_bytes())).is_ok()
            }
            Fault::Body(body) => client.write_all(&message::response(200, body.as_bytes())).is_ok(),
            Fault::Truncate => {
                if let Some(answer) = self.exchange(request) {
                    let head = message::head_length(&answer).unwrap_or(0);
                    let _ = client.write_all(&answer[..head + (answer.len() - head) / 2]);
                }
                false
            }
        }
    }

    /// Forwards a request and its answer; a Vault that cannot be reached resets the connection.
    fn forward(&self, client: &mut TcpStream, request: &Request) -> bool {
        if let Some(answer) = self.exchange(request) {
            return client.write_all(&answer).is_ok();
        }
        reset(client);
        false
    }

    /// What Vault answers to a request, ready to be passed on.
    fn exchange(&self, request: &Request) -> Option<Vec<u8>> {
        let mut vault = TcpStream::connect(&self.upstream).ok()?;
        let _ = vault.set_nodelay(true);
        vault.write_all(&request.to_forward()).ok()?;
        message::read_response(&mut vault, request)
    }

    /// Holds a request; `false` when its client left meanwhile, or the proxy ended.
    fn hold(&self, client: &TcpStream, time: Duration) -> bool {
        let start = std::time::Instant::now();
        while start.elapsed() < time {
            if self.ended.load(Ordering::Relaxed) || left(client) {
                return false;
            }
            std::thread::sleep(TICK.min(time.saturating_sub(start.elapsed())));
        }
        true
    }
}

/// Whether the other end closed the connection.
fn left(client: &TcpStream) -> bool {
    let _ = client.set_nonblocking(true);
    let peeked = client.peek(&mut [0]);
    let _ = client.set_nonblocking(false);
    match peeked {
        Ok(bytes) => bytes == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

/// Ends a connection by RST instead of FIN.
fn reset(client: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(client, Some(Duration::ZERO));
    // Nothing to shut down: closing the socket sends it.
    let _ = client.shutdown(Shutdown::Read);
}
