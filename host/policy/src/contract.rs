//! Names and versions of the contract's interfaces.

use std::cmp::Ordering;

/// The contract between host and policies.
pub const PACKAGE: &str = "keyward:policy";
/// The newest version of it that this host has.
pub const VERSION: &str = "0.1.0";
/// The interface without functions, which every component imports.
pub const TYPES: &str = "types";

/// The interfaces of the contract a policy may import.
pub const ALLOWED_IMPORTS: [&str; 13] = [
    "keyward:policy/types@0.1.0",
    "keyward:policy/keys@0.1.0",
    "keyward:policy/sealing@0.1.0",
    "keyward:policy/opening@0.1.0",
    "keyward:policy/macs@0.1.0",
    "keyward:policy/signing@0.1.0",
    "keyward:policy/verifying@0.1.0",
    "keyward:policy/index@0.1.0",
    "keyward:policy/recipients@0.1.0",
    "keyward:policy/tokens@0.1.0",
    "keyward:policy/state@0.1.0",
    "keyward:policy/random@0.1.0",
    "keyward:policy/log@0.1.0",
];

/// The interfaces a policy must export.
pub const REQUIRED_EXPORTS: [&str; 2] =
    ["keyward:policy/guard@0.1.0", "keyward:policy/handler@0.1.0"];

/// Names of the interfaces a policy may import, without package and version.
pub fn importable() -> impl Iterator<Item = &'static str> {
    ALLOWED_IMPORTS.iter().map(|import| interface(import))
}

/// `opening` of `keyward:policy/opening@0.1.0`.
pub fn interface(name: &str) -> &str {
    let name = name.split_once('/').map_or(name, |(_, name)| name);
    name.split('@').next().unwrap_or_default()
}

/// The version at the end of the name of an interface of the contract.
pub fn version_of(name: &str) -> Option<&str> {
    let interface = name.strip_prefix(PACKAGE)?.strip_prefix('/')?;
    interface.split_once('@').map(|(_, version)| version)
}

/// Whether this host has not yet heard of a version. One that is not of three numbers is unknown,
/// but not of the future.
pub fn is_newer(version: &str) -> bool {
    match (numbers(version), numbers(VERSION)) {
        (Some(version), Some(own)) => version.cmp(&own) == Ordering::Greater,
        _ => false,
    }
}

fn numbers(version: &str) -> Option<[u32; 3]> {
    let mut parts = version.split('.').map(|part| part.parse().ok());
    let numbers = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(numbers)
}

/// The newest version among the names of interfaces.
pub fn newest<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    names.filter_map(version_of).max_by_key(|version| numbers(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        for version in ["0.1.1", "0.2.0", "0.10.0", "1.0.0"] {
            assert!(is_newer(version), "{version}");
        }
        for version in ["0.1.0", "0.0.9", "", "1", "1.0", "1.0.0.0", "new", "1.0.0-rc1"] {
            assert!(!is_newer(version), "{version}");
        }
        let names = ["keyward:policy/a@0.9.0", "keyward:policy/b@0.10.0", "other:x/c@7.0.0", "d"];
        assert_eq!(newest(names.into_iter()), Some("0.10.0"));
    }

    #[test]
    fn interfaces_have_names() {
        assert_eq!(interface("keyward:policy/opening@0.1.0"), "opening");
        assert_eq!(interface("opening"), "opening");
        assert!(importable().any(|name| name == "log") && importable().any(|name| name == TYPES));
        assert!(ALLOWED_IMPORTS.iter().all(|name| version_of(name) == Some(VERSION)));
    }
}
