//! Python: with `cryptography`, as another implementation of what Keyward does, and with programs
//! that try its API.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The folder with Python and the programs; `cargo xtask test` sees to it.
pub const VARIABLE: &str = "KEYWARD_TEST_PYTHON";

/// A program of that folder; none without one.
pub fn program(name: &str) -> Option<Command> {
    let folder = PathBuf::from(std::env::var_os(VARIABLE)?);
    Some(Command::new(folder.join(name)))
}

/// Runs a script in a directory.
#[track_caller]
pub fn run(dir: &Path, script: &str, args: &[&str]) -> Output {
    let mut python = program("python").unwrap_or_else(|| Command::new("python3"));
    let output = python.arg("-c").arg(script).args(args).current_dir(dir).output();
    output.expect("Python 3 with `cryptography` is needed: see the README")
}

/// What a script that succeeds writes to its standard output.
#[track_caller]
pub fn output(dir: &Path, script: &str, args: &[&str]) -> Vec<u8> {
    let output = run(dir, script, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
