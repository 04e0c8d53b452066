//! Policies written in WebAssembly text: what a policy could do that was made without an SDK, or
//! against one. An SDK's types keep the rules of the component model; here nothing does, so that
//! the host is what is tested.
//!
//! [`Crafted`] is a policy of which each export's body is given as text. [`script`] is one whose
//! operation `run` makes the host calls that its payload says, with whatever arguments.
#![allow(
    clippy::missing_panics_doc,
    reason = "what is no WebAssembly text fails the test that has it"
)]

mod contract;
mod policy;
pub mod script;

pub use contract::{HostFunction, host_functions};
pub use policy::{ALLOWED, Crafted};
