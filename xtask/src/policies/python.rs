//! Python's part: a virtual environment below `target/py` with what the SDK's requirements pin.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::scripted::{Missing, Script};
use crate::{Result, debian, workspace};

/// The SDK.
pub const SDK: &str = "guest-sdk/python";

/// Installs Python where that is possible and it is not there.
pub fn install() {
    if !is_new_enough() || !has_venv() {
        debian::install(&["python3", "python3-venv"]);
    }
}

/// Makes the environment, unless it has what is pinned already.
pub fn set_up(root: &Path) -> Result<()> {
    let (wanted, home) = (root.join(SDK).join("requirements.txt"), home(root));
    // Copied last: an installation that broke off is begun again.
    let installed = home.join("installed.txt");
    let text = fs::read(&wanted)?;
    if fs::read(&installed).is_ok_and(|installed| installed == text) {
        return Ok(());
    }
    if !is_new_enough() || !make(&home) {
        return Err(Missing(
            "it takes Python 3.11 or later with its module venv: on Debian, the packages `python3` \
             and `python3-venv`"
                .into(),
        )
        .into());
    }
    println!("policies: installing {SDK}/requirements.txt into target/py");
    // They stay with it: from there the tests install what an author would, offline.
    let wheels = home.join("wheels");
    workspace::run(
        pip(root).args(["download", "--quiet", "-d"]).arg(&wheels).arg("-r").arg(&wanted),
        "downloading Python packages (it needs PyPI, or pip's configuration of a mirror)",
    )?;
    workspace::run(
        pip(root)
            .args(["install", "--quiet", "--no-index", "--find-links"])
            .arg(&wheels)
            .arg("-r")
            .arg(&wanted),
        "installing Python packages",
    )?;
    fs::write(installed, text)?;
    Ok(())
}

fn pip(root: &Path) -> Command {
    let mut python = Command::new(python(root));
    python.args(["-m", "pip", "--disable-pip-version-check"]);
    python
}

/// Builds one policy.
pub fn build(root: &Path, script: &Script, component: &Path) -> Result<()> {
    let mut python = command(root, &script.folder);
    python.args(["-m", "keyward_policy.build", &script.module, "-o"]).arg(component);
    workspace::run(python.stdout(Stdio::null()), &format!("building {}", script.policy))
}

/// Runs the SDK's tests and those of each policy, and checks the generated types.
pub fn test(root: &Path, scripts: &[Script]) -> Result<()> {
    set_up(root)?;
    let sdk = root.join(SDK);
    let mut generated = command(root, &sdk);
    workspace::run(
        generated.args(["scripts/generate.py", "--check"]),
        "comparing the SDK's types with wit/policy.wit",
    )?;
    let policies = scripts.iter().map(|script| &script.folder);
    for folder in std::iter::once(&sdk).chain(policies) {
        if folder.join("tests").is_dir() {
            let mut python = command(root, folder);
            python.args(["-m", "unittest", "discover", "--quiet", "--start-directory", "tests"]);
            workspace::run(&mut python, &format!("the tests in {}", folder.display()))?;
        }
    }
    Ok(())
}

fn home(root: &Path) -> PathBuf {
    root.join("target/py")
}

fn python(root: &Path) -> PathBuf {
    home(root).join("bin/python")
}

/// The environment's Python in a folder, which finds the SDK and that folder's modules.
fn command(root: &Path, folder: &Path) -> Command {
    let mut python = Command::new(python(root));
    python.current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1");
    let sdk = root.join(SDK).join("src");
    python.env("PYTHONPATH", format!("{}:{}", folder.display(), sdk.display()));
    python
}

fn is_new_enough() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import sys; sys.exit(sys.version_info < (3, 11))"]);
    python.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Debian keeps in a package of its own what makes virtual environments.
fn has_venv() -> bool {
    let mut python = Command::new("python3");
    python.args(["-c", "import ensurepip, venv"]).stderr(Stdio::null());
    python.status().is_ok_and(|status| status.success())
}

/// Makes a new virtual environment; `false` where there is no Python that can.
fn make(folder: &Path) -> bool {
    let mut command = Command::new("python3");
    command.args(["-m", "venv", "--clear"]).arg(folder);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
