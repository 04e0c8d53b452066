//! The command line client, as a person or a script runs it.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::process::binary;
use crate::{Server, Tenant};

/// Runs commands in a directory of its own. Nothing of the tests' own environment reaches them but
/// PATH.
pub struct Cli {
    /// Where it runs.
    pub dir: TempDir,
    env: Vec<(String, String)>,
}

/// A command that ended.
#[derive(Debug)]
pub struct Done {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error.
    pub stderr: String,
    asked: String,
}

impl Cli {
    /// For a server at this URL, without a token.
    pub fn new(url: &str) -> Self {
        let this = Self { dir: tempfile::tempdir().unwrap(), env: Vec::new() };
        this.env("KEYWARD_ADDR", url)
    }

    /// For the operator of a server.
    pub fn operator(server: &Server) -> Self {
        let this = Self::new(&format!("http://{}", server.address));
        this.env("KEYWARD_OPERATOR_TOKEN", &server.operator_token)
    }

    /// For the operator and an application of a tenant.
    pub fn tenant(server: &Server, tenant: &Tenant) -> Self {
        let this = Self::operator(server).env("KEYWARD_TENANT", &tenant.name);
        this.env("KEYWARD_TOKEN", &tenant.app_token)
    }

    /// A policy author's shell: no server, and what cargo needs to find its toolchain and its cache.
    pub fn author() -> Self {
        let mut cli = Self::new("http://127.0.0.1:9");
        for name in ["HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN"] {
            if let Ok(value) = std::env::var(name) {
                cli = cli.env(name, &value);
            }
        }
        // What the SDK depends on is there already: this workspace was built with it.
        cli.env("CARGO_NET_OFFLINE", "true")
    }

    /// The same with this environment variable, instead of the value it had.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.retain(|(known, _)| known != name);
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// A file in its directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file in its directory; gives its path as an argument.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name).to_str().unwrap().to_owned()
    }

    /// The names in its directory.
    pub fn names(&self) -> Vec<String> {
        names(self.dir.path())
    }

    /// The command, not yet started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command.args(args).env_clear().current_dir(self.dir.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Starts it without input.
    pub fn start(&self, args: &[&str]) -> Child {
        self.command(args).stdin(Stdio::null()).spawn().unwrap()
    }

    /// Runs it to its end without input.
    pub fn run(&self, args: &[&str]) -> Done {
        self.pipe(args, b"")
    }

    /// Runs it to its end with this input.
    pub fn pipe(&self, args: &[&str], input: &[u8]) -> Done {
        let mut child = self.command(args).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let output = std::thread::scope(|scope| {
            // It may not read all of it.
            scope.spawn(move || drop(stdin.write_all(input)));
            child.wait_with_output().unwrap()
        });
        Done::of(output, args)
    }
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

impl Done {
    /// What a process gave.
    pub fn of(output: std::process::Output, args: &[&str]) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let (code, stdout) = (output.status.code(), output.stdout);
        Self { code, stdout, stderr, asked: args.join(" ") }
    }

    /// Fails unless it succeeded, without a word on standard error.
    #[track_caller]
    pub fn good(self) -> Self {
        let about = format!("keyward {}: {:?}: {}", self.asked, self.code, self.stderr);
        assert!(self.code == Some(0) && self.stderr.is_empty(), "{about}");
        self
    }

    /// Fails unless it ended with this code and one line that has all these parts.
    #[track_caller]
    pub fn failed(self, code: i32, parts: &[&str]) -> Self {
        let about = format!("keyward {}: {:?}: {}", self.asked, self.code, self.stderr);
        assert_eq!(self.code, Some(code), "{about}");
        let mut lines = self.stderr.lines();
        let (Some(line), None) = (lines.next(), lines.next()) else { panic!("{about}") };
        assert!(line.starts_with("keyward: "), "{about}");
        for part in parts {
            assert!(line.contains(part), "{part:?} is not in {about}");
        }
        self
    }

    /// Its standard output.
    #[track_caller]
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    /// Its standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        let parsed = serde_json::from_slice(&self.stdout);
        parsed.unwrap_or_else(|error| panic!("{}: {error}: {}", self.asked, self.text()))
    }
}
