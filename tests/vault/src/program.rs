//! Which program is the Vault under test, and how it is built where none is installed.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Names the program to use: `vault` or `bao`, or one that takes the same arguments.
pub const INSTALLED: &str = "KEYWARD_TEST_VAULT";

/// Names a server built from `tests/vault-server`; set by whoever has seen to it that it is
/// current, so that no test looks at its sources again.
pub const BUILT: &str = "KEYWARD_TEST_VAULT_SERVER";

/// A program that is a Vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    /// `vault` or `bao`, configured by a file.
    Installed(PathBuf),
    /// The server of `tests/vault-server`, configured by flags.
    Built(PathBuf),
}

impl Program {
    /// Where it is.
    pub fn path(&self) -> &Path {
        match self {
            Self::Installed(path) | Self::Built(path) => path,
        }
    }
}

/// The Vault to test against: [`INSTALLED`], else `vault` or `bao` from PATH, else the server of
/// `tests/vault-server`, built with Go whenever its sources have changed. The error is a sentence
/// that says what to install.
pub fn find() -> Result<Program, String> {
    if let Some(path) = given(INSTALLED).or_else(|| on_path("vault")).or_else(|| on_path("bao")) {
        return Ok(Program::Installed(path));
    }
    built().map(Program::Built)
}

/// The server of `tests/vault-server`, which can do what no installed Vault can.
pub fn built() -> Result<PathBuf, String> {
    given(BUILT).map_or_else(build, Ok)
}

/// The path an environment variable holds.
fn given(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// A program of this name in a folder of PATH.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// The workspace's root.
fn workspace() -> Result<&'static Path, String> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .ok_or_else(|| "tests/vault is not inside a workspace".to_owned())
}

/// Builds the server of the repository unless the one built last had the same sources. One process
/// builds; others wait for it.
fn build() -> Result<PathBuf, String> {
    let root = workspace()?;
    let (sources, target) = (root.join("tests/vault-server"), root.join("target"));
    let (program, stamp) = (target.join("vault-server"), target.join("vault-server.sources"));
    let failed = |error: io::Error| format!("building tests/vault-server: {error}");
    fs::create_dir_all(&target).map_err(failed)?;
    let lock = File::create(target.join("vault-server.lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let current = digest(&sources).map_err(failed)?;
    if program.is_file() && fs::read_to_string(&stamp).is_ok_and(|built| built == current) {
        return Ok(program);
    }
    println!("vault: building tests/vault-server (the first time takes some minutes)");
    let status = Command::new("go")
        .current_dir(&sources)
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .status()
        .map_err(|error| {
            format!(
                "there is no Vault to test against: install `vault` or `bao`, name one in \
                 {INSTALLED}, or install Go to build tests/vault-server ({error})"
            )
        })?;
    if !status.success() {
        return Err(format!("building tests/vault-server failed ({status})"));
    }
    fs::write(&stamp, current).map_err(failed)?;
    Ok(program)
}

/// A digest of the files the server is built from; equal sources have equal digests.
fn digest(folder: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let source = path.extension().is_some_and(|it| it == "go" || it == "mod" || it == "sum");
        if source && path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((name, fs::read(&path)?));
        }
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_follows_the_sources() {
        let folder = workspace().unwrap().join("tests/vault-server");
        assert_eq!(digest(&folder).unwrap(), digest(&folder).unwrap());
        assert_ne!(digest(&folder).unwrap(), digest(&workspace().unwrap().join("tests")).unwrap());
    }
}
