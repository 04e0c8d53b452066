//! An audit log that is sealed to auditors: nobody else learns from it who did what with which key, and
//! entries are found all the same.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;

use keyward_tests::age::Owner;
use keyward_tests::{Cli, Client, Server, Tenant, b64, until};
use serde_json::{Value, json};

const STDOUT: (&str, &str) = ("KEYWARD_AUDIT_STDOUT", "true");

/// All names that only the auditor is to read.
const PRIVATE: [&str; 6] =
    ["tenant-of-secrets", "mergers", "quarterly", "127.0.0.1", "sha256:", "token "];

fn busy(server: &Server) -> Tenant {
    let tenant = server.tenant_with_policy("tenant-of-secrets", "baseline");
    tenant.key("mergers");
    work(&tenant.app);
    tenant
}

/// One encryption, and one that names no key there is.
fn work(app: &Client) {
    let plain = |key: &str| json!({ "key": key, "plaintext": b64("x"), "purpose": "quarterly" });
    app.encrypt(&plain("mergers"));
    app.post("/encrypt", &plain("nothing")).expect(404);
}

fn lines(bytes: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(bytes).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn only_the_auditor_reads_who_did_what() {
    let (anna, bert) = (Owner::new(), Owner::new());
    let to = format!("{};{}", anna.recipient(), bert.recipient());
    let mut server = Server::dev_with(&[("KEYWARD_AUDIT_ENCRYPT_TO", &to), STDOUT]);
    let tenant = busy(&server);
    let count = |admin: &Client, query: &str| {
        let page = admin.get(&format!("/audit?{query}")).expect(200).json();
        page["entries"].as_array().unwrap().len()
    };
    until("entries are found by subject", || count(&tenant.admin, "subject=app") == 2);
    server.stop();
    server.start_again();
    // It listens at another port.
    let of = |token| server.client().below("/api/v1/tenants/tenant-of-secrets").token(token);
    work(&of(&tenant.app_token));
    let admin = of(&tenant.admin_token);
    until("and so are those of the next start", || count(&admin, "subject=app") == 4);
    assert_eq!(count(&admin, "key=mergers&operation=encrypt"), 2);
    let page = |query: &str| admin.get(&format!("/audit?{query}")).expect(200).json();
    let all = page("subject=app");
    let shown = all["entries"].as_array().unwrap();
    assert_eq!(shown[0]["operation"], "encrypt");
    assert_eq!(shown[1]["code"], "policy_not_found");
    assert_eq!(page("subject=somebody")["entries"], json!([]));
    server.stop();

    // What is on disk, on standard output, and in the answers of the API.
    let dir = server.data().join("audit");
    let files = fs::read_dir(&dir).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    let mut written: Vec<u8> = files.collect::<Vec<_>>().concat();
    written.extend_from_slice(server.stdout().as_bytes());
    written.extend_from_slice(all.to_string().as_bytes());
    let written = String::from_utf8(written).unwrap();
    for private in PRIVATE {
        assert!(!written.contains(&format!("\"{private}")), "{private} is in the log");
    }

    let cli = Cli::new("http://127.0.0.1:1");
    let dir = dir.to_str().unwrap();
    let verified = cli.run(&["audit", "verify", "--dir", dir]);
    assert!(verified.code == Some(0), "{verified:?}");
    for owner in [&anna, &bert] {
        let identity = cli.file("auditor.key", owner.file());
        let query = ["audit", "query", "--dir", dir, "--json", "--identity", &identity];
        let done = cli.run(&[&query[..], &["--tenant", "tenant-of-secrets"]].concat());
        assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
        let entries = lines(&done.stdout);
        let used: Vec<_> = entries.iter().filter(|entry| entry["key"] == "mergers").collect();
        assert_eq!(used.len(), 3, "created once, used twice: {entries:?}");
        let last = used[2];
        assert_eq!(
            (&last["subject"], &last["purpose"], &last["version"], &last["status"]),
            (&json!("app"), &json!("quarterly"), &json!(1), &json!(200))
        );
        assert!(last["sealed"].is_null() && last["terms"].is_null());
        let credential = last["credential"].as_str().unwrap();
        let done = cli.run(&[&query[..], &["--credential", credential]].concat());
        assert_eq!(lines(&done.stdout).len(), 4);
    }

    // Somebody else, and nobody.
    let other = cli.file("other.key", Owner::new().file());
    let query = ["audit", "query", "--dir", dir, "--key", "mergers"];
    let done = cli.run(&[&query[..], &["--identity", &other]].concat());
    assert!(done.stdout.is_empty() && done.stderr.contains("for others than this identity"));
    let done = cli.run(&query);
    assert!(done.stdout.is_empty() && done.stderr.contains("--identity"), "{done:?}");
    let none = cli.file("none.key", "# nothing\n");
    let done = cli.run(&[&query[..], &["--identity", &none]].concat());
    assert!(done.code == Some(2) && done.stderr.contains("age-keygen"), "{done:?}");
}

#[test]
fn whoever_reads_must_be_somebody() {
    let secret = Owner::new().file();
    let secret = secret.lines().nth(1).unwrap();
    for (to, enabled, expected) in [
        ("age1nobody", "true", "age1nobody"),
        (secret, "true", "a secret key"),
        (&Owner::new().recipient(), "false", "`audit.enabled`"),
    ] {
        let cli = Cli::new("http://127.0.0.1:1")
            .env("KEYWARD_AUDIT_ENCRYPT_TO", to)
            .env("KEYWARD_AUDIT_ENABLED", enabled);
        let done = cli.run(&["config", "check"]);
        assert_eq!(done.code, Some(2), "{done:?}");
        assert!(done.stderr.contains("audit.encrypt_to"), "{done:?}");
        assert!(done.stderr.contains(expected), "{done:?}");
        assert!(!done.stderr.contains("AGE-SECRET-KEY-"), "{done:?}");
    }
}
