//! An S3 with one bucket, which the test owns: what answers is moto, of the tests' Python.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

use crate::{b64, python};

/// A running S3, ended when dropped. Its bucket is `keyward`, and empty.
pub struct Bucket {
    /// Where it speaks S3's protocol.
    pub address: String,
    child: Child,
    ends: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Bucket {
    /// Starts it; none without the tests' Python, which is said.
    pub fn start() -> Option<Self> {
        let Some(mut python) = python::program("python") else {
            println!("SKIPPED: no S3 without {}", python::VARIABLE);
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/bucket.py");
        python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = python.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut address = String::new();
        stdout.read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        assert!(address.starts_with("http://"), "no S3: cargo xtask test installs it");
        Some(Self { address, child, ends: Mutex::new((stdin, stdout)) })
    }

    fn ask(&self, what: &str) -> Value {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.0.write_all(format!("{what}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        ends.1.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{what}: {error}: {answer}"))
    }

    /// The names of its objects.
    pub fn names(&self) -> Vec<String> {
        let names = self.ask("list");
        names.as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    }

    /// Replaces an object, as its owner can.
    pub fn put(&self, name: &str, bytes: &[u8]) {
        self.ask(&format!("put {name} {}", b64(bytes)));
    }

    /// Removes an object, as its owner can.
    pub fn delete(&self, name: &str) {
        self.ask(&format!("delete {name}"));
    }
}

impl Drop for Bucket {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
