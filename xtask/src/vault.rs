//! A real Vault to measure and test against: `KEYWARD_TEST_VAULT`, or `vault` or `bao` from PATH,
//! else the server in `tests/vault-server`, built once with Go.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::{Result, workspace};

/// A running Vault; it ends when this is dropped.
pub struct Vault {
    /// `http://host:port`.
    pub address: String,
    /// Its root token.
    pub token: String,
    child: Child,
}

impl Drop for Vault {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts one on a free port of the loopback address; none if there is neither a Vault nor Go.
pub fn start() -> Result<Option<Vault>> {
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let listen = format!("127.0.0.1:{port}");
    if let Some(program) = installed() {
        println!("vault: using {}", program.display());
        return dev_mode(&program, &listen).map(Some);
    }
    let Some(program) = build()? else {
        println!("vault: none, and no Go to build tests/vault-server with; measured without");
        return Ok(None);
    };
    own_server(&program, &listen).map(Some)
}

fn installed() -> Option<PathBuf> {
    if let Some(given) = std::env::var_os("KEYWARD_TEST_VAULT") {
        return Some(given.into());
    }
    let path = std::env::var_os("PATH")?;
    ["vault", "bao"]
        .iter()
        .flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)))
        .find(|candidate| candidate.is_file())
}

/// Builds the server in the repository; Go's own cache makes it quick but for the first time.
fn build() -> Result<Option<PathBuf>> {
    if Command::new("go").arg("version").stdout(Stdio::null()).status().is_err() {
        return Ok(None);
    }
    let root = workspace::root()?;
    let program = root.join("target/vault-server");
    println!("vault: building tests/vault-server (the first time takes some minutes)");
    workspace::run(
        Command::new("go")
            .current_dir(root.join("tests/vault-server"))
            .args(["build", "-o"])
            .arg(&program)
            .arg("."),
        "building tests/vault-server",
    )?;
    Ok(Some(program))
}

/// `vault server -dev` and `bao server -dev` understand the same arguments.
fn dev_mode(program: &PathBuf, listen: &str) -> Result<Vault> {
    let token = "keyward-bench";
    let child = Command::new(program)
        .args(["server", "-dev", "-dev-no-store-token"])
        .arg(format!("-dev-listen-address={listen}"))
        .arg(format!("-dev-root-token-id={token}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let vault = Vault { address: format!("http://{listen}"), token: token.into(), child };
    for _ in 0..200 {
        if std::net::TcpStream::connect(listen).is_ok() {
            return Ok(vault);
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    Err(format!("{} does not listen on {listen}", program.display()).into())
}

/// It prints `root_token=…`, then `listening=…` when it is ready.
fn own_server(program: &PathBuf, listen: &str) -> Result<Vault> {
    let mut child = Command::new(program)
        .arg(format!("-addr={listen}"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let stdout = child.stdout.take().ok_or("tests/vault-server has no output")?;
    let mut vault = Vault { address: format!("http://{listen}"), token: String::new(), child };
    for line in BufReader::new(stdout).lines() {
        let line = line?;
        if let Some(token) = line.strip_prefix("root_token=") {
            token.clone_into(&mut vault.token);
        }
        if line.starts_with("listening=") {
            for _ in 0..200 {
                if std::net::TcpStream::connect(listen).is_ok() {
                    return Ok(vault);
                }
                std::thread::sleep(std::time::Duration::from_millis(50));
            }
        }
    }
    Err("tests/vault-server ended before it listened".into())
}
