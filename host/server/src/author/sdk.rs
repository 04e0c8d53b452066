//! What a new project gets along: the SDK's sources and the contract, as this binary carries them.

use std::path::Path;

use super::new::write;
use crate::client::failure::Failure;

/// The SDK's sources and the contract, as file names and texts.
mod carried {
    include!(concat!(env!("OUT_DIR"), "/sdk.rs"));
}

/// Sources that need the host's own crates; the manifest below has no such feature.
const LEFT_OUT: [&str; 2] = ["harness.rs", "host/memory.rs"];
const MANIFEST: &str = include_str!("../../templates/sdk.toml");
/// The workspace's requirement, which a test holds against the workspace.
const WIT_BINDGEN: &str = "0.61";

/// Writes the SDK into `dir/keyward-policy`, beside the contract.
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
}
