//! What a new project gets along: its SDK's sources and the contract, as this binary carries them.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::new::write;
use crate::client::failure::Failure;

/// The SDKs' sources and the contract, as file names and texts.
mod carried {
    include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
}

/// Sources that need the host's own crates; the manifest below has no such feature.
const LEFT_OUT: [&str; 2] = ["harness.rs", "host/memory.rs"];
const MANIFEST: &str = include_str!("../../templates/sdk.toml");
/// The workspace's requirement, which a test holds against the workspace.
const WIT_BINDGEN: &str = "0.61";
/// JavaScript's SDK among a project's dependencies.
const JS_NAME: &str = "@keyward/policy";
const JS_PLACE: &str = "file:vendor/policy";

/// Writes Rust's SDK into `dir/keyward-policy`, beside the contract.
pub fn vendor(dir: &Path) -> Result<(), Failure> {
    let sdk = dir.join("keyward-policy");
    let version = env!("CARGO_PKG_VERSION");
    let manifest = MANIFEST.replace("{{version}}", version).replace("{{wit_bindgen}}", WIT_BINDGEN);
    write(&sdk.join("Cargo.toml"), &manifest)?;
    for (name, text) in carried::SDK {
        if !LEFT_OUT.contains(name) {
            write(&sdk.join("src").join(name), text)?;
        }
    }
    contract(dir)
}

/// Writes JavaScript's SDK into `dir/vendor/policy`, and into `dir` a lock file for npm: what the
/// project installs is what the SDK was tested with.
pub fn javascript(dir: &Path, package: &str) -> Result<(), Failure> {
    let sdk = dir.join("vendor/policy");
    let mut lock = String::new();
    for (name, text) in carried::JS {
        if *name == "package-lock.json" {
            lock = project_lock(text, package)
                .map_err(|error| Failure::local("the SDK's lock file cannot be read", &error))?;
        } else {
            write(&sdk.join(name), text)?;
        }
    }
    write(&dir.join("package-lock.json"), &lock)?;
    contract(dir)
}

/// The lock file of a package that depends on the SDK in `vendor/policy`, from the SDK's own.
fn project_lock(sdk: &str, package: &str) -> serde_json::Result<String> {
    let sdk: Value = serde_json::from_str(sdk)?;
    let mut packages = Map::new();
    let own = json!({ "name": package, "dependencies": { JS_NAME: JS_PLACE } });
    packages.insert(String::new(), own);
    for (path, locked) in sdk["packages"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { "vendor/policy" } else { path };
        packages.insert(path.to_owned(), locked.clone());
    }
    let link = json!({ "resolved": "vendor/policy", "link": true });
    packages.insert(format!("node_modules/{JS_NAME}"), link);
    let lock = json!({
        "name": package,
        "lockfileVersion": sdk["lockfileVersion"],
        "requires": true,
        "packages": packages,
    });
    Ok(serde_json::to_string_pretty(&lock)? + "\n")
}

/// Writes Python's SDK into `dir/vendor/keyward-policy`.
pub fn python(dir: &Path) -> Result<(), Failure> {
    for (name, text) in carried::PYTHON {
        write(&dir.join("vendor/keyward-policy").join(name), text)?;
    }
    contract(dir)
}

/// Writes the contract into `dir/wit`.
pub fn contract(dir: &Path) -> Result<(), Failure> {
    for (name, text) in carried::WIT {
        write(&dir.join("wit").join(name), text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vendored_manifest_asks_for_what_the_sdk_asks_for() {
        let workspace = include_str!("../../../../Cargo.toml");
        let line = workspace.lines().find(|line| line.starts_with("wit-bindgen =")).unwrap();
        assert!(line.contains(&format!("version = \"{WIT_BINDGEN}\"")), "{line}");
        let (_, features) = line.split_once("features = ").unwrap();
        assert!(MANIFEST.contains(features), "{features}");
        let sdk = include_str!("../../../../guest-sdk/Cargo.toml");
        let (_, dependencies) = sdk.split_once("dependencies]").unwrap();
        let names: Vec<&str> = dependencies
            .lines()
            .filter(|it| !it.starts_with('['))
            .filter_map(|it| it.split_once('.'))
            .map(|it| it.0)
            .collect();
        assert_eq!(names.iter().filter(|name| **name != "keyward-crypto").count(), 1, "{names:?}");
    }

    #[test]
    fn what_is_left_out_is_there_to_leave_out() {
        for name in LEFT_OUT {
            assert!(carried::SDK.iter().any(|(file, _)| *file == name), "{name}");
        }
        assert!(carried::WIT.iter().any(|(file, _)| *file == "policy.wit"));
    }

    fn carried<'a>(files: &[(&'a str, &'a str)], name: &str) -> &'a str {
        files.iter().find(|(file, _)| *file == name).unwrap().1
    }

    /// Other than Rust's, they do not take it from the workspace.
    #[test]
    fn all_sdks_have_one_version() {
        let version = env!("CARGO_PKG_VERSION");
        let manifest: Value = serde_json::from_str(carried(carried::JS, "package.json")).unwrap();
        assert_eq!((&manifest["name"], &manifest["version"]), (&json!(JS_NAME), &json!(version)));
        let manifest = carried(carried::PYTHON, "pyproject.toml");
        assert!(manifest.contains(&format!("\nversion = \"{version}\"\n")), "{manifest}");
    }

    #[test]
    fn a_projects_lock_pins_what_the_sdks_pins() {
        let sdk: Value = serde_json::from_str(carried(carried::JS, "package-lock.json")).unwrap();
        let lock = project_lock(&sdk.to_string(), "policy-mine").unwrap();
        let lock: Value = serde_json::from_str(&lock).unwrap();
        let packages = lock["packages"].as_object().unwrap();
        for (path, locked) in sdk["packages"].as_object().unwrap() {
            let path = if path.is_empty() { "vendor/policy" } else { path };
            assert_eq!(packages[path], *locked, "{path}");
        }
        assert_eq!(packages.len(), sdk["packages"].as_object().unwrap().len() + 2);
        assert_eq!(packages[""]["dependencies"][JS_NAME], JS_PLACE);
    }

    #[test]
    fn what_tools_leave_behind_is_not_carried() {
        for (name, _) in carried::JS.iter().chain(carried::PYTHON) {
            assert!(!name.contains("__pycache__") && !name.contains("node_modules"), "{name}");
        }
        assert!(carried::PYTHON.iter().any(|(name, _)| *name == "src/keyward_policy/py.typed"));
    }
}
