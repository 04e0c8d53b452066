//! A Vault that runs, and what a test does to it: stop, start again, seal, unseal, slow down.

use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use crate::Client;
use crate::process::Process;
use crate::program::{self, Program};

/// What kind of Vault a test wants; the default is one in memory without TLS.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Keep everything in a folder, so that [`Vault::start_again`] finds it.
    pub durable: bool,
    /// A second listener with TLS.
    pub tls: Option<Tls>,
    /// Storage that [`Vault::storage_faults`] can slow down and make fail. Only the server of
    /// `tests/vault-server` can.
    pub storage_faults: bool,
    /// A second node, [`Vault::standby`], over the same storage. Only the server of
    /// `tests/vault-server` can.
    pub standby: bool,
}

/// PEM files of a TLS listener.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Certificate chain of the server.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Who signs the clients' certificates; with it, no other client is served.
    pub client_ca: Option<PathBuf>,
}

/// Where a Vault listens (`host:port`).
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    pub plain: String,
    pub tls: String,
    pub standby: String,
    pub admin: String,
}

impl Ports {
    /// Free ports of the loopback address.
    fn free() -> Self {
        // All bound at once, so that they differ.
        let held: Vec<TcpListener> =
            (0..4).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let mut ports = held.iter().map(|held| held.local_addr().unwrap().to_string());
        let mut next = || ports.next().unwrap();
        Self { plain: next(), tls: next(), standby: next(), admin: next() }
    }
}

/// A running Vault, initialised and unsealed; it ends when this is dropped. Nothing is mounted but
/// what every Vault mounts: [`Client::mount_kv2`] and its like do the rest.
pub struct Vault {
    /// `http://host:port`.
    pub address: String,
    /// Its root token.
    pub root_token: String,
    unseal_key: String,
    ports: Ports,
    options: Options,
    program: Program,
    process: Process,
}

impl Vault {
    /// Starts one on a free port of the loopback address.
    #[track_caller]
    pub fn start(options: Options) -> Self {
        let program = if options.storage_faults || options.standby {
            program::built().map(Program::Built)
        } else {
            program::find()
        };
        let program = program.unwrap_or_else(|error| panic!("{error}"));
        let ports = Ports::free();
        let process = Process::start(&program, &ports, &options, None);
        let (address, root_token, unseal_key) =
            (format!("http://{}", ports.plain), String::new(), String::new());
        let mut this = Self { address, root_token, unseal_key, ports, options, program, process };
        // Another process may take a port between its choice and its use.
        for _ in 0..5 {
            if this.set_up() {
                return this;
            }
            this.ports = Ports::free();
            this.address = format!("http://{}", this.ports.plain);
            this.process = Process::start(&this.program, &this.ports, &this.options, None);
        }
        panic!("Vault finds no free port");
    }

    /// Takes the secrets of a Vault that starts empty; `false` if its port is taken.
    #[track_caller]
    fn set_up(&mut self) -> bool {
        let client = Client::new(&self.address, "");
        if !self.process.wait(|| client.send("GET", "sys/health", None).is_ok()) {
            let log = self.process.log();
            assert!(log.contains("address already in use"), "Vault ended: {log}");
            return false;
        }
        if let Program::Built(_) = self.program {
            self.unseal_key = self.process.printed("unseal_key=");
            self.root_token = self.process.printed("root_token=");
        } else {
            let shares = json!({ "secret_shares": 1, "secret_threshold": 1 });
            let reply = client.put("sys/init", &shares).ok();
            let text = |at: &str| reply.pointer(at).unwrap().as_str().unwrap().to_owned();
            (self.unseal_key, self.root_token) = (text("/keys/0"), text("/root_token"));
        }
        self.unseal();
        true
    }

    /// A client with the root token.
    pub fn root(&self) -> Client {
        Client::new(&self.address, &self.root_token)
    }

    /// `https://localhost:port`, where [`Options::tls`] asks for it.
    pub fn tls_address(&self) -> String {
        format!("https://localhost:{}", self.ports.tls.rsplit(':').next().unwrap_or_default())
    }

    /// `http://host:port` of the second node.
    pub fn standby(&self) -> String {
        format!("http://{}", self.ports.standby)
    }

    /// What it logged since it was started last.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Seals it: it answers, and serves nothing.
    #[track_caller]
    pub fn seal(&self) {
        self.root().put("sys/seal", &json!({})).ok();
    }

    /// Unseals it and waits until it serves.
    #[track_caller]
    pub fn unseal(&mut self) {
        let client = Client::new(&self.address, "");
        client.put("sys/unseal", &json!({ "key": self.unseal_key })).ok();
        let active = || client.send("GET", "sys/health", None).is_ok_and(|it| it.status == 200);
        assert!(self.process.wait(active), "Vault ended: {}", self.process.log());
    }

    /// Ends the process at once, as a crash does.
    pub fn stop(&mut self) {
        self.process.kill();
    }

    /// Starts it on the same port and data after [`stop`](Self::stop), sealed as any Vault that
    /// starts.
    #[track_caller]
    pub fn start_again_sealed(&mut self) {
        assert!(self.options.durable, "a Vault in memory has nothing to start again with");
        let home = self.process.home();
        self.process = Process::start(&self.program, &self.ports, &self.options, Some(home));
        let client = Client::new(&self.address, "");
        let up = self.process.wait(|| client.send("GET", "sys/health", None).is_ok());
        assert!(up, "Vault ended: {}", self.process.log());
    }

    /// The same, unsealed.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.start_again_sealed();
        self.unseal();
    }

    /// Makes its storage take `delay` longer, and fail with this share of the operations (0 to 1).
    #[track_caller]
    pub fn storage_faults(&self, delay: Duration, fail: f64) {
        assert!(self.options.storage_faults, "started without Options::storage_faults");
        let url = format!(
            "http://{}/storage?delay={}ms&fail={fail}",
            self.ports.admin,
            delay.as_millis()
        );
        ureq::get(&url).call().unwrap();
    }
}

/// Writes the configuration file of an installed Vault.
pub(crate) fn configuration(ports: &Ports, options: &Options, home: &std::path::Path) -> PathBuf {
    let storage = if options.durable {
        format!("storage \"file\" {{\n  path = \"{}\"\n}}\n", home.join("data").display())
    } else {
        "storage \"inmem\" {}\n".to_owned()
    };
    let plain =
        format!("listener \"tcp\" {{\n  address = \"{}\"\n  tls_disable = true\n}}\n", ports.plain);
    let tls = options.tls.as_ref().map_or_else(String::new, |tls| {
        let client_ca = tls.client_ca.as_ref().map_or_else(String::new, |ca| {
            format!(
                "  tls_require_and_verify_client_cert = true\n  tls_client_ca_file = \"{}\"\n",
                ca.display()
            )
        });
        format!(
            "listener \"tcp\" {{\n  address = \"{}\"\n  tls_cert_file = \"{}\"\n  \
             tls_key_file = \"{}\"\n{client_ca}}}\n",
            ports.tls,
            tls.certificate.display(),
            tls.key.display()
        )
    });
    let path = home.join("vault.hcl");
    fs::write(&path, format!("disable_mlock = true\n{storage}{plain}{tls}")).unwrap();
    path
}
