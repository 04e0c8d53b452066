//! `cargo xtask policies`: builds every guest of the workspace as a component.
//!
//! A guest is a package whose manifest says `[package.metadata.keyward] policy = "NAME"`. It is
//! compiled to a core module in `target/wasm`, and `wit-component` turns that into
//! `target/policies/NAME.wasm`. What is up to date is not built again. Policies in other languages
//! are [`scripted`].

mod javascript;
mod python;
pub mod scripted;
mod toolchain;

use std::fs;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use keyward_guest_build::{Rustc, Toolchain, componentize};

use crate::{Result, workspace};

/// Name of the cargo profile for guests, in the workspace manifest.
const PROFILE: &str = "policy";

/// A package that is a policy.
struct Guest {
    package: String,
    policy: String,
}

/// Builds all guests; `arguments` are the task's own.
pub fn run(arguments: &[String]) -> Result<()> {
    let toolchain = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => toolchain::find_or_install()?,
        ["--toolchain", name] => toolchain::named(name)?,
        _ => return Err("usage: cargo xtask policies [--toolchain rustup|debian]".into()),
    };
    build_rust(&toolchain)?;
    scripted::build(&workspace::root()?)
}

/// Builds those in Rust alone: it takes seconds, and nothing from the network but a Rust target.
pub fn run_rust() -> Result<()> {
    build_rust(&toolchain::find_or_install()?)
}

/// Builds those in Rust twice, the second time from a copy of the sources elsewhere, and fails where
/// the components are not the same bytes.
pub fn reproduce(arguments: &[String]) -> Result<()> {
    if !arguments.is_empty() {
        return Err("usage: cargo xtask reproduce".into());
    }
    let toolchain = toolchain::find_or_install()?;
    let here = workspace::root()?;
    let folder = here.join("target/reproduce");
    // Nothing of an earlier build is to be taken for a new one.
    let _ = fs::remove_dir_all(&folder);
    let elsewhere = folder.join("sources");
    workspace::copy_sources(&here, &elsewhere)?;
    let mut different = Vec::new();
    for guest in guests()? {
        let mut digests = Vec::new();
        for (sources, built) in [(&here, "first"), (&elsewhere, "second")] {
            let core = build(&toolchain, sources, &folder.join(built), &guest)?;
            digests.push(hex::encode(Sha256::digest(componentize(&core)?)));
        }
        println!("reproduce: {} sha256:{}", guest.policy, digests[0]);
        if digests[0] != digests[1] {
            println!("reproduce: {} elsewhere sha256:{}", guest.policy, digests[1]);
            different.push(guest.policy);
        }
    }
    fs::remove_dir_all(&folder)?;
    match different.as_slice() {
        [] => Ok(()),
        _ => Err(format!("not the same bytes twice: {}", different.join(", ")).into()),
    }
}

fn build_rust(toolchain: &Toolchain) -> Result<()> {
    let workspace = workspace::root()?;
    let target_dir = workspace.join("target/wasm").join(toolchain.name());
    let folder = workspace.join("target/policies");
    fs::create_dir_all(&folder)?;
    println!("policies: building with {toolchain}");
    for guest in guests()? {
        let core = build(toolchain, &workspace, &target_dir, &guest)?;
        let component = folder.join(format!("{}.wasm", guest.policy));
        let bytes = componentize(&core).map_err(|error| format!("{}: {error}", guest.package))?;
        if fs::read(&component).ok().as_deref() != Some(&bytes[..]) {
            fs::write(&component, &bytes)?;
        }
        let shown = component.strip_prefix(&workspace).unwrap_or(&component);
        println!("policies: {} ({} bytes)", shown.display(), bytes.len());
    }
    Ok(())
}

/// The guests among the workspace's packages, by name.
fn guests() -> Result<Vec<Guest>> {
    let output =
        workspace::cargo()?.args(["metadata", "--no-deps", "--format-version=1"]).output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let mut guests: Vec<Guest> = packages
        .iter()
        .filter_map(|package| {
            Some(Guest {
                package: package["name"].as_str()?.to_owned(),
                policy: package["metadata"]["keyward"]["policy"].as_str()?.to_owned(),
            })
        })
        .collect();
    guests.sort_by(|a, b| a.policy.cmp(&b.policy));
    Ok(guests)
}

/// Compiles one guest to a core module.
fn build(
    toolchain: &Toolchain,
    workspace: &Path,
    target_dir: &Path,
    guest: &Guest,
) -> Result<Vec<u8>> {
    let rustc = Rustc {
        dir: workspace,
        package: &guest.package,
        profile: PROFILE,
        target_dir,
        locked: true,
    };
    Ok(rustc.run(toolchain)?)
}
