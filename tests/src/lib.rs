//! What the end-to-end tests share: the real binary as a child process, an HTTP client that takes
//! every status as an answer, and tenants with a policy built by `cargo xtask policies`, and
//! its keys in a real Vault. It never links the server: what is tested is what a user runs.
//!
//! Needed beforehand: `cargo xtask policies` and `cargo build -p keyward`, or KEYWARD_BIN with the
//! path of a binary. `cargo xtask test` sees to both.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::missing_panics_doc, reason = "every helper of a test panics when it fails")]
#![allow(clippy::return_self_not_must_use, reason = "a check is complete without its answer")]

pub mod age;
mod answer;
pub mod bucket;
mod cli;
mod client;
mod contract;
pub mod load;
pub mod otlp;
mod process;
pub mod python;
pub mod quiet;
pub mod registry;
mod server;
pub mod stamp;
mod tenant;
pub mod vault;
pub mod wire;

pub use answer::{Answer, UNIFORM};
pub use cli::{Cli, Done};
pub use client::{Client, raw, raw_answer};
pub use process::{Ended, Launch, Process};
pub use server::Server;
pub use tenant::{Tenant, policy};

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Standard base64 of `data`.
pub fn b64(data: impl AsRef<[u8]>) -> String {
    STANDARD.encode(data)
}

/// The bytes of standard base64.
pub fn unb64(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

/// Longest that anything may take that is only waited for.
pub const LIMIT: Duration = Duration::from_secs(20);

/// Asks until it is so.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "{what}: not after {LIMIT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
