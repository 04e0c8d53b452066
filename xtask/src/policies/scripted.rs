//! Policies in JavaScript and Python: a folder under `plugins` or `tests/policies` whose
//! `package.json` or `pyproject.toml` says `keyward.policy` and `keyward.module`.
//!
//! Each is built by the language's SDK in `guest-sdk`, in an environment below `target` that the
//! SDK's own lock file describes. What has the same sources, SDK included, is not built again.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use super::{javascript, python};
use crate::{Result, workspace};

/// Where policies are.
const FOLDERS: [&str; 2] = ["plugins", "tests/policies"];
/// Built at a time: a build takes one core.
const AT_ONCE: usize = 2;
/// Names of files and folders that nothing is built from.
const NOT_SOURCES: [&str; 5] = ["node_modules", "__pycache__", "test", "tests", "README.md"];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    JavaScript,
    Python,
}

impl Language {
    const ALL: [Self; 2] = [Self::JavaScript, Self::Python];

    fn name(self) -> &'static str {
        match self {
            Self::JavaScript => "JavaScript",
            Self::Python => "Python",
        }
    }

    fn manifest(self) -> &'static str {
        match self {
            Self::JavaScript => "package.json",
            Self::Python => "pyproject.toml",
        }
    }

    fn sdk(self) -> &'static str {
        match self {
            Self::JavaScript => javascript::SDK,
            Self::Python => python::SDK,
        }
    }
}

/// One policy in another language than Rust.
#[derive(Debug)]
pub struct Script {
    pub language: Language,
    pub folder: PathBuf,
    /// Its component's name.
    pub policy: String,
    /// As the SDK's build takes it.
    pub module: String,
}

/// Installs the languages where that is possible and they are not there.
pub fn install() {
    javascript::install();
    python::install();
}

/// Builds all of them into `target/policies`. Where a language is missing, says so and goes on.
pub fn build(root: &Path) -> Result<()> {
    for (language, scripts) in by_language(root)? {
        if let Err(error) = build_all(root, language, &scripts) {
            let names: Vec<_> = scripts.iter().map(|script| script.policy.as_str()).collect();
            match error.downcast_ref::<Missing>() {
                Some(missing) => {
                    println!("policies: not built: {}: {missing}", names.join(", "));
                }
                None => return Err(error),
            }
        }
    }
    Ok(())
}

/// Runs the tests of each SDK and of each policy, natively.
pub fn test() -> Result<()> {
    let root = workspace::root()?;
    for (language, scripts) in by_language(&root)? {
        println!("test: policies in {}", language.name());
        match language {
            Language::JavaScript => javascript::test(&root, &scripts)?,
            Language::Python => python::test(&root, &scripts)?,
        }
    }
    Ok(())
}

/// A language that this machine does not have.
#[derive(Debug)]
pub struct Missing(pub String);

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Missing {}

fn build_all(root: &Path, language: Language, scripts: &[Script]) -> Result<()> {
    let sdk = digest(&root.join(language.sdk()))?;
    let mut stale = Vec::new();
    for script in scripts {
        let component = component(root, script);
        let stamp = component.with_extension("sources");
        let current = format!("{sdk}{}", digest(&script.folder)?);
        if component.is_file() && fs::read_to_string(&stamp).is_ok_and(|built| built == current) {
            println!("policies: {} is current", shown(root, &component));
        } else {
            stale.push((script, component, stamp, current));
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    match language {
        Language::JavaScript => javascript::set_up(root)?,
        Language::Python => python::set_up(root)?,
    }
    for batch in stale.chunks(AT_ONCE) {
        let built: Vec<Result<()>> = std::thread::scope(|scope| {
            let runs: Vec<_> = batch
                .iter()
                .map(|(script, component, ..)| {
                    // An error crosses the thread as its text.
                    scope.spawn(|| run(root, script, component).map_err(|error| error.to_string()))
                })
                .collect();
            let failed = |_| Err("the build's thread died".to_owned());
            runs.into_iter().map(|run| Ok(run.join().unwrap_or_else(failed)?)).collect()
        });
        for (outcome, (_, component, stamp, current)) in built.into_iter().zip(batch) {
            outcome?;
            fs::write(stamp, current)?;
            let size = fs::metadata(component)?.len();
            println!("policies: {} ({size} bytes)", shown(root, component));
        }
    }
    Ok(())
}

fn run(root: &Path, script: &Script, component: &Path) -> Result<()> {
    println!("policies: building {} ({})", script.policy, script.language.name());
    match script.language {
        Language::JavaScript => javascript::build(root, script, component),
        Language::Python => python::build(root, script, component),
    }
}

fn component(root: &Path, script: &Script) -> PathBuf {
    root.join("target/policies").join(format!("{}.wasm", script.policy))
}

fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

/// The policies of each language, by name.
fn by_language(root: &Path) -> Result<Vec<(Language, Vec<Script>)>> {
    let mut found = Vec::new();
    for language in Language::ALL {
        let mut scripts = Vec::new();
        for folder in FOLDERS {
            for entry in fs::read_dir(root.join(folder))? {
                scripts.extend(script(language, &entry?.path())?);
            }
        }
        scripts.sort_by(|a, b| a.policy.cmp(&b.policy));
        if !scripts.is_empty() {
            found.push((language, scripts));
        }
    }
    Ok(found)
}

/// The policy in a folder, if it is one of this language.
fn script(language: Language, folder: &Path) -> Result<Option<Script>> {
    let path = folder.join(language.manifest());
    let Ok(text) = fs::read_to_string(&path) else {
        return Ok(None);
    };
    let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let (policy, module) = match language {
        Language::JavaScript => {
            let manifest: serde_json::Value =
                serde_json::from_str(&text).map_err(|error| wrong(&error))?;
            let says = |name: &str| manifest["keyward"][name].as_str().map(str::to_owned);
            (says("policy"), says("module"))
        }
        Language::Python => {
            let manifest: toml::Table = text.parse().map_err(|error| wrong(&error))?;
            let keyward = manifest.get("tool").and_then(|tool| tool.get("keyward"));
            let says = |name: &str| Some(keyward?.get(name)?.as_str()?.to_owned());
            (says("policy"), says("module"))
        }
    };
    let (Some(policy), Some(module)) = (policy, module) else {
        return Err(wrong(&"it must say `policy` and `module` of `keyward`").into());
    };
    Ok(Some(Script { language, folder: folder.to_owned(), policy, module }))
}

/// A digest of a folder's sources; equal sources have equal digests.
pub fn digest(folder: &Path) -> Result<String> {
    let mut files = Vec::new();
    collect(folder, folder, &mut files)?;
    files.sort();
    let mut hasher = DefaultHasher::new();
    files.hash(&mut hasher);
    Ok(format!("{:016x}", hasher.finish()))
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| NOT_SOURCES.iter().any(|other| name == *other)) {
            continue;
        }
        if path.is_dir() {
            collect(root, &path, files)?;
        } else {
            files.push((path.strip_prefix(root)?.to_owned(), fs::read(&path)?));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policies_of_the_workspace_are_found() {
        let found = by_language(&workspace::root().unwrap()).unwrap();
        let names: Vec<Vec<_>> = found
            .iter()
            .map(|(_, scripts)| scripts.iter().map(|script| script.policy.as_str()).collect())
            .collect();
        assert_eq!(
            names,
            [["hours-js", "records-js", "sdk-js"], ["approvals-py", "records-py", "sdk-py"]]
        );
    }

    #[test]
    fn the_digest_follows_the_sources_and_nothing_else() {
        let root = workspace::root().unwrap();
        let folder = root.join("target/xtask-digest");
        fs::create_dir_all(folder.join("node_modules")).unwrap();
        fs::write(folder.join("policy.js"), "a").unwrap();
        let first = digest(&folder).unwrap();
        fs::write(folder.join("node_modules/other.js"), "a").unwrap();
        assert_eq!(digest(&folder).unwrap(), first);
        fs::write(folder.join("policy.js"), "b").unwrap();
        assert_ne!(digest(&folder).unwrap(), first);
        fs::remove_dir_all(folder).unwrap();
    }
}
