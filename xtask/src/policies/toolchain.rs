//! Finds, or installs, a Rust toolchain that compiles to `wasm32-unknown-unknown`.
//!
//! First choice is the toolchain that runs this task, once its target is installed. Where
//! rustup cannot fetch the target, Debian's packages build the standard library from source.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::TARGET;
use crate::{Result, debian};

/// Debian's compiler, its cargo, its library sources and the linker.
const PACKAGES: [&str; 4] = ["rustc-web", "cargo-web", "rust-web-src", "lld-22"];
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

/// Which compiler builds the guests.
pub enum Toolchain {
    /// The one that runs this task; it has the target's standard library.
    Rustup,
    /// Debian's, building the standard library from source.
    Debian {
        /// `wasm-ld`, which those packages do not bring along.
        linker: PathBuf,
    },
}

impl Toolchain {
    /// The first that works, installing it where that is possible.
    pub fn find_or_install() -> Result<Self> {
        if rustup_has_target() {
            return Ok(Self::Rustup);
        }
        if let Some(debian) = Self::debian() {
            return Ok(debian);
        }
        println!("policies: installing the Rust target {TARGET}");
        if rustup_add_target() {
            return Ok(Self::Rustup);
        }
        println!("policies: rustup cannot; installing {}", PACKAGES.join(", "));
        install_packages()?;
        Self::debian().ok_or_else(|| how_to_install("the packages lack a part"))
    }

    /// The one the developer asks for; nothing is installed.
    pub fn named(name: &str) -> Result<Self> {
        match name {
            "rustup" if rustup_has_target() => Ok(Self::Rustup),
            "debian" => Self::debian().ok_or_else(|| how_to_install("not all are installed")),
            "rustup" => Err(format!("run `rustup target add {TARGET}` first").into()),
            _ => Err(format!("no toolchain `{name}`: there are `rustup` and `debian`").into()),
        }
    }

    fn debian() -> Option<Self> {
        let present =
            [DEBIAN_RUSTC, DEBIAN_CARGO, DEBIAN_LIBRARY].map(|file| Path::new(file).exists());
        let linker = linker()?;
        present.iter().all(|present| *present).then_some(Self::Debian { linker })
    }

    /// A name for folders: artefacts of one toolchain are of no use to the other.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Rustup => "rustup",
            Self::Debian { .. } => "debian",
        }
    }

    /// Its cargo, free of what this process's own cargo has put into the environment.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(match self {
            Self::Rustup => env!("CARGO"),
            Self::Debian { .. } => DEBIAN_CARGO,
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
            Self::Rustup if name == "RUSTUP_TOOLCHAIN" => false,
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
            Self::Rustup => &[],
            Self::Debian { .. } => &["-Zbuild-std=std,panic_abort"],
        }
    }
}

impl fmt::Display for Toolchain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rustup => "this Rust toolchain",
            Self::Debian { .. } => "Debian's Rust packages",
        })
    }
}

/// Whether the toolchain of this task has the target's standard library.
fn rustup_has_target() -> bool {
    let output = Command::new("rustc").args(["--print=target-libdir", "--target", TARGET]).output();
    output.is_ok_and(|output| {
        let folder = String::from_utf8_lossy(&output.stdout);
        let files = std::fs::read_dir(folder.trim());
        output.status.success() && files.is_ok_and(|mut files| files.next().is_some())
    })
}

/// Lets rustup fetch the target, without a word if it cannot.
fn rustup_add_target() -> bool {
    Command::new("rustup")
        .args(["--quiet", "target", "add", TARGET])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
        && rustup_has_target()
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

/// Installs the Debian packages, as root or through sudo.
fn install_packages() -> Result<()> {
    if !Path::new("/usr/bin/apt-get").exists() {
        return Err(how_to_install("this system has no apt-get"));
    }
    if debian::install(&PACKAGES) {
        Ok(())
    } else {
        Err(how_to_install("apt-get cannot install them"))
    }
}

fn how_to_install(reason: &str) -> Box<dyn std::error::Error> {
    format!(
        "no compiler for {TARGET} ({reason}). Run `rustup target add {TARGET}`, or on Debian \
         `apt-get install {}`, then this task again.",
        PACKAGES.join(" ")
    )
    .into()
}
