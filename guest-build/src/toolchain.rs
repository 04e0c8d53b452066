//! Finds a Rust toolchain that compiles to `wasm32-unknown-unknown`.
//!
//! First choice is the user's own, once its target is installed. Where rustup cannot fetch the
//! target, Debian's packages build the standard library from source.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{BuildError, TARGET};

/// Debian's compiler, its cargo, its library sources and the linker.
pub const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-22"];
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_LIBRARY: &str = "/usr/lib/rustlib/src/rust/library/std/Cargo.toml";

/// What `cargo run` and rustup tell their children about themselves, and what a shell may set
/// for native builds: none of it holds for guests.
const FOREIGN: [&str; 11] = [
    "CARGO",
    "CARGO_BUILD_TARGET",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_TARGET_DIR",
    "LD_LIBRARY_PATH",
    "RUSTC",
    "RUSTC_WORKSPACE_WRAPPER",
    "RUSTC_WRAPPER",
    "RUSTDOC",
    "RUSTFLAGS",
    "RUSTUP_TOOLCHAIN",
];

/// Which compiler builds policies.
#[derive(Clone, Debug)]
pub enum Toolchain {
    /// The user's own, which has the target's standard library.
    Rustup {
        /// Its cargo.
        cargo: PathBuf,
    },
    /// Debian's, building the standard library from source.
    Debian {
        /// `wasm-ld`, which those packages do not bring along.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// The first that works. `cargo` runs the user's own toolchain: a path, or a name in PATH.
    pub fn find(cargo: &Path) -> Result<Self, BuildError> {
        match Self::rustup(cargo) {
            Some(rustup) => Ok(rustup),
            None => Self::debian().ok_or_else(|| missing("neither of both is there")),
        }
    }

    /// The one of this name: `rustup` or `debian`.
    pub fn named(name: &str, cargo: &Path) -> Result<Self, BuildError> {
        match name {
            "rustup" => Self::rustup(cargo).ok_or_else(|| missing("the target is not installed")),
            "debian" => Self::debian().ok_or_else(|| missing("not all packages are installed")),
            _ => Err(BuildError::UnknownToolchain(name.into())),
        }
    }

    /// The user's own, if it has the target's standard library.
    pub fn rustup(cargo: &Path) -> Option<Self> {
        rustup_has_target().then(|| Self::Rustup { cargo: cargo.to_owned() })
    }

    /// Debian's, if all of it is installed.
    pub fn debian() -> Option<Self> {
        let present =
            [DEBIAN_RUSTC, DEBIAN_CARGO, DEBIAN_LIBRARY].map(|file| Path::new(file).exists());
        let linker = linker()?;
        present.iter().all(|present| *present).then_some(Self::Debian { linker })
    }

    /// A name for folders: artefacts of one toolchain are of no use to the other.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rustup { .. } => "rustup",
            Self::Debian { .. } => "debian",
        }
    }

    /// Its cargo, free of what this process's own cargo has put into the environment.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(match self {
            Self::Rustup { cargo } => cargo.as_path(),
            Self::Debian { .. } => Path::new(DEBIAN_CARGO),
        });
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| self.is_foreign(name)) {
                command.env_remove(name);
            }
        }
        if let Self::Debian { linker } = self {
            command
                .env("RUSTC", DEBIAN_RUSTC)
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        command
    }

    /// Whether a variable of this process means nothing to a build of guests.
    fn is_foreign(&self, name: &str) -> bool {
        match self {
            // It selects this very toolchain.
            Self::Rustup { .. } if name == "RUSTUP_TOOLCHAIN" => false,
            _ => {
                FOREIGN.contains(&name)
                    || ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_PROFILE_"]
                        .iter()
                        .any(|prefix| name.starts_with(prefix))
            }
        }
    }

    /// What its cargo needs beyond the usual arguments of a build.
    pub fn build_arguments(&self) -> &'static [&'static str] {
        match self {
            Self::Rustup { .. } => &[],
            Self::Debian { .. } => &["-Zbuild-std=std,panic_abort"],
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rustup { .. } => "this Rust toolchain",
            Self::Debian { .. } => "Debian's Rust packages",
        })
    }
}

/// Whether the user's toolchain has the target's standard library.
fn rustup_has_target() -> bool {
    let output = Command::new("rustc").args(["--print=target-libdir", "--target", TARGET]).output();
    output.is_ok_and(|output| {
        let folder = String::from_utf8_lossy(&output.stdout);
        let files = std::fs::read_dir(folder.trim());
        output.status.success() && files.is_ok_and(|mut files| files.next().is_some())
    })
}

/// The newest `wasm-ld` of Debian's LLVM packages.
fn linker() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib").ok()?.filter_map(|entry| {
        let name = entry.ok()?.file_name();
        let version: u32 = name.to_str()?.strip_prefix("llvm-")?.parse().ok()?;
        let linker = Path::new("/usr/lib").join(&name).join("bin/wasm-ld");
        linker.exists().then_some((version, linker))
    });
    versions.max().map(|(_, linker)| linker)
}

fn missing(reason: &str) -> BuildError {
    BuildError::NoToolchain { reason: reason.into() }
}
