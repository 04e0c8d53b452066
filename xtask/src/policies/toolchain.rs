//! Installs what the build of guests lacks.

use std::path::Path;
use std::process::{Command, Stdio};

use keyward_guest_build::{BuildError, PACKAGES, TARGET, Toolchain};

use crate::{Result, debian};

/// The cargo that runs this task.
const CARGO: &str = env!("CARGO");

/// The toolchain of this name; nothing is installed.
pub fn named(name: &str) -> Result<Toolchain> {
    Ok(Toolchain::named(name, Path::new(CARGO))?)
}

/// The first that works, installing it where that is possible.
pub fn find_or_install() -> Result<Toolchain> {
    let cargo = Path::new(CARGO);
    if let Ok(found) = Toolchain::find(cargo) {
        return Ok(found);
    }
    println!("policies: installing the Rust target {TARGET}");
    if rustup_add_target()
        && let Some(rustup) = Toolchain::rustup(cargo)
    {
        return Ok(rustup);
    }
    println!("policies: rustup cannot; installing {}", PACKAGES.join(", "));
    let failed = |reason: &str| BuildError::NoToolchain { reason: reason.into() };
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(failed("this system has no apt-get").into());
    }
    if !debian::install(&PACKAGES) {
        return Err(failed("apt-get cannot install them").into());
    }
    Toolchain::debian().ok_or_else(|| failed("the packages lack a part").into())
}

/// Lets rustup fetch the target, without a word if it cannot.
fn rustup_add_target() -> bool {
    Command::new("rustup")
        .args(["--quiet", "target", "add", TARGET])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}
