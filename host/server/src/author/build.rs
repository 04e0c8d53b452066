//! `keyward policy build`: the component of a project, in the language it is written in. Installs
//! nothing: what is missing is said, with the command that brings it.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args as ClapArgs, ValueHint};
use keyward_guest_build::{BuildError, Rustc, Toolchain, componentize, package};

use super::print;
use super::project::shown;
use crate::client::failure::Failure;

#[derive(ClapArgs)]
pub struct Args {
    /// The project [default: the current directory]
    #[arg(value_hint = ValueHint::DirPath)]
    dir: Option<PathBuf>,
    /// Where the component goes [default: NAME.wasm in the project]
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// Profile of cargo; Rust only
    #[arg(long, value_name = "NAME", default_value = "release")]
    profile: String,
    /// `rustup` or `debian` [default: the first that is there]; Rust only
    #[arg(long, value_name = "NAME")]
    toolchain: Option<String>,
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        match error {
            BuildError::UnknownToolchain(_) => Self::Usage(error.to_string()),
            error => Self::Local(error.to_string()),
        }
    }
}

/// Builds.
pub fn run(args: &Args) -> Result<(), Failure> {
    let dir = args.dir.as_deref().unwrap_or(Path::new("."));
    let (name, bytes) = if dir.join("Cargo.toml").is_file() {
        rust(dir, args)?
    } else if dir.join("package.json").is_file() {
        (directory_name(dir)?, javascript(dir)?)
    } else if dir.join("requirements.txt").is_file() {
        (directory_name(dir)?, python(dir)?)
    } else {
        return Err(Failure::Usage(format!(
            "{} is no policy: it has no Cargo.toml, package.json or requirements.txt; `keyward \
             policy new` makes one",
            shown(dir)
        )));
    };
    let output = args.output.clone().unwrap_or_else(|| dir.join(format!("{name}.wasm")));
    std::fs::write(&output, &bytes).map_err(|error| Failure::file("write", &output, &error))?;
    let output = output.strip_prefix(".").unwrap_or(&output);
    print(&format!("{} ({} bytes)\n", output.display(), bytes.len()))
}

fn rust(dir: &Path, args: &Args) -> Result<(String, Vec<u8>), Failure> {
    let cargo = Path::new("cargo");
    let toolchain = match &args.toolchain {
        Some(name) => Toolchain::named(name, cargo)?,
        None => Toolchain::find(cargo)?,
    };
    let package = package(&toolchain, dir)?;
    let rustc = Rustc {
        dir,
        package: &package.name,
        profile: &args.profile,
        target_dir: &package.target_dir.join("policy"),
        locked: false,
    };
    let component = componentize(&rustc.run(&toolchain)?)?;
    Ok((package.policy.unwrap_or(package.name), component))
}

/// Runs the project's own `npm run build`, which leaves `policy.wasm`.
fn javascript(dir: &Path) -> Result<Vec<u8>, Failure> {
    found("node", "https://nodejs.org, or on Debian `apt-get install nodejs npm`")?;
    if !dir.join("node_modules/@bytecodealliance/componentize-js").is_dir() {
        let command = if dir.join("package-lock.json").is_file() { "ci" } else { "install" };
        return Err(missing("its packages are not installed", &format!("npm {command}"), dir));
    }
    built(dir, Command::new("npm").args(["run", "--silent", "build"]), "npm run build")
}

/// Runs componentize-py out of the project's virtual environment.
fn python(dir: &Path) -> Result<Vec<u8>, Failure> {
    found("python3", "https://python.org, or on Debian `apt-get install python3 python3-venv`")?;
    let program = dir.join(".venv/bin/componentize-py");
    let program = program.canonicalize().map_err(|_| {
        let command = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt";
        missing("its packages are not installed", command, dir)
    })?;
    let mut command = Command::new(program);
    command.args(["--wit-path", "wit", "--world", "policy", "componentize", "--stub-wasi"]);
    command.args(["policy", "-o", "policy.wasm"]);
    built(dir, &mut command, "componentize-py")
}

fn built(dir: &Path, command: &mut Command, what: &str) -> Result<Vec<u8>, Failure> {
    let output = dir.join("policy.wasm");
    // Nothing of an earlier build may pass for this one.
    let _ = std::fs::remove_file(&output);
    command.current_dir(dir).stdout(std::io::stderr());
    let status = command.status();
    let status =
        status.map_err(|error| Failure::local(&format!("{what} does not start"), &error))?;
    if !status.success() {
        return Err(Failure::Local(format!("{what} failed; its message is above")));
    }
    let bytes = std::fs::read(&output).map_err(|error| Failure::file("read", &output, &error))?;
    let _ = std::fs::remove_file(&output);
    Ok(bytes)
}

fn found(program: &str, how: &str) -> Result<(), Failure> {
    let asked = Command::new(program).arg("--version").output();
    match asked {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Failure::Local(format!("this needs {program}, which is not in PATH: {how}"))),
    }
}

fn missing(what: &str, command: &str, dir: &Path) -> Failure {
    let place =
        if dir == Path::new(".") { String::new() } else { format!("cd {} && ", dir.display()) };
    Failure::Local(format!("{what}: run `{place}{command}`, then this again"))
}

fn directory_name(dir: &Path) -> Result<String, Failure> {
    let path = dir.canonicalize().map_err(|error| Failure::file("read", dir, &error))?;
    Ok(path.file_name().map_or("policy".into(), |name| name.to_string_lossy().into_owned()))
}
