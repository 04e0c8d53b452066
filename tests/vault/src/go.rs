//! Servers of the tests that are written in Go, each a folder below `tests`: built where their
//! sources have changed.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's root.
fn workspace() -> Result<&'static Path, String> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .ok_or_else(|| "tests/vault is not inside a workspace".to_owned())
}

/// Builds the server in `tests/<name>` unless the one built last had the same sources; `patience` is
/// what to say of the time it takes. One process builds; others wait for it.
pub fn build(name: &str, patience: &str) -> Result<PathBuf, String> {
    let root = workspace()?;
    let (sources, target) = (root.join("tests").join(name), root.join("target"));
    let beside = |end: &str| target.join(format!("{name}.{end}"));
    let (program, stamp) = (target.join(name), beside("sources"));
    let failed = |error: io::Error| format!("building tests/{name}: {error}");
    fs::create_dir_all(&target).map_err(failed)?;
    let lock = File::create(beside("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let current = digest(&sources).map_err(failed)?;
    if program.is_file() && fs::read_to_string(&stamp).is_ok_and(|built| built == current) {
        return Ok(program);
    }
    println!("go: building tests/{name} ({patience})");
    let status = Command::new("go")
        .current_dir(&sources)
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .status()
        .map_err(|error| format!("`go` does not start: {error}"))?;
    if !status.success() {
        return Err(format!("building tests/{name} failed ({status})"));
    }
    fs::write(&stamp, current).map_err(failed)?;
    Ok(program)
}

/// A digest of the files the server is built from; equal sources have equal digests.
fn digest(folder: &Path) -> io::Result<String> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let source = path.extension().is_some_and(|it| it == "go" || it == "mod" || it == "sum");
        if source && path.is_file() {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            files.push((name, fs::read(&path)?));
        }
    }
    files.sort();
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_follows_the_sources() {
        let folder = workspace().unwrap().join("tests/vault-server");
        assert_eq!(digest(&folder).unwrap(), digest(&folder).unwrap());
        assert_ne!(digest(&folder).unwrap(), digest(&workspace().unwrap().join("tests")).unwrap());
    }
}
