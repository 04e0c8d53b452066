//! Where the workspace is, and cargo in it.

use std::fs;
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

/// Folders of the workspace's packages.
pub fn members() -> Result<Vec<PathBuf>> {
    let output = cargo()?.args(["metadata", "--no-deps", "--format-version=1"]).output()?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let manifests = packages.iter().filter_map(|package| package["manifest_path"].as_str());
    Ok(manifests.filter_map(|path| Some(Path::new(path).parent()?.to_owned())).collect())
}

/// Copies the files that git knows of.
pub fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    let output = Command::new("git").current_dir(from).args(["ls-files", "-z"]).output()?;
    if !output.status.success() {
        return Err("the sources are no git repository".into());
    }
    for name in String::from_utf8(output.stdout)?.split_terminator('\0') {
        let (source, copy) = (from.join(name), to.join(name));
        // What is removed and not committed yet.
        if source.is_file() {
            fs::create_dir_all(copy.parent().unwrap_or(to))?;
            fs::copy(source, copy)?;
        }
    }
    Ok(())
}
