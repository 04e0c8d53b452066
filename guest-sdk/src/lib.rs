//! What a Keyward policy is written with.
mod key;
pub mod log;
mod policy;
pub mod random;
mod types;

#[cfg(target_family = "wasm")]
mod arena;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod component;
mod host;

pub use key::Key;
pub use policy::Policy;
pub use types::*;
