//! The Vault that tests and benches run against: which program it is, found or built once and
//! handed on in the environment, so that no test builds one in the middle of a run.

use std::path::{Path, PathBuf};

use keyward_test_vault::program::{self, BUILT, INSTALLED, Program};

use crate::Result;

/// The variables that tell tests and benches where their Vault is.
pub fn environment() -> Result<Vec<(&'static str, PathBuf)>> {
    let mut variables = Vec::new();
    let mut show = |name, path: &Path| {
        println!("vault: {}", path.display());
        variables.push((name, path.to_owned()));
    };
    match program::find()? {
        Program::Installed(path) => {
            show(INSTALLED, &path);
            // What an installed Vault cannot do, the server of the repository can.
            if let Ok(path) = program::built() {
                show(BUILT, &path);
            }
        }
        Program::Built(path) => show(BUILT, &path),
    }
    Ok(variables)
}
