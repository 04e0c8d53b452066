//! What is measured: processes of their own.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::DefaultBodyLimit;
use axum::http::header;
use axum::response::Response;
use axum::routing::post;
use keyward_test_vault::{Options, Vault, program};

/// A server, stopped when dropped.
pub struct Server {
    child: Child,
    pub address: String,
    /// Tokens and the like.
    pub env: HashMap<String, String>,
}

impl Server {
    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where the built policies are.
pub fn policies() -> PathBuf {
    std::env::var_os("KEYWARD_POLICIES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/policies")),
        PathBuf::from,
    )
}

/// The real binary, as `keyward dev`.
pub fn keyward(directory: &Path) -> Server {
    let data = directory.join("data");
    let child = Command::new(env!("CARGO_BIN_EXE_keyward"))
        .args(["dev", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data)
        .arg("--policies")
        .arg(policies())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut server = Server { child, address: String::new(), env: HashMap::new() };
    for _ in 0..600 {
        std::thread::sleep(Duration::from_millis(50));
        let Ok(text) = std::fs::read_to_string(data.join("dev.env")) else {
            continue;
        };
        server.env = text
            .lines()
            .filter_map(|line| line.trim_start_matches("export ").split_once('='))
            .map(|(name, value)| (name.to_owned(), value.trim_matches(['"', '\'']).to_owned()))
            .collect();
        server.env["KEYWARD_ADDR"].trim_start_matches("http://").clone_into(&mut server.address);
        if TcpStream::connect(&server.address).is_ok() {
            return server;
        }
    }
    panic!("keyward does not start");
}

/// The ceilings: [`ceiling`] in a process of its own.
pub fn start_ceiling() -> Server {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .arg("ceiling")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    Server { child, address: address.trim().to_owned(), env: HashMap::new() }
}

/// The same accept loop, HTTP, router and allocator as Keyward's. One handler takes the body and
/// answers as many bytes as an encryption does; the other answers the body as it comes in.
pub fn ceiling() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        let answer: &'static str =
            format!(r#"{{"ciphertext":"kw1.{}","key_version":1}}"#, "A".repeat(200)).leak();
        let no_op = post(move |body: Bytes| async move {
            std::hint::black_box(body);
            ([(header::CONTENT_TYPE, "application/json")], answer)
        });
        let echo = post(|body: Body| async move { Response::new(body) });
        let router: Router = Router::new()
            .route("/api/v1/tenants/{tenant}/encrypt", no_op)
            .route("/echo", echo.layer(DefaultBodyLimit::disable()));
        keyward::net::serve(
            listener,
            router,
            keyward::net::Options::default(),
            std::future::pending(),
        )
        .await;
    });
}

/// A Vault with its Transit engine and a key for each operation, where `cargo xtask bench` or the
/// caller names one.
pub fn vault() -> Option<Vault> {
    let named = [program::INSTALLED, program::BUILT].map(std::env::var_os);
    if named.iter().all(Option::is_none) {
        return None;
    }
    let vault = Vault::start(Options::default());
    let address = vault.address.trim_start_matches("http://");
    let token = format!("X-Vault-Token: {}", vault.root_token);
    let call = |path: &str, body: &str| once(address, path, &token, body);
    call("/v1/sys/mounts/transit", r#"{"type":"transit"}"#);
    call("/v1/transit/keys/demo", r#"{"type":"aes256-gcm96"}"#);
    call("/v1/transit/keys/signing", r#"{"type":"ed25519"}"#);
    Some(vault)
}

/// An HTTP/1.1 request whose connection stays open.
pub fn request(address: &str, path: &str, authorization: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\n{authorization}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// One request outside the measurement, answered with a 2xx; gives the answer's body.
pub fn once(address: &str, path: &str, authorization: &str, body: &str) -> String {
    exchange(address, path, &request(address, path, authorization, body))
}

/// `GET`, of anybody.
pub fn get(address: &str, path: &str) -> String {
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    exchange(address, path, request.as_bytes())
}

/// Activates a policy.
pub fn put_wasm(address: &str, path: &str, authorization: &str, wasm: &[u8]) {
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: {address}\r\n{authorization}\r\n\
         Content-Type: application/wasm\r\nContent-Length: {}\r\n\r\n",
        wasm.len()
    );
    exchange(address, path, &[head.as_bytes(), wasm].concat());
}

fn exchange(address: &str, path: &str, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    stream.write_all(request).unwrap();
    let mut answer = Vec::new();
    let mut piece = vec![0; 64 << 10];
    // Up to its length, or to the end.
    let whole = loop {
        let read = stream.read(&mut piece).unwrap();
        answer.extend_from_slice(&piece[..read]);
        let text = String::from_utf8_lossy(&answer);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| {
                let (name, value) = line.split_once(':')?;
                name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
            });
            if read == 0 || length.is_some_and(|length: usize| body.len() >= length) {
                break text.into_owned();
            }
        }
        assert!(read > 0, "{path}: {text}");
    };
    assert!(whole.starts_with("HTTP/1.1 2"), "{path}: {whole}");
    whole.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned())
}
