//! The command line client against a real server.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use keyward_tests::{Cli, Done, Server, Tenant, b64};
use serde_json::{Value, json};

static SERVER: LazyLock<Server> = LazyLock::new(Server::dev);

fn tenant(name: &str) -> (Tenant, Cli) {
    let tenant = SERVER.tenant_with_policy(name, "fields");
    let cli = Cli::tenant(&SERVER, &tenant);
    (tenant, cli)
}

/// The columns of the row that begins so.
#[track_caller]
fn row<'a>(text: &'a str, first: &str) -> Vec<&'a str> {
    let rows = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut found = rows.filter(|row| row.first() == Some(&first));
    found.next().unwrap_or_else(|| panic!("{first} is not in\n{text}"))
}

#[test]
fn a_keys_life() {
    let (_tenant, cli) = tenant("cli-keys");
    let json = |args: &[&str]| cli.run(&[args, &["--json"]].concat()).good().json();
    let made =
        json(&["key", "create", "orders", "--algorithm", "aes-256-gcm", "--attribute", "a=b"]);
    assert_eq!(made["algorithm"], "aes-256-gcm");
    assert_eq!(made["attributes"], json!({ "a": "b" }));
    assert_eq!(json(&["key", "show", "orders"]), made);
    assert_eq!(json(&["key", "list"])["keys"].as_array().unwrap().len(), 2);
    let listed = cli.run(&["key", "list"]).good();
    assert_eq!(row(listed.text(), "NAME")[1], "ALGORITHM");
    assert_eq!(row(listed.text(), "orders")[1], "aes-256-gcm");
    assert_eq!(json(&["key", "rotate", "orders"]), json!({ "key_version": 2 }));
    assert_eq!(row(cli.run(&["key", "rotate", "orders"]).good().text(), "key_version")[1], "3");
    assert_eq!(json(&["key", "rollback", "orders", "--to", "1"])["target_version"], 1);
    let history = json(&["key", "history", "orders"]);
    assert_eq!(history["history"].as_array().unwrap().last().unwrap()["action"], "rollback");
    assert_eq!(json(&["key", "destroy-version", "orders", "2"])["version"], 2);
    cli.run(&["key", "destroy-version", "orders", "1"]).failed(1, &["key_version_is_current"]);
    assert_eq!(json(&["key", "disable", "orders"])["state"], "disabled");
    cli.pipe(&["encrypt", "--key", "orders"], b"x").failed(1, &["key_disabled: ", "disabled"]);
    assert_eq!(json(&["key", "enable", "orders"])["state"], "enabled");
    json(&["key", "rollback", "orders", "--to", "3"]);
    let set = json(&[
        "key",
        "set",
        "orders",
        "--min-decrypt",
        "3",
        "--label",
        "env=prod",
        "--owner",
        "team-a",
        "--reason",
        "a drill",
    ]);
    assert_eq!((&set["min_decrypt_version"], &set["min_encrypt_version"]), (&3.into(), &3.into()));
    assert_eq!((&set["labels"]["env"], &set["owner"]), (&"prod".into(), &"team-a".into()));
    let set = json(&["key", "set", "orders", "--remove-label", "env", "--owner", ""]);
    assert_eq!((set["labels"].get("env"), set.get("owner")), (None, None));
    let rotation = json(&["key", "rotation", "orders", "--every", "30d", "--max-messages", "5000"]);
    let expected = serde_json::json!({ "every": "30d", "max_messages": 5000 });
    assert_eq!(rotation["rotation"], expected);
    assert_eq!(json(&["key", "rotation", "orders", "--never"]).get("rotation"), None);
    cli.run(&["key", "rotation", "orders", "--every", "1w"]).failed(1, &["(field /every)"]);
    assert_eq!(row(cli.run(&["key", "usage", "orders"]).good().text(), "3").last(), Some(&"0"));
    let trim = ["key", "trim", "orders", "--below", "3", "--safe", "--reason", "unused"];
    assert_eq!(json(&trim)["min_available_version"], 3);
    cli.run(&["key", "trim", "orders", "--below", "4"]).failed(1, &["key_trim_too_high"]);
    let page = json(&["key", "list", "--prefix", "ord", "--limit", "1"]);
    assert_eq!(page["keys"][0]["name"], "orders");
    let deleted = json(&["key", "delete", "orders", "--window", "3600"]);
    assert_eq!(deleted["state"], "deleted");
    assert_eq!(json(&["key", "list", "--deleted"])["keys"][0]["name"], "orders");
    assert_eq!(json(&["key", "restore", "orders"])["state"], "enabled");
    let other = cli.run(&["key", "destroy", "orders", "--confirm", "order"]);
    other.failed(1, &["invalid_field", "(field /confirm)"]);
    assert_eq!(cli.run(&["key", "destroy", "orders"]).code, Some(2));
    let receipt = cli.run(&["key", "destroy", "orders", "--confirm", "orders"]).good();
    assert_eq!(row(receipt.text(), "destroyed_by")[1], "operator");
    cli.run(&["key", "show", "orders"]).failed(1, &["key_not_found", "orders"]);
    assert_eq!(cli.run(&["key", "list", "--deleted"]).good().text(), "none\n");
}

#[test]
fn values() {
    let (tenant, cli) = tenant("cli-values");
    let sealed = cli.pipe(&["encrypt", "--key", "main", "--context", "row 17"], b"h\0llo\n").good();
    let line = sealed.text().strip_suffix('\n').unwrap();
    assert!(line.starts_with("kw1.") && !line.contains('\n'), "{line}");
    let body = json!({ "ciphertext": line, "context": b64("row 17") });
    assert_eq!(tenant.app.decrypt(&body), b"h\0llo\n");
    let open = ["decrypt", "--context", "row 17"];
    assert_eq!(cli.pipe(&open, &sealed.stdout).good().stdout, b"h\0llo\n");
    cli.pipe(&["decrypt"], &sealed.stdout).failed(1, &["ciphertext_invalid", "/ciphertext"]);
    let answer = cli.pipe(&["decrypt", "--json", "--context", "row 17"], &sealed.stdout).good();
    assert_eq!(answer.json(), json!({ "plaintext": b64("h\0llo\n"), "key_version": 1 }));
    // An empty value, and one of exactly the longest length.
    for value in [Vec::new(), vec![7; 1 << 20]] {
        let sealed = cli.pipe(&["encrypt", "--key", "main"], &value).good().stdout;
        assert!(cli.pipe(&["decrypt"], &sealed).good().stdout == value);
    }
    let long = vec![7; (1 << 20) + 1];
    cli.pipe(&["encrypt", "--key", "main"], &long).failed(2, &["1 MiB", "--stream"]);
    cli.run(&["decrypt"]).failed(2, &["empty"]);

    // Files instead of pipes.
    let file = cli.file("in", "from a file");
    cli.run(&["encrypt", "--key", "main", "--in", &file, "--out", "sealed"]).good();
    cli.run(&["decrypt", "--in", "sealed", "--out", "opened"]).good();
    assert_eq!(fs::read(cli.path("opened")).unwrap(), b"from a file");
    assert_eq!(cli.names(), ["in", "opened", "sealed"]);
    cli.run(&["decrypt", "--in", "nowhere"]).failed(1, &["nowhere", "No such file"]);
    cli.run(&["decrypt", "--in", "sealed", "--out", "no/dir"]).failed(1, &["no/dir"]);

    // Rewrap.
    tenant.key("second");
    let args = ["rewrap", "--context", "row 17", "--new-context", "row 18", "--new-key", "second"];
    let moved = cli.pipe(&args, &sealed.stdout).good();
    assert_eq!(
        cli.pipe(&["decrypt", "--context", "row 18"], &moved.stdout).good().stdout,
        b"h\0llo\n"
    );
    cli.pipe(&["decrypt", "--context", "row 17"], &moved.stdout).failed(1, &["ciphertext_invalid"]);

    // A data key.
    let shown = cli.run(&["datakey", "--key", "main", "--bits", "128"]).good();
    let wrapped = row(shown.text(), "ciphertext")[1];
    let opened = cli.pipe(&["decrypt"], wrapped.as_bytes()).good().stdout;
    assert_eq!(b64(&opened), row(shown.text(), "plaintext")[1]);
    assert_eq!(opened.len(), 16);
    let wrapped = cli.run(&["datakey", "--json", "--key", "main", "--wrapped-only"]).good().json();
    assert!(wrapped.get("plaintext").is_none() && wrapped["ciphertext"].is_string());
}

#[test]
fn signatures_macs_and_the_rest() {
    let (tenant, cli) = tenant("cli-sign");
    tenant.new_key(&json!({ "name": "signing", "algorithm": "ecdsa-p256" }));
    tenant.new_key(&json!({ "name": "tags", "algorithm": "hmac-sha-256" }));
    for (form, length) in [("standard", 70..=72), ("fixed", 64..=64)] {
        let made = cli.pipe(&["sign", "--key", "signing", "--form", form], b"text").good();
        let signature = made.text().trim();
        assert!(length.contains(&keyward_tests::unb64(signature).len()), "{form}");
        let verify = |text: &[u8], more: &[&str]| {
            let args = ["verify", "--key", "signing", "--form", form, "--signature", signature];
            cli.pipe(&[&args[..], more].concat(), text)
        };
        assert_eq!(verify(b"text", &[]).good().text(), "valid\n");
        let no = verify(b"Text", &[]);
        assert_eq!((no.code, no.text(), no.stderr.as_str()), (Some(1), "invalid\n", ""));
        let no = verify(b"Text", &["--json"]);
        assert_eq!((no.code, no.json()), (Some(1), json!({ "valid": false })));
        assert_eq!(verify(b"text", &["--json"]).good().json()["key_version"], 1);
    }
    let mac = cli.pipe(&["mac", "--key", "tags"], b"text").good().text().trim().to_owned();
    let verify = |text: &[u8]| cli.pipe(&["mac", "--key", "tags", "--verify", &mac], text);
    assert_eq!(verify(b"text").good().text(), "valid\n");
    assert_eq!((verify(b"Text").code, verify(b"Text").text()), (Some(1), "invalid\n"));
    let failed = cli.pipe(&["mac", "--key", "none", "--verify", &mac], b"text");
    assert_eq!(failed.failed(1, &["key_not_found"]).text(), "");

    let derive =
        |info| cli.run(&["derive", "--key", "main", "--info", info, "--bytes", "20"]).good();
    let derived = derive("a").text().to_owned();
    assert_eq!(keyward_tests::unb64(derived.trim()).len(), 20);
    assert_eq!(derive("a").text(), derived);
    assert_ne!(derive("b").text(), derived);
    let random = |args: &[&str]| cli.run(&[&["random"], args].concat()).good().text().to_owned();
    assert_eq!(keyward_tests::unb64(random(&["--bytes", "48"]).trim()).len(), 48);
    assert_ne!(random(&[]), random(&[]));
    // FIPS 180-2, appendix B.1.
    let hash = cli.pipe(&["hash"], b"abc").good();
    assert_eq!(hash.text(), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=\n");
    let hash = cli.pipe(&["hash", "--algorithm", "sha-512", "--json"], b"abc").good().json();
    assert!(hash["hash"].as_str().unwrap().starts_with("3a81oZ"), "{hash}");
    cli.pipe(&["hash", "--algorithm", "md5"], b"").failed(1, &["invalid_field", "/algorithm"]);

    for key in ["fields", "fields-deterministic"] {
        let algorithm = if key == "fields" { "xaes-256-gcm" } else { "aes-256-siv" };
        tenant.new_key(&json!({ "name": key, "algorithm": algorithm }));
    }
    let document = br#"{"customer":{"name":"Ada"}}"#;
    let protected = cli.pipe(&["invoke", "protect"], document).good();
    assert!(protected.json()["customer"]["name"].as_str().unwrap().starts_with("kw1."));
    assert_eq!(cli.pipe(&["invoke", "reveal"], &protected.stdout).good().stdout, document);
    cli.pipe(&["invoke", "nothing"], b"{}").failed(1, &["operation_not_found"]);
}

/// Most bytes of a process in memory, as Linux counts them, while it runs to its end.
fn watched(mut child: std::process::Child) -> (std::process::Output, usize) {
    let (path, mut most) = (format!("/proc/{}/status", child.id()), 0);
    while child.try_wait().unwrap().is_none() {
        let status = fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        most = kib.unwrap_or(0_usize).max(most);
        std::thread::sleep(Duration::from_millis(2));
    }
    (child.wait_with_output().unwrap(), most << 10)
}

#[test]
fn files_of_any_size_in_constant_memory() {
    let (_tenant, cli) = tenant("cli-streams");
    let big: Vec<u8> =
        (0_u32..16 << 20).flat_map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    assert_eq!(big.len(), 64 << 20);
    cli.file("big", &big);
    let redirected = |args: &[&str], from: &str, to: &str| {
        let mut command = cli.command(args);
        command.stdin(fs::File::open(cli.path(from)).unwrap());
        command.stdout(fs::File::create(cli.path(to)).unwrap());
        let (output, most) = watched(command.spawn().unwrap());
        Done::of(output, args).good();
        assert!((1..64 << 20).contains(&most), "{most} bytes for {args:?}");
    };
    redirected(&["encrypt", "--stream", "--key", "main", "--context", "c"], "big", "sealed");
    redirected(&["decrypt", "--context", "c"], "sealed", "opened");
    assert!(fs::read(cli.path("opened")).unwrap() == big);
    let range = |range: &str| {
        let args = ["decrypt", "--context", "c", "--in", "sealed", "--range", range];
        cli.run(&args)
    };
    assert!(range("65535-65536").good().stdout == big[65_535..=65_536]);
    assert!(range("-7").good().stdout == big[big.len() - 7..]);
    range("67108864-").failed(2, &["67108864 bytes"]);
    range("1-0").failed(2, &["not a range"]);
    cli.run(&["decrypt", "--in", "big", "--range", "0-9"]).failed(1, &["ciphertext_invalid"]);
    let short = cli.file("short", &big[..90]);
    let args = ["decrypt", "--in", &short, "--range", "0-9"];
    cli.run(&args).failed(2, &["no whole encrypted stream"]);
    cli.pipe(&["decrypt", "--range", "0-9"], b"x").failed(2, &["--in"]);
    // No half a file, and none that is no stream.
    let sealed = fs::read(cli.path("sealed")).unwrap();
    assert_eq!(sealed.len(), 78 + big.len() + (big.len() >> 16) * 16);
    let cut = cli.file("cut", &sealed[..sealed.len() - 1]);
    let args = ["decrypt", "--context", "c", "--in", &cut, "--out", "half"];
    cli.run(&args).failed(1, &["broke off", "not the whole"]);
    assert!(!cli.names().iter().any(|name| name.starts_with("half")), "{:?}", cli.names());
    cli.pipe(&["decrypt"], b"no stream").failed(1, &["ciphertext_invalid"]);
    for length in [0, 1, 65_536, 65_537] {
        let sealed = cli.pipe(&["encrypt", "--stream", "--key", "main"], &big[..length]).good();
        assert!(cli.pipe(&["decrypt"], &sealed.stdout).good().stdout == big[..length], "{length}");
    }
    // What cannot be read is said, and is no shorter stream.
    let args = ["encrypt", "--stream", "--key", "main", "--in", "/proc/self/mem", "--out", "no"];
    cli.run(&args).failed(1, &["cannot read /proc/self/mem"]);
    assert!(!cli.path("no").exists());
}

#[test]
fn tenants_tokens_policies_and_servers() {
    let (_, cli) = tenant("cli-manage");
    let json = |args: &[&str]| cli.run(&[args, &["--json"]].concat()).good().json();
    assert_eq!(json(&["tenant", "create", "cli-new"]), json!({ "name": "cli-new" }));
    cli.run(&["tenant", "create", "cli-new"]).failed(1, &["tenant_exists"]);
    assert!(cli.run(&["tenant", "list"]).good().text().lines().any(|line| line == "cli-new"));
    let new = ["--tenant", "cli-new"];
    let at = |args: &[&str]| cli.run(&[args, &new[..]].concat());
    let set = at(&["tenant", "set-outage", "serve-stale=1h"]).good();
    assert_eq!(row(set.text(), "outage"), ["outage", "serve-stale=1h"]);
    at(&["tenant", "set-outage", "default"]).good();
    assert_eq!(row(at(&["tenant", "outage"]).good().text(), "own"), ["own", "false"]);
    at(&["tenant", "set-outage", "sometimes"]).failed(1, &["invalid_field", "/outage"]);

    at(&["policy", "show"]).failed(1, &["policy_not_set"]);
    let policy = cli.file("policy.wasm", keyward_tests::policy("baseline"));
    let shown = at(&["policy", "activate", &policy]).good();
    assert!(row(shown.text(), "digest")[1].starts_with("sha256:"));
    at(&["policy", "show"]).good();
    let bad = cli.file("bad.wasm", "bad");
    at(&["policy", "activate", &bad]).failed(1, &["component_invalid"]);
    at(&["policy", "activate", "none.wasm"]).failed(1, &["none.wasm"]);

    let roles = ["--role", "reader", "--role", "writer", "--claim", "team=a=b"];
    let token = at(&[&["token", "create", "--subject", "app"], &roles[..]].concat()).good();
    assert_eq!(row(token.text(), "roles"), ["roles", "reader,", "writer"]);
    let token = row(token.text(), "token")[1];
    at(&["key", "create", "main"]).good();
    let app = Cli::new(&format!("http://{}", SERVER.address)).env("KEYWARD_TENANT", "cli-new");
    let with_env = app.env("KEYWARD_TOKEN", token);
    with_env.pipe(&["encrypt", "--key", "main"], b"x").good();
    // A token's file is there for both kinds of tokens, and wins.
    let file = with_env.file("token", format!("{token}\n"));
    let by_file = with_env.env("KEYWARD_TOKEN", "kw_wrong");
    by_file.pipe(&["encrypt", "--key", "main", "--token-file", &file], b"x").good();
    by_file.run(&["tenant", "list", "--token-file", &file]).failed(1, &["forbidden"]);
    by_file.run(&["key", "list", "--token-file", "none"]).failed(1, &["none"]);
    at(&["token", "create", "--subject", "x", "--claim", "none"]).failed(2, &["NAME=VALUE"]);

    assert_eq!(json(&["server", "status"])["integration"], "embedded");
    assert_eq!(json(&["server", "health"])["vault_health"]["status"], "healthy");
    assert!(json(&["server", "metrics"])["cache_metrics"].is_object());
    assert!(row(cli.run(&["server", "clear-cache"]).good().text(), "message").len() > 1);
    cli.run(&["server", "renew-token"]).failed(1, &["vault_not_used"]);
}

#[test]
fn what_is_wrong_is_said_in_one_line_with_what_to_do() {
    let (_tenant, cli) = tenant("cli-wrong");
    let url = format!("http://{}", SERVER.address);
    let bare = Cli::new(&url).env("KEYWARD_TENANT", "cli-wrong");
    bare.run(&["random"]).failed(2, &["KEYWARD_TOKEN", "--token-file"]);
    bare.run(&["key", "list"]).failed(2, &["KEYWARD_OPERATOR_TOKEN or KEYWARD_TOKEN"]);
    bare.run(&["tenant", "list"]).failed(2, &["set KEYWARD_OPERATOR_TOKEN,"]);
    let wrong = bare.env("KEYWARD_TOKEN", "kw_wrong");
    let refused = wrong.run(&["random"]).failed(1, &["unauthenticated: ", "[request "]);
    assert!(!refused.stderr.contains("kw_wrong"));
    let wrong = wrong.env("KEYWARD_TOKEN", "kw_\u{7f}");
    wrong.run(&["random"]).failed(2, &["the token has characters"]);
    let nowhere = Cli::new(&url).env("KEYWARD_TOKEN", "kw_x");
    nowhere.run(&["random"]).failed(2, &["KEYWARD_TENANT", "--tenant"]);
    let cli = cli.env("KEYWARD_ADDR", "http://127.0.0.1:1");
    let away = ["cannot reach http://127.0.0.1:1", "keyward serve", "KEYWARD_ADDR"];
    cli.run(&["key", "list"]).failed(1, &away);
    cli.pipe(&["encrypt", "--stream", "--key", "main"], &vec![7; 1 << 20]).failed(1, &away);
    for addr in ["nonsense", "ftp://x", "http://me@x", ""] {
        cli.run(&["key", "list", "--addr", addr]).failed(2, &["URL"]);
    }
    // Something else answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 4\r\n\r\nwhat");
        }
    });
    cli.run(&["key", "list", "--addr", &other]).failed(1, &["not Keyward", "404", "KEYWARD_ADDR"]);
    // A token is not an argument.
    for flag in ["--token", "--operator-token", "--identity"] {
        assert_eq!(cli.run(&["key", "list", flag, "x"]).code, Some(2));
    }
    assert_eq!(cli.run(&["key"]).code, Some(2));
}

/// A server that refuses before it has read all of what is sent is heard.
#[test]
fn a_refusal_of_a_large_file_is_heard() {
    let (_tenant, cli) = tenant("cli-refused");
    let big = vec![7; 32 << 20];
    cli.pipe(&["encrypt", "--stream", "--key", "none"], &big).failed(1, &["key_not_found"]);
    let other = cli.env("KEYWARD_TENANT", "another");
    other.pipe(&["encrypt", "--stream", "--key", "main"], &big).failed(1, &["forbidden"]);
}

#[test]
fn a_reader_that_goes_away_ends_it_without_a_word() {
    let (_tenant, cli) = tenant("cli-pipe");
    cli.file("big", vec![7; 8 << 20]);
    for args in [
        &["key", "list"][..],
        &["config"],
        &["completions", "bash"],
        &["encrypt", "--stream", "--key", "main", "--in", "big"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = cli.command(args);
        command.stdin(Stdio::null()).stdout(writer);
        let done = Done::of(command.output().unwrap(), args);
        assert_eq!((done.code, done.stderr.as_str()), (Some(1), ""), "{args:?}");
    }
}

/// Ctrl-C while standard input is open and says nothing.
#[test]
fn it_can_be_interrupted_while_it_waits_for_input() {
    let (_tenant, cli) = tenant("cli-interrupt");
    let mut child =
        cli.command(&["encrypt", "--stream", "--key", "main", "--out", "x"]).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    let start = Instant::now();
    while cli.names().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    assert!(cli.names().is_empty(), "{:?}", cli.names());
    drop(stdin);
}

/// `--json` is the API's answer as it is.
#[test]
fn json_is_what_the_api_answers() {
    let (tenant, cli) = tenant("cli-json");
    for (args, path) in [
        (&["key", "list"][..], "/keys"),
        (&["key", "show", "main"], "/keys/main"),
        (&["policy", "show"], "/policy"),
        (&["tenant", "outage"], "/outage"),
    ] {
        let answer = tenant.operator.get(path).expect(200).text();
        assert_eq!(cli.run(&[args, &["--json"]].concat()).good().text(), format!("{answer}\n"));
    }
    let listed: Value = tenant.operator.get("/keys").expect(200).json();
    assert_eq!(listed["keys"][0]["name"], "main");
}

#[test]
fn completions_are_made_for_every_shell() {
    let cli = Cli::new("http://127.0.0.1:1");
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = cli.run(&["completions", shell]).good();
        for word in ["destroy-version", "set-outage", "token-file", "dry-run"] {
            assert!(script.text().contains(word), "{shell} does not know {word}");
        }
    }
    let script = cli.run(&["completions", "bash"]).good();
    let path = cli.file("keyward.bash", &script.stdout);
    let test = format!(
        "source {path}; COMP_WORDS=(keyward key dest); COMP_CWORD=2; _keyward keyward dest key; \
         echo ${{COMPREPLY[*]}}"
    );
    let done = std::process::Command::new("bash").args(["-c", &test]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout), "destroy destroy-version\n");
    assert_eq!(cli.run(&["completions", "cmd"]).code, Some(2));
}

/// With TLS the server's certificate is verified, by an authority that can be named.
#[test]
fn tls() {
    let home = std::sync::Arc::new(tempfile::tempdir().unwrap());
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (cert, key) = (home.path().join("cert.pem"), home.path().join("key.pem"));
    fs::write(&cert, made.cert.pem()).unwrap();
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let config = format!("[tls]\ncert = {cert:?}\nkey = {key:?}\n");
    let server = Server::serve_in(home, &config, &[]);
    let token = fs::read_to_string(server.data().join("operator.token")).unwrap();
    let cli = Cli::new(&format!("https://{}", server.address))
        .env("KEYWARD_OPERATOR_TOKEN", token.trim());
    let ca = cert.to_str().unwrap();
    cli.run(&["tenant", "create", "acme", "--ca-cert", ca]).good();
    cli.env("KEYWARD_CA_CERT", ca).run(&["tenant", "list"]).good();
    let strange =
        Cli::new(&format!("https://{}", server.address)).env("KEYWARD_OPERATOR_TOKEN", "kw_x");
    strange.run(&["tenant", "list"]).failed(1, &["cannot reach https://"]);
    TcpStream::connect(&server.address).unwrap();
}
