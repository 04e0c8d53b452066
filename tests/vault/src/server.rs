//! The Vault's process: how it is started, set up for the first time, and ended.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::Client;
use crate::program::{self, Program};

/// Longest a start may take, on a machine with much else to do.
const START: Duration = Duration::from_mins(1);

/// What kind of Vault a test wants.
#[derive(Clone, Debug, Default)]
pub struct Options {}

/// A running Vault, initialised and unsealed; it ends when this is dropped. Nothing is mounted but
/// what every Vault mounts: [`Client::mount_kv2`] and its like do the rest.
pub struct Vault {
    /// `http://host:port`.
    pub address: String,
    /// Its root token.
    pub root_token: String,
    unseal_key: String,
    home: TempDir,
    child: Child,
}

impl Vault {
    /// Starts one on a free port of the loopback address.
    #[track_caller]
    pub fn start(_options: Options) -> Self {
        let program = program::find().unwrap_or_else(|error| panic!("{error}"));
        let home = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let child = launch(&program, &listen, &home);
        let mut this = Self {
            address: format!("http://{listen}"),
            root_token: String::new(),
            unseal_key: String::new(),
            home,
            child,
        };
        match program {
            Program::Built(_) => this.read_credentials(),
            Program::Installed(_) => this.initialise(),
        }
        this.wait_until_active();
        this
    }

    /// A client with the root token.
    pub fn root(&self) -> Client {
        Client::new(&self.address, &self.root_token)
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.home.path().join("log")).unwrap_or_default()
    }

    /// Waits for what the built server prints once it is initialised.
    #[track_caller]
    fn read_credentials(&mut self) {
        let start = Instant::now();
        loop {
            let printed = fs::read_to_string(self.home.path().join("printed")).unwrap_or_default();
            if printed.contains("listening=") {
                let value = |name: &str| {
                    let line = printed.lines().find_map(|line| line.strip_prefix(name));
                    line.unwrap_or_default().to_owned()
                };
                (self.unseal_key, self.root_token) = (value("unseal_key="), value("root_token="));
                return;
            }
            self.still_starting(start);
        }
    }

    /// Initialises and unseals a Vault that starts empty.
    #[track_caller]
    fn initialise(&mut self) {
        let (client, start) = (Client::new(&self.address, ""), Instant::now());
        let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
        let reply = loop {
            match client.send("PUT", "sys/init", Some(&shares)) {
                Ok(reply) => break reply.ok(),
                Err(_) => self.still_starting(start),
            }
        };
        let text = |pointer: &str| reply.pointer(pointer).unwrap().as_str().unwrap().to_owned();
        (self.unseal_key, self.root_token) = (text("/keys/0"), text("/root_token"));
        client.put("sys/unseal", &json!({ "key": self.unseal_key })).ok();
    }

    /// Waits until it is unsealed and active.
    #[track_caller]
    fn wait_until_active(&mut self) {
        let (client, start) = (Client::new(&self.address, ""), Instant::now());
        while !client.send("GET", "sys/health", None).is_ok_and(|reply| reply.status == 200) {
            self.still_starting(start);
        }
    }

    /// One pause in a wait; fails when it is over.
    #[track_caller]
    fn still_starting(&mut self, since: Instant) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "Vault ended, {ended:?}: {}", self.log());
        assert!(since.elapsed() < START, "Vault is not ready after {START:?}: {}", self.log());
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Drop for Vault {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts the process; its output goes to files in `home`.
#[track_caller]
fn launch(program: &Program, listen: &str, home: &TempDir) -> Child {
    let file = |name: &str| File::create(home.path().join(name)).unwrap();
    let mut command = Command::new(program.path());
    match program {
        Program::Built(_) => {
            command.arg(format!("-addr={listen}"));
        }
        Program::Installed(_) => {
            command.arg("server").arg(format!("-config={}", configuration(listen, home).display()));
        }
    }
    // The server built here ends when its standard input does, so none outlives its test.
    command.stdin(Stdio::piped()).stdout(file("printed")).stderr(file("log"));
    command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.path().display()))
}

/// Writes the configuration file of an installed Vault.
fn configuration(listen: &str, home: &TempDir) -> PathBuf {
    let path = home.path().join("vault.hcl");
    let text = format!(
        "disable_mlock = true\nstorage \"inmem\" {{}}\n\
         listener \"tcp\" {{\n  address = \"{listen}\"\n  tls_disable = true\n}}\n"
    );
    fs::write(&path, text).unwrap();
    path
}
