//! What the process gives up before it serves anybody.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::sync::Arc;
use std::time::Duration;

use keyward_tests::{LIMIT, Launch, Server, b64};
use rustix::process::Signal;
use serde_json::json;

/// `CAP_IPC_LOCK` and `CAP_DAC_OVERRIDE`, as bits.
const IPC_LOCK: u64 = 1 << 14;
const DAC_OVERRIDE: u64 = 1 << 1;

/// A line of the server's `/proc/PID/FILE`, without its name.
#[track_caller]
fn process(server: &Server, file: &str, name: &str) -> String {
    let text = fs::read_to_string(format!("/proc/{}/{file}", server.id())).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_else(|| panic!("no {name}: {text}")).trim().to_owned()
}

fn capabilities(server: &Server) -> [u64; 3] {
    ["CapEff:", "CapPrm:", "CapBnd:"]
        .map(|set| u64::from_str_radix(&process(server, "status", set), 16).unwrap())
}

/// `required`, or `on` where this kernel has not all of it, as `keyward doctor` finds.
fn strictly() -> &'static str {
    let home = tempfile::tempdir().unwrap();
    let doctor = Launch::new(home.path(), &["doctor", "--json"]).run(LIMIT);
    let findings: serde_json::Value = serde_json::from_str(&doctor.stdout).unwrap();
    let mut findings = findings.as_array().unwrap().iter();
    let hardening = findings.find(|finding| finding["check"] == "hardening").unwrap();
    if hardening["state"] == "ok" {
        return "required";
    }
    println!("SKIPPED: `required`: {hardening}");
    "on"
}

/// Every thread that works is held to it, not the first alone.
fn threads(server: &Server, name: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{}/task", server.id())).unwrap();
    let status = |thread: fs::DirEntry| fs::read_to_string(thread.path().join("status")).unwrap();
    let line = |text: String| text.lines().find_map(|line| line.strip_prefix(name)).unwrap().into();
    threads.map(|thread| line(status(thread.unwrap()))).collect()
}

#[test]
fn a_server_gives_up_what_it_does_not_need_and_works() {
    let mut server = Server::serve(&format!("hardening = {:?}\n", strictly()));
    let tenant = server.tenant_with_policy("acme", "fields");
    let ciphertext = tenant.app.encrypt(&json!({ "key": "main", "plaintext": b64("x") }));
    assert_eq!(tenant.app.decrypt(&json!({ "ciphertext": ciphertext })), b"x");

    for (name, value) in [("NoNewPrivs:\t", "1"), ("Seccomp:\t", "2")] {
        let threads = threads(&server, name);
        assert!(threads.len() > 2 && threads.iter().all(|it| it == value), "{name} {threads:?}");
    }
    for set in capabilities(&server) {
        assert_eq!(set & !IPC_LOCK, 0, "{set:x}");
    }
    let cores = process(&server, "limits", "Max core file size");
    assert!(cores.split_whitespace().take(2).all(|limit| limit == "0"), "{cores}");

    let metrics = server.client().get("/metrics").expect(200).text();
    let figure = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().parse::<f64>().unwrap()
    };
    let locked = figure("keyward_key_memory_locked_bytes ");
    let failed = figure("keyward_key_memory_lock_failures_total ");
    assert!(locked >= 4096.0 || failed > 0.0, "{locked} {failed}");
    let kernel = process(&server, "status", "VmLck:");
    let kernel: f64 = kernel.split_whitespace().next().unwrap().parse().unwrap();
    assert!(kernel * 1024.0 >= locked, "{kernel} KiB, {locked}");

    server.signal(Signal::ABORT);
    let status = server.wait(LIMIT).unwrap();
    assert_eq!((status.signal(), status.core_dumped()), (Some(6), false));
}

#[test]
fn it_can_be_left_off() {
    let server = Server::serve("hardening = \"off\"\n");
    assert_eq!(process(&server, "status", "Seccomp:"), "0");
    assert!(server.stderr().contains("`hardening` is off"), "{}", server.stderr());
}

/// Certificates, keys and lists may be anywhere; what the configuration does not name is not there.
#[test]
fn files_that_are_named_are_read_wherever_they_are() {
    let elsewhere = tempfile::tempdir().unwrap();
    let audit = elsewhere.path().join("audit");
    let key = elsewhere.path().join("keys/root.key");
    fs::create_dir(key.parent().unwrap()).unwrap();
    let strictly = strictly();
    let config =
        format!("hardening = {strictly:?}\naudit.dir = {audit:?}\nroot_key.file = {key:?}\n");
    let mut server = Server::serve(&config);
    assert!(key.exists() && fs::read_dir(&audit).unwrap().count() > 0);
    server.tenant("acme");
    server.stop();
    server.start_again();
    server.operator().get("/api/v1/tenants/acme/keys").expect(200);
}

/// Root on a directory of somebody else's, as in a container with a volume.
#[test]
fn files_of_others_stay_open_to_root() {
    if !rustix::process::geteuid().is_root() {
        println!("SKIPPED: only root has files of others");
        return;
    }
    let home = Arc::new(tempfile::tempdir().unwrap());
    let data = home.path().join("data");
    fs::create_dir(&data).unwrap();
    std::os::unix::fs::chown(&data, Some(65_534), Some(65_534)).unwrap();
    let server = Server::serve_in(home, "", &[]);
    server.tenant("acme");
    assert_eq!(capabilities(&server)[0] & !IPC_LOCK, DAC_OVERRIDE);
}

#[test]
fn one_without_privileges_is_hardened_too() {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let data = home.path().join("data");
    let launch = Launch::new(home.path(), &["serve"])
        .env("KEYWARD_HARDENING", strictly())
        .env("KEYWARD_LISTEN", "127.0.0.1:0")
        .env("KEYWARD_DATA_DIR", data.to_str().unwrap())
        .unprivileged();
    let mut process = launch.start();
    keyward_tests::until("listening", || process.stderr().contains("listening"));
    assert!(process.wait(Duration::ZERO).is_none(), "{}", process.stderr());
    process.signal(Signal::TERM);
    assert!(process.wait(LIMIT).unwrap().success(), "{}", process.stderr());
}
