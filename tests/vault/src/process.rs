//! The process behind a Vault: its arguments, its output, its end.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::program::Program;
use crate::server::{Options, Ports, configuration};

/// Longest a start may take, on a machine with much else to do.
const START: Duration = Duration::from_mins(1);

/// A child process, killed when dropped.
pub(crate) struct Process {
    child: Child,
    home: Arc<TempDir>,
}

impl Process {
    /// Starts it in `home`, or in a new folder; its output goes to files there.
    #[track_caller]
    pub fn start(
        program: &Program,
        ports: &Ports,
        options: &Options,
        home: Option<Arc<TempDir>>,
    ) -> Self {
        let home = home.unwrap_or_else(|| Arc::new(tempfile::tempdir().unwrap()));
        let mut command = Command::new(program.path());
        match program {
            Program::Built(_) => flags(&mut command, ports, options, home.path()),
            Program::Installed(_) => {
                let file = configuration(ports, options, home.path());
                command.arg("server").arg(format!("-config={}", file.display()));
            }
        }
        let file = |name: &str| File::create(home.path().join(name)).unwrap();
        // The server built here ends when its standard input does, so none outlives its test.
        command.stdin(Stdio::piped()).stdout(file("printed")).stderr(file("log"));
        let child =
            command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.path().display()));
        Self { child, home }
    }

    /// The folder it runs in.
    pub fn home(&self) -> Arc<TempDir> {
        Arc::clone(&self.home)
    }

    /// Waits until `ready`; `false` if the process ends before.
    #[track_caller]
    pub fn wait(&mut self, ready: impl Fn() -> bool) -> bool {
        let start = Instant::now();
        loop {
            if self.child.try_wait().unwrap().is_some() {
                return false;
            }
            if ready() {
                return true;
            }
            assert!(start.elapsed() < START, "Vault is not ready after {START:?}: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// What follows `name` in what it printed.
    #[track_caller]
    pub fn printed(&self, name: &str) -> String {
        let printed = fs::read_to_string(self.home.path().join("printed")).unwrap();
        let value = printed.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap_or_else(|| panic!("it printed no {name}")).to_owned()
    }

    /// What it logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The flags of `tests/vault-server`.
fn flags(command: &mut Command, ports: &Ports, options: &Options, home: &Path) {
    command.arg("-stdin").arg(format!("-addr={}", ports.plain));
    if options.durable {
        command.arg("-data").arg(home.join("data"));
    }
    if let Some(tls) = &options.tls {
        command.arg(format!("-tls-addr={}", ports.tls));
        command.arg("-tls-cert").arg(&tls.certificate).arg("-tls-key").arg(&tls.key);
        if let Some(ca) = &tls.client_ca {
            command.arg("-tls-client-ca").arg(ca);
        }
    }
    if options.standby {
        command.arg(format!("-standby={}", ports.standby));
    }
    if options.storage_faults {
        command.arg(format!("-admin={}", ports.admin));
    }
}
