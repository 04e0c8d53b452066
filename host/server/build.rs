//! Puts the sources of the policy SDKs and the contract into the binary, so that `keyward policy
//! new` needs neither a registry of ours nor this repository.
//!
//! A build script, because a macro that lists a directory would not notice a new file in it.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What is carried: its name in the code, the directory, and what of that, where it is not all.
const CARRIED: [(&str, &str, &[&str]); 4] = [
    ("SDK", "guest-sdk/src", &[]),
    (
        "JS",
        "guest-sdk/js",
        &["README.md", "bin", "package-lock.json", "package.json", "src", "types", "wit"],
    ),
    ("PYTHON", "guest-sdk/python", &["README.md", "pyproject.toml", "requirements.txt", "src"]),
    ("WIT", "wit", &[]),
];
/// What tools leave beside sources.
const LEAVINGS: [&str; 2] = ["__pycache__", "node_modules"];

fn main() -> io::Result<()> {
    let manifest_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let root = manifest_dir.join("../..");
    let mut code = String::new();
    for (name, dir, parts) in CARRIED {
        let dir = root.join(dir).canonicalize()?;
        let mut files = Vec::new();
        let whole = [""];
        for part in if parts.is_empty() { &whole } else { parts } {
            let path = dir.join(part);
            println!("cargo::rerun-if-changed={}", path.display());
            walk(&path, &mut files)?;
        }
        files.sort();
        let _ = writeln!(code, "pub static {name}: &[(&str, &str)] = &[");
        for file in files {
            let inside = file.strip_prefix(&dir).unwrap_or(&file);
            let (inside, file) = (inside.to_string_lossy(), file.to_string_lossy());
            let _ = writeln!(code, "    ({inside:?}, include_str!({file:?})),");
        }
        code += "];\n";
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("sdk.rs"), code)
}

/// The files below a directory, or the file itself.
fn walk(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if path.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_left = LEAVINGS.contains(&&*name) || name.ends_with(".egg-info");
        if !is_left {
            walk(&path, files)?;
        }
    }
    Ok(())
}
