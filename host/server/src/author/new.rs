//! `keyward policy new`: a project that builds at once.

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueEnum, ValueHint};

use super::build::{JS_FIRST, PYTHON_FIRST};
use super::{print, sdk};
use crate::client::failure::Failure;

#[derive(ClapArgs)]
pub struct Args {
    /// Name of the policy, and of the directory to write: lower-case letters, digits and -
    name: String,
    /// The language
    #[arg(long, value_enum, default_value_t = Lang::Rust)]
    lang: Lang,
    /// Write the project here instead
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
    /// Use this copy of the SDK (`guest-sdk` of Keyward's repository) instead of the one that
    /// keyward carries; Rust only
    #[arg(long, value_name = "PATH", value_hint = ValueHint::DirPath)]
    sdk: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Lang {
    Rust,
    /// JavaScript
    Js,
    Python,
}

/// A file of a template, and where it goes.
type Template = &'static [(&'static str, &'static str)];

const RUST: Template = &[
    ("Cargo.toml", include_str!("../../templates/rust/Cargo.toml")),
    ("src/lib.rs", include_str!("../../templates/rust/src/lib.rs")),
    (".cargo/config.toml", include_str!("../../templates/rust/.cargo/config.toml")),
    (".gitignore", include_str!("../../templates/rust/gitignore")),
    ("README.md", include_str!("../../templates/rust/README.md")),
];
const JS: Template = &[
    ("package.json", include_str!("../../templates/js/package.json")),
    ("policy.js", include_str!("../../templates/js/policy.js")),
    ("policy.test.js", include_str!("../../templates/js/policy.test.js")),
    (".gitignore", include_str!("../../templates/js/gitignore")),
    ("README.md", include_str!("../../templates/js/README.md")),
];
const PYTHON: Template = &[
    ("requirements.txt", include_str!("../../templates/python/requirements.txt")),
    ("policy.py", include_str!("../../templates/python/policy.py")),
    ("test_policy.py", include_str!("../../templates/python/test_policy.py")),
    (".gitignore", include_str!("../../templates/python/gitignore")),
    ("README.md", include_str!("../../templates/python/README.md")),
];
const CASES: &str = include_str!("../../templates/first.toml");

/// Writes the project.
pub fn run(args: &Args) -> Result<(), Failure> {
    let name = &args.name;
    if !is_name(name) {
        return Err(Failure::Usage(format!(
            "`{name}` cannot name a policy: it begins with a lower-case letter and has up to 40 of \
             a-z, 0-9 and -"
        )));
    }
    if args.sdk.is_some() && args.lang != Lang::Rust {
        return Err(Failure::Usage("--sdk is for --lang rust".into()));
    }
    let dir = args.dir.clone().unwrap_or_else(|| PathBuf::from(name));
    if dir.exists() {
        return Err(Failure::Usage(format!(
            "{} exists: choose another name or --dir",
            dir.display()
        )));
    }
    let sdk_path = match &args.sdk {
        Some(path) => Some(path.canonicalize().map_err(|it| Failure::file("find", path, &it))?),
        None => None,
    };
    let sdk =
        sdk_path.as_deref().map_or("vendor/keyward-policy".into(), |it| it.display().to_string());
    let sdk = serde_json::Value::from(sdk).to_string();
    let (template, first) = match args.lang {
        Lang::Rust => (RUST, None),
        Lang::Js => (JS, Some(JS_FIRST)),
        Lang::Python => (PYTHON, Some(PYTHON_FIRST)),
    };
    let fill = |text: &str| {
        text.replace("{{name}}", name)
            .replace("{{type}}", &type_name(name))
            .replace("{{sdk}}", &sdk)
            .replace("{{version}}", env!("CARGO_PKG_VERSION"))
    };
    for (file, text) in template {
        write(&dir.join(file), &fill(text))?;
    }
    write(&dir.join("cases/first.toml"), &fill(CASES))?;
    match (args.lang, &sdk_path) {
        (Lang::Rust, None) => sdk::vendor(&dir.join("vendor"))?,
        (Lang::Rust, Some(_)) => {}
        (Lang::Js, _) => sdk::javascript(&dir, &format!("policy-{name}"))?,
        (Lang::Python, _) => sdk::python(&dir)?,
    }
    let first = first.map_or(String::new(), |command| format!("  {command}\n"));
    print(&format!(
        "{dir} is a policy. Next:\n  cd {dir}\n{first}  keyward policy build\n  keyward policy test\n",
        dir = dir.display()
    ))
}

/// A name that a directory, a package and a policy can have.
fn is_name(name: &str) -> bool {
    name.len() <= 40
        && name.starts_with(|first: char| first.is_ascii_lowercase())
        && !name.ends_with('-')
        && name.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '-')
}

/// `by-purpose` as a type: `ByPurpose`.
fn type_name(name: &str) -> String {
    let capital = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
    };
    let name: String = name.split('-').map(|word| -> String { capital(word) }).collect();
    // What the SDK's own items are called.
    let taken = ["Policy", "Plan", "Error", "Action", "Request"].contains(&name.as_str());
    if taken { format!("My{name}") } else { name }
}

/// Writes a file and the directories it is in.
pub fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let written = match path.parent() {
        Some(parent) => std::fs::create_dir_all(parent),
        None => Ok(()),
    };
    written
        .and_then(|()| std::fs::write(path, text))
        .map_err(|error| Failure::file("write", path, &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_types() {
        assert_eq!(type_name("mine"), "Mine");
        assert_eq!(type_name("by-purpose-2"), "ByPurpose2");
        assert_eq!(type_name("policy"), "MyPolicy");
        for name in ["", "Mine", "1a", "a_b", "a-", "-a", "a/b", &"a".repeat(41)] {
            assert!(!is_name(name), "{name}");
        }
        assert!(is_name("by-purpose-2"));
    }
}
