//! HTTP encrypt of 64 bytes through a policy at concurrency 16, against a no-op handler on the same
//! stack and, where `KEYWARD_TEST_VAULT` or `KEYWARD_TEST_VAULT_SERVER` names a Vault, against its
//! Transit engine.
//!
//! Server and load are processes of their own, and every round measures all of them in turn, so
//! that what else the machine does hits each alike. The figure of each is the median of the rounds.

#![allow(clippy::unwrap_used, reason = "it fails by panicking")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::http::header;
use axum::routing::post;
use keyward_test_vault::{Options, Vault, program};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const CONCURRENCY: usize = 16;
const ROUNDS: usize = 5;
const SECONDS: u64 = 4;
const PLAINTEXT: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";

fn main() {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("no-op") => no_op(),
        Some("load") => {
            let arguments: Vec<String> = arguments.collect();
            load(&arguments[0], &arguments[1], &arguments[2], &arguments[3]);
        }
        _ => compare(),
    }
}

/// A measured peer: where its requests go, and what they are.
struct Peer {
    name: &'static str,
    address: String,
    path: String,
    authorization: String,
    body: String,
    rates: Vec<f64>,
    latencies: Vec<(f64, f64)>,
}

impl Peer {
    fn new(
        name: &'static str,
        address: &str,
        path: &str,
        authorization: String,
        body: String,
    ) -> Self {
        let address = address.trim_start_matches("http://").to_owned();
        let path = path.to_owned();
        Self { name, address, path, authorization, body, rates: vec![], latencies: vec![] }
    }

    fn rate(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    }
}

/// A Vault, where `cargo xtask bench` or the caller names one.
fn start_vault() -> Option<Vault> {
    let named = [program::INSTALLED, program::BUILT].map(std::env::var_os);
    named.iter().any(Option::is_some).then(|| Vault::start(Options::default()))
}

fn compare() {
    let directory = tempfile::tempdir().unwrap();
    let (keyward, env) = start_keyward(directory.path());
    let (no_op, no_op_address) = start_no_op();
    let token = format!("Authorization: Bearer {}", env["KEYWARD_TOKEN"]);
    let body = format!(r#"{{"key":"demo","plaintext":"{PLAINTEXT}"}}"#);
    let path = "/api/v1/tenants/demo/encrypt";
    let mut peers = vec![
        Peer::new("no-op handler", &no_op_address, path, token.clone(), body.clone()),
        Peer::new("keyward encrypt", &env["KEYWARD_ADDR"], path, token, body),
    ];
    let vault = start_vault();
    if let Some(vault) = &vault {
        let address = vault.address.trim_start_matches("http://").to_owned();
        let token = format!("X-Vault-Token: {}", vault.root_token);
        once(&address, "/v1/sys/mounts/transit", &token, r#"{"type":"transit"}"#);
        once(&address, "/v1/transit/keys/demo", &token, r#"{"type":"aes256-gcm96"}"#);
        let body = format!(r#"{{"plaintext":"{PLAINTEXT}"}}"#);
        peers.push(Peer::new(
            "Vault Transit encrypt",
            &address,
            "/v1/transit/encrypt/demo",
            token,
            body,
        ));
    }
    for round in 0..=ROUNDS {
        for peer in &mut peers {
            // The first round warms up.
            let seconds = if round == 0 { 1 } else { SECONDS };
            let (rate, p50, p99) = measure(peer, seconds);
            if round > 0 {
                peer.rates.push(rate);
                peer.latencies.push((p50, p99));
            }
        }
    }
    stop(keyward);
    stop(no_op);
    println!(
        "HTTP, 64-byte plaintext, {CONCURRENCY} connections, median of {ROUNDS} rounds of {SECONDS} s"
    );
    println!("{:>22} {:>12} {:>10} {:>10}", "", "requests/s", "p50 us", "p99 us");
    for peer in &peers {
        let mut latencies = peer.latencies.clone();
        latencies.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (p50, p99) = latencies[latencies.len() / 2];
        println!("{:>22} {:>12.0} {p50:>10.0} {p99:>10.0}", peer.name, peer.rate());
    }
    let encrypt = peers[1].rate();
    println!("keyward encrypt / no-op handler: {:.1} %", 100.0 * encrypt / peers[0].rate());
    match peers.get(2) {
        Some(transit) => {
            println!("keyward encrypt / Vault Transit: {:.2} x", encrypt / transit.rate());
        }
        None => println!("no Vault to compare with: set KEYWARD_TEST_VAULT, or install Go"),
    }
}

fn stop(mut child: Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// The real binary, as `keyward dev`.
fn start_keyward(directory: &Path) -> (Child, std::collections::HashMap<String, String>) {
    let policies = std::env::var_os("KEYWARD_POLICIES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/policies")),
        PathBuf::from,
    );
    let data = directory.join("data");
    let child = Command::new(env!("CARGO_BIN_EXE_keyward"))
        .args(["dev", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data)
        .arg("--policies")
        .arg(policies)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    for _ in 0..600 {
        std::thread::sleep(Duration::from_millis(50));
        let Ok(text) = std::fs::read_to_string(data.join("dev.env")) else {
            continue;
        };
        let env: std::collections::HashMap<String, String> = text
            .lines()
            .filter_map(|line| line.trim_start_matches("export ").split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
            .collect();
        let address = env["KEYWARD_ADDR"].trim_start_matches("http://");
        if TcpStream::connect(address).is_ok() {
            return (child, env);
        }
    }
    stop(child);
    panic!("keyward does not start");
}

fn start_no_op() -> (Child, String) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("no-op")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    (child, address.trim().to_owned())
}

/// The ceiling: the same accept loop, HTTP, router and allocator; the handler takes the body and
/// answers as many bytes as an encryption does.
fn no_op() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        let answer: &'static str =
            format!(r#"{{"ciphertext":"kw1.{}","key_version":1}}"#, "A".repeat(200)).leak();
        let router: Router = Router::new().route(
            "/api/v1/tenants/{tenant}/encrypt",
            post(move |body: Bytes| async move {
                std::hint::black_box(body);
                ([(header::CONTENT_TYPE, "application/json")], answer)
            }),
        );
        keyward::net::serve(
            listener,
            router,
            keyward::net::Options::default(),
            std::future::pending(),
        )
        .await;
    });
}

fn request(peer: (&str, &str, &str, &str)) -> Vec<u8> {
    let (address, path, authorization, body) = peer;
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\n{authorization}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// One request outside the measurement.
fn once(address: &str, path: &str, authorization: &str, body: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(&request((address, path, authorization, body))).unwrap();
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).unwrap();
    assert!(
        answer[..read].starts_with(b"HTTP/1.1 2"),
        "{}",
        String::from_utf8_lossy(&answer[..read])
    );
}

/// Runs the load in a process of its own. Requests per second, p50 and p99 in microseconds.
fn measure(peer: &Peer, seconds: u64) -> (f64, f64, f64) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["load", &peer.address, &seconds.to_string()])
        .arg(
            String::from_utf8(request((
                &peer.address,
                &peer.path,
                &peer.authorization,
                &peer.body,
            )))
            .unwrap(),
        )
        .arg(peer.name)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert_eq!(figures.len(), 3, "{}: {}", peer.name, String::from_utf8_lossy(&output.stderr));
    (figures[0], figures[1], figures[2])
}

/// Keeps every connection busy with one request at a time, as wrk does; one thread, so that most
/// of the machine is left to the server.
fn load(address: &str, seconds: &str, request: &str, name: &str) {
    let duration = Duration::from_secs(seconds.parse().unwrap());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let mut latencies: Vec<u32> = local.block_on(&runtime, async {
        let mut connections = tokio::task::JoinSet::new();
        let start = Instant::now();
        for _ in 0..CONCURRENCY {
            let (address, request, name) =
                (address.to_owned(), request.to_owned(), name.to_owned());
            connections.spawn_local(async move {
                let mut stream = tokio::net::TcpStream::connect(&address).await.unwrap();
                stream.set_nodelay(true).unwrap();
                let mut buffer = vec![0; 16 << 10];
                let mut latencies = Vec::with_capacity(1 << 17);
                while start.elapsed() < duration {
                    let begin = Instant::now();
                    stream.write_all(request.as_bytes()).await.unwrap();
                    let mut filled = 0;
                    loop {
                        let read = stream.read(&mut buffer[filled..]).await.unwrap();
                        assert!(read > 0, "{name} closed the connection");
                        filled += read;
                        if complete(&buffer[..filled], &name) {
                            break;
                        }
                    }
                    latencies.push(u32::try_from(begin.elapsed().as_micros()).unwrap());
                }
                latencies
            });
        }
        connections.join_all().await.concat()
    });
    latencies.sort_unstable();
    let count = latencies.len();
    println!(
        "{} {} {}",
        count as u64 / duration.as_secs(),
        latencies[count / 2],
        latencies[count * 99 / 100]
    );
}

/// Whether the whole answer is there; it must be a 200 with a length.
fn complete(answer: &[u8], name: &str) -> bool {
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return false;
    };
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{name}: {}", String::from_utf8_lossy(answer));
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(field, _)| field.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, value)| value.trim().parse::<usize>().ok())
        .unwrap();
    answer.len() >= end + 4 + length
}
