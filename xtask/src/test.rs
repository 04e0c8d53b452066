//! `cargo xtask test`: every test of the workspace, and one closing line that counts them.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use keyward_test_vault::go;

use crate::{Result, openssl, policies, promtool, python, vault, workspace};

/// `arguments` go to `cargo test` as they are, for instance `-p keyward-tests`.
pub fn run(arguments: &[String]) -> Result<()> {
    policies::scripted::install();
    policies::run(&[])?;
    policies::scripted::test()?;
    let vault = vault::environment()?;
    // Built once, so that no test builds it in the middle of a run.
    let registry = go::build("oci-registry", "it takes some seconds")?;
    let promtool = promtool::find_or_fetch()?;
    openssl::find_or_install()?;
    let python = python::find_or_install()?;
    println!("test: building");
    workspace::run(
        workspace::cargo()?.arg("build").args(workspace::SELECTION),
        "building the workspace",
    )?;
    println!("test: running");
    let mut cargo = workspace::cargo()?;
    cargo
        .arg("test")
        .args(workspace::SELECTION)
        .arg("--no-fail-fast")
        .args(arguments)
        .envs(vault)
        .env(python::VARIABLE, python)
        .env("KEYWARD_TEST_OCI_REGISTRY", registry)
        .envs(promtool.map(|path| (promtool::VARIABLE, path)))
        .stdout(Stdio::piped());
    let mut child = cargo.spawn()?;
    let stdout = child.stdout.take().ok_or("cargo test has no output")?;
    let mut count = Count::default();
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        count.add(&line);
        println!("{line}");
    }
    let status = child.wait()?;
    println!("\n{} passed, {} failed, {} skipped", count.passed, count.failed, count.ignored);
    if count.passed == 0 {
        return Err("no test ran".into());
    }
    if status.success() { Ok(()) } else { Err("some tests failed; cargo names them above".into()) }
}

/// What libtest's result lines add up to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Count {
    /// Adds a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …`; others count
    /// nothing.
    fn add(&mut self, line: &str) {
        let Some(result) = line.strip_prefix("test result: ") else {
            return;
        };
        for part in result.split(['.', ';']) {
            let mut words = part.split_whitespace();
            let (Some(number), Some(word)) = (words.next(), words.next()) else {
                continue;
            };
            let Ok(number) = number.parse::<u64>() else {
                continue;
            };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_add_up() {
        let mut count = Count::default();
        count.add("test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out");
        count.add("test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured");
        count.add("test something ... ok");
        assert_eq!(count, Count { passed: 7, failed: 2, ignored: 1 });
    }
}
