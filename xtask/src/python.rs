//! Python with the package `cryptography`, which tests hold receipts and wrapped keys against.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{Result, workspace};

/// The variable that tells tests which Python to take.
pub const VARIABLE: &str = "KEYWARD_TEST_PYTHON";
/// The first that has HPKE with what the tests use is 47.
const PACKAGE: &str = "cryptography==48.0.0";

/// A Python that has it: the installed one, or one made in `target/python`.
pub fn find_or_make() -> Result<PathBuf> {
    let installed = PathBuf::from("python3");
    if suffices(&installed) {
        return Ok(installed);
    }
    let home = workspace::root()?.join("target/python");
    let made = home.join("bin/python");
    if suffices(&made) {
        return Ok(made);
    }
    println!("python: installing {PACKAGE} in {}", home.display());
    let _ = succeeds(Command::new("python3").args(["-m", "venv"]).arg(&home));
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE];
    let _ = succeeds(Command::new(&made).args(pip));
    if suffices(&made) {
        return Ok(made);
    }
    Err("the tests need Python 3 with `cryptography` 47 or newer: install it, or python3-venv"
        .into())
}

fn suffices(python: &PathBuf) -> bool {
    succeeds(Command::new(python).args(["-c", "import cryptography.hazmat.primitives.hpke"]))
}

fn succeeds(command: &mut Command) -> bool {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
