//! `cargo xtask policies`: builds every guest of the workspace as a component.
//!
//! A guest is a package whose manifest says `[package.metadata.keyward] policy = "NAME"`. It is
//! compiled to a core module in `target/wasm`, and `wit-component` turns that into
//! `target/policies/NAME.wasm`. What is up to date is not built again.

mod toolchain;

use std::fs;
use std::path::{Path, PathBuf};

use wit_component::ComponentEncoder;

use crate::{Result, workspace};
use toolchain::Toolchain;

/// Name of the cargo profile for guests, in the workspace manifest.
const PROFILE: &str = "policy";

/// The target of every guest: no operating system, hence nothing to import but our contract.
const TARGET: &str = "wasm32-unknown-unknown";

/// A package that is a policy.
struct Guest {
    package: String,
    policy: String,
}

/// Builds all guests; `arguments` are the task's own.
pub fn run(arguments: &[String]) -> Result<()> {
    let toolchain = match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Toolchain::find_or_install()?,
        ["--toolchain", name] => Toolchain::named(name)?,
        _ => return Err("usage: cargo xtask policies [--toolchain rustup|debian]".into()),
    };
    let workspace = workspace::root()?;
    let folder = workspace.join("target/policies");
    fs::create_dir_all(&folder)?;
    println!("policies: building with {toolchain}");
    for guest in guests()? {
        let core = build(&toolchain, &workspace, &guest)?;
        let component = folder.join(format!("{}.wasm", guest.policy));
        let bytes = componentize(&core)?;
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

/// Compiles one guest and returns the path of its core module.
fn build(toolchain: &Toolchain, workspace: &Path, guest: &Guest) -> Result<PathBuf> {
    let target_dir = workspace.join("target/wasm").join(toolchain.name());
    let mut cargo = toolchain.cargo();
    cargo.current_dir(workspace).args(["rustc", "--quiet", "--locked", "--lib"]);
    // One crate type, whatever the manifest lists: beside an `rlib` cargo leaves out LTO.
    cargo.args(["--crate-type", "cdylib", "--profile", PROFILE, "--target", TARGET]);
    cargo.args(["--package", &guest.package, "--target-dir"]).arg(&target_dir);
    let status = cargo.args(toolchain.build_arguments()).status()?;
    if !status.success() {
        return Err(format!("{} does not build; cargo's message is above", guest.package).into());
    }
    let file = format!("{}.wasm", guest.package.replace('-', "_"));
    Ok(target_dir.join(TARGET).join(PROFILE).join(file))
}

/// Turns a core module that carries its world into a validated component.
fn componentize(core: &Path) -> Result<Vec<u8>> {
    let module = fs::read(core).map_err(|error| format!("{}: {error}", core.display()))?;
    let component = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(ComponentEncoder::encode)
        .map_err(|error| format!("{} is not a policy: {error:#}", core.display()))?;
    Ok(component)
}
