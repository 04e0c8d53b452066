//! The host behind the typed functions: the real one in a component, an in-memory one under the
//! `harness` feature, none at all in any other native build.

#[cfg(target_family = "wasm")]
mod imports;
#[cfg(target_family = "wasm")]
pub use imports::*;

#[cfg(all(not(target_family = "wasm"), feature = "harness"))]
pub mod memory;
#[cfg(all(not(target_family = "wasm"), feature = "harness"))]
pub use memory::*;
#[cfg(all(not(target_family = "wasm"), feature = "harness"))]
mod memory_state;
#[cfg(all(not(target_family = "wasm"), feature = "harness"))]
pub use memory_state::{state_add, state_get, state_put, state_put_if, state_remove};

#[cfg(all(not(target_family = "wasm"), not(feature = "harness")))]
mod absent;
#[cfg(all(not(target_family = "wasm"), not(feature = "harness")))]
pub use absent::*;
