//! Two servers over one Vault: what one changes takes effect on the other, within a second or two.
//! The delays are printed; `--nocapture` shows them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use keyward_test_vault::{Options, Vault};
use keyward_tests::vault::{self, Env};
use keyward_tests::{Client, Server, Tenant, b64, policy};
use serde_json::{Value, json};

/// Default of `vault.poll`, and what reading the change may add.
const BOUND: Duration = Duration::from_millis(1_800);
/// How often each delay is measured.
const ROUNDS: usize = 5;

struct Nodes {
    _vault: Vault,
    first: Server,
    second: Server,
    tenant: Tenant,
}

impl Nodes {
    /// Two servers, and a tenant that both know.
    fn start() -> Self {
        let vault = Vault::start(Options::default());
        let root = vault::prepare(&vault);
        let env = Env::new(&vault.address).approle(&vault::role(&root, "1h", "4h"));
        let first = Server::serve_with("", &env.pairs());
        let tenant = first.tenant_with_policy("acme", "fields");
        let mut second = Server::serve_with("", &env.pairs());
        second.operator_token.clone_from(&first.operator_token);
        Self { _vault: vault, first, second, tenant }
    }

    /// A client of the first server, on the second.
    fn there(&self, token: &str) -> Client {
        self.second.client().token(token).below("/api/v1/tenants/acme")
    }
}

/// How long until `seen`.
#[track_caller]
fn delay(what: &str, mut seen: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !seen() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}: no effect on the other server");
        std::thread::sleep(Duration::from_millis(2));
    }
    start.elapsed()
}

#[track_caller]
fn report(what: &str, mut delays: Vec<Duration>) {
    delays.sort();
    let (middle, longest) = (delays[delays.len() / 2], *delays.last().unwrap());
    println!("{what}: {middle:.0?} in the middle, {longest:.0?} at most, of {}", delays.len());
    assert!(longest <= BOUND, "{what}: {delays:?}");
}

#[test]
fn a_change_on_one_server_takes_effect_on_the_other() {
    let nodes = Nodes::start();
    let (here, there) = (&nodes.tenant, nodes.there(&nodes.tenant.app_token));
    let manage = nodes.first.operator();
    let body = json!({ "key": "main", "plaintext": b64("x") });
    let version =
        |client: &Client| client.post("/encrypt", &body).expect(200).json()["key_version"].clone();
    let post = |path: &str, status| here.admin.send("POST", path, &[], b"").expect(status);

    let mut rotated = Vec::new();
    for _ in 0..ROUNDS {
        assert_eq!(version(&there), version(&here.app));
        let new = post("/keys/main/rotate", 200).json()["key_version"].clone();
        rotated.push(delay("rotate", || version(&there) == new));
    }
    report("rotate", rotated);

    let (mut disabled, mut enabled) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let sealed = there.encrypt(&body);
        post("/keys/main/disable", 200);
        here.app.post("/encrypt", &body).problem(403, "key_disabled");
        disabled.push(delay("disable", || there.post("/encrypt", &body).status == 403));
        there.post("/decrypt", &json!({ "ciphertext": sealed })).problem(403, "key_disabled");
        post("/keys/main/enable", 200);
        enabled.push(delay("enable", || there.post("/encrypt", &body).status == 200));
        assert_eq!(there.decrypt(&json!({ "ciphertext": sealed })), b"x");
    }
    report("disable", disabled);
    report("enable", enabled);

    let mut rolled_back = Vec::new();
    for target in 1..=ROUNDS {
        assert_ne!(version(&there), target);
        manage
            .post(
                "/api/v1/vault/keys/main/rollback?tenant=acme",
                &json!({ "target_version": target }),
            )
            .expect(200);
        rolled_back.push(delay("roll back", || version(&there) == target));
    }
    report("roll back", rolled_back);

    let mut destroyed = Vec::new();
    for _ in 0..ROUNDS {
        let new = post("/keys/main/rotate", 200).json()["key_version"].clone();
        delay("rotate", || version(&there) == new);
        let sealed = json!({ "ciphertext": there.encrypt(&body) });
        post("/keys/main/rotate", 200);
        there.post("/decrypt", &sealed).expect(200);
        let path = format!("/api/v1/vault/keys/main/versions/{new}?tenant=acme");
        manage.send("DELETE", &path, &[], b"").expect(200);
        destroyed.push(delay("destroy", || there.post("/decrypt", &sealed).status != 200));
    }
    report("destroy a version", destroyed);

    let mut bounded = Vec::new();
    for _ in 0..ROUNDS {
        let sealed = json!({ "ciphertext": there.encrypt(&body) });
        there.post("/decrypt", &sealed).expect(200);
        let new = post("/keys/main/rotate", 200).json()["key_version"].clone();
        let patch = json!({ "min_decrypt_version": new }).to_string();
        let headers = [("content-type", "application/json")];
        here.admin.send("PATCH", "/keys/main", &headers, patch.as_bytes()).expect(200);
        bounded.push(delay("bound", || there.post("/decrypt", &sealed).status != 200));
        there.post("/decrypt", &sealed).problem(409, "key_version_below_min_decrypt");
    }
    report("bound", bounded);

    let mut policies = Vec::new();
    let misses = json!({ "key": "main", "plaintext": b64("x"), "purpose": "loop" });
    for round in 0..3 {
        let (name, status) = if round % 2 == 0 { ("hostile", 502) } else { ("baseline", 200) };
        here.operator.put_policy(&policy(name)).expect(200);
        policies.push(delay("policy", || there.post("/encrypt", &misses).status == status));
    }
    println!("policy: {policies:.0?}");
}

/// Two servers, 200 rotations of one key from both sides at once.
#[test]
fn rotations_from_two_servers_at_once_all_count() {
    const EACH: usize = 100;
    let nodes = Nodes::start();
    let rotate = |server: &Server| {
        let operator = server.operator().below("/api/v1/tenants/acme");
        let app = server.client().token(&nodes.tenant.app_token).below("/api/v1/tenants/acme");
        move || {
            let mut made = Vec::new();
            for number in 0..EACH {
                let answer = operator.send("POST", "/keys/main/rotate", &[], b"").expect(200);
                let version = answer.json()["key_version"].as_u64().unwrap();
                let text = format!("{version}-{number}");
                let sealed = app.encrypt(&json!({ "key": "main", "plaintext": b64(&text) }));
                made.push((version, text, sealed));
            }
            made
        }
    };
    let (one, other) = (rotate(&nodes.first), rotate(&nodes.second));
    let made = std::thread::scope(|scope| {
        let (one, other) = (scope.spawn(one), scope.spawn(other));
        [one.join().unwrap(), other.join().unwrap()].concat()
    });
    let versions: BTreeSet<u64> = made.iter().map(|(version, ..)| *version).collect();
    let expected: BTreeSet<u64> = (2..=2 * u64::try_from(EACH).unwrap() + 1).collect();
    assert_eq!(versions, expected, "a version is missing, or came twice");
    let history = nodes.first.operator().get("/api/v1/vault/keys/main/history?tenant=acme");
    let history = history.expect(200).json();
    assert_eq!(history["total_versions"], 2 * EACH + 1);
    let there = nodes.there(&nodes.tenant.app_token);
    for (_, text, sealed) in &made {
        for client in [&nodes.tenant.app, &there] {
            assert_eq!(client.decrypt(&json!({ "ciphertext": sealed })), text.as_bytes());
        }
    }
}

/// A tenant's outage contract holds on every server, and `null` takes it back.
#[test]
fn an_outage_contract_reaches_the_other_server() {
    let nodes = Nodes::start();
    let path = "/api/v1/tenants/acme/outage";
    let outage = |server: &Server| server.operator().get(path).expect(200).json()["outage"].clone();
    let put = |body: &Value| {
        let headers = [("content-type", "application/json")];
        nodes.first.operator().send("PUT", path, &headers, body.to_string().as_bytes())
    };
    put(&json!({ "outage": "serve-stale=1h" })).expect(200);
    delay("outage", || outage(&nodes.second) == "serve-stale=1h");
    put(&json!({ "outage": "sometimes" })).expect(400);
}

/// What a policy remembers on one server, it knows on the other at once.
#[test]
fn what_a_policy_counts_it_counts_on_both() {
    let nodes = Nodes::start();
    nodes.tenant.activate("hostile");
    let there = nodes.there(&nodes.tenant.app_token);
    let ready = |client: &Client| client.post("/invoke/state-count", &json!({})).status == 200;
    delay("activation", || ready(&there));
    let count = |client: &Client| {
        let text = client.post("/invoke/state-count", &json!({})).expect(200).text();
        text.parse::<u32>().unwrap()
    };
    let before = count(&there);
    let counts = std::sync::Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for client in [&nodes.tenant.app, &there, &nodes.tenant.app, &there] {
            scope.spawn(|| {
                (0..5).for_each(|_| {
                    let counted = count(client);
                    assert!(counts.lock().unwrap().insert(counted));
                });
            });
        }
    });
    let counts = counts.into_inner().unwrap();
    assert_eq!(counts.last(), Some(&(before + 20)));
}
