//! The Keyward server: configuration, HTTP API, authentication, command line.
//!
//! This crate joins the keyring and the policy sandbox and gives them a face: it decides who is
//! calling, asks the tenant's policy, executes the plan on the payload, and answers. It never
//! implements cryptography, never stores a key, and never decides what a tenant allows: without
//! an active policy nothing is allowed.
//!
//! [`server::build`] makes an [`App`](app::App) of a [`Config`](config::Config);
//! [`App::service`](app::App::service) is its HTTP API, and [`net::serve`] runs any such service.

pub mod app;
mod audit;
mod author;
pub mod backend;
mod bridge;
mod changes;
pub mod cli;
mod client;
mod clock;
pub mod config;
mod dev;
#[cfg(test)]
mod docs;
mod doctor;
pub mod errors;
mod execute;
mod files;
mod hardening;
pub mod health;
pub mod http;
mod jwt;
pub mod limits;
mod log;
mod metered;
pub mod metrics;
mod migrate;
pub mod mtls;
pub mod net;
mod observed;
pub mod oci;
mod operator;
mod outbound;
pub mod policies;
mod purge;
pub mod readiness;
mod recording;
pub mod reload;
pub mod restores;
pub mod rotation;
pub mod server;
mod spelling;
mod startup;
mod state;
#[cfg(test)]
mod testing;
pub mod tokens;
mod traces;
