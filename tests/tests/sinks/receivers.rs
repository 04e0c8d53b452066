//! Who takes entries: syslog and HTTP, as far as the tests need them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// An address where nobody listens, for one who will later.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Posted {
    pub head: String,
    pub body: Vec<u8>,
}

/// How requests are answered.
#[derive(Default)]
pub struct Behaviour {
    /// The status, where it is not 200.
    pub status: AtomicUsize,
    /// Most lines that are not 413; 0: any number.
    pub most: AtomicUsize,
    /// Milliseconds before the answer.
    pub delay_ms: AtomicUsize,
}

/// An HTTP server until it is dropped. What it took is kept; what it refused is not.
pub struct Http {
    pub address: SocketAddr,
    pub taken: Arc<Mutex<Vec<Posted>>>,
    pub refused: Arc<AtomicUsize>,
    pub behaviour: Arc<Behaviour>,
    listening: Listening,
}

/// Accepts until it is dropped.
struct Listening {
    address: SocketAddr,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Listening {
    fn at(address: SocketAddr, serve: impl Fn(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&is_over);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                serve(stream.unwrap());
            }
        });
        Self { address, is_over, thread: Some(thread) }
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Http {
    pub fn at(address: SocketAddr) -> Self {
        let taken: Arc<Mutex<Vec<Posted>>> = Arc::default();
        let (refused, behaviour): (Arc<AtomicUsize>, Arc<Behaviour>) = Default::default();
        let (keep, count, behave) = (taken.clone(), refused.clone(), behaviour.clone());
        let listening = Listening::at(address, move |stream| {
            let status = behave.status.load(Ordering::SeqCst);
            std::thread::sleep(
                Duration::from_millis(behave.delay_ms.load(Ordering::SeqCst) as u64),
            );
            let Some(posted) = read_post(&stream) else { return };
            let lines = posted.body.split(|byte| *byte == b'\n').count() - 1;
            let most = behave.most.load(Ordering::SeqCst);
            let status = match status {
                0 if most > 0 && lines > most => 413,
                0 => 200,
                status => status,
            };
            if status == 200 {
                keep.lock().unwrap().push(posted);
            } else {
                count.fetch_add(1, Ordering::SeqCst);
            }
            let answer = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
            );
            let _ = (&stream).write_all(answer.as_bytes());
        });
        Self { address: listening.address, taken, refused, behaviour, listening }
    }

    pub fn new() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap())
    }

    /// The lines of all bodies, in the order they came.
    pub fn lines(&self) -> Vec<String> {
        lines(&self.taken)
    }

    /// Ends it, with what it took.
    pub fn end(self) -> Vec<String> {
        let Self { taken, listening, .. } = self;
        // First: what it takes while it ends is taken.
        drop(listening);
        lines(&taken)
    }
}

fn lines(taken: &Mutex<Vec<Posted>>) -> Vec<String> {
    let taken = taken.lock().unwrap();
    let text: Vec<u8> = taken.iter().flat_map(|posted| posted.body.clone()).collect();
    String::from_utf8(text).unwrap().lines().map(str::to_owned).collect()
}

fn read_post(stream: &TcpStream) -> Option<Posted> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    loop {
        let before = head.len();
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
        if head[before..].trim().is_empty() {
            break;
        }
    }
    let length = head.to_ascii_lowercase();
    let length = length.lines().find_map(|line| line.strip_prefix("content-length:"))?;
    let mut body = vec![0; length.trim().parse().unwrap()];
    reader.read_exact(&mut body).ok()?;
    Some(Posted { head, body })
}

/// Takes messages of syslog over TCP until it is dropped.
pub struct Syslog {
    pub taken: Arc<Mutex<Vec<String>>>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    listening: Listening,
}

impl Syslog {
    /// Reads `most` messages of each connection, and then no more.
    pub fn at(address: SocketAddr, most: usize) -> Self {
        let taken: Arc<Mutex<Vec<String>>> = Arc::default();
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let (keep, held) = (taken.clone(), open.clone());
        let listening = Listening::at(address, move |stream| {
            held.lock().unwrap().push(stream.try_clone().unwrap());
            let keep = keep.clone();
            std::thread::spawn(move || {
                // A byte at a time: what is not read stays where the other side sees it.
                let mut stream = stream;
                for _ in 0..most {
                    let Some(message) = read_counted(&mut stream) else { return };
                    keep.lock().unwrap().push(message);
                }
            });
        });
        Self { taken, open, listening }
    }

    pub fn messages(&self) -> Vec<String> {
        self.taken.lock().unwrap().clone()
    }

    /// Ends as a process that is killed: what was not read is thrown away.
    pub fn kill(self) -> Vec<String> {
        let Self { taken, open, listening } = self;
        drop(listening);
        for stream in open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
        taken.lock().unwrap().clone()
    }
}

/// A message of RFC 6587, 3.4.1.
fn read_counted(stream: &mut TcpStream) -> Option<String> {
    let mut digits = String::new();
    loop {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        match byte[0] {
            b' ' => break,
            digit => {
                assert!(digit.is_ascii_digit(), "no length: {digits:?} {digit}");
                digits.push(char::from(digit));
            }
        }
    }
    let mut message = vec![0; digits.parse().unwrap()];
    stream.read_exact(&mut message).ok()?;
    Some(String::from_utf8(message).unwrap())
}

/// The line in a message, whose header is looked at.
pub fn line_of(message: &str) -> String {
    let parts: Vec<&str> = message.splitn(8, ' ').collect();
    let [first, time, host, name, process, kind, data, line] = parts.as_slice() else {
        panic!("no message of RFC 5424: {message}")
    };
    assert!(["<110>1", "<108>1", "<106>1"].contains(first), "{message}");
    assert!(time.ends_with('Z') && time.len() == 24, "{message}");
    assert!(!host.is_empty() && process.parse::<u32>().is_ok(), "{message}");
    assert_eq!((*name, *data), ("keyward", "-"), "{message}");
    assert!(line.contains(&format!("\"kind\":\"{kind}\"")), "{message}");
    (*line).to_owned()
}
