//! Where a policy's component and its cases are.

use std::path::{Path, PathBuf};

use super::cases::{self, File};
use crate::client::failure::Failure;

/// The component that `path` is or, if it is a project's directory, has. None: the current
/// directory.
pub fn component(path: Option<&Path>) -> Result<PathBuf, Failure> {
    let path = path.unwrap_or(Path::new("."));
    if !path.is_dir() {
        return Ok(path.to_owned());
    }
    let entries = std::fs::read_dir(path).map_err(|error| Failure::file("read", path, &error))?;
    let mut found: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| file.extension().is_some_and(|extension| extension == "wasm"))
        .collect();
    found.sort();
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Failure::Usage(format!(
            "{} has no component (*.wasm): `keyward policy build` makes one",
            shown(path)
        ))),
        _ => Err(Failure::Usage(format!("{} has several components: name one", shown(path)))),
    }
}

/// The cases in `given`, else in `cases` beside the component, else none.
pub fn cases(given: Option<&Path>, component: &Path) -> Result<Vec<File>, Failure> {
    if let Some(given) = given {
        return cases::read_all(given);
    }
    let beside = component.parent().unwrap_or(Path::new("")).join("cases");
    if beside.is_dir() { cases::read_all(&beside) } else { Ok(Vec::new()) }
}

/// A directory for people.
pub fn shown(path: &Path) -> String {
    if path == Path::new(".") { "this directory".into() } else { path.display().to_string() }
}
