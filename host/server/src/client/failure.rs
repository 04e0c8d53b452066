//! Why a command failed, and the exit code that says so.

use std::fmt::Display;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use keyward_keyring::ReceiptError;
use keyward_keyring::backup::BackupError;
use serde::Deserialize;

/// A command that cannot be right; clap uses it as well.
const USAGE: u8 = 2;
/// What shells give for a process that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// Why a command failed. No text in it is secret.
#[derive(Debug)]
pub enum Failure {
    /// The command cannot be right.
    Usage(String),
    /// Several things cannot be right, each a line.
    Several(Vec<String>),
    /// The server refused.
    Problem(Box<Problem>),
    /// No answer, or none of Keyward's.
    Connection(String),
    /// The signature or MAC is not valid; that was said.
    Invalid,
    /// A backup is not what it should be.
    Backup(BackupError),
    /// A receipt that proves nothing.
    Receipt(ReceiptError),
    /// A file or the like.
    Local(String),
    /// Nobody reads standard output any more.
    Closed,
    /// A signal.
    Interrupted,
}

/// What the server says is wrong.
#[derive(Debug, Deserialize)]
pub struct Problem {
    code: String,
    detail: String,
    #[serde(default)]
    field: Option<String>,
    #[serde(default)]
    request_id: String,
}

impl Failure {
    /// A failure on this machine.
    pub fn local(what: &str, error: &dyn Display) -> Self {
        Self::Local(format!("{what}: {error}"))
    }

    /// A file that cannot be read or written.
    pub fn file(what: &str, path: &Path, error: &io::Error) -> Self {
        Self::Local(format!("cannot {what} {}: {error}", path.display()))
    }

    /// Standard output that cannot be written to.
    pub fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::local("cannot write to standard output", error),
        }
    }

    /// What it says, where that is one line.
    pub fn text(&self) -> String {
        match self {
            Self::Usage(text) | Self::Connection(text) | Self::Local(text) => text.clone(),
            Self::Several(lines) => lines.join("; "),
            Self::Problem(problem) => problem.to_string(),
            Self::Backup(error) => error.to_string(),
            Self::Receipt(error) => error.to_string(),
            Self::Invalid | Self::Closed | Self::Interrupted => String::new(),
        }
    }

    /// Says it on standard error, in one line, and gives the exit code.
    pub fn report(self) -> ExitCode {
        let (code, text) = match self {
            Self::Usage(text) => (USAGE, text),
            Self::Several(mut lines) => {
                let last = lines.pop().unwrap_or_default();
                for line in &lines {
                    note(line);
                }
                (USAGE, last)
            }
            Self::Problem(problem) => (1, problem.to_string()),
            Self::Connection(text) | Self::Local(text) => (1, text),
            Self::Backup(error) => (1, format!("{}: {error}", error.code().replace('-', "_"))),
            Self::Receipt(error) => (1, format!("{}: {error}", error.code().replace('-', "_"))),
            Self::Interrupted => (INTERRUPTED, "interrupted".into()),
            Self::Invalid | Self::Closed => return ExitCode::from(1),
        };
        note(&text);
        ExitCode::from(code)
    }
}

/// One line on standard error. Where that is closed, nobody is told.
pub fn note(text: &str) {
    let line = format!("keyward: {}\n", text.replace('\n', " "));
    let _ = io::Write::write_all(&mut io::stderr(), line.as_bytes());
}

impl Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code, self.detail)?;
        match self.field.as_deref() {
            None | Some("") => {}
            Some(field) => write!(f, " (field {field})")?,
        }
        write!(f, " [request {}]", self.request_id)
    }
}

impl From<BackupError> for Failure {
    fn from(error: BackupError) -> Self {
        Self::Backup(error)
    }
}

impl From<ReceiptError> for Failure {
    fn from(error: ReceiptError) -> Self {
        Self::Receipt(error)
    }
}
