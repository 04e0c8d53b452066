//! What is in `deploy`: alerts that fire when they should, and no figure in alert or dashboard that
//! the server does not have.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use keyward_test_vault::{Options, Vault};
use keyward_tests::vault::{self, Env};
use keyward_tests::{Client, Server, b64, until};
use serde_json::json;
use ureq::tls::TlsConfig;

const ALERTS: &str = "prometheus/alerts.yaml";
const CASES: &str = "prometheus/alerts_test.yaml";
const DASHBOARD: &str = "grafana/keyward.json";

fn deploy(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(file)
}

fn read(file: &str) -> String {
    fs::read_to_string(deploy(file)).unwrap()
}

#[test]
fn alerts_fire_at_what_their_cases_say_and_at_nothing_else() {
    for (check, file) in [("check", ALERTS), ("test", CASES)] {
        let tool = std::env::var_os("KEYWARD_TEST_PROMTOOL").unwrap_or_else(|| "promtool".into());
        let output = Command::new(tool).args([check, "rules"]).arg(deploy(file)).output();
        let Ok(output) = output else {
            println!("SKIPPED: no promtool to try the alerts with");
            return;
        };
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{file}: {}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn every_alert_has_a_case_in_which_it_fires() {
    let (rules, cases) = (read(ALERTS), read(CASES));
    let values = |text: &str, field: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.trim().strip_prefix(field)).map(str::to_owned).collect()
    };
    let alerts = values(&rules, "- alert: ");
    assert!(alerts.len() > 20, "{alerts:?}");
    for alert in alerts {
        // Each expectation reaches to the next one, or the end.
        let mut expectations = cases.split("- eval_time: ").skip(1);
        let fires = expectations
            .any(|it| it.contains(&format!("alertname: {alert}\n")) && it.contains("exp_alerts:"));
        assert!(fires, "{alert} fires in no case of {CASES}");
    }
}

/// Names of figures in queries.
fn used(file: &str) -> BTreeSet<String> {
    let text = read(file);
    let words =
        text.split(|letter: char| !(letter.is_ascii_alphanumeric() || "_:".contains(letter)));
    words.filter(|word| word.starts_with("keyward_")).map(str::to_owned).collect()
}

/// Names of the samples that a server gives.
fn exported(client: &Client) -> BTreeSet<String> {
    let text = client.get("/metrics").expect(200).text();
    let samples = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    samples.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
}

/// With the embedded store, an identity provider, an audit sink, and a policy that crashes.
fn of_an_embedded_server() -> BTreeSet<String> {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let keys = home.path().join("jwks.json");
    // The key of RFC 7517, appendix A.1.
    let key = json!({ "kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "1",
        "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
        "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM" });
    fs::write(&keys, json!({ "keys": [key] }).to_string()).unwrap();
    let config = format!(
        "audit.stdout = true\n\n[jwt]\nissuer = \"https://idp.test\"\naudience = [\"keyward\"]\n\
         jwks_file = \"{}\"\n",
        keys.display()
    );
    let server = Server::serve_in(home, &config, &[]);
    let tenant = server.tenant_with_policy("acme", "hostile");
    let body = |purpose: &str| json!({ "key": "main", "plaintext": b64("x"), "purpose": purpose });
    tenant.app.post("/encrypt", &body("allow")).expect(200);
    tenant.app.post("/encrypt", &body("trap")).problem(502, "policy_trap");
    exported(&server.client())
}

/// With the configuration for Kubernetes, its files elsewhere, and a Vault.
fn of_a_server_as_in_kubernetes() -> BTreeSet<String> {
    let home = Arc::new(tempfile::tempdir().unwrap());
    let pair = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let mut config = read("kubernetes/base/keyward.toml");
    for (there, here, text) in [
        ("/etc/keyward/tls/tls.crt", "tls.crt", pair.cert.pem()),
        ("/etc/keyward/tls/tls.key", "tls.key", pair.signing_key.serialize_pem()),
        ("/etc/keyward/vault-ca/ca.crt", "ca.crt", pair.cert.pem()),
    ] {
        let here = home.path().join(here);
        fs::write(&here, text).unwrap();
        assert!(config.contains(there), "{there}");
        config = config.replace(there, here.to_str().unwrap());
    }
    let vault = Vault::start(Options::default());
    let root = vault::prepare(&vault);
    let env = Env::new(&vault.address).approle(&vault::role(&root, "30m", "4h"));
    let server = Server::serve_in(home, &config, &env.pairs());
    let tls = TlsConfig::builder().disable_verification(true).build();
    let client = Client::with_tls(&format!("https://{}", server.address), tls);
    until("ready", || client.get("/readyz").status == 200);
    exported(&client)
}

/// Groups of systemd's before 254 have none of these: what is not named is refused.
#[test]
fn the_unit_leaves_the_calls_that_hardening_makes() {
    let unit = read("keyward.service");
    let filters = unit.lines().filter_map(|line| line.strip_prefix("SystemCallFilter="));
    let after_what_is_taken: Vec<_> =
        filters.skip_while(|filter| !filter.starts_with('~')).skip(1).collect();
    let named = after_what_is_taken.join(" ");
    for call in [
        "landlock_create_ruleset",
        "landlock_add_rule",
        "landlock_restrict_self",
        "seccomp",
        "capset",
    ] {
        assert!(named.split(' ').any(|name| name == call), "{call}: {named}");
    }
}

#[test]
fn every_figure_of_alerts_and_dashboard_is_one_of_the_server() {
    let mut exported = of_an_embedded_server();
    exported.extend(of_a_server_as_in_kubernetes());
    for file in [ALERTS, DASHBOARD] {
        let used = used(file);
        assert!(used.len() > 20, "{file}: {used:?}");
        let unknown: Vec<_> = used.difference(&exported).collect();
        assert!(unknown.is_empty(), "{file} asks for what no server has: {unknown:?}");
    }
}
