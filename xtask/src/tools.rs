//! Subcommands of cargo's that tasks need. One that is missing is built into target/tools.

use std::path::PathBuf;

use crate::{Result, workspace};

/// A tool's package, and the version that is built where there is none.
pub struct Tool {
    pub name: &'static str,
    pub version: &'static str,
}

/// The program: the one on PATH, or the one that was built.
pub fn find_or_build(tool: &Tool) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(tool.name));
    if let Some(found) = found.into_iter().find(|file| file.is_file()) {
        return Ok(found);
    }
    let root = workspace::root()?.join("target/tools");
    let program = root.join("bin").join(tool.name);
    if !program.is_file() {
        println!("{}: building it into target/tools; that takes minutes, once", tool.name);
        // Without the caret cargo takes whole versions alone.
        let version = format!("^{}", tool.version);
        let built = workspace::cargo()?
            .args(["install", "--locked", tool.name, "--version", &version, "--root"])
            .arg(&root)
            .status()?;
        if !built.success() {
            return Err(format!("{} cannot be built; see above", tool.name).into());
        }
    }
    Ok(program)
}
