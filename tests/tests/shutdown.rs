//! Ends, planned and not: what was answered was answered whole, and what was acknowledged stays.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keyward_tests::{Server, b64};
use rustix::process::Signal;
use serde_json::{Value, json};

/// Default of `http.drain_timeout`.
const DRAIN: Duration = Duration::from_secs(10);

/// One keep-alive connection, on which it can be told apart whether an answer is whole.
struct Connection(TcpStream);

#[derive(Debug)]
#[allow(dead_code, reason = "a partial answer is shown when a test fails")]
enum Outcome {
    /// Status and body.
    Whole(u16, Vec<u8>),
    /// The connection ended before a single byte of an answer.
    None,
    /// It ended within one.
    Partial(Vec<u8>),
}

impl Connection {
    fn open(address: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream.set_nodelay(true).unwrap();
        Some(Self(stream))
    }

    fn send(&mut self, path: &str, token: &str, body: &str) -> Outcome {
        let head = head(path, token, body.len());
        if self.0.write_all(format!("{head}{body}").as_bytes()).is_err() {
            return Outcome::None;
        }
        self.read()
    }

    fn read(&mut self) -> Outcome {
        let mut got = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let end = got.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = String::from_utf8_lossy(&got[..end]).to_lowercase();
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let whole = end + 4 + length.unwrap().trim().parse::<usize>().unwrap();
                if got.len() >= whole {
                    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                    return Outcome::Whole(status, got[end + 4..whole].to_vec());
                }
            }
            match self.0.read(&mut buffer) {
                Ok(0) | Err(_) if got.is_empty() => return Outcome::None,
                Ok(0) | Err(_) => return Outcome::Partial(got),
                Ok(read) => got.extend_from_slice(&buffer[..read]),
            }
        }
    }
}

fn head(path: &str, token: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nhost: keyward\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    )
}

const ENCRYPT: &str = "/api/v1/tenants/load/encrypt";

fn under_load(signal: Signal) {
    let mut server = Server::dev();
    let tenant = server.tenant_with_policy("load", "baseline");
    let (address, token) = (server.address.clone(), tenant.app_token.clone());
    let ciphertexts = Mutex::new(Vec::new());
    let (answered, unanswered) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let threads = 8;
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let body = json!({ "key": "main", "plaintext": b64("under load") }).to_string();
                while let Some(mut connection) = Connection::open(&address) {
                    loop {
                        match connection.send(ENCRYPT, &token, &body) {
                            Outcome::Whole(200, body) => {
                                let body: Value = serde_json::from_slice(&body).unwrap();
                                ciphertexts.lock().unwrap().push(body["ciphertext"].clone());
                                answered.fetch_add(1, Ordering::Relaxed);
                            }
                            Outcome::None => {
                                unanswered.fetch_add(1, Ordering::Relaxed);
                                break;
                            }
                            other => panic!("{other:?}"),
                        }
                    }
                }
            });
        }
        while answered.load(Ordering::Relaxed) < 200 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let start = Instant::now();
        server.signal(signal);
        let status = server.wait(DRAIN).expect("it ends within the drain timeout");
        assert!(status.success(), "{status:?}: {}", server.stderr());
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    });
    // At most what raced with the close of each connection, and those in the accept queue.
    let unanswered = unanswered.load(Ordering::Relaxed);
    assert!(unanswered <= 2 * threads, "{unanswered} requests without an answer");
    server.start_again();
    let client = server.client().token(&token).below("/api/v1/tenants/load");
    let ciphertexts = ciphertexts.into_inner().unwrap();
    for ciphertext in ciphertexts.iter().rev().take(50) {
        assert_eq!(client.decrypt(&json!({ "ciphertext": ciphertext })), b"under load");
    }
}

#[test]
fn sigterm_under_load() {
    under_load(Signal::TERM);
}

#[test]
fn ctrl_c_under_load() {
    under_load(Signal::INT);
}

#[test]
fn requests_in_flight_are_finished() {
    let mut server =
        Server::dev_with(&[("KEYWARD_POLICY_CPU", "1s"), ("KEYWARD_POLICY_WALL", "20s")]);
    let tenant = server.tenant_with_policy("load", "baseline");
    let slow = server.tenant_with_policy("slow", "hostile");
    let address = server.address.clone();
    // Half a request, before the signal.
    let body = json!({ "key": "main", "plaintext": b64("half") }).to_string();
    let (first, second) = body.split_at(10);
    let mut halves: Vec<_> = (0..4)
        .map(|_| {
            let mut half = Connection::open(&address).unwrap();
            let head = head(ENCRYPT, &tenant.app_token, body.len());
            half.0.write_all(format!("{head}{first}").as_bytes()).unwrap();
            half
        })
        .collect();
    // A request whose policy takes its time.
    let mut long = Connection::open(&address).unwrap();
    let loops = json!({ "key": "main", "plaintext": "", "purpose": "loop" }).to_string();
    let head = head("/api/v1/tenants/slow/encrypt", &slow.app_token, loops.len());
    long.0.write_all(format!("{head}{loops}").as_bytes()).unwrap();
    // Connections that do nothing, or not enough to be a request.
    let _idle = Connection::open(&address).unwrap();
    let mut begun = Connection::open(&address).unwrap();
    begun.0.write_all(b"POST /api/v1/tenants/load/encrypt HTTP/1.1\r\nhost:").unwrap();
    std::thread::sleep(Duration::from_millis(300));

    let start = Instant::now();
    server.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(200));
    assert!(Connection::open(&address).is_none(), "it still accepts connections");
    assert!(server.wait(Duration::ZERO).is_none(), "it did not wait for requests in flight");
    for half in &mut halves {
        half.0.write_all(second.as_bytes()).unwrap();
        match half.read() {
            Outcome::Whole(200, _) => {}
            other => panic!("{other:?}"),
        }
    }
    match long.read() {
        Outcome::Whole(502, body) => {
            assert!(String::from_utf8_lossy(&body).contains("policy_cpu_limit"));
        }
        other => panic!("{other:?}"),
    }
    let status = server.wait(DRAIN).expect("it ends within the drain timeout");
    assert!(status.success(), "{status:?}: {}", server.stderr());
    assert!(start.elapsed() < Duration::from_secs(5), "an idle connection held it up");
}

#[test]
fn what_does_not_finish_is_cut_at_the_drain_timeout() {
    let mut server = Server::dev_with(&[("KEYWARD_HTTP_DRAIN_TIMEOUT", "1s")]);
    let mut stuck = Connection::open(&server.address).unwrap();
    let head = head("/api/v1/tenants/demo/encrypt", &server.demo_token, 100);
    stuck.0.write_all(head.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    let start = Instant::now();
    server.signal(Signal::TERM);
    let status = server.wait(Duration::from_secs(8)).expect("it ends after the drain timeout");
    let took = start.elapsed();
    assert!(took > Duration::from_millis(800) && took < Duration::from_secs(4), "{took:?}");
    assert!(status.code().is_some(), "{status:?}");
    assert!(server.stderr().contains("cut"), "{}", server.stderr());
    assert!(!server.stderr().contains("panicked"), "{}", server.stderr());
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    let mut server = Server::dev();
    let tenant = server.tenant_with_policy("load", "baseline");
    for round in 0..4 {
        let root = format!("http://{}", server.address);
        let client = keyward_tests::Client::new(&root).below("/api/v1/tenants/load");
        let operator = client.token(&server.operator_token);
        let app = client.token(&tenant.app_token);
        // Names with their acknowledged versions, ciphertexts, tokens.
        let keys = Mutex::new(Vec::new());
        let (ciphertexts, tokens) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let enough = AtomicUsize::new(0);
        let killed = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (operator, app) = (operator.clone(), app.clone());
                let (keys, ciphertexts, tokens) = (&keys, &ciphertexts, &tokens);
                let (enough, killed) = (&enough, &killed);
                scope.spawn(move || {
                    let json = [("content-type", "application/json")];
                    let post = |client: &keyward_tests::Client, path: &str, body: Value| {
                        let answer =
                            client.try_send("POST", path, &json, body.to_string().as_bytes());
                        match answer {
                            Ok(answer) => {
                                assert!(answer.status < 300, "{}", answer.text());
                                Some(answer.json())
                            }
                            Err(error) => {
                                assert!(killed.load(Ordering::Relaxed), "{error}");
                                None
                            }
                        }
                    };
                    for number in 0.. {
                        let name = format!("k-{round}-{thread}-{number}");
                        let mut version = 1;
                        let Some(_) = post(&operator, "/keys", json!({ "name": name })) else {
                            return;
                        };
                        keys.lock().unwrap().push((name.clone(), version));
                        let rotate = format!("/keys/{name}/rotate");
                        let Some(rotated) = post(&operator, &rotate, json!({})) else { return };
                        version += 1;
                        assert_eq!(rotated["key_version"], version);
                        keys.lock().unwrap().push((name.clone(), version));
                        let body = json!({ "key": name, "plaintext": b64(&name) });
                        let Some(made) = post(&app, "/encrypt", body) else { return };
                        ciphertexts.lock().unwrap().push((made["ciphertext"].clone(), name));
                        let body = json!({ "subject": "s", "roles": ["application"] });
                        let Some(minted) = post(&operator, "/tokens", body) else { return };
                        tokens.lock().unwrap().push(minted["token"].as_str().unwrap().to_owned());
                        enough.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            while enough.load(Ordering::Relaxed) < 12 + round {
                std::thread::sleep(Duration::from_millis(1));
            }
            killed.store(true, Ordering::Relaxed);
            server.kill();
        });
        server.start_again();
        let root = format!("http://{}", server.address);
        let client = keyward_tests::Client::new(&root).below("/api/v1/tenants/load");
        let app = client.token(&tenant.app_token);
        for (name, version) in keys.into_inner().unwrap() {
            let key = app.get(&format!("/keys/{name}")).expect(200).json();
            let current = key["current_version"].as_u64().unwrap();
            assert!(current >= version, "{name}: version {current}, acknowledged was {version}");
        }
        for (ciphertext, name) in ciphertexts.into_inner().unwrap() {
            assert_eq!(app.decrypt(&json!({ "ciphertext": ciphertext })), name.as_bytes());
        }
        for token in tokens.into_inner().unwrap() {
            client.token(&token).get("/keys").expect(200);
        }
    }
}
