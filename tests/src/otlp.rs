//! A receiver of traces: OTLP over HTTP, as protobuf, in the test's own process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// Takes spans for as long as it lives.
pub struct Receiver {
    address: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    spans: Mutex<Vec<Span>>,
    /// All that was sent, heads and bodies.
    bytes: Mutex<Vec<u8>>,
    is_refusing: AtomicBool,
    is_stalling: AtomicBool,
}

impl Receiver {
    /// Starts one.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let state = Arc::clone(&shared);
                std::thread::spawn(move || state.serve(stream.unwrap()));
            }
        });
        Self { address, state }
    }

    /// What the server is configured with.
    pub fn url(&self) -> String {
        format!("http://{}/v1/traces", self.address)
    }

    /// From now on it answers 503, or takes them again.
    pub fn refuse(&self, refuse: bool) {
        self.state.is_refusing.store(refuse, Ordering::Relaxed);
    }

    /// From now on it takes connections and does not answer.
    pub fn stall(&self) {
        self.state.is_stalling.store(true, Ordering::Relaxed);
    }

    /// The spans of this trace (32 hex digits), once there are `count` of them and none has come for a
    /// moment.
    #[track_caller]
    pub fn spans_of(&self, trace: &str, count: usize) -> Vec<Span> {
        let start = Instant::now();
        loop {
            let spans = self.state.spans.lock().unwrap().clone();
            let of_trace = |span: &Span| hex(&span.trace_id) == trace;
            let found: Vec<_> = spans.into_iter().filter(of_trace).collect();
            if found.len() >= count {
                return found;
            }
            let names: Vec<_> = found.iter().map(|span| &span.name).collect();
            let waited = start.elapsed();
            assert!(waited < Duration::from_secs(10), "{count} spans of {trace}, not {names:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// All spans that arrived.
    pub fn spans(&self) -> Vec<Span> {
        self.state.spans.lock().unwrap().clone()
    }

    /// All bytes that arrived.
    pub fn bytes(&self) -> Vec<u8> {
        self.state.bytes.lock().unwrap().clone()
    }
}

impl State {
    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        loop {
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    return;
                }
                let lower = line.to_ascii_lowercase();
                if let Some(value) = lower.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                let is_end = line == "\r\n";
                head.push_str(&line);
                if is_end {
                    break;
                }
            }
            let mut body = vec![0; length];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            while self.is_stalling.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(50));
            }
            let status = if self.is_refusing.load(Ordering::Relaxed) { "503 x" } else { "200 OK" };
            if status.starts_with("200") {
                assert!(head.starts_with("POST /v1/traces "), "{head}");
                let sent = ExportTraceServiceRequest::decode(&body[..]).unwrap();
                let scopes = sent.resource_spans.into_iter().flat_map(|it| it.scope_spans);
                self.spans.lock().unwrap().extend(scopes.flat_map(|it| it.spans));
            }
            let mut bytes = self.bytes.lock().unwrap();
            bytes.extend_from_slice(head.as_bytes());
            bytes.extend_from_slice(&body);
            drop(bytes);
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            if writer.write_all(answer.as_bytes()).is_err() {
                return;
            }
        }
    }
}

/// Hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(digit).collect()
}

fn digit(nibble: u8) -> char {
    char::from_digit(nibble.into(), 16).unwrap()
}

/// An attribute of a span, as text.
pub fn attribute(span: &Span, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}
