//! Puts the sources of the policy SDK and the contract into the binary, so that `keyward policy
//! new` needs neither a registry nor this repository.
//!
//! A build script, because a macro that lists a directory would not notice a new file in it.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let manifest_dir = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let root = manifest_dir.join("../..");
    let mut code = String::new();
    for (name, dir) in [("SDK", "guest-sdk/src"), ("WIT", "wit")] {
        let dir = root.join(dir).canonicalize()?;
        println!("cargo::rerun-if-changed={}", dir.display());
        let mut files = Vec::new();
        walk(&dir, &mut files)?;
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

fn walk(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}
