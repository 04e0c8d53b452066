//! The binary as a child process: how it is started, and how it ends.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// The binary under test: KEYWARD_BIN, else the one built beside the tests.
pub(crate) fn binary() -> PathBuf {
    let path = std::env::var_os("KEYWARD_BIN").map_or_else(
        || std::env::current_exe().unwrap().parent().unwrap().with_file_name("keyward"),
        PathBuf::from,
    );
    assert!(path.exists(), "{} is missing: cargo build -p keyward", path.display());
    path
}

/// How a process is started. Nothing of the tests' own environment reaches it but PATH.
#[derive(Clone, Debug)]
pub struct Launch {
    /// Arguments.
    pub args: Vec<String>,
    /// Environment variables.
    pub env: Vec<(String, String)>,
    /// Where its output is written: a temporary directory, removed with all that is in it.
    pub output: PathBuf,
    /// Whether it runs as a user that may do nothing special, when the tests run as root.
    unprivileged: bool,
}

/// The user `nobody`, by convention.
const NOBODY: u32 = 65_534;

impl Launch {
    /// `keyward` with these arguments; output goes to files in `output`.
    pub fn new(output: &Path, args: &[&str]) -> Self {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        Self { args, env: Vec::new(), output: output.to_owned(), unprivileged: false }
    }

    /// The same with this environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same without root's rights, above all that to write to anything.
    #[must_use]
    pub fn unprivileged(mut self) -> Self {
        self.unprivileged = rustix::process::geteuid().is_root();
        self
    }

    /// The program to run, where the user who is to run it can reach it.
    fn command(&self) -> Command {
        if !self.unprivileged {
            return Command::new(binary());
        }
        let copy = self.output.join("keyward");
        // By another process: a file that this one has open for writing cannot be run, and every
        // child that another test starts meanwhile has it open for a moment.
        assert!(Command::new("cp").arg(binary()).arg(&copy).status().unwrap().success());
        let mut command = Command::new(copy);
        command.uid(NOBODY).gid(NOBODY);
        command
    }

    /// Starts it.
    pub fn start(&self) -> Process {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let file = |name: &str| self.output.join(format!("{name}.{number}"));
        let (stdout, stderr) = (file("stdout"), file("stderr"));
        let mut command = self.command();
        command.args(&self.args).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.current_dir(&self.output);
        command.stdout(File::create(&stdout).unwrap()).stderr(File::create(&stderr).unwrap());
        let child = command.spawn().unwrap();
        let guard = Guard::of(&child, &self.output);
        Process { child, guard, stdout, stderr }
    }

    /// Runs it to its end; fails when that does not come within `limit`.
    #[track_caller]
    pub fn run(&self, limit: Duration) -> Ended {
        let mut process = self.start();
        let start = Instant::now();
        let Some(status) = process.wait(limit) else {
            panic!("{:?} still runs after {limit:?}: {}", self.args, process.stderr())
        };
        let (stdout, stderr) = (process.stdout(), process.stderr());
        Ended { status, stdout, stderr, took: start.elapsed() }
    }
}

/// A process that ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

impl Ended {
    /// Fails unless it refused to start as it should: a failing status, and one line that has
    /// all these parts, without a panic or a backtrace.
    #[track_caller]
    pub fn refused(&self, parts: &[&str]) {
        assert!(self.status.code().is_some_and(|code| code != 0), "{self:?}");
        let lines: Vec<&str> = self.stderr.lines().filter(|line| !line.is_empty()).collect();
        let [line] = lines.as_slice() else { panic!("not one line: {}", self.stderr) };
        for part in parts {
            assert!(line.contains(part), "{part:?} is not in {line:?}");
        }
        for word in ["panicked", "RUST_BACKTRACE", "stack backtrace", "Error {", "unwrap"] {
            assert!(!line.contains(word), "{line:?}");
        }
    }
}

/// A running process, killed when dropped.
pub struct Process {
    child: Child,
    guard: Guard,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// What it wrote to standard output so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stdout).unwrap()).into_owned()
    }

    /// What it wrote to standard error so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.stderr).unwrap()).into_owned()
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Bytes of it in memory at the moment, as Linux counts them.
    pub fn resident_bytes(&self) -> usize {
        self.status_bytes("VmRSS:")
    }

    /// The most it ever had in memory, in bytes.
    pub fn peak_resident_bytes(&self) -> usize {
        self.status_bytes("VmHWM:")
    }

    fn status_bytes(&self, name: &str) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with(name)).unwrap();
        let kib: usize = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib << 10
    }

    /// Sends a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Waits for its end, at most `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            if start.elapsed() > limit {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Ends it at once, without a chance to clean up.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        self.guard.dismiss();
    }
}

/// Kills the child and removes its temporary directory when the test process ends without dropping
/// them: a static, or Ctrl-C.
struct Guard {
    shell: Child,
    stdin: Option<ChildStdin>,
}

impl Guard {
    fn of(child: &Child, output: &Path) -> Self {
        let mut shell = Command::new("sh")
            .args(["-c", "read line || { kill -9 $0; rm -rf \"$1\"; }", &child.id().to_string()])
            .arg(output)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdin = shell.stdin.take();
        Self { shell, stdin }
    }

    fn dismiss(&mut self) {
        if let Some(mut stdin) = self.stdin.take() {
            let _ = stdin.write_all(b"done\n");
        }
        let _ = self.shell.wait();
    }
}
