//! A server that runs and answers.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Launch, Process};
use crate::tenant::policies;
use crate::{Client, Tenant};

/// Longest a start may take, compiling policies included, on a machine with much else to do.
const START: Duration = Duration::from_mins(1);
/// Longest a stop may take when nothing is in flight.
const STOP: Duration = Duration::from_secs(20);

/// A running server, killed when dropped.
pub struct Server {
    /// Where it runs; its data directory is `data` therein.
    pub home: Arc<TempDir>,
    /// IP address and port.
    pub address: String,
    /// A token of the operator.
    pub operator_token: String,
    /// A token of an application of tenant `demo`; empty unless started by `dev`.
    pub demo_token: String,
    launch: Launch,
    process: Process,
}

impl Server {
    /// `keyward dev` on a new data directory.
    #[track_caller]
    pub fn dev() -> Self {
        Self::dev_with(&[])
    }

    /// The same with these environment variables.
    #[track_caller]
    pub fn dev_with(env: &[(&str, &str)]) -> Self {
        let mut this = Self::dev_unready(env);
        this.wait_until_ready();
        this
    }

    /// The same, without waiting for more than that it lives: whatever it needs may be missing.
    #[track_caller]
    pub fn dev_unready(env: &[(&str, &str)]) -> Self {
        let home = Arc::new(tempfile::tempdir().unwrap());
        let data = home.path().join("data");
        let policies = policies();
        let (data, policies) = (data.to_str().unwrap(), policies.to_str().unwrap());
        let args = ["dev", "--listen", "127.0.0.1:0", "--data", data, "--policies", policies];
        let mut launch = Launch::new(home.path(), &args);
        for (name, value) in env {
            launch = launch.env(name, value);
        }
        let mut this = Self::new(home, launch);
        this.wait_until("/livez");
        this
    }

    /// `keyward serve` with `config` as its file, on a new data directory.
    #[track_caller]
    pub fn serve(config: &str) -> Self {
        Self::serve_with(config, &[])
    }

    /// The same with these environment variables.
    #[track_caller]
    pub fn serve_with(config: &str, env: &[(&str, &str)]) -> Self {
        Self::serve_in(Arc::new(tempfile::tempdir().unwrap()), config, env)
    }

    /// The same in a directory that may hold files already.
    #[track_caller]
    pub fn serve_in(home: Arc<TempDir>, config: &str, env: &[(&str, &str)]) -> Self {
        let launch = Self::to_serve(&home, config, env);
        Self::start(home, launch)
    }

    /// The same, without waiting for more than that it lives: whatever it needs may be missing.
    #[track_caller]
    pub fn serve_unready(config: &str, env: &[(&str, &str)]) -> Self {
        let home = Arc::new(tempfile::tempdir().unwrap());
        let launch = Self::to_serve(&home, config, env);
        let mut this = Self::new(home, launch);
        this.wait_until("/livez");
        this
    }

    fn to_serve(home: &TempDir, config: &str, env: &[(&str, &str)]) -> Launch {
        let file = home.path().join("keyward.toml");
        fs::write(&file, config).unwrap();
        // It may hold a secret.
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let mut launch = Launch::new(home.path(), &["serve", "--config", file.to_str().unwrap()])
            .env("KEYWARD_DATA_DIR", home.path().join("data").to_str().unwrap())
            .env("KEYWARD_LISTEN", "127.0.0.1:0");
        // Most tests are not about signatures; those that are say so, here or in the file.
        if !config.contains("allow_unsigned") {
            launch = launch.env("KEYWARD_POLICY_ALLOW_UNSIGNED", "true");
        }
        for (name, value) in env {
            launch = launch.env(name, value);
        }
        launch
    }

    #[track_caller]
    fn start(home: Arc<TempDir>, launch: Launch) -> Self {
        let mut this = Self::new(home, launch);
        this.wait_until_ready();
        this
    }

    fn new(home: Arc<TempDir>, launch: Launch) -> Self {
        let process = launch.start();
        let (address, operator_token, demo_token) = Default::default();
        Self { home, address, operator_token, demo_token, launch, process }
    }

    /// Waits until it can serve, and takes its first tokens.
    #[track_caller]
    pub fn wait_until_ready(&mut self) {
        self.wait_until("/readyz");
        if self.launch.args[0] == "dev" {
            self.operator_token = self.dev_env("KEYWARD_OPERATOR_TOKEN");
            self.demo_token = self.dev_env("KEYWARD_TOKEN");
        } else if let Ok(text) = fs::read_to_string(self.data().join("operator.token")) {
            text.trim().clone_into(&mut self.operator_token);
        }
    }

    /// Waits until a health check is passed.
    #[track_caller]
    fn wait_until(&mut self, check: &str) {
        let start = Instant::now();
        loop {
            let status = self.process.wait(Duration::ZERO);
            let log = self.process.stderr();
            assert!(status.is_none(), "the server ended, {status:?}: {log}");
            assert!(start.elapsed() < START, "the server is not ready after {START:?}: {log}");
            if let Some(url) = listening(&log, &self.process.stdout()) {
                let (scheme, address) = url.split_once("://").unwrap();
                address.clone_into(&mut self.address);
                if TcpStream::connect(address).is_ok()
                    && (scheme == "https" || self.client().get(check).status == 200)
                {
                    break;
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// A variable of the data directory's `dev.env`.
    #[track_caller]
    pub fn dev_env(&self, name: &str) -> String {
        let text = fs::read_to_string(self.data().join("dev.env")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("dev.env has no {name}")).trim_matches(['"', '\'']).to_owned()
    }

    /// A client without a credential.
    pub fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.address))
    }

    /// The operator.
    pub fn operator(&self) -> Client {
        self.client().token(&self.operator_token)
    }

    /// The application of tenant `demo`, below that tenant.
    pub fn demo(&self) -> Client {
        self.client().token(&self.demo_token).below("/api/v1/tenants/demo")
    }

    /// A new tenant without a policy.
    #[track_caller]
    pub fn tenant(&self, name: &str) -> Tenant {
        Tenant::create(&self.client(), &self.operator_token, name)
    }

    /// A new tenant with this policy and a key `main`.
    #[track_caller]
    pub fn tenant_with_policy(&self, name: &str, policy: &str) -> Tenant {
        let tenant = self.tenant(name);
        tenant.activate(policy);
        tenant.key("main");
        tenant
    }

    /// What it wrote to standard output so far.
    pub fn stdout(&self) -> String {
        self.process.stdout()
    }

    /// What it logged so far.
    pub fn stderr(&self) -> String {
        self.process.stderr()
    }

    /// The number of its process.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Bytes of it in memory at the moment.
    pub fn resident_bytes(&self) -> usize {
        self.process.resident_bytes()
    }

    /// The most it ever had in memory, in bytes.
    pub fn peak_resident_bytes(&self) -> usize {
        self.process.peak_resident_bytes()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end, at most `limit`.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        self.process.wait(limit)
    }

    /// Ends it at once, without a chance to clean up.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Ends it as an operator does.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.wait(STOP);
        assert!(status.is_some_and(|status| status.success()), "{status:?}: {}", self.stderr());
    }

    /// Starts it again on the same data, after [`stop`](Self::stop) or [`kill`](Self::kill).
    #[track_caller]
    pub fn start_again(&mut self) {
        self.process = self.launch.start();
        self.wait_until_ready();
    }

    /// How it was started.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// All files of the data directory.
    pub fn data_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        collect(&self.data(), &mut files);
        files
    }
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

/// The URL in the line that says it listens: of the log, or of what `keyward dev` prints.
fn listening(log: &str, printed: &str) -> Option<String> {
    let line = log.lines().chain(printed.lines()).find(|line| line.contains("listen"))?;
    let at = line.find("http")?;
    let end = |c: char| c.is_whitespace() || c == '"';
    Some(line[at..].split(end).next().unwrap_or_default().to_owned())
}
