//! What Keyward is made of: `cargo xtask deny` holds its dependencies against deny.toml, `cargo xtask
//! sbom` lists them.

use std::fs;
use std::process::Command;

use crate::tools::{Tool, find_or_build};
use crate::{Result, workspace};

const DENY: Tool = Tool { name: "cargo-deny", version: "0.20" };
const CYCLONEDX: Tool = Tool { name: "cargo-cyclonedx", version: "0.5" };

/// `cargo xtask deny`
pub fn deny(arguments: &[String]) -> Result<()> {
    if !arguments.is_empty() {
        return Err("usage: cargo xtask deny".into());
    }
    let program = find_or_build(&DENY)?;
    let check = |what: &[&str]| {
        let mut command = Command::new(&program);
        command.current_dir(workspace::root()?).args(["--all-features", "check"]).args(what);
        Result::Ok(command.status()?.success())
    };
    if !check(&["licenses", "bans", "sources"])? {
        return Err("dependencies do not keep to deny.toml; see above".into());
    }
    // The database of weaknesses is fetched. Without it nothing can be said of them.
    let fetched = Command::new(&program)
        .current_dir(workspace::root()?)
        .args(["fetch", "db"])
        .status()?
        .success();
    if !fetched {
        println!("deny: SKIPPED: advisories, because their database cannot be fetched");
        return Ok(());
    }
    if check(&["advisories"])? { Ok(()) } else { Err("there are advisories; see above".into()) }
}

/// `cargo xtask sbom`
pub fn sbom(arguments: &[String]) -> Result<()> {
    if !arguments.is_empty() {
        return Err("usage: cargo xtask sbom".into());
    }
    let (root, program) = (workspace::root()?, find_or_build(&CYCLONEDX)?);
    let name = "keyward.cdx";
    let done = Command::new(program)
        .current_dir(&root)
        .args(["cyclonedx", "--format", "json", "--spec-version", "1.5"])
        .args(["--manifest-path", "host/server/Cargo.toml", "--override-filename", name])
        .status()?;
    if !done.success() {
        return Err("cargo-cyclonedx failed; see above".into());
    }
    // It writes one beside each manifest; what is shipped is the server's.
    let folder = root.join("target/sbom");
    fs::create_dir_all(&folder)?;
    let file = folder.join("keyward.cdx.json");
    for member in workspace::members()? {
        let written = member.join(format!("{name}.json"));
        if member.ends_with("host/server") {
            fs::copy(&written, &file)?;
        }
        let _ = fs::remove_file(written);
    }
    let text = fs::read(&file)?;
    let bill: serde_json::Value = serde_json::from_slice(&text)?;
    let count = bill["components"].as_array().map_or(0, Vec::len);
    println!("sbom: target/sbom/keyward.cdx.json lists {count} components (CycloneDX 1.5)");
    Ok(())
}
