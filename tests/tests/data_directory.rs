//! A data directory that cannot be used: one line that says what to do, and nothing is lost.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward_tests::{Ended, Launch, Server, Tenant, b64};
use serde_json::json;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);
const ROOT_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

fn serve(home: &Path, data: &Path) -> Launch {
    let data = data.to_str().unwrap();
    Launch::new(home, &["serve", "--listen", "127.0.0.1:0", "--data", data])
}

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// A stopped server whose store has a key, and a ciphertext to tell that it still opens.
struct Stopped {
    home: Arc<TempDir>,
    token: String,
    ciphertext: String,
}

impl Stopped {
    fn with(env: &[(&str, &str)]) -> Self {
        let mut server = Server::serve_with("", env);
        let Tenant { app, app_token, .. } = server.tenant_with_policy("acme", "baseline");
        let ciphertext = app.encrypt(&json!({ "key": "main", "plaintext": b64("kept") }));
        server.stop();
        Self { home: Arc::clone(&server.home), token: app_token, ciphertext }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn store(&self) -> PathBuf {
        self.data().join("keyward.redb")
    }

    #[track_caller]
    fn start(&self, env: &[(&str, &str)]) -> Ended {
        let mut launch = serve(self.home.path(), &self.data());
        for (name, value) in env {
            launch = launch.env(name, value);
        }
        launch.run(LIMIT)
    }

    /// Fails unless everything is there once the mistake is put right.
    #[track_caller]
    fn still_opens(&self, env: &[(&str, &str)]) {
        let server = Server::serve_in(Arc::clone(&self.home), "", env);
        let client = server.client().token(&self.token).below("/api/v1/tenants/acme");
        assert_eq!(client.decrypt(&json!({ "ciphertext": self.ciphertext })), b"kept");
    }
}

#[test]
fn a_file_in_its_place() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    fs::write(&data, "a file").unwrap();
    for path in [data.clone(), data.join("below")] {
        let ended = serve(home.path(), &path).run(LIMIT);
        ended.refused(&[path.to_str().unwrap(), "data"]);
        let args = ["dev", "--listen", "127.0.0.1:0", "--data", path.to_str().unwrap()];
        Launch::new(home.path(), &args).run(LIMIT).refused(&[path.to_str().unwrap()]);
    }
    assert_eq!(fs::read(&data).unwrap(), b"a file");
}

#[test]
fn read_only() {
    let stopped = Stopped::with(&[]);
    let open_to_all = |path: &Path| mode(path, 0o755);
    open_to_all(stopped.home.path());
    // As a user who may read everything and write nothing; root may always write.
    let unprivileged = serve(stopped.home.path(), &stopped.data()).unprivileged();
    let restricted = [stopped.data(), stopped.store(), stopped.data().join("keyward.lock")];
    mode(&restricted[0], 0o555);
    for file in &restricted[1..] {
        mode(file, 0o444);
    }
    unprivileged.run(LIMIT).refused(&[stopped.data().to_str().unwrap(), "read and write access"]);
    // A new directory that cannot be made.
    let new = stopped.data().join("new");
    let ended = serve(stopped.home.path(), &new).unprivileged().run(LIMIT);
    ended.refused(&[new.to_str().unwrap()]);
    mode(&restricted[0], 0o700);
    for file in &restricted[1..] {
        mode(file, 0o600);
    }
    stopped.still_opens(&[]);
}

#[test]
fn in_use_by_another_process() {
    let server = Server::serve("");
    let tenant = server.tenant_with_policy("acme", "baseline");
    for command in ["serve", "dev"] {
        let data = server.data();
        let args = [command, "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()];
        let ended = Launch::new(server.home.path(), &args).run(LIMIT);
        ended.refused(&[data.to_str().unwrap(), "in use by another process"]);
    }
    tenant.app.encrypt(&json!({ "key": "main", "plaintext": "" }));
}

#[test]
fn corrupted() {
    let stopped = Stopped::with(&[]);
    let good = fs::read(stopped.store()).unwrap();
    let damages: [(&str, Vec<u8>); 5] = [
        ("empty", Vec::new()),
        ("of zeros", vec![0; good.len()]),
        ("of text", b"not a database\n".repeat(1_000)),
        ("cut in half", good[..good.len() / 2].to_vec()),
        ("with a damaged head", [&[0xff; 64], &good[64..]].concat()),
    ];
    for (what, bytes) in damages {
        println!("{what}");
        fs::write(stopped.store(), bytes).unwrap();
        stopped.start(&[]).refused(&[stopped.store().to_str().unwrap(), "damaged", "backup"]);
    }
    fs::write(stopped.store(), &good).unwrap();
    stopped.still_opens(&[]);
}

/// A flipped byte anywhere either is found, or lies where nothing is kept.
#[test]
fn corrupted_somewhere() {
    let stopped = Stopped::with(&[]);
    let good = fs::read(stopped.store()).unwrap();
    let used: Vec<usize> = (0..good.len()).filter(|&at| good[at] != 0).collect();
    let mut found = 0;
    for at in used.iter().step_by(used.len() / 16) {
        let mut damaged = good.clone();
        damaged[*at] ^= 0xff;
        fs::write(stopped.store(), damaged).unwrap();
        let mut process = serve(stopped.home.path(), &stopped.data()).start();
        let start = Instant::now();
        let status = loop {
            let status = process.wait(Duration::from_millis(10));
            if status.is_some() || process.stderr().contains("listening") {
                break status;
            }
            assert!(start.elapsed() < LIMIT, "byte {at}: {}", process.stderr());
        };
        let (stdout, stderr) = (process.stdout(), process.stderr());
        assert!(!stderr.contains("panicked"), "byte {at}: {stderr}");
        if let Some(status) = status {
            found += 1;
            let ended = Ended { status, stdout, stderr, took: start.elapsed() };
            ended.refused(&[stopped.data().to_str().unwrap()]);
        }
    }
    assert!(found > 0, "no damage was found");
    fs::write(stopped.store(), &good).unwrap();
    stopped.still_opens(&[]);
}

#[test]
fn sealed_under_another_root_key() {
    let stopped = Stopped::with(&[]);
    let another = [("KEYWARD_ROOT_KEY", ROOT_KEY)];
    let store = stopped.store();
    let parts = [store.to_str().unwrap(), "another root key"];
    stopped.start(&another).refused(&parts);
    stopped.start(&[("KEYWARD_ROOT_PASSPHRASE", "open sesame")]).refused(&parts);
    let file = stopped.home.path().join("another.key");
    fs::write(&file, ROOT_KEY).unwrap();
    mode(&file, 0o600);
    stopped.start(&[("KEYWARD_ROOT_KEY_FILE", file.to_str().unwrap())]).refused(&parts);
    stopped.still_opens(&[]);
}

#[test]
fn another_passphrase() {
    let right = [("KEYWARD_ROOT_PASSPHRASE", "correct horse battery staple")];
    let stopped = Stopped::with(&right);
    assert!(!stopped.data().join("root.key").exists(), "a passphrase needs no key file");
    let wrong = [("KEYWARD_ROOT_PASSPHRASE", "correct horse battery stable")];
    let ended = stopped.start(&wrong);
    assert!(!ended.stderr.contains("stable"), "{}", ended.stderr);
    ended.refused(&["another root key"]);
    stopped.start(&[]).refused(&["root"]);
    stopped.still_opens(&right);
}

#[test]
fn root_key_from_the_environment() {
    let stopped = Stopped::with(&[("KEYWARD_ROOT_KEY", ROOT_KEY)]);
    assert!(!stopped.data().join("root.key").exists());
    for bad in ["short", "not base64!", "AAAA", &b64([0; 31]), &b64([0; 33])] {
        let ended = stopped.start(&[("KEYWARD_ROOT_KEY", bad)]);
        assert!(!ended.stderr.contains(bad), "{}", ended.stderr);
        ended.refused(&["root key", "32"]);
    }
    stopped.still_opens(&[("KEYWARD_ROOT_KEY", ROOT_KEY)]);
}

#[test]
fn root_key_file_missing_exposed_or_damaged() {
    let stopped = Stopped::with(&[]);
    let file = stopped.data().join("root.key");
    let path = file.to_str().unwrap();
    let good = fs::read(&file).unwrap();
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    for loose in [0o644, 0o640, 0o604, 0o666] {
        mode(&file, loose);
        stopped.start(&[]).refused(&[path, "chmod 600"]);
    }
    mode(&file, 0o600);
    for damaged in [&b""[..], b"nonsense", &good[..good.len() / 2]] {
        fs::write(&file, damaged).unwrap();
        stopped.start(&[]).refused(&[path]);
    }
    fs::remove_file(&file).unwrap();
    stopped.start(&[]).refused(&[path, "missing", "backup"]);
    assert!(!file.exists(), "a new root key would hide that the old one is missing");
    fs::create_dir(&file).unwrap();
    stopped.start(&[]).refused(&[path]);
    fs::remove_dir(&file).unwrap();

    fs::write(&file, &good).unwrap();
    mode(&file, 0o600);
    stopped.still_opens(&[]);
}

/// A policy file that is gone or changed shuts its tenant, not the server.
#[test]
fn a_policy_that_does_not_load() {
    let stopped = Stopped::with(&[]);
    let policies = stopped.data().join("policies");
    let file = fs::read_dir(&policies).unwrap().next().unwrap().unwrap().path();
    let good = fs::read(&file).unwrap();
    let mut changed = good.clone();
    *changed.last_mut().unwrap() ^= 1;
    for damage in [
        None,
        Some(&b"nonsense"[..]),
        Some(&changed[..]),
        Some(&keyward_tests::policy("records")[..]),
    ] {
        match damage {
            Some(bytes) => fs::write(&file, bytes).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let server = Server::serve_in(Arc::clone(&stopped.home), "", &[]);
        let client = server.client().token(&stopped.token).below("/api/v1/tenants/acme");
        let body = json!({ "ciphertext": stopped.ciphertext });
        client.post("/decrypt", &body).problem(503, "policy_unusable");
        let ready = server.client().get("/readyz").expect(200).json();
        assert_eq!(ready["warnings"].as_array().unwrap().len(), 1);
        assert!(!ready.to_string().contains("acme"), "readyz names a tenant");
    }
    fs::write(&file, &good).unwrap();
    stopped.still_opens(&[]);
}
