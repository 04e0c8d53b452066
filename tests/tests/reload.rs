//! Configurations looked at without a server, and taken by a server that runs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use keyward_tests::{Ended, Launch, Server, Tenant, b64, until};
use rustix::process::Signal;
use serde_json::json;

const LIMIT: Duration = Duration::from_secs(30);

fn config(home: &Path, text: &str, command: &str) -> Ended {
    let path = home.join("keyward.toml");
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    Launch::new(home, &["config", command, "--config", path.to_str().unwrap()]).run(LIMIT)
}

/// Keys that a file may have.
fn keys(home: &Path) -> Vec<String> {
    let table = Launch::new(home, &["config"]).run(LIMIT).stdout;
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.map(str::to_owned).collect()
}

#[test]
fn every_key_misspelt_is_named_with_what_is_meant() {
    let home = tempfile::tempdir().unwrap();
    let keys = keys(home.path());
    assert!(keys.len() > 60, "{keys:?}");
    let mut text = String::new();
    let without_a_letter = |key: &String| {
        let mut wrong = key.clone();
        wrong.remove(key.len() - 2);
        wrong
    };
    let misspelt: Vec<_> = keys.iter().map(without_a_letter).collect();
    for wrong in &misspelt {
        writeln!(text, "{wrong} = 1").unwrap();
    }
    for ended in [
        config(home.path(), &text, "check"),
        config(home.path(), &text, "print"),
        Launch::new(home.path(), &["serve", "--config", "keyward.toml"]).run(LIMIT),
    ] {
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        let lines: Vec<_> = ended.stderr.lines().collect();
        assert_eq!(lines.len(), keys.len(), "{}", ended.stderr);
        for (number, (line, key)) in lines.iter().zip(&keys).enumerate() {
            let said =
                [&format!("`{}`", misspelt[number]), &format!("keyward.toml:{}", number + 1)];
            let meant = format!("did you mean `{key}`?");
            assert!(said.iter().all(|part| line.contains(*part)), "{line}");
            assert!(line.contains(&meant), "{line}");
        }
    }
    assert!(!home.path().join("keyward-data").exists());
}

#[test]
fn a_variable_misspelt_is_warned_of() {
    let home = tempfile::tempdir().unwrap();
    let ended = Launch::new(home.path(), &["config", "check"])
        .env("KEYWARD_LISTN", "127.0.0.1:1")
        .env("KEYWARD_SERVICE_HOST", "10.0.0.1")
        .env("KEYWARD_TOKEN", "of the client")
        .run(LIMIT);
    assert_eq!(ended.status.code(), Some(0), "{ended:?}");
    assert_eq!(ended.stdout, "the environment: can be used\n");
    let warnings: Vec<_> = ended.stderr.lines().collect();
    let [warning] = warnings.as_slice() else { panic!("{}", ended.stderr) };
    assert!(warning.contains("KEYWARD_LISTN is no setting; did you mean KEYWARD_LISTEN?"));
}

#[test]
fn what_is_printed_is_what_is_in_force_and_can_be_used() {
    let home = tempfile::tempdir().unwrap();
    let text = "[http]\nmax_items = 7\n\n[vault]\naddr = \"https://vault.example:8200\"\n\
                token = \"hvs.planted\"\n";
    let printed = config(home.path(), text, "print");
    assert!(printed.status.success(), "{printed:?}");
    let out = &printed.stdout;
    assert!(!out.contains("planted") && !printed.stderr.contains("planted"), "{printed:?}");
    assert!(out.contains("keyward.toml:2\n") && out.contains("http.max_items = 7 # "), "{out}");
    assert!(out.contains("# vault.token is set, ") && out.contains("keyward.toml:6\n"), "{out}");
    assert!(out.contains("listen = \"127.0.0.1:8480\"\n"), "{out}");
    for key in keys(home.path()) {
        let is_there = |line: &str| {
            line.starts_with(&format!("{key} = ")) || line.starts_with(&format!("# {key} is "))
        };
        assert_eq!(out.lines().filter(|line| is_there(line)).count(), 1, "{key}: {out}");
    }
    // Without the secret, which is not in it, and read as a file.
    let again = config(home.path(), &format!("{out}vault.token = \"hvs.planted\"\n"), "print");
    let values = |text: &str| {
        let lines = text.lines().map(|line| line.split(" # ").next().unwrap().to_owned());
        lines.filter(|line| !line.starts_with('#')).collect::<Vec<_>>()
    };
    assert_eq!(values(&again.stdout), values(out), "{again:?}");
    let checked = config(home.path(), text, "check");
    assert!(checked.stdout.ends_with("keyward.toml: can be used\n"), "{checked:?}");
    assert!(!home.path().join("keyward-data").exists());

    let refused = config(home.path(), "[log]\nlevel = \"info,keyward=loud\"\n", "check");
    assert_eq!(refused.status.code(), Some(2));
    refused.refused(&["`log.level`", "loud"]);
}

fn batch(tenant: &Tenant, items: usize) -> u16 {
    let item = json!({ "key": "main", "plaintext": b64("x") });
    tenant.app.post("/encrypt", &json!({ "items": vec![item; items] })).status
}

#[test]
fn a_server_takes_what_needs_no_restart_and_says_what_does() {
    let server = Server::serve("");
    let tenant = server.tenant_with_policy("acme", "fields");
    let file = server.home.path().join("keyward.toml");
    let reload = |text: &str, said: &str| {
        fs::write(&file, text).unwrap();
        let before = server.stderr().len();
        server.signal(Signal::HUP);
        until(said, || server.stderr()[before..].contains(said));
        server.stderr()[before..].to_owned()
    };
    let figure = |name: &str| {
        let text = server.client().get("/metrics").expect(200).text();
        let line = text.lines().find(|line| line.starts_with(name));
        line.unwrap_or_else(|| panic!("no {name}: {text}")).rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(batch(&tenant, 3), 200);

    let text = "[http]\nmax_items = 2\nmax_connections = 9\n\n[limits]\ntenant = \"2/h\"\n\
                \n[cache]\nttl = \"1h\"\n";
    let said = reload(text, "was read again");
    assert!(said.contains("http.max_items") && said.contains("limits.tenant"), "{said}");
    let waiting: Vec<_> = said.lines().filter(|line| line.contains("needs a restart")).collect();
    assert_eq!(waiting.len(), 2, "{said}");
    assert!(waiting.iter().any(|line| line.contains("`cache.ttl`")), "{said}");
    assert!(waiting.iter().any(|line| line.contains("`http.max_connections`")), "{said}");
    assert_eq!(figure("keyward_config_waiting_settings"), "2.0");
    assert_eq!([batch(&tenant, 3), batch(&tenant, 2), batch(&tenant, 2)], [413, 200, 429]);

    // A mistake anywhere, and nothing is taken.
    let text = "[http]\nmax_items = 5\nmax_bdy = 1\n\n[limits]\ntenant = \"never\"\n";
    let said = reload(text, "nothing of it is");
    assert!(said.contains("did you mean `http.max_body`?"), "{said}");
    assert!(said.contains("`limits.tenant`"), "{said}");
    assert_eq!(batch(&tenant, 2), 429);
    assert_eq!(figure("keyward_config_reloads_total{result=\"failed\"}"), "1");

    // Nothing said is the default.
    let level = || server.operator().get("/api/v1/log").expect(200).str("/level");
    reload("log.level = \"debug\"\n", "was read again");
    assert_eq!(level(), "debug");
    reload("", "was read again");
    assert_eq!(level(), "info");
    assert_eq!(figure("keyward_config_waiting_settings"), "0.0");
    assert_eq!([batch(&tenant, 3), batch(&tenant, 3), batch(&tenant, 3)], [200, 200, 200]);
}

#[test]
fn requests_under_way_do_not_notice() {
    let server = Server::serve("");
    let tenant = server.tenant_with_policy("acme", "fields");
    let file = server.home.path().join("keyward.toml");
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| (0..400).map(|_| batch(&tenant, 2)).collect::<Vec<_>>());
        let mut round = 0;
        while !asking.is_finished() {
            round += 1;
            fs::write(&file, format!("[limits]\ntenant = \"{}/s\"\n", 100_000 + round)).unwrap();
            server.signal(Signal::HUP);
            std::thread::sleep(Duration::from_millis(2));
        }
        assert!(round > 10, "{round}");
        let answers = asking.join().unwrap();
        assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    });
}
