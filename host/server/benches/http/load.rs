//! The load: a process of its own that keeps every connection busy with one request at a time, as
//! wrk does; one thread, so that most of the machine is left to the server.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// Connections at once.
pub const CONCURRENCY: usize = 16;

/// Requests per second, and latencies in microseconds.
#[derive(Clone, Copy)]
pub struct Figures {
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
}

/// Puts `request` to `address` for some seconds, from a process of its own.
pub fn measure(name: &str, address: &str, request: &[u8], seconds: u64) -> Figures {
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["load", address, &seconds.to_string()])
        .arg(std::str::from_utf8(request).unwrap())
        .arg(name)
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let figures: Vec<f64> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let &[rate, p50, p99] = &figures[..] else {
        panic!("{name}: {}", String::from_utf8_lossy(&output.stderr));
    };
    Figures { rate, p50, p99 }
}

/// What that process does: prints the figures.
pub fn run(address: &str, seconds: &str, request: &str, name: &str) {
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
                let mut buffer = vec![0; 128 << 10];
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

/// Whether the whole answer is there; it must be a 200 with a length or in chunks.
fn complete(answer: &[u8], name: &str) -> bool {
    let Some(end) = memchr::memmem::find(answer, b"\r\n\r\n") else {
        return false;
    };
    let head = std::str::from_utf8(&answer[..end]).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{name}: {}", String::from_utf8_lossy(answer));
    let length = head
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(field, _)| field.eq_ignore_ascii_case("content-length"))
        .map(|(_, value)| value.trim().parse::<usize>().unwrap());
    match length {
        Some(length) => answer.len() >= end + 4 + length,
        // Vault sends large answers in chunks.
        None => answer.ends_with(b"\r\n0\r\n\r\n"),
    }
}
