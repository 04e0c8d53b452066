//! Keeps the examples under deploy/ and in the documentation in step with the settings.

use std::path::{Path, PathBuf};

use super::ALL;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Words in `text` that look like environment variables of ours.
fn variables(text: &str) -> Vec<&str> {
    let of_a_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    text.split(|c: char| !of_a_name(c))
        .filter(|word| word.starts_with("KEYWARD_") || word.starts_with("E2EE_VAULT_"))
        .collect()
}

#[test]
fn every_variable_named_in_an_example_is_a_setting() {
    // Of dev.env, not of the server.
    let others = ["KEYWARD_ADDR", "KEYWARD_TOKEN", "KEYWARD_OPERATOR_TOKEN"];
    let mut seen = 0;
    for file in ["deploy/compose.yaml", "deploy/keyward.service", "docs/operations.md"] {
        let text = std::fs::read_to_string(repository().join(file)).unwrap();
        for name in variables(&text).into_iter().filter(|name| !others.contains(name)) {
            assert!(ALL.iter().any(|setting| setting.env == name), "{file}: {name}");
            seen += 1;
        }
    }
    assert!(seen > 8, "the examples name hardly any setting");
}

#[test]
fn every_setting_named_in_the_operators_guide_exists() {
    let text = std::fs::read_to_string(repository().join("docs/operations.md")).unwrap();
    let quoted = text.split('`').skip(1).step_by(2);
    let folders = ["vault.", "cache.", "tenant.", "http.", "log.", "limits."];
    let mut seen = 0;
    for name in quoted.filter(|name| folders.iter().any(|folder| name.starts_with(folder))) {
        assert!(ALL.iter().any(|setting| setting.key == Some(name)), "{name}");
        seen += 1;
    }
    assert!(seen > 5, "the guide names hardly any setting");
}
