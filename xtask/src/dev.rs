//! `cargo xtask dev`: builds guests and host, then becomes `keyward dev`.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::{Result, policies, workspace};

/// `arguments` go to `keyward dev` as they are.
pub fn run(arguments: &[String]) -> Result<()> {
    policies::run_rust()?;
    println!("dev: building keyward (the first time takes some minutes)");
    workspace::run(
        workspace::cargo()?.arg("build").args(workspace::SELECTION).args(["--bin", "keyward"]),
        "building keyward",
    )?;
    // Replaces this process, so that Ctrl-C and exit status are the server's own.
    let error = Command::new(workspace::root()?.join("target/debug/keyward"))
        .arg("dev")
        .args(arguments)
        .exec();
    Err(format!("keyward does not start: {error}").into())
}
