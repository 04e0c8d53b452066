//! `cargo xtask contract`: keeps components of the contract as it is, for as long as there are hosts
//! to run them.
//!
//! They go to `tests/contracts/VERSION/NAME-DIGEST.wasm` once, when a version is released, and are
//! never built again: the tests run them on every later host. What is there already stays.

use std::fs;
use std::process::Command;

use crate::{Result, policies, workspace};

/// Those in Rust: between them they seal, open, sign, remember, log, make tokens and write to
/// recipients.
const KEPT: [&str; 6] = ["baseline", "cards", "fields", "four-eyes", "receipts", "records"];

pub fn run(arguments: &[String]) -> Result<()> {
    let [] = arguments else { return Err("`contract` takes no arguments".into()) };
    policies::run(&[])?;
    let root = workspace::root()?;
    let version = version(&fs::read_to_string(root.join("wit/policy.wit"))?)?;
    let folder = root.join("tests/contracts").join(&version);
    fs::create_dir_all(&folder)?;
    for name in KEPT {
        let component = root.join(format!("target/policies/{name}.wasm"));
        let digest = digest(&component)?;
        let prefix = format!("{name}-");
        let mut kept = fs::read_dir(&folder)?.flatten();
        let is_kept = |entry: &fs::DirEntry| {
            let file = entry.file_name();
            let rest = file.to_str().and_then(|file| file.strip_prefix(&prefix));
            // `four-eyes-…` is not of a policy `four`.
            rest.is_some_and(|rest| !rest.contains('-'))
        };
        if let Some(entry) = kept.find(is_kept) {
            println!("contract: {} is kept", entry.path().display());
            continue;
        }
        let to = folder.join(format!("{name}-{digest}.wasm"));
        fs::copy(&component, &to)?;
        println!("contract: {}", to.display());
    }
    Ok(())
}

/// The version in `package keyward:policy@0.1.0;`.
fn version(wit: &str) -> Result<String> {
    let line = wit.lines().find_map(|line| line.strip_prefix("package keyward:policy@"));
    let version = line.and_then(|line| line.strip_suffix(';'));
    Ok(version.ok_or("wit/policy.wit names no version")?.to_owned())
}

/// SHA-256, in hexadecimal.
fn digest(path: &std::path::Path) -> Result<String> {
    let output = Command::new("sha256sum").arg(path).output()?;
    let text = String::from_utf8(output.stdout)?;
    let digest = text.split(' ').next().filter(|digest| digest.len() == 64);
    Ok(digest.ok_or("sha256sum gave no digest")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_contracts() {
        let wit = fs::read_to_string(workspace::root().unwrap().join("wit/policy.wit")).unwrap();
        assert_eq!(version(&wit).unwrap(), "0.1.0");
        assert!(version("package other:policy@0.1.0;").is_err());
    }
}
