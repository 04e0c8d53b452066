//! Python with `cryptography`, as another implementation of what Keyward does.

use std::path::Path;
use std::process::{Command, Output};

/// Which Python to take; `cargo xtask test` sees to one.
pub const VARIABLE: &str = "KEYWARD_TEST_PYTHON";

/// Runs a script in a directory.
#[track_caller]
pub fn run(dir: &Path, script: &str, args: &[&str]) -> Output {
    let program = std::env::var_os(VARIABLE).unwrap_or_else(|| "python3".into());
    let output = Command::new(program).arg("-c").arg(script).args(args).current_dir(dir).output();
    output.expect("Python 3 with `cryptography` is needed: see the README")
}

/// What a script that succeeds writes to its standard output.
#[track_caller]
pub fn output(dir: &Path, script: &str, args: &[&str]) -> Vec<u8> {
    let output = run(dir, script, args);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
