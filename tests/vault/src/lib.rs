//! A real Vault for tests: started, stopped, restarted and sealed at will, set up through a client
//! that holds the root token, and reached, where a test wants it so, through a proxy that delays,
//! drops, resets and falsifies.
//!
//! It depends on nothing of Keyward, so that every crate can test with it, and it never pretends to
//! be a Vault: what answers is HashiCorp Vault or OpenBao. [`program`] says which.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::missing_panics_doc, reason = "every helper of a test panics when it fails")]

pub mod go;
pub mod program;

#[cfg(feature = "server")]
mod client;
#[cfg(feature = "server")]
mod kubernetes;
#[cfg(feature = "server")]
mod process;
#[cfg(feature = "server")]
mod proxy;
#[cfg(feature = "server")]
mod server;

#[cfg(feature = "server")]
pub use client::{Client, Reply};
#[cfg(feature = "server")]
pub use kubernetes::Kubernetes;
#[cfg(feature = "server")]
pub use proxy::{Fault, Proxy, Rule, Seen};
#[cfg(feature = "server")]
pub use server::{Options, Tls, Vault};
