//! `keyward policy build`: the component of a project, in the language it is written in. Installs
//! nothing: what is missing is said, with the command that brings it.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::{Args as ClapArgs, ValueHint};
use keyward_guest_build::{BuildError, Rustc, Toolchain, componentize, package};

use super::print;
use super::project::shown;
use crate::client::failure::Failure;

/// What brings the packages of a new project in JavaScript.
pub const JS_FIRST: &str = "npm ci";
/// The same in Python.
pub const PYTHON_FIRST: &str = "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt";
/// The oldest Node.js that the SDK works with.
const OLDEST_NODE: u32 = 20;
/// What the builds of projects in these languages leave in the project.
const OUTPUT: &str = "policy.wasm";

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
    const HOW: &str = "https://nodejs.org, or on Debian `apt-get install nodejs npm`";
    let version = found("node", &["--version"], HOW)?;
    let major = version.trim().trim_start_matches('v').split('.').next();
    let major: Option<u32> = major.and_then(|text| text.parse().ok());
    if major.is_none_or(|major| major < OLDEST_NODE) {
        let version = version.trim();
        return Err(Failure::Local(format!(
            "this needs Node.js {OLDEST_NODE} or later, and node is {version}: {HOW}"
        )));
    }
    found("npm", &["--version"], HOW)?;
    if !dir.join("node_modules/@bytecodealliance/componentize-js").is_dir() {
        let is_locked = dir.join("package-lock.json").is_file();
        let command = if is_locked { JS_FIRST } else { "npm install" };
        return Err(missing("its packages are not installed", command, dir));
    }
    built(dir, Command::new("npm").args(["run", "--silent", "build"]), "npm run build")
}

/// Runs the SDK's build out of the project's virtual environment.
fn python(dir: &Path) -> Result<Vec<u8>, Failure> {
    let program = dir.join(".venv/bin/python");
    if !program.is_file() {
        // Tells a Python that is too old from none.
        let ask = "import sys; sys.exit(sys.version_info < (3, 11))";
        let how = "https://python.org, or on Debian `apt-get install python3 python3-venv`; it \
                   takes 3.11 or later";
        found("python3", &["-c", ask], how)?;
        return Err(missing("its packages are not installed", PYTHON_FIRST, dir));
    }
    let program =
        std::path::absolute(&program).map_err(|error| Failure::file("find", &program, &error))?;
    let there = "from importlib.util import find_spec as find; \
                 import sys; sys.exit(not (find('keyward_policy') and find('componentize_py')))";
    let asked = Command::new(&program).args(["-c", there]).current_dir(dir).output();
    if !asked.is_ok_and(|asked| asked.status.success()) {
        let command = ".venv/bin/pip install -r requirements.txt";
        return Err(missing("its packages are not all installed", command, dir));
    }
    let mut command = Command::new(program);
    command.args(["-m", "keyward_policy.build", "policy", "-o", OUTPUT]);
    built(dir, &mut command, "the build of the module `policy`")
}

fn built(dir: &Path, command: &mut Command, what: &str) -> Result<Vec<u8>, Failure> {
    let output = dir.join(OUTPUT);
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

/// What a program says of itself; where it is not there or says no, how to get it.
fn found(program: &str, args: &[&str], how: &str) -> Result<String, Failure> {
    match Command::new(program).args(args).output() {
        Ok(output) if output.status.success() => {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        }
        Ok(_) => Err(Failure::Local(format!("{program} is not as this needs it: {how}"))),
        Err(_) => Err(Failure::Local(format!("this needs {program}, which is not in PATH: {how}"))),
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
