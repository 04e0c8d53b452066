//! Builds Rust policies: finds a toolchain for WebAssembly, runs cargo, makes the component.
//!
//! `keyward policy build` and `cargo xtask policies` share it. It installs nothing and never runs
//! what it built; what is missing is an error that says how to get it.

mod cargo;
mod component;
mod toolchain;

pub use cargo::{Package, Rustc, package};
pub use component::componentize;
pub use toolchain::{PACKAGES, Toolchain};

use std::path::PathBuf;

/// The target of every Rust policy: no operating system, hence nothing to import but the contract.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Why a policy was not built: sentences for its author.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// No compiler, or none for WebAssembly.
    #[error(
        "no Rust compiler for {TARGET} ({reason}). Run `rustup target add {TARGET}` \
         (https://rustup.rs brings rustup), or on Debian `apt-get install {}`, then try again",
        PACKAGES.join(" ")
    )]
    NoToolchain {
        /// What was looked for.
        reason: String,
    },
    /// Not one of the toolchains there are.
    #[error("no toolchain `{0}`: there are `rustup` and `debian`")]
    UnknownToolchain(String),
    /// Cargo did not start.
    #[error("cargo does not start: {0}")]
    CargoMissing(std::io::Error),
    /// The package cannot be described.
    #[error("cargo cannot read this package: {0}")]
    Package(String),
    /// It does not compile.
    #[error("{package} does not build; cargo's message is above")]
    Cargo {
        /// The package's name.
        package: String,
    },
    /// The module cargo made cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Module {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The module is none of a policy.
    #[error(
        "this is not the module of a policy: {0}. Does the crate call `export_policy!`, and is its \
         `crate-type` `cdylib`?"
    )]
    NotAPolicy(String),
}
