//! Where the workspace is, and cargo in it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Result;

/// The workspace's root: the parent of this package.
pub fn root() -> Result<PathBuf> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .ok_or_else(|| "xtask is not inside a workspace".into())
}

/// The cargo that runs this task, at the root.
pub fn cargo() -> Result<Command> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()?);
    Ok(cargo)
}

/// What every task builds with. Cargo settles the features of shared dependencies by the packages
/// selected, so tasks that select differently would build wasmtime twice. The feature adds
/// keyward-crypto's portable provider, so that each provider is tested against the other.
pub const SELECTION: [&str; 4] =
    ["--locked", "--workspace", "--features", "keyward-crypto/rustcrypto"];

/// Runs a command that must succeed; `what` names it in the error.
pub fn run(command: &mut Command, what: &str) -> Result<()> {
    let status = command.status().map_err(|error| format!("{what} does not start: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{what} failed ({status})").into()) }
}
