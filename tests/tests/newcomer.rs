//! What a newcomer sees: `keyward dev`, the lines it prints, and the same again tomorrow.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use keyward_tests::{Server, Tenant, b64, unb64};
use serde_json::{Value, json};

/// The lines to paste, as printed.
fn printed(server: &Server) -> Vec<String> {
    server.stdout().lines().filter(|line| line.starts_with("curl ")).map(str::to_owned).collect()
}

/// What a line prints when pasted into a shell.
#[track_caller]
fn paste(line: &str) -> Value {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && err.is_empty(), "{line}\n{out}\n{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{line}\n{out}\n{error}"))
}

#[test]
fn the_three_lines_work_as_printed() {
    let server = Server::dev();
    let lines = printed(&server);
    let [encrypt, decrypt, protect] = lines.as_slice() else { panic!("{}", server.stdout()) };
    let made = paste(encrypt);
    assert!(made["ciphertext"].as_str().unwrap().starts_with("kw1."), "{made}");
    assert_eq!(made["key_version"], 1);
    let opened = paste(decrypt);
    assert_eq!(unb64(opened["plaintext"].as_str().unwrap()), b"hello, keyward");
    // What the first line gave opens as well.
    let body = json!({ "ciphertext": made["ciphertext"] });
    assert_eq!(server.demo().decrypt(&body), b"hello, keyward");

    // The third protects something, and reveals what it was.
    let protected = paste(protect);
    let mut document: Value =
        serde_json::from_str(protect.split('\'').rev().nth(1).unwrap()).unwrap();
    assert!(protected.to_string().contains("\"kw1."), "nothing is protected: {protected}");
    let revealed = server.demo().post("/invoke/reveal", &protected).expect(200).json();
    // Dropped by the rules, for good.
    document.as_object_mut().unwrap().remove("internal").unwrap();
    assert_eq!(revealed, document);

    // A line with a typo in the token says what is wrong, and fails visibly.
    let refused = paste(&encrypt.replace("Bearer kw_", "Bearer kw-"));
    assert_eq!(refused["code"], "unauthenticated");
}

#[test]
fn dev_env_has_three_variables_for_the_owner_alone() {
    let server = Server::dev();
    let path = server.data().join("dev.env");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode, 0o600, "{mode:o}");
    let text = std::fs::read_to_string(&path).unwrap();
    let names: Vec<_> = text.lines().map(|line| line.split('=').next().unwrap()).collect();
    assert_eq!(names, ["KEYWARD_ADDR", "KEYWARD_TOKEN", "KEYWARD_OPERATOR_TOKEN"]);
    assert_eq!(server.dev_env("KEYWARD_ADDR"), format!("http://{}", server.address));
    assert!(server.stdout().contains(path.to_str().unwrap()), "{}", server.stdout());
    // A shell that sources it has what it needs.
    let script = format!(
        ". {}; curl -sS $KEYWARD_ADDR/api/v1/tenants -H \"Authorization: Bearer $KEYWARD_OPERATOR_TOKEN\"",
        path.display()
    );
    assert_eq!(paste(&script)["tenants"][0]["name"], "demo");
    let keys = server.demo().get("/keys").expect(200).json();
    assert!(!keys["keys"].as_array().unwrap().is_empty());
    let operator = server.operator().below("/api/v1/tenants/demo");
    operator.post("/encrypt", &json!({ "key": "demo", "plaintext": "" })).problem(403, "forbidden");
    for file in server.data_files() {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode() & 0o077;
        assert_eq!(mode, 0, "{} is open to others: {mode:o}", file.display());
    }
    let mode = std::fs::metadata(server.data()).unwrap().permissions().mode() & 0o077;
    assert_eq!(mode, 0, "the data directory is open to others: {mode:o}");
}

#[test]
fn a_restart_keeps_tenant_keys_tokens_policy_and_ciphertexts() {
    let mut server = Server::dev();
    let body = json!({ "key": "demo", "plaintext": b64("kept"), "context": b64("c") });
    let old = server.demo().encrypt(&body);
    let operator = server.operator().below("/api/v1/tenants/demo");
    operator.post("/keys/demo/rotate", &json!({})).expect(200);
    let new = server.demo().encrypt(&body);
    let Tenant { app_token, .. } = server.tenant_with_policy("mine", "baseline");
    let app = server.client().token(&app_token).below("/api/v1/tenants/mine");
    let mine = app.encrypt(&json!({ "key": "main", "plaintext": b64("mine") }));
    let keys = server.demo().get("/keys").expect(200).json();
    let policy = server.demo().get("/policy").expect(200).json();
    let tokens = (server.demo_token.clone(), server.operator_token.clone());
    let line = printed(&server)[1].clone();

    for round in 0..2 {
        server.stop();
        server.start_again();
        assert_eq!((server.demo_token.clone(), server.operator_token.clone()), tokens);
        assert_eq!(server.demo().get("/keys").expect(200).json(), keys, "round {round}");
        assert_eq!(server.demo().get("/policy").expect(200).json(), policy);
        for ciphertext in [&old, &new] {
            let body = json!({ "ciphertext": ciphertext, "context": b64("c") });
            assert_eq!(server.demo().decrypt(&body), b"kept");
        }
        let app = server.client().token(&app_token).below("/api/v1/tenants/mine");
        assert_eq!(app.decrypt(&json!({ "ciphertext": mine })), b"mine");
        assert_eq!(paste(&printed(&server)[1])["plaintext"], b64("hello, keyward"));
        // The line of the first start, sent to where the server is now.
        let at = line.find("127.0.0.1").unwrap();
        let port = line[at..].find('/').unwrap();
        let moved = line.replace(&line[at..at + port], &server.address);
        assert_eq!(paste(&moved)["plaintext"], b64("hello, keyward"));
    }
}

#[test]
fn a_policy_of_ones_own_stays() {
    let mut server = Server::dev();
    let operator = server.operator().below("/api/v1/tenants/demo");
    let mine = operator.put_policy(&keyward_tests::policy("records")).expect(200).json();
    server.stop();
    server.start_again();
    assert_eq!(server.demo().get("/policy").expect(200).json(), mine);
}

#[test]
fn without_policies_it_says_how_to_build_them() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let args =
        ["dev", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap(), "--policies", "none"];
    let ended =
        keyward_tests::Launch::new(home.path(), &args).run(std::time::Duration::from_secs(30));
    ended.refused(&["none", "cargo xtask policies"]);
}

#[test]
fn a_taken_port_is_a_line_that_says_so() {
    let server = Server::dev();
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let args = ["dev", "--listen", &server.address, "--data", data.to_str().unwrap()];
    let ended =
        keyward_tests::Launch::new(home.path(), &args).run(std::time::Duration::from_secs(30));
    ended.refused(&[&server.address, "listen"]);
    assert!(!data.exists(), "a start that failed left a data directory");
}
