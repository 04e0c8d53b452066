//! JavaScript's part: everything happens in copies below `target/js`, where npm puts what the SDK's
//! lock file names, so that no folder of the repository gets a `node_modules`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::scripted::{Missing, Script};
use crate::{Result, debian, workspace};

/// The SDK.
pub const SDK: &str = "guest-sdk/js";
/// The oldest Node.js that will do.
const OLDEST: u32 = 20;

/// Installs Node.js where that is possible and it is not there.
pub fn install() {
    if !node_is_there() {
        debian::install(&["nodejs", "npm"]);
    }
}

/// Installs the SDK's dependencies and a copy of the SDK itself.
pub fn set_up(root: &Path) -> Result<()> {
    if !node_is_there() {
        return Err(Missing(format!(
            "it takes Node.js {OLDEST} or later with npm: on Debian, the packages `nodejs` and `npm`"
        ))
        .into());
    }
    let (sdk, home) = (root.join(SDK), home(root));
    let lock = fs::read(sdk.join("package-lock.json"))?;
    // Copied last: an installation that broke off is begun again.
    let installed = home.join("installed.json");
    if !fs::read(&installed).is_ok_and(|installed| installed == lock) {
        println!("policies: installing what {SDK}/package-lock.json names into target/js");
        fs::create_dir_all(&home)?;
        for file in ["package.json", "package-lock.json"] {
            fs::copy(sdk.join(file), home.join(file))?;
        }
        // The cache stays with it: from there the tests install what an author would, offline.
        workspace::run(
            Command::new("npm")
                .current_dir(&home)
                .args(["ci", "--silent", "--ignore-scripts", "--no-audit", "--no-fund", "--cache"])
                .arg(home.join("cache")),
            "installing npm packages (it needs the npm registry, or npm's configuration of a mirror)",
        )?;
        fs::write(&installed, lock)?;
    }
    copy(&sdk, &package(root))
}

/// Builds one policy.
pub fn build(root: &Path, script: &Script, component: &Path) -> Result<()> {
    let folder = staged(root, script)?;
    let mut node = Command::new("node");
    node.arg(package(root).join("bin/keyward-policy-build.js"));
    node.arg(folder.join(&script.module)).arg("-o").arg(component).stdout(Stdio::null());
    workspace::run(&mut node, &format!("building {}", script.policy))
}

/// Runs the SDK's tests and those of each policy.
pub fn test(root: &Path, scripts: &[Script]) -> Result<()> {
    set_up(root)?;
    let mut files = tests(&package(root))?;
    for script in scripts {
        files.extend(tests(&staged(root, script)?)?);
    }
    let mut node = Command::new("node");
    node.arg("--test").args(files).env("KEYWARD_CONTRACT", root.join("wit/policy.wit"));
    workspace::run(&mut node, "the tests of policies in JavaScript")
}

fn home(root: &Path) -> PathBuf {
    root.join("target/js")
}

/// The SDK's copy, where policies find it.
fn package(root: &Path) -> PathBuf {
    home(root).join("node_modules/@keyward/policy")
}

/// A policy's copy, where it finds the SDK.
fn staged(root: &Path, script: &Script) -> Result<PathBuf> {
    let folder = home(root).join("policies").join(&script.policy);
    copy(&script.folder, &folder)?;
    Ok(folder)
}

/// The test files of a package.
fn tests(folder: &Path) -> Result<Vec<PathBuf>> {
    let folder = folder.join("test");
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let files = fs::read_dir(folder)?.map(|entry| Ok(entry?.path()));
    let files: Vec<PathBuf> = files.collect::<Result<_>>()?;
    Ok(files.into_iter().filter(|file| file.to_string_lossy().ends_with(".test.js")).collect())
}

/// Replaces `to` by a copy of `from`, without what npm installed there.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let path = entry?.path();
        let Some(name) = path.file_name() else { continue };
        if name == "node_modules" {
            continue;
        }
        if path.is_dir() {
            copy(&path, &to.join(name))?;
        } else {
            fs::copy(&path, to.join(name))?;
        }
    }
    Ok(())
}

/// Whether there are npm, and a Node.js that is new enough.
fn node_is_there() -> bool {
    let version = |program: &str| {
        let output = Command::new(program).arg("--version").output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let major = version("node").and_then(|text| major(&text));
    major.is_some_and(|major| major >= OLDEST) && version("npm").is_some()
}

/// 20 of `v20.11.1`.
fn major(version: &str) -> Option<u32> {
    version.trim().strip_prefix('v')?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn versions_are_read() {
        assert_eq!(super::major("v20.11.1\n"), Some(20));
        assert_eq!(super::major("20.11.1"), None);
        assert_eq!(super::major(""), None);
    }
}
