//! Debian's packages, where there is `apt-get`.

use std::process::{Command, Stdio};

/// Installs packages, as root or through sudo; `false` where that cannot be done.
pub fn install(packages: &[&str]) -> bool {
    // Lists that are there already may do.
    let _ = succeeds(apt_get().args(["update", "-qq"]));
    let install = ["install", "-y", "-qq", "--no-install-recommends"];
    succeeds(apt_get().args(install).args(packages))
}

fn succeeds(command: &mut Command) -> bool {
    command.stdout(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// `apt-get` with the rights it needs.
fn apt_get() -> Command {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    let mut command = Command::new(if root { "apt-get" } else { "sudo" });
    if !root {
        command.args(["-n", "apt-get"]);
    }
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}
