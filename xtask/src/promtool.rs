//! `promtool`, which lints the metrics: from PATH, else out of Debian's package `prometheus`,
//! unpacked below `target` so that no service is installed.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::{Result, workspace};

/// Where tests find it.
pub const VARIABLE: &str = "KEYWARD_TEST_PROMTOOL";

/// Its path; none, and a line that says what is not tested, where there is no way to get it.
pub fn find_or_fetch() -> Result<Option<PathBuf>> {
    if let Some(path) = std::env::var_os("PATH") {
        let found = std::env::split_paths(&path).map(|folder| folder.join("promtool"));
        if let Some(program) = found.into_iter().find(|program| program.is_file()) {
            return Ok(Some(program));
        }
    }
    let folder = workspace::root()?.join("target/promtool");
    let program = folder.join("usr/bin/promtool");
    if program.is_file() || fetch(&folder) {
        return Ok(Some(program));
    }
    println!(
        "promtool: SKIPPED, the form of /metrics is not linted: install promtool (Debian package \
         `prometheus`)"
    );
    Ok(None)
}

/// Downloads the package and unpacks it; `false` where that cannot be done.
fn fetch(folder: &PathBuf) -> bool {
    println!("promtool: fetching Debian's package `prometheus`");
    let succeeds = |command: &mut Command| {
        command
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if std::fs::create_dir_all(folder).is_err()
        || !succeeds(Command::new("apt-get").args(["download", "-qq", "prometheus"]))
    {
        return false;
    }
    let packages = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut packages = packages
        .map(|entry| entry.path())
        .filter(|it| it.extension().is_some_and(|it| it == "deb"));
    packages.next().is_some_and(|package| {
        succeeds(Command::new("dpkg-deb").arg("--extract").arg(package).arg("."))
    }) && folder.join("usr/bin/promtool").is_file()
}
