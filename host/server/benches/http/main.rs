//! Keyward over HTTP against ceilings on the same stack and, where `KEYWARD_TEST_VAULT` or
//! `KEYWARD_TEST_VAULT_SERVER` names a Vault, against its Transit engine: single requests on 64
//! bytes at concurrency 16, batches of 100, and one long stream.
//!
//! Servers and load are processes of their own, and every round measures all peers of a group in
//! turn, so that what else the machine does hits each alike. The figure of each is the median of
//! the rounds.

#![allow(clippy::unwrap_used, reason = "it fails by panicking")]

mod load;
#[allow(dead_code, reason = "of the soak")]
mod servers;
mod stream;

use servers::{Server, once, request};
use stream::{Body, exchange};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const ROUNDS: usize = 5;
const SECONDS: u64 = 4;
const BATCH: usize = 100;
const PLAINTEXT: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8gISIjJCUmJygpKissLS4vMDEyMzQ1Njc4OTo7PD0+Pw==";
const STREAM_BYTES: u64 = 1 << 30;
const STREAM_ROUNDS: usize = 3;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("ceiling") => servers::ceiling(),
        Some("load") => load::run(&arguments[1], &arguments[2], &arguments[3], &arguments[4]),
        _ => compare(&arguments),
    }
}

/// A measured peer: what is asked of it, and how often it answered.
struct Peer {
    name: &'static str,
    address: String,
    request: Vec<u8>,
    rounds: Vec<load::Figures>,
}

impl Peer {
    fn median(&self, of: impl Fn(&load::Figures) -> f64) -> f64 {
        median(self.rounds.iter().map(of).collect())
    }

    fn rate(&self) -> f64 {
        self.median(|figures| figures.rate)
    }
}

/// Where requests go and in whose name.
#[derive(Clone)]
struct Target {
    address: String,
    base: &'static str,
    authorization: String,
}

impl Target {
    fn peer(&self, name: &'static str, path: &str, body: &str) -> Peer {
        let path = format!("{}{path}", self.base);
        let request = request(&self.address, &path, &self.authorization, body);
        Peer { name, address: self.address.clone(), request, rounds: Vec::new() }
    }

    fn once(&self, path: &str, body: &str) -> serde_json::Value {
        let path = format!("{}{path}", self.base);
        serde_json::from_str(&once(&self.address, &path, &self.authorization, body)).unwrap()
    }
}

fn compare(arguments: &[String]) {
    // `cargo bench` adds options of its own.
    let wanted: Vec<&String> = arguments.iter().filter(|a| !a.starts_with('-')).collect();
    let wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|a| *a == name);
    let directory = tempfile::tempdir().unwrap();
    let server = servers::keyward(directory.path());
    let ceiling = servers::start_ceiling();
    let vault = servers::vault();
    let bearer = |name: &str| format!("Authorization: Bearer {}", server.env[name]);
    let keyward = Target {
        address: server.address.clone(),
        base: "/api/v1/tenants/demo",
        authorization: bearer("KEYWARD_TOKEN"),
    };
    let operator = Target { authorization: bearer("KEYWARD_OPERATOR_TOKEN"), ..keyward.clone() };
    operator.once("/keys", r#"{"name":"signing","algorithm":"ed25519"}"#);
    operator.once("/keys", r#"{"name":"tags","algorithm":"hmac-sha-256"}"#);
    let no_op = Target { address: ceiling.address.clone(), ..keyward.clone() };
    let transit = vault.as_ref().map(|vault| Target {
        address: vault.address.trim_start_matches("http://").to_owned(),
        base: "/v1/transit",
        authorization: format!("X-Vault-Token: {}", vault.root_token),
    });
    if transit.is_none() {
        println!("no Vault to compare with: set KEYWARD_TEST_VAULT, or install Go");
    }
    let transit = transit.as_ref();
    if wanted("single") {
        single(&keyward, &no_op, transit);
    }
    if wanted("batch") {
        batch(&keyward, transit);
    }
    if wanted("others") {
        others(&keyward, transit);
    }
    if wanted("stream") {
        streams(&keyward, &ceiling);
    }
}

/// Encrypt and decrypt, one by one.
fn single(keyward: &Target, no_op: &Target, transit: Option<&Target>) {
    let plain = format!(r#"{{"key":"demo","plaintext":"{PLAINTEXT}"}}"#);
    let sealed = keyward.once("/encrypt", &plain)["ciphertext"].as_str().unwrap().to_owned();
    let sealed = format!(r#"{{"key":"demo","ciphertext":"{sealed}"}}"#);
    let mut peers = vec![
        no_op.peer("no-op handler", "/encrypt", &plain),
        keyward.peer("keyward encrypt", "/encrypt", &plain),
        keyward.peer("keyward decrypt", "/decrypt", &sealed),
    ];
    if let Some(transit) = transit {
        let plain = format!(r#"{{"plaintext":"{PLAINTEXT}"}}"#);
        let sealed = transit.once("/encrypt/demo", &plain);
        let sealed = format!(r#"{{"ciphertext":{}}}"#, sealed["data"]["ciphertext"]);
        peers.push(transit.peer("Transit encrypt", "/encrypt/demo", &plain));
        peers.push(transit.peer("Transit decrypt", "/decrypt/demo", &sealed));
    }
    measure(&mut peers);
    report("single requests, 64 bytes", &peers, 1);
    println!("encrypt / no-op: {:.1} %", 100.0 * peers[1].rate() / peers[0].rate());
    println!("decrypt / encrypt: {:.2} x", peers[2].rate() / peers[1].rate());
    if transit.is_some() {
        println!("encrypt / Transit encrypt: {:.2} x", peers[1].rate() / peers[3].rate());
        println!("decrypt / Transit decrypt: {:.2} x", peers[2].rate() / peers[4].rate());
    }
}

/// Batches of [`BATCH`] equal items.
fn batch(keyward: &Target, transit: Option<&Target>) {
    let items = |item: &str| vec![item; BATCH].join(",");
    let plain = items(&format!(r#"{{"plaintext":"{PLAINTEXT}"}}"#));
    let own = items(&format!(r#"{{"key":"demo","plaintext":"{PLAINTEXT}"}}"#));
    let sealed = keyward.once("/encrypt", &format!(r#"{{"items":[{own}]}}"#));
    let sealed = items(&format!(r#"{{"ciphertext":{}}}"#, sealed["items"][0]["ciphertext"]));
    let mut peers = vec![
        keyward.peer("keyward encrypt", "/encrypt", &format!(r#"{{"items":[{own}]}}"#)),
        keyward.peer("keyward decrypt", "/decrypt", &format!(r#"{{"items":[{sealed}]}}"#)),
    ];
    if let Some(transit) = transit {
        let body = format!(r#"{{"batch_input":[{plain}]}}"#);
        peers.push(transit.peer("Transit encrypt", "/encrypt/demo", &body));
    }
    measure(&mut peers);
    report(&format!("batches of {BATCH} x 64 bytes"), &peers, BATCH);
    println!("decrypt / encrypt: {:.2} x", peers[1].rate() / peers[0].rate());
    if transit.is_some() {
        println!("encrypt / Transit encrypt: {:.2} x", peers[0].rate() / peers[2].rate());
    }
}

/// Data keys, signatures and MACs, one by one.
fn others(keyward: &Target, transit: Option<&Target>) {
    let input = |key: &str| format!(r#"{{"key":"{key}","input":"{PLAINTEXT}"}}"#);
    let mut peers = vec![
        keyward.peer("keyward datakey", "/datakey", r#"{"key":"demo"}"#),
        keyward.peer("keyward sign", "/sign", &input("signing")),
        keyward.peer("keyward mac", "/mac", &input("tags")),
    ];
    if let Some(transit) = transit {
        let body = format!(r#"{{"input":"{PLAINTEXT}"}}"#);
        peers.push(transit.peer("Transit datakey", "/datakey/plaintext/demo", "{}"));
        peers.push(transit.peer("Transit sign", "/sign/signing", &body));
        peers.push(transit.peer("Transit hmac", "/hmac/demo", &body));
    }
    measure(&mut peers);
    report("single requests: data key, Ed25519 signature and HMAC-SHA-256 of 64 bytes", &peers, 1);
    if transit.is_some() {
        for (own, other) in [(0, 3), (1, 4), (2, 5)] {
            let ratio = peers[own].rate() / peers[other].rate();
            println!("{} / {}: {ratio:.2} x", peers[own].name, peers[other].name);
        }
    }
}

/// One long body, sealed and opened, against its echo.
fn streams(keyward: &Target, ceiling: &Server) {
    let path = |operation: &str| format!("{}/stream/{operation}?key=demo", keyward.base);
    let (address, authorization) = (&keyward.address, &keyward.authorization);
    let zeros = Body::Zeros(STREAM_BYTES);
    let mut sealed = Vec::new();
    exchange(address, &path("encrypt"), authorization, zeros, Some(&mut sealed));
    let mut rounds = [const { Vec::new() }; 3];
    for _ in 0..STREAM_ROUNDS {
        rounds[0].push(exchange(&ceiling.address, "/echo", authorization, zeros, None));
        rounds[1].push(exchange(address, &path("encrypt"), authorization, zeros, None));
        let body = Body::These(&sealed);
        rounds[2].push(exchange(address, &path("decrypt"), authorization, body, None));
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let rates = rounds.map(|seconds| STREAM_BYTES as f64 / median(seconds) / f64::from(1 << 20));
    println!("\nstreams of 1 GiB, in and out at once, median of {STREAM_ROUNDS} rounds");
    for (name, rate) in ["echo", "keyward encrypt", "keyward decrypt"].iter().zip(rates) {
        println!("{name:>22} {rate:>12.0} MiB/s");
    }
    println!("encrypt / echo: {:.1} %", 100.0 * rates[1] / rates[0]);
    println!("decrypt / echo: {:.1} %", 100.0 * rates[2] / rates[0]);
}

fn measure(peers: &mut [Peer]) {
    for round in 0..=ROUNDS {
        for peer in &mut *peers {
            // The first round warms up.
            let seconds = if round == 0 { 1 } else { SECONDS };
            let figures = load::measure(peer.name, &peer.address, &peer.request, seconds);
            if round > 0 {
                peer.rounds.push(figures);
            }
        }
    }
}

/// One line for each peer; `items` are in each request.
fn report(title: &str, peers: &[Peer], items: usize) {
    println!(
        "\n{title}: {} connections, median of {ROUNDS} rounds of {SECONDS} s",
        load::CONCURRENCY
    );
    println!("{:>22} {:>12} {:>10} {:>10}", "", "items/s", "p50 us", "p99 us");
    for peer in peers {
        #[expect(clippy::cast_precision_loss, reason = "a batch is small")]
        let rate = peer.rate() * items as f64;
        let (p50, p99) = (peer.median(|f| f.p50), peer.median(|f| f.p99));
        println!("{:>22} {rate:>12.0} {p50:>10.0} {p99:>10.0}", peer.name);
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
