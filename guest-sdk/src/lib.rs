//! What a Keyward policy is written with.
//!
//! This crate owns the Rust side of the contract in `wit/policy.wit`: its types, typed functions
//! of the host, the glue and the allocator of a component, and a native test harness. It never
//! holds a key: what needs one is asked of the host. On native targets the same functions are
//! answered by the module `harness` (the feature of that name), so that a policy's tests run with plain `cargo test`.
//!
//! A policy is a library crate of the type `cdylib` with one `impl` and one macro:
//!
//! ```
//! use keyward_policy::{Action, Error, Plan, Policy, Request, export_policy};
//!
//! /// Applications encrypt and decrypt; what was encrypted for one purpose opens for no other.
//! struct ByPurpose;
//!
//! impl Policy for ByPurpose {
//!     fn authorize(request: &Request) -> Result<Plan, Error> {
//!         if !request.has_role("application") {
//!             return Err(Error::denied("this needs the role `application`"));
//!         }
//!         let Some(purpose) = &request.purpose else {
//!             return Err(Error::invalid("say what it is for, in `purpose`"));
//!         };
//!         match request.action() {
//!             Action::Encrypt | Action::Decrypt => Ok(Plan::allow().bind(purpose)),
//!             _ => Err(Error::unknown_operation(&request.operation)),
//!         }
//!     }
//! }
//!
//! export_policy!(ByPurpose);
//!
//! # #[cfg(feature = "harness")]
//! // In the policy's tests, with the feature `harness`:
//! fn round_trip() {
//!     use keyward_policy::{Algorithm, harness::Harness};
//!
//!     let host = Harness::new("acme").key("orders", Algorithm::XAes256Gcm);
//!     let shop = host.caller("shop", &["application"]).key("orders");
//!     let ciphertext = shop.clone().purpose("billing").encrypt::<ByPurpose>("4111").unwrap();
//!     assert_eq!(shop.clone().purpose("billing").decrypt::<ByPurpose>(&ciphertext).unwrap(), b"4111");
//!     assert!(shop.purpose("marketing").decrypt::<ByPurpose>(&ciphertext).is_err());
//! }
//! # #[cfg(feature = "harness")]
//! # round_trip();
//! ```
//!
//! What a policy may do is what its component imports, and a component imports what the code
//! calls: the policy above imports no key function at all. For bytes of its own a policy opens a
//! [`Key`]; [`state`], [`recipients`], [`tokens`], [`random`] and [`log`] are the rest.
//!
//! # Building a component
//!
//! Within Keyward's workspace a package whose manifest says `[package.metadata.keyward]` with
//! `policy = "NAME"` is built by `cargo xtask policies`. Elsewhere, compile for
//! `wasm32-unknown-unknown` with `panic = "abort"`, `opt-level = "s"` and `lto = true`, with the
//! flags below in `.cargo/config.toml`, and pass the module to `wasm-tools component new`:
//!
//! ```toml
//! [target.wasm32-unknown-unknown]
//! rustflags = ["-Clink-arg=-zstack-size=16384", "-Clink-arg=--stack-first"]
//! ```
//!
//! A crate cannot set linker flags for those that depend on it, hence that step. The host starts a
//! fresh instance for every request, so reserved memory is paid for every time: a shadow stack of
//! 16 KiB instead of 1 MiB, together with this crate's allocator, keeps an ordinary policy within
//! one page of 64 KiB. `--stack-first` makes a stack overflow trap instead of overwriting data.

mod host;
mod key;
pub mod log;
mod policy;
pub mod random;
pub mod recipients;
mod signature;
pub mod state;
pub mod tokens;
mod types;

#[cfg(any(target_family = "wasm", test))]
mod arena;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod component;
#[cfg(all(not(target_family = "wasm"), feature = "harness"))]
pub mod harness;

/// The recipes of the documentation, compiled and run as they stand there.
#[cfg(all(doctest, feature = "harness"))]
#[doc = include_str!("../../docs/recipes.md")]
mod recipes {}

pub use key::Key;
pub use policy::Policy;
pub use signature::SignatureForm;
pub use types::{
    Action, Algorithm, Caller, Ciphertext, Error, Obligation, Operation, Payload, Plaintext, Plan,
    Request, bind,
};
