//! Which program is the Vault under test, and how it is built where none is installed.

use std::path::{Path, PathBuf};

use crate::go;

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
pub fn given(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// A program of this name in a folder of PATH.
fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// Builds the server of `tests/vault-server`.
fn build() -> Result<PathBuf, String> {
    go::build("vault-server", "the first time takes some minutes").map_err(|error| {
        format!(
            "there is no Vault to test against: install `vault` or `bao`, name one in {INSTALLED}, \
             or install Go to build tests/vault-server ({error})"
        )
    })
}
