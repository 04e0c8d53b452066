//! `keyward serve --config`: each setting by file and by environment, its errors, and TLS.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward_tests::{Client, Launch, Server, b64, raw_answer};
use serde_json::json;
use tempfile::TempDir;

const LIMIT: Duration = Duration::from_secs(30);

/// A row of what `keyward config` prints.
struct Setting {
    /// Dotted key in the file, unless it belongs to the environment alone.
    key: Option<String>,
    variable: String,
    default: Option<String>,
    takes: String,
}

impl Setting {
    /// What errors call it.
    fn name(&self) -> &str {
        self.key.as_deref().unwrap_or(&self.variable)
    }

    /// Values it must not take.
    fn bad(&self) -> Vec<&'static str> {
        match self.takes.split_whitespace().nth(1).unwrap() {
            "IP" => vec!["localhost:80", "127.0.0.1", "127.0.0.1:65536", ":80", "nonsense"],
            "size" => vec!["-1", "8MB", "1.5KiB", "nonsense", "99999999GiB", "1 2"],
            "whole" => vec!["-1", "1.5", "0x10", "ten", "99999999999999999999"],
            "duration" => vec!["10", "-1s", "1.5s", "1d", "soon", "9999999h"],
            "path" | "secret" | "text" => vec![],
            "URL" => vec!["localhost", "ftp://vault:8200", "http://vault:8200/v1", "nonsense"],
            "list" => vec![";", "a;;b"],
            "number" => vec!["-1", "1.1", "1e-3", "NaN", "half"],
            "mount" => vec!["nonsense", "/"],
            "tenant's" => vec!["Upper", "a_b", "-a"],
            _ => vec!["yes", "1", "TRUE", "xml"],
        }
    }
}

fn settings() -> Vec<Setting> {
    let home = tempfile::tempdir().unwrap();
    let table = Launch::new(home.path(), &["config"]).run(LIMIT);
    assert!(table.status.success());
    let unquoted = |text: &str| {
        text.strip_prefix('`').and_then(|text| text.strip_suffix('`')).map(str::to_owned)
    };
    let rows = table.stdout.lines().filter(|line| line.contains("`KEYWARD_"));
    let rows = rows.filter(|line| line.starts_with("| "));
    let settings: Vec<_> = rows
        .map(|line| {
            let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
            let takes = line.rsplit("Takes ").next().unwrap().trim_end_matches([' ', '|', '.']);
            Setting {
                key: unquoted(cells[0]),
                variable: unquoted(cells[1]).unwrap(),
                default: unquoted(cells[2]),
                takes: format!("Takes {takes}")
                    .replace("Takes a ", "Takes ")
                    .replace("Takes an ", "Takes "),
            }
        })
        .collect();
    assert!(settings.len() > 25, "{}", table.stdout);
    settings
}

/// A file with these settings.
fn file<'a>(values: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let mut text = String::new();
    for (key, value) in values {
        writeln!(text, "{key} = {value}").unwrap();
    }
    text
}

fn serve(home: &Path, config: &str) -> Launch {
    let path = home.join("keyward.toml");
    std::fs::write(&path, config).unwrap();
    Launch::new(home, &["serve", "--config", path.to_str().unwrap()])
        .env("KEYWARD_DATA_DIR", home.join("data").to_str().unwrap())
}

#[test]
fn every_bad_value_is_an_error_that_names_the_setting() {
    let home = tempfile::tempdir().unwrap();
    for setting in settings() {
        for bad in setting.bad() {
            let ended = serve(home.path(), "").env(&setting.variable, bad).run(LIMIT);
            assert_eq!(ended.status.code(), Some(2), "{} {bad}", setting.variable);
            ended.refused(&[&format!("`{}`", setting.name()), &setting.variable, "must be"]);
            let Some(key) = &setting.key else { continue };
            let config = format!("# a comment\n{key} = {bad:?}\n");
            let mut launch = serve(home.path(), &config);
            // The environment would win over the file.
            launch.env.clear();
            let ended = launch.run(LIMIT);
            assert_eq!(ended.status.code(), Some(2), "{key} {bad}");
            ended.refused(&[&format!("`{key}`"), "keyward.toml:2", "must be"]);
        }
        let Some(key) = &setting.key else { continue };
        for wrong in ["\"\"", "[]", "{ a = 1 }", "1.5", "1979-05-27"] {
            let any_text = setting.takes.contains("path") || setting.takes.contains("text");
            if any_text && wrong.starts_with('1') {
                continue;
            }
            let mut launch = serve(home.path(), &format!("{key} = {wrong}\n"));
            launch.env.clear();
            let ended = launch.run(LIMIT);
            assert_eq!(ended.status.code(), Some(2), "{key} = {wrong}");
            let name = key.as_str();
            let parts = if wrong.starts_with('{') { [name, ".a"] } else { [name, "must be"] };
            ended.refused(&parts);
        }
    }
    assert!(!home.path().join("data").exists(), "a start that failed left a data directory");
    assert!(!home.path().join("keyward-data").exists());
}

#[test]
fn every_default_can_be_written_down() {
    let settings = settings();
    let written = settings.iter().filter_map(|setting| {
        let (key, default) = (setting.key.as_deref()?, setting.default.as_deref()?);
        let default = if key == "listen" { "127.0.0.1:0" } else { default };
        (key != "data_dir").then(|| (key, format!("{default:?}")))
    });
    Server::serve(&file(written)).stop();
    let mut variables = BTreeMap::new();
    for setting in &settings {
        if let Some(default) = &setting.default {
            variables.insert(setting.variable.as_str(), default.as_str());
        }
    }
    variables.remove("KEYWARD_LISTEN");
    variables.remove("KEYWARD_DATA_DIR");
    let variables: Vec<_> = variables.into_iter().collect();
    Server::serve_with("", &variables).stop();
}

/// Settings small enough to be felt.
const FELT: &[(&str, &str)] = &[
    ("http.max_body", "64KiB"),
    ("http.max_items", "3"),
    ("http.max_invoke", "2KiB"),
    ("http.header_timeout", "1s"),
    ("http.body_timeout", "1s"),
    ("http.drain_timeout", "3s"),
    ("policy.pool_size", "40"),
    ("policy.per_tenant", "20"),
    ("policy.memory", "1MiB"),
    ("policy.cpu", "50ms"),
    ("policy.wall", "10s"),
    ("policy.host_calls", "500"),
    ("policy.state_calls", "5"),
    ("policy.state_bytes", "128KiB"),
    ("policy.host_call_bytes", "64KiB"),
    ("policy.log_bytes", "0"),
    ("policy.max_component", "512KiB"),
    ("policy.image.max_component", "512KiB"),
    ("cache.ttl", "1s"),
    ("cache.max_bytes", "64KiB"),
    ("log.format", "json"),
    ("log.level", "debug"),
];

#[track_caller]
fn feel(server: &Server) {
    let tenant = server.tenant_with_policy("felt", "hostile");
    let misdeed = |name: &str, code: &str| {
        let body = json!({ "key": "main", "plaintext": "", "purpose": name });
        tenant.app.post("/encrypt", &body).problem(502, code)
    };
    misdeed("loop", "policy_cpu_limit").detail("50 ms");
    misdeed("alloc", "policy_memory_limit").detail("1048576 bytes");
    misdeed("million-calls", "policy_host_call_limit").detail("500 host calls");
    misdeed("garbage-utf8", "policy_trap");
    let echo = |len: usize| tenant.app.json("/invoke/echo", &vec![b' '; len]);
    echo(2 << 10).expect(200);
    echo((2 << 10) + 1).problem(413, "payload_too_large");

    let item = json!({ "key": "main", "plaintext": "" });
    let items = |count: usize| json!({ "items": vec![item.clone(); count] });
    tenant.app.post("/encrypt", &items(3)).expect(200);
    tenant.app.post("/encrypt", &items(4)).problem(413, "too_many_items").detail("3");
    let fits = b64(vec![0; 40 << 10]);
    tenant.app.post("/encrypt", &json!({ "key": "main", "plaintext": fits })).expect(200);
    let over = b64(vec![0; 60 << 10]);
    let answer = tenant.app.post("/encrypt", &json!({ "key": "main", "plaintext": over }));
    answer.problem(413, "payload_too_large").detail("65536");
    let answer = tenant.operator.put_policy(&vec![0; (512 << 10) + 1]);
    assert_eq!(answer.status, 413, "{}", answer.text());

    // Headers and bodies that do not come.
    let start = Instant::now();
    let mut slow = TcpStream::connect(&server.address).unwrap();
    slow.set_read_timeout(Some(LIMIT)).unwrap();
    slow.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n").unwrap();
    let mut got = Vec::new();
    let _ = slow.read_to_end(&mut got);
    assert!(start.elapsed() < Duration::from_secs(8), "headers: {:?}", start.elapsed());
    let mut slow = TcpStream::connect(&server.address).unwrap();
    slow.set_read_timeout(Some(LIMIT)).unwrap();
    let head = format!(
        "POST /api/v1/tenants/felt/encrypt HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\ncontent-length: 10\r\n\r\n{{",
        tenant.app_token
    );
    slow.write_all(head.as_bytes()).unwrap();
    let start = Instant::now();
    let mut got = [0; 4096];
    let length = slow.read(&mut got).unwrap();
    let got = String::from_utf8_lossy(&got[..length]).into_owned();
    assert!(got.starts_with("HTTP/1.1 408") && got.contains("body_timeout"), "{got}");
    assert!(start.elapsed() < Duration::from_secs(8), "body: {:?}", start.elapsed());

    // Entries gone after a second: what it costs is time alone.
    for key in ["one", "two"] {
        tenant.key(key);
        let made = tenant.app.encrypt(&json!({ "key": key, "plaintext": b64(key) }));
        assert_eq!(tenant.app.decrypt(&json!({ "ciphertext": made })), key.as_bytes());
    }

    let log = server.stderr();
    let lines: Vec<_> = log.lines().filter(|line| line.starts_with('{')).collect();
    for line in &lines {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(event["level"].is_string(), "{line}");
    }
    assert!(
        lines.iter().any(|line| line.contains("\"DEBUG\"") && line.contains("/encrypt")),
        "{log}"
    );
}

#[test]
fn settings_have_their_effect_by_file() {
    let values = FELT.iter().map(|(key, value)| (*key, format!("{value:?}")));
    feel(&Server::serve(&file(values)));
}

#[test]
fn settings_have_their_effect_by_environment_which_wins_over_the_file() {
    let settings = settings();
    let variables: Vec<_> = FELT
        .iter()
        .map(|(key, value)| {
            let setting = settings.iter().find(|setting| setting.key.as_deref() == Some(key));
            (setting.unwrap().variable.as_str(), *value)
        })
        .collect();
    let other = [("http.max_body", "1KiB"), ("http.max_items", "9"), ("policy.cpu", "3s")];
    let values = other.iter().map(|(key, value)| (*key, format!("{value:?}")));
    feel(&Server::serve_with(&file(values), &variables));
}

#[test]
fn flags_win_over_all() {
    let home = tempfile::tempdir().unwrap();
    let (file_data, env_data) = (home.path().join("file"), home.path().join("env"));
    let flag_data = home.path().join("flag");
    let config = format!("listen = \"127.0.0.1:1\"\ndata_dir = {file_data:?}\n");
    let mut launch = serve(home.path(), &config).env("KEYWARD_LISTEN", "127.0.0.1:2");
    launch.env.retain(|(name, _)| name != "KEYWARD_DATA_DIR");
    launch = launch.env("KEYWARD_DATA_DIR", env_data.to_str().unwrap());
    launch.args.extend(["--listen".into(), "127.0.0.1:0".into()]);
    launch.args.extend(["--data".into(), flag_data.to_str().unwrap().into()]);
    let mut process = launch.start();
    let start = Instant::now();
    while !process.stderr().contains("listening") {
        assert!(process.wait(Duration::from_millis(10)).is_none(), "{}", process.stderr());
        assert!(start.elapsed() < LIMIT);
    }
    assert!(flag_data.join("keyward.redb").exists());
    assert!(!file_data.exists() && !env_data.exists());
}

#[test]
fn the_first_start_leaves_an_operators_token() {
    let mut server = Server::serve("");
    let path = server.data().join("operator.token");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&path).unwrap().permissions());
    assert_eq!(mode & 0o7777, 0o600);
    assert!(server.stderr().contains(path.to_str().unwrap()));
    assert!(!server.stderr().contains(&server.operator_token));
    assert_eq!(
        server.operator().get("/api/v1/tenants").expect(200).json(),
        json!({ "tenants": [] })
    );
    let token = server.operator_token.clone();
    server.stop();
    // Kept elsewhere and removed here, as one should: it stays valid and no other one is made.
    std::fs::remove_file(&path).unwrap();
    server.start_again();
    assert!(!path.exists());
    server.client().token(&token).get("/api/v1/tenants").expect(200);
}

#[test]
fn unknown_settings_and_broken_files() {
    let home = tempfile::tempdir().unwrap();
    for (config, parts) in [
        ("nope = 1\n", &["`nope`", "keyward.toml:1"][..]),
        ("\n[http]\nmax_bdy = \"1MiB\"\n", &["`http.max_bdy`", "keyward.toml:3"]),
        ("[htp]\nmax_body = 1\n", &["htp.max_body", "keyward.toml:2"]),
        ("root_key.value = \"AAAA\"\n", &["root_key.value"]),
        ("root_passphrase = \"open sesame\"\n", &["root_passphrase"]),
        ("listen = \n", &["keyward.toml:1", "TOML"]),
        ("listen = \"127.0.0.1:0\"\nlisten = \"127.0.0.1:1\"\n", &["keyward.toml:2", "TOML"]),
        ("{\"listen\": 1}", &["keyward.toml:1", "TOML"]),
    ] {
        let ended = serve(home.path(), config).run(LIMIT);
        assert_eq!(ended.status.code(), Some(2), "{config}");
        assert!(!ended.stderr.contains("sesame"), "{}", ended.stderr);
        ended.refused(parts);
    }
    let missing = home.path().join("missing.toml");
    let args = ["serve", "--config", missing.to_str().unwrap()];
    Launch::new(home.path(), &args).run(LIMIT).refused(&[missing.to_str().unwrap()]);
    std::fs::write(home.path().join("binary.toml"), b"\xff\xfe\0").unwrap();
    let args = ["serve", "--config", "binary.toml"];
    Launch::new(home.path(), &args).run(LIMIT).refused(&["binary.toml"]);
    let ended = Launch::new(home.path(), &["serve", "--nope"]).run(LIMIT);
    assert_eq!(ended.status.code(), Some(2));
    assert!(ended.stderr.contains("--nope"), "{}", ended.stderr);
}

#[test]
fn settings_that_do_not_go_together() {
    let home = tempfile::tempdir().unwrap();
    for (variables, parts) in [
        (&[("KEYWARD_TLS_CERT", "cert.pem")][..], &["tls.cert", "tls.key"][..]),
        (&[("KEYWARD_TLS_KEY", "key.pem")], &["tls.cert", "tls.key"]),
        (
            &[("KEYWARD_ROOT_PASSPHRASE", "sesame-1"), ("KEYWARD_ROOT_KEY", "sesame-2")],
            &["KEYWARD_ROOT_PASSPHRASE", "KEYWARD_ROOT_KEY"],
        ),
        (
            &[("KEYWARD_ROOT_PASSPHRASE", "sesame-1"), ("KEYWARD_ROOT_KEY_FILE", "k")],
            &["KEYWARD_ROOT_PASSPHRASE", "root_key.file"],
        ),
        (
            &[("KEYWARD_POLICY_POOL_SIZE", "5"), ("KEYWARD_POLICY_PER_TENANT", "6")],
            &["policy.per_tenant", "policy.pool_size"],
        ),
        (
            &[("KEYWARD_HTTP_MAX_INVOKE", "8MiB"), ("KEYWARD_POLICY_HOST_CALL_BYTES", "1MiB")],
            &["http.max_invoke", "policy.host_call_bytes"],
        ),
    ] {
        let mut launch = serve(home.path(), "");
        for (name, value) in variables {
            launch = launch.env(name, value);
        }
        let ended = launch.run(LIMIT);
        assert_eq!(ended.status.code(), Some(2), "{variables:?}");
        assert!(!ended.stderr.contains("sesame"), "{}", ended.stderr);
        ended.refused(parts);
    }
}

#[test]
fn plain_http_stays_on_loopback_unless_told_otherwise() {
    let home = Arc::new(tempfile::tempdir().unwrap());
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:80"] {
        let ended = serve(home.path(), &format!("listen = {address:?}\n")).run(LIMIT);
        assert_eq!(ended.status.code(), Some(2), "{address}");
        ended.refused(&["listen", address, "insecure_http", "tls.cert"]);
    }
    let launch = serve(home.path(), "listen = \"0.0.0.0:0\"\ninsecure_http = true\n");
    let mut process = launch.start();
    let start = Instant::now();
    while !process.stderr().contains("listening") {
        assert!(process.wait(Duration::from_millis(10)).is_none(), "{}", process.stderr());
        assert!(start.elapsed() < LIMIT);
    }
    let log = process.stderr();
    let port = log[log.find("0.0.0.0:").unwrap() + 8..].split(|c: char| !c.is_ascii_digit()).next();
    let client = Client::new(&format!("http://127.0.0.1:{}", port.unwrap()));
    client.get("/livez").expect(200);
}

/// PEM files of a certificate for `localhost` and 127.0.0.1, and the certificate.
fn certificate(home: &TempDir) -> (String, String, ureq::tls::Certificate<'static>) {
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).unwrap();
    let (cert, key) = (home.path().join("cert.pem"), home.path().join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let trusted = ureq::tls::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap();
    (cert.to_str().unwrap().to_owned(), key.to_str().unwrap().to_owned(), trusted)
}

#[test]
fn https_with_a_certificate_of_ones_own() {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let (cert, key, trusted) = certificate(&home);
    // Not loopback alone: with TLS any address will do.
    let config = format!("[tls]\ncert = {cert:?}\nkey = {key:?}\n");
    let mut server = Server::serve_in(Arc::clone(&home), &config, &[]);
    let roots = ureq::tls::RootCerts::new_with_certs(&[trusted]);
    let tls = ureq::tls::TlsConfig::builder().root_certs(roots).build();
    let root = Client::with_tls(&format!("https://{}", server.address), tls);
    root.get("/livez").expect(200);
    let operator = root.token(&server.operator_token);
    operator.post("/api/v1/tenants", &json!({ "name": "acme" })).expect(201);
    operator.get("/api/v1/tenants").expect(200);
    root.get("/api/v1/tenants").problem(401, "unauthenticated");

    // Who does not know the certificate does not connect.
    let stranger = Client::new(&format!("https://{}", server.address));
    assert!(stranger.try_send("GET", "/livez", &[], b"").is_err());
    // Plain HTTP, garbage and silence are shrugged off.
    let plain = Client::new(&format!("http://{}", server.address));
    assert!(plain.try_send("GET", "/livez", &[], b"").is_err());
    keyward_tests::raw(&server.address, &[0x16, 3, 1, 0xff, 0xff, 1, 2, 3]);
    let _silent = TcpStream::connect(&server.address).unwrap();
    root.get("/livez").expect(200);
    server.stop();
}

#[test]
fn certificates_that_cannot_be_used() {
    let home = tempfile::tempdir().unwrap();
    let (cert, key, _) = certificate(&home);
    let other = tempfile::tempdir().unwrap();
    let (_, other_key, _) = certificate(&other);
    let empty = home.path().join("empty.pem");
    std::fs::write(&empty, "").unwrap();
    let empty = empty.to_str().unwrap();
    for (cert, key, parts) in [
        ("missing.pem", key.as_str(), &["tls.cert", "missing.pem"][..]),
        (&cert, "missing.pem", &["tls.key", "missing.pem"]),
        (empty, &key, &["tls.cert", "empty.pem"]),
        (&cert, empty, &["tls.key", "empty.pem"]),
        (&key, &cert, &["tls.cert"]),
        (&cert, &other_key, &["tls.cert", "tls.key"]),
    ] {
        let config = format!("listen = \"127.0.0.1:0\"\ntls.cert = {cert:?}\ntls.key = {key:?}\n");
        let ended = serve(home.path(), &config).run(LIMIT);
        assert!(!ended.stderr.contains("PRIVATE KEY"), "{}", ended.stderr);
        ended.refused(parts);
    }
}

#[test]
fn more_connections_than_allowed_wait() {
    let server = Server::serve_with("", &[("KEYWARD_HTTP_MAX_CONNECTIONS", "2")]);
    let occupy = || {
        let mut stream = TcpStream::connect(&server.address).unwrap();
        stream.write_all(b"GET /livez HTTP/1.1\r\n").unwrap();
        stream
    };
    let held = [occupy(), occupy()];
    std::thread::sleep(Duration::from_millis(100));
    let mut waiting = TcpStream::connect(&server.address).unwrap();
    waiting.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    waiting.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut buffer = [0; 1024];
    assert!(waiting.read(&mut buffer).is_err(), "a third connection was served");
    drop(held);
    waiting.set_read_timeout(Some(LIMIT)).unwrap();
    assert!(waiting.read(&mut buffer).unwrap() > 0);
    drop(waiting);
    let bytes = b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    raw_answer(&server.address, bytes).expect(200);
}
