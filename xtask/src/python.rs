//! Python for the tests: `cryptography`, which receipts and wrapped keys are held against;
//! schemathesis, which tries the API against its description; the validator of that
//! description; and moto, an S3 to keep components in. All of pinned versions, in one virtual environment below `target`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{Result, debian, workspace};

/// Where tests find Python and the programs: a folder.
pub const VARIABLE: &str = "KEYWARD_TEST_PYTHON";

/// The packages, each with its version.
const PACKAGES: &str = "tests/python/requirements.txt";

/// The folder with the programs, installed if they are not there, or not in these versions.
pub fn find_or_install() -> Result<PathBuf> {
    let root = workspace::root()?;
    let wanted = root.join(PACKAGES);
    let folder = root.join("target/python");
    let programs = folder.join("bin");
    // Copied last: an installation that broke off is begun again.
    let installed = folder.join("installed.txt");
    let text = fs::read(&wanted)?;
    if fs::read(&installed).is_ok_and(|installed| installed == text) {
        return Ok(programs);
    }
    println!("python: installing {PACKAGES} into target/python");
    let installed_python = || debian::install(&["python3", "python3-venv"]) && make(&folder);
    if !(make(&folder) || installed_python()) {
        return Err("the tests need Python 3.10 or later with its module venv: install `python3` \
                    and, on Debian, `python3-venv`"
            .into());
    }
    workspace::run(
        Command::new(programs.join("python"))
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&wanted),
        "installing Python packages (it needs PyPI, or pip's configuration of a mirror)",
    )?;
    fs::write(installed, text)?;
    Ok(programs)
}

/// Makes a new virtual environment; `false` where there is no Python that can.
fn make(folder: &Path) -> bool {
    let mut command = Command::new("python3");
    command.args(["-m", "venv", "--clear"]).arg(folder);
    // What it says is said again, with what to do.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
