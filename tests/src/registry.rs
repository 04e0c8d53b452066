//! An OCI registry: go-containerregistry's own, of `tests/oci-registry`.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use keyward_test_vault::{go, program};

/// Names the registry to use; set by whoever has built it.
pub const VARIABLE: &str = "KEYWARD_TEST_OCI_REGISTRY";

/// A running registry without TLS, ended when dropped.
pub struct Registry {
    /// Host and port.
    pub host: String,
    child: Child,
}

impl Registry {
    /// Starts one for everybody.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts one for this user alone.
    pub fn start_for(user: &str, password: &str) -> Self {
        Self::start_with(&["-user", user, "-password", password])
    }

    fn start_with(args: &[&str]) -> Self {
        let build = || go::build("oci-registry", "it takes some seconds");
        let path = program::given(VARIABLE).map_or_else(build, Ok).unwrap();
        let mut command = Command::new(path);
        // It ends when its standard input does, so none outlives its test.
        command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut host = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut host).unwrap();
        Self { host: host.trim().to_owned(), child }
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
