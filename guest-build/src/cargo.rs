//! Cargo: what a package is, and compiling one to a core module.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{BuildError, TARGET, Toolchain};

/// A package of cargo.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// The name of its policy, if the manifest says `[package.metadata.keyward] policy = "NAME"`.
    pub policy: Option<String>,
    /// Where cargo puts what it builds.
    pub target_dir: PathBuf,
}

/// Describes the package in the directory `dir`.
pub fn package(toolchain: &Toolchain, dir: &Path) -> Result<Package, BuildError> {
    let mut cargo = toolchain.cargo();
    cargo.current_dir(dir).args(["metadata", "--no-deps", "--format-version=1"]);
    let output = cargo.output().map_err(BuildError::CargoMissing)?;
    if !output.status.success() {
        let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(BuildError::Package(message));
    }
    let bad = |reason: &str| BuildError::Package(reason.into());
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| BuildError::Package(error.to_string()))?;
    let manifest = dir.join("Cargo.toml");
    let manifest =
        manifest.canonicalize().map_err(|error| BuildError::Package(error.to_string()))?;
    let packages = metadata["packages"].as_array().ok_or_else(|| bad("it lists no packages"))?;
    let is_here = |package: &&Value| {
        package["manifest_path"].as_str().is_some_and(|path| Path::new(path) == manifest)
    };
    let found = packages.iter().find(is_here).ok_or_else(|| {
        bad("its Cargo.toml has no [package]; name the directory of the policy itself")
    })?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok(Package {
        name: text(&found["name"]).ok_or_else(|| bad("it has no name"))?,
        policy: text(&found["metadata"]["keyward"]["policy"]),
        target_dir: text(&metadata["target_directory"])
            .map(PathBuf::from)
            .ok_or_else(|| bad("it has no target directory"))?,
    })
}

/// One compilation to a core module.
#[derive(Clone, Copy, Debug)]
pub struct Rustc<'a> {
    /// Where cargo runs: below it counts what `.cargo/config.toml` says.
    pub dir: &'a Path,
    /// The package's name.
    pub package: &'a str,
    /// The profile of cargo.
    pub profile: &'a str,
    /// Where cargo puts what it builds.
    pub target_dir: &'a Path,
    /// Whether `Cargo.lock` must be there and stay as it is.
    pub locked: bool,
}

impl Rustc<'_> {
    /// Has messages of panics name files as if everything lay in one place: a component is the same
    /// bytes wherever it is built, and tells nobody where that was. Joins what the configuration
    /// says of the target.
    fn remapped(&self) -> Result<String, BuildError> {
        let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
        let home = home.or_else(|| Some(std::env::home_dir()?.join(".cargo")));
        let here =
            self.dir.canonicalize().map_err(|error| BuildError::Package(error.to_string()))?;
        // The last that fits counts: the package may lie below cargo's home.
        let prefixes = [(home, "/cargo"), (Some(here), "/policy")];
        let flags: Vec<String> = prefixes
            .into_iter()
            .filter_map(|(from, to)| Some(format!("--remap-path-prefix={}={to}", from?.display())))
            .collect();
        Ok(format!("target.{TARGET}.rustflags={flags:?}"))
    }

    /// Compiles; gives the module. Cargo's messages go to standard error.
    pub fn run(&self, toolchain: &Toolchain) -> Result<Vec<u8>, BuildError> {
        let mut cargo = toolchain.cargo();
        cargo.current_dir(self.dir).args(["rustc", "--quiet", "--lib"]);
        if self.locked {
            cargo.arg("--locked");
        }
        // One crate type, whatever the manifest lists: beside an `rlib` cargo leaves out LTO.
        cargo.args(["--crate-type", "cdylib", "--profile", self.profile, "--target", TARGET]);
        cargo.args(["--package", self.package, "--target-dir"]).arg(self.target_dir);
        cargo.arg("--config").arg(self.remapped()?);
        let status = cargo.args(toolchain.build_arguments()).status();
        if !status.map_err(BuildError::CargoMissing)?.success() {
            return Err(BuildError::Cargo { package: self.package.into() });
        }
        // The folder of the profile `dev` has another name; for all others it is their own.
        let folder = if self.profile == "dev" { "debug" } else { self.profile };
        let file = format!("{}.wasm", self.package.replace('-', "_"));
        let path = self.target_dir.join(TARGET).join(folder).join(file);
        std::fs::read(&path).map_err(|error| BuildError::Module { path, error })
    }
}
