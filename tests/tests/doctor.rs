//! `keyward doctor`: what it finds, and that what it says to do helps.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keyward_test_vault::{Options, Vault};
use keyward_tests::vault::{self, Env};
use keyward_tests::{Ended, Launch, Server};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_mins(1);

struct Doctor {
    ended: Ended,
    findings: Vec<Value>,
}

impl Doctor {
    #[track_caller]
    fn run(home: &Path, config: &str, env: &[(&str, &str)]) -> Self {
        let path = home.join("keyward.toml");
        fs::write(&path, config).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let args = ["doctor", "--json", "--config", path.to_str().unwrap()];
        let mut launch = Launch::new(home, &args)
            .env("KEYWARD_DATA_DIR", home.join("data").to_str().unwrap())
            .env("KEYWARD_LISTEN", "127.0.0.1:0");
        for (name, value) in env {
            launch = launch.env(name, value);
        }
        let ended = launch.run(LIMIT);
        let findings = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{ended:?}"));
        Self { ended, findings }
    }

    #[track_caller]
    fn ends(&self, code: i32) -> &Self {
        assert_eq!(self.ended.status.code(), Some(code), "{:?}", self.ended);
        self
    }

    /// What a check found, in a state.
    #[track_caller]
    fn found(&self, check: &str, state: &str, part: &str) -> &Value {
        let mut of_check = self.findings.iter().filter(|it| it["check"] == check);
        let is_it = |it: &&Value| {
            it["state"] == state && it["found"].as_str().is_some_and(|text| text.contains(part))
        };
        let found = of_check.find(is_it);
        found.unwrap_or_else(|| panic!("no {state} {check} with {part:?}: {}", self.ended.stdout))
    }

    #[track_caller]
    fn fix(&self, check: &str, state: &str, part: &str) -> &str {
        self.found(check, state, part)["fix"].as_str().unwrap()
    }
}

#[test]
fn a_new_home_is_fine_and_is_left_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    let doctor = Doctor::run(home.path(), "", &[]);
    doctor.ends(0);
    for check in [
        "configuration",
        "configuration file",
        "data directory",
        "disk",
        "root key",
        "open files",
        "address space",
        "swap",
        "hardening",
        "address",
        "TLS",
        "clock",
        "policy sandbox",
        "policy compiler",
    ] {
        let all: Vec<_> = doctor.findings.iter().filter(|it| it["check"] == check).collect();
        assert!(!all.is_empty(), "no {check}: {}", doctor.ended.stdout);
        assert!(all.iter().all(|it| it["state"] != "failed"), "{all:?}");
    }
    for finding in &doctor.findings {
        let needs_fix = finding["state"] == "failed" || finding["state"] == "warning";
        assert_eq!(finding.get("fix").is_some(), needs_fix, "{finding}");
    }
    let mut left: Vec<_> =
        fs::read_dir(home.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    left.retain(|name| !name.to_string_lossy().starts_with("std"));
    assert_eq!(left, ["keyward.toml"]);
}

#[test]
fn it_is_written_for_people_as_well() {
    let home = tempfile::tempdir().unwrap();
    let ended =
        Launch::new(home.path(), &["doctor"]).env("KEYWARD_LISTEN", "127.0.0.1:0").run(LIMIT);
    assert!(ended.status.success(), "{ended:?}");
    assert!(ended.stdout.contains("ok       configuration: "), "{}", ended.stdout);
    assert!(ended.stdout.trim_end().ends_with("skipped"), "{}", ended.stdout);
}

#[test]
fn a_configuration_that_cannot_be_used_is_all_there_is_to_say() {
    let home = tempfile::tempdir().unwrap();
    let doctor = Doctor::run(home.path(), "lisen = 1\nhttp.max_items = 0\n", &[]);
    doctor.ends(2).found("configuration", "failed", "did you mean `listen`?");
    doctor.found("configuration", "failed", "`http.max_items`");
    assert_eq!(doctor.findings.len(), 2);
}

#[test]
fn a_server_at_work_is_not_disturbed() {
    let server = Server::serve("");
    let config = format!("listen = {:?}\n", server.address);
    let doctor = Doctor::run(server.home.path(), &config, &[("KEYWARD_LISTEN", &server.address)]);
    doctor.ends(0).found("key store", "ok", "a server has it open");
    doctor.found("address", "warning", &server.address);
    server.operator().get("/api/v1/tenants").expect(200);
}

#[test]
fn what_is_wrong_with_files_is_found_and_its_cure_helps() {
    let mut server = Server::serve("");
    server.tenant("acme");
    server.stop();
    let home = server.home.path();
    let (data, key) = (home.join("data"), home.join("data/root.key"));
    let set = |path: &Path, mode: u32| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    Doctor::run(home, "", &[]).ends(0).found("key store", "ok", "opens under the root key");

    set(&data, 0o755);
    set(&key, 0o644);
    let doctor = Doctor::run(home, "", &[]);
    for (check, state) in [("data directory", "warning"), ("root key", "failed")] {
        let fix = doctor.ends(1).fix(check, state, "others may");
        // As it is said.
        let command = fix.split(", ").next().unwrap();
        let mut words = command.split(' ');
        let mut run = std::process::Command::new(words.next().unwrap());
        assert!(run.args(words).status().unwrap().success(), "{command}");
    }
    Doctor::run(home, "", &[]).ends(0);

    let good = fs::read(&key).unwrap();
    fs::write(&key, Doctor::other_key(&good)).unwrap();
    let doctor = Doctor::run(home, "", &[]);
    doctor.ends(1).found("key store", "failed", "root key");
    assert!(!doctor.ended.stdout.contains(std::str::from_utf8(&good).unwrap().trim()));
    fs::write(&key, good).unwrap();
    fs::write(home.join("not-a-directory"), "").unwrap();
    let env = [("KEYWARD_AUDIT_DIR", home.join("not-a-directory"))];
    let env = env.each_ref().map(|(name, path)| (*name, path.to_str().unwrap()));
    Doctor::run(home, "", &env).ends(1).found("audit directory", "failed", "no directory");
}

impl Doctor {
    /// A root key's file with another key in it.
    fn other_key(file: &[u8]) -> Vec<u8> {
        let mut other = file.to_vec();
        let at = other.iter().position(u8::is_ascii_alphanumeric).unwrap();
        other[at] = if other[at] == b'A' { b'B' } else { b'A' };
        other
    }
}

#[test]
fn certificates_are_looked_at() {
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let day = Duration::from_hours(24);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let made = |end: Duration| {
        let mut parameters = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        parameters.not_before = rcgen::date_time_ymd(2020, 1, 1);
        parameters.not_after = rcgen::date_time_ymd(1970, 1, 1) + end;
        let pair = rcgen::KeyPair::generate().unwrap();
        fs::write(path("cert.pem"), parameters.self_signed(&pair).unwrap().pem()).unwrap();
        fs::write(path("key.pem"), pair.serialize_pem()).unwrap();
    };
    let config = format!("[tls]\ncert = {:?}\nkey = {:?}\n", path("cert.pem"), path("key.pem"));
    made(now + 90 * day + day / 2);
    Doctor::run(home.path(), &config, &[]).ends(0).found("TLS", "ok", "end in 90 days");
    made(now + 9 * day + day / 2);
    Doctor::run(home.path(), &config, &[]).ends(0).found("TLS", "warning", "ends in 9 days");
    made(now.saturating_sub(day));
    Doctor::run(home.path(), &config, &[]).ends(1).found("TLS", "failed", "has ended");
    fs::write(path("cert.pem"), "nonsense").unwrap();
    Doctor::run(home.path(), &config, &[]).ends(1).found("TLS", "failed", "`tls.cert`");
}

#[test]
fn a_vault_and_its_policy_are_looked_at() {
    let vault = Vault::start(Options::default());
    let root = vault::prepare(&vault);
    let home = tempfile::tempdir().unwrap();
    let env = Env::new(&vault.address).approle(&vault::role(&root, "30m", "4h"));
    let doctor = Doctor::run(home.path(), "", &env.pairs());
    doctor.ends(0).found("Vault", "ok", "lets this server in");
    doctor.found("Vault policy", "ok", "everything that is needed is allowed");
    doctor.found("clock", "ok", "Vault's");

    // One that may log in, and nothing else.
    let token = root.create_token(&json!({ "policies": ["default"] }));
    let poor = Env::new(&vault.address).token(&token);
    let doctor = Doctor::run(home.path(), "", &poor.pairs());
    let fix = doctor.ends(1).fix("Vault policy", "failed", "");
    assert!(fix.contains("capabilities = ["), "{fix}");
    assert!(!doctor.ended.stdout.contains(&token), "{}", doctor.ended.stdout);

    vault.seal();
    let doctor = Doctor::run(home.path(), "", &env.pairs());
    doctor.ends(1).found("Vault", "failed", "sealed");
}

#[test]
fn an_identity_provider_is_looked_at() {
    let home = tempfile::tempdir().unwrap();
    let config = format!(
        "[jwt]\nissuer = \"https://idp.test\"\naudience = [\"keyward\"]\njwks_file = {:?}\n",
        home.path().join("jwks.json")
    );
    let doctor = Doctor::run(home.path(), &config, &[]);
    doctor.ends(1).found("identity provider", "failed", "jwks.json");
    fs::write(home.path().join("jwks.json"), "{\"keys\":[]}").unwrap();
    Doctor::run(home.path(), &config, &[]).ends(1).found(
        "identity provider",
        "failed",
        "jwks.json",
    );
}
