//! The command `openssl`, which tests hold imported and exported keys against.

use std::process::{Command, Stdio};

use crate::{Result, debian};

/// Succeeds when it is there; on Debian it is installed if it is not.
pub fn find_or_install() -> Result<()> {
    if is_there() {
        return Ok(());
    }
    println!("openssl: installing Debian's package `openssl`");
    if debian::install(&["openssl"]) && is_there() {
        return Ok(());
    }
    Err("the tests need OpenSSL 3: install the command `openssl`".into())
}

fn is_there() -> bool {
    let mut command = Command::new("openssl");
    let found = command.arg("version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok_and(|status| status.success())
}
