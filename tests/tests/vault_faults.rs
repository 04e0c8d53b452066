//! What Vault and the network do to a server, one after the other, under steady load: who is
//! served, who is refused, with which reason, and how soon all is well again. The figures are
//! printed; `--nocapture` shows them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use keyward_test_vault::{Client as Root, Fault, Options, Proxy, Rule, Vault};
use keyward_tests::load::{Count, Failure, Load, Outcome, expect};
use keyward_tests::vault::{self, Env, MOUNT};
use keyward_tests::{Client, Server, Tenant, b64, unb64};
use serde_json::{Value, json};

/// `vault.timeout` of the servers.
const TIMEOUT: Duration = Duration::from_secs(2);
/// `vault.health_period` of the servers.
const PERIOD: Duration = Duration::from_secs(3);
/// What a machine with two busy cores may add to a time.
const SLACK: Duration = Duration::from_millis(700);
/// How long a fault lasts.
const LASTS: Duration = Duration::from_secs(7);
/// How long all is well before a fault.
const CALM: Duration = Duration::from_secs(2);
/// Keys nobody has asked for yet.
const UNTOUCHED: usize = 500;

/// The kinds of requests.
const CACHED: &str = "cached";
const UNCACHED: &str = "uncached";
const STALE: &str = "stale";
const WRITES: &str = "writes";
const KINDS: [&str; 4] = [CACHED, UNCACHED, STALE, WRITES];

/// What stands between the servers and their keys.
struct Scene {
    vault: Vault,
    proxy: Proxy,
    root: Root,
    /// What was in the KV engine before it was deleted.
    backup: Vec<(String, Value)>,
    /// Held, it lets no write begin, so that a backup has all that was acknowledged.
    gate: Arc<Mutex<()>>,
    /// How long a fault has gone on.
    seconds: u32,
}

/// A fault, and what is known of it beforehand.
struct Trouble {
    name: &'static str,
    starts: fn(&mut Scene),
    /// Done again each second.
    goes_on: fn(&mut Scene),
    ends: fn(&mut Scene),
    /// The codes that name it; none if nobody is to notice.
    codes: &'static [&'static str],
    /// Whether nothing that needs Vault can succeed.
    total: bool,
}

const NOTHING: fn(&mut Scene) = |_| {};

const TROUBLES: &[Trouble] = &[
    Trouble {
        name: "none, but tokens that reach their maximum TTL",
        starts: NOTHING,
        goes_on: NOTHING,
        ends: NOTHING,
        codes: &[],
        total: false,
    },
    Trouble {
        name: "sealed",
        starts: |scene| scene.vault.seal(),
        goes_on: NOTHING,
        ends: |scene| scene.vault.unseal(),
        codes: &["vault_sealed"],
        total: true,
    },
    Trouble {
        name: "stopped and restarted",
        starts: |scene| scene.vault.stop(),
        goes_on: NOTHING,
        ends: |scene| scene.vault.start_again(),
        codes: &["vault_unreachable"],
        total: true,
    },
    Trouble {
        name: "5 s latency",
        starts: |scene| scene.proxy.set(Fault::Delay(Duration::from_secs(5))),
        goes_on: NOTHING,
        ends: |scene| scene.proxy.set(Fault::None),
        codes: &["vault_timeout"],
        total: true,
    },
    Trouble {
        name: "connections reset",
        starts: |scene| scene.proxy.set(Fault::Reset),
        goes_on: NOTHING,
        ends: |scene| scene.proxy.set(Fault::None),
        codes: &["vault_unreachable"],
        total: true,
    },
    Trouble {
        name: "30 % of answers 500",
        starts: |scene| scene.proxy.rules(vec![Rule::new(Fault::Status(500)).share(0.3)]),
        goes_on: NOTHING,
        ends: |scene| scene.proxy.set(Fault::None),
        codes: &["vault_server_error"],
        total: false,
    },
    Trouble {
        name: "429 by a quota of one request in 10 s",
        starts: |scene| {
            let quota = json!({ "path": format!("{MOUNT}/"), "rate": 0.1, "interval": "10s" });
            scene.root.post("sys/quotas/rate-limit/keyward", &quota).ok();
        },
        goes_on: NOTHING,
        ends: |scene| drop(scene.root.delete("sys/quotas/rate-limit/keyward").ok()),
        codes: &["vault_rate_limited"],
        total: false,
    },
    Trouble {
        name: "token revoked every other second",
        starts: NOTHING,
        goes_on: |scene| {
            scene.seconds += 1;
            if scene.seconds % 2 == 1 {
                let path = "sys/leases/revoke-prefix/auth/approle/login";
                scene.root.put(path, &json!({})).ok();
            }
        },
        ends: NOTHING,
        codes: &[],
        total: false,
    },
    Trouble {
        name: "policy removed",
        starts: |scene| drop(scene.root.delete("sys/policies/acl/keyward").ok()),
        goes_on: NOTHING,
        ends: |scene| scene.root.policy("keyward", vault::POLICY),
        codes: &["vault_permission_denied"],
        total: true,
    },
    Trouble {
        name: "KV engine deleted, then restored from a backup",
        starts: |scene| {
            let _closed = scene.gate.lock().unwrap();
            scene.backup = vault::secrets(&scene.root, MOUNT);
            scene.root.delete(&format!("sys/mounts/{MOUNT}")).ok();
        },
        goes_on: NOTHING,
        ends: |scene| {
            // Aside, and then into place: an engine restored in part would deny that keys exist.
            scene.root.mount_kv2("aside");
            for (path, data) in &scene.backup {
                scene.root.post(&format!("aside/data/{path}"), &json!({ "data": data })).ok();
            }
            vault::move_mount(&scene.root, "aside", MOUNT);
        },
        codes: &["vault_mount_missing"],
        total: true,
    },
];

/// What the writer was told is done.
#[derive(Default)]
struct Acknowledged {
    keys: Vec<String>,
    versions: BTreeSet<u64>,
    /// Versions that were acknowledged a second time.
    repeated: Vec<u64>,
    ciphertexts: Vec<String>,
}

#[test]
fn every_fault_is_survived() {
    let vault = Vault::start(Options { durable: true, ..Options::default() });
    let root = vault::prepare(&vault);
    let proxy = Proxy::start(&vault.address);
    let env = Env::new(&proxy.address)
        .approle(&vault::role(&root, "4s", "12s"))
        .set("E2EE_VAULT_TIMEOUT", format!("{}s", TIMEOUT.as_secs()))
        .set("E2EE_VAULT_HEALTH_PERIOD", format!("{}s", PERIOD.as_secs()));
    let server = Server::serve_with("", &env.pairs());
    let tenant = server.tenant_with_policy("acme", "baseline");
    // This one forgets after a second, and may then serve what it knew.
    let second = env.set("KEYWARD_CACHE_TTL", "1s").set("KEYWARD_CACHE_OUTAGE", "serve-stale=10m");
    let second = Server::serve_with("", &second.pairs());
    let other = second.client().token(&tenant.app_token).below("/api/v1/tenants/acme");
    let mut scene =
        Scene { vault, proxy, root, backup: Vec::new(), gate: Arc::default(), seconds: 0 };

    let done = Arc::new(Mutex::new(Acknowledged::default()));
    let mut load = Load::default();
    load.add(CACHED, Duration::from_millis(25), round_trips(&tenant.app, "main"));
    load.add(STALE, Duration::from_millis(50), round_trips(&other, "main"));
    load.add(UNCACHED, Duration::from_millis(100), first_uses(&tenant, &other));
    let pause = Duration::from_millis(300);
    load.add_behind(&scene.gate, WRITES, pause, writes(&tenant, &done));

    let mut windows = Vec::new();
    for trouble in TROUBLES {
        std::thread::sleep(CALM);
        let from = Instant::now();
        (trouble.starts)(&mut scene);
        let mut checked = false;
        while from.elapsed() < LASTS {
            (trouble.goes_on)(&mut scene);
            std::thread::sleep(Duration::from_secs(1));
            if trouble.total && !checked && from.elapsed() > PERIOD + SLACK {
                tells_the_truth(trouble, &server);
                checked = true;
            }
        }
        (trouble.ends)(&mut scene);
        let ended = Instant::now();
        let recovered = load.until_success(UNCACHED, Duration::from_secs(20));
        let ready = until_ready(&server, ended);
        windows.push((trouble, from, ended, Instant::now(), recovered, ready));
    }
    std::thread::sleep(CALM);
    let (from, to) = (windows[0].1, Instant::now());
    let samples = load.stop();

    let mut wrong = Vec::new();
    for (trouble, from, ended, settled, recovered, ready) in windows {
        println!("\n{}", trouble.name);
        for kind in KINDS {
            println!("  {kind:>9}: {}", Count::of(&samples, kind, from, settled));
        }
        println!("  recovered after {recovered:.0?}, ready after {ready:.0?}");
        let mut must = |holds: bool, what: String| {
            if !holds {
                wrong.push(format!("{}: {what}", trouble.name));
            }
        };
        for kind in [CACHED, STALE] {
            let count = Count::of(&samples, kind, from, settled);
            must(count.failures() == 0, format!("{kind}: {count}"));
        }
        let soon = recovered.is_some_and(|took| took <= PERIOD + SLACK);
        must(soon, format!("not recovered within a health period: {recovered:?}"));
        must(ready <= PERIOD + SLACK, format!("ready only after {ready:?}"));
        let mut failed = 0;
        for sample in &samples {
            if !(from..ended).contains(&sample.at) || [CACHED, STALE].contains(&sample.kind) {
                continue;
            }
            let Err(failure) = &sample.outcome else { continue };
            failed += 1;
            must(names_the_cause(trouble, failure), format!("{failure:?}"));
            must(sample.took <= TIMEOUT + SLACK, format!("slow: {sample:?}"));
        }
        must(!trouble.total || failed > 0, "nothing failed".into());
    }
    println!("\nover the whole schedule, {} s", (to - from).as_secs());
    for kind in KINDS {
        let count = Count::of(&samples, kind, from, to);
        let good = count.total - count.failures();
        let share = 100.0 * f64::from(u32::try_from(good).unwrap())
            / f64::from(u32::try_from(count.total).unwrap());
        println!("  {kind:>9}: {share:.2} % available; {count}");
    }
    nothing_is_lost(&tenant, &other, &done.lock().unwrap());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Encrypts and decrypts with one key, over and over.
fn round_trips(app: &Client, key: &'static str) -> impl FnMut() -> Outcome + Send + 'static {
    let app = app.clone();
    let mut sealed = app.encrypt(&json!({ "key": key, "plaintext": b64("steady") }));
    let mut turn = 0_u32;
    move || {
        turn += 1;
        if turn.is_multiple_of(2) {
            let answer = expect(
                post(&app, "/encrypt", &json!({ "key": key, "plaintext": b64("steady") })),
                200,
            )?;
            sealed = answer.str("/ciphertext");
        } else {
            let answer = expect(post(&app, "/decrypt", &json!({ "ciphertext": sealed })), 200)?;
            assert_eq!(unb64(&answer.str("/plaintext")), b"steady");
        }
        Ok(())
    }
}

/// Decrypts what the other server encrypted, with a key that this one has not read yet; the same
/// one again until that succeeds.
fn first_uses(tenant: &Tenant, other: &Client) -> impl FnMut() -> Outcome + Send + 'static {
    let mut sealed: Vec<String> = (0..UNTOUCHED)
        .map(|number| {
            let name = format!("untouched-{number}");
            other.token(&tenant.admin_token).post("/keys", &json!({ "name": name })).expect(201);
            other.encrypt(&json!({ "key": name, "plaintext": b64(&name) }))
        })
        .collect();
    let app = tenant.app.clone();
    move || {
        let Some(ciphertext) = sealed.last() else {
            return Ok(());
        };
        expect(post(&app, "/decrypt", &json!({ "ciphertext": ciphertext })), 200)?;
        sealed.pop();
        Ok(())
    }
}

/// Creates keys and rotates one, and notes what was acknowledged.
fn writes(
    tenant: &Tenant,
    done: &Arc<Mutex<Acknowledged>>,
) -> impl FnMut() -> Outcome + Send + 'static {
    tenant.key("turning");
    let (admin, app, done) = (tenant.admin.clone(), tenant.app.clone(), Arc::clone(done));
    let mut turn = 0_u32;
    move || {
        turn += 1;
        let key = if turn.is_multiple_of(2) {
            let name = format!("written-{turn}");
            expect(post(&admin, "/keys", &json!({ "name": name })), 201)?;
            done.lock().unwrap().keys.push(name.clone());
            name
        } else {
            let answer = expect(post(&admin, "/keys/turning/rotate", &Value::Null), 200)?;
            let version = answer.json()["key_version"].as_u64().unwrap();
            let mut done = done.lock().unwrap();
            if !done.versions.insert(version) {
                done.repeated.push(version);
            }
            "turning".to_owned()
        };
        let body = json!({ "key": key, "plaintext": b64("kept") });
        let answer = expect(post(&app, "/encrypt", &body), 200)?;
        done.lock().unwrap().ciphertexts.push(answer.str("/ciphertext"));
        Ok(())
    }
}

fn post(client: &Client, path: &str, body: &Value) -> Result<keyward_tests::Answer, ureq::Error> {
    if body.is_null() {
        return client.try_send("POST", path, &[], b"");
    }
    let headers = [("content-type", "application/json")];
    client.try_send("POST", path, &headers, body.to_string().as_bytes())
}

/// Whether a refusal says why, and when to try again.
fn names_the_cause(trouble: &Trouble, failure: &Failure) -> bool {
    // A breaker that is open says what opened it.
    let named = |code: &&str| failure.code == **code || failure.detail.contains(*code);
    failure.status == 503 && failure.retry_after && trouble.codes.iter().any(named)
}

/// While nothing works, readiness and metrics say so.
#[track_caller]
fn tells_the_truth(trouble: &Trouble, server: &Server) {
    let client = server.client();
    client.get("/livez").expect(200);
    let ready = client.get("/readyz").problem(503, "not_ready").str("/detail");
    let named = |code: &&str| ready.contains(*code);
    assert!(trouble.codes.iter().any(named), "{}: {ready}", trouble.name);
    let metrics = client.get("/metrics").expect(200).text();
    let gauge = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(name) && line.contains(' '));
        let value = line.and_then(|line| line.rsplit(' ').next()).unwrap_or("missing");
        // A whole gauge is written `0.0` or `0`.
        value.strip_suffix(".0").unwrap_or(value).to_owned()
    };
    assert_eq!(gauge("keyward_ready "), "0", "{}", trouble.name);
    let sealed = if trouble.name == "sealed" { "1" } else { "0" };
    assert_eq!(gauge("keyward_vault_sealed "), sealed, "{}", trouble.name);
    let answers = ["policy removed", "KV engine deleted, then restored from a backup"];
    let up = if answers.contains(&trouble.name) { "1" } else { "0" };
    assert_eq!(gauge("keyward_vault_up "), up, "{}: {metrics}", trouble.name);
}

fn until_ready(server: &Server, since: Instant) -> Duration {
    while server.client().get("/readyz").status != 200 && since.elapsed() < Duration::from_secs(20)
    {
        std::thread::sleep(Duration::from_millis(20));
    }
    since.elapsed()
}

/// Everything that was acknowledged is there and opens, on both servers.
#[track_caller]
fn nothing_is_lost(tenant: &Tenant, other: &Client, done: &Acknowledged) {
    assert!(done.keys.len() > 20 && done.versions.len() > 20, "the writer hardly wrote");
    assert!(done.repeated.is_empty(), "acknowledged twice: {:?}", done.repeated);
    let key = tenant.admin.get("/keys/turning").expect(200).json();
    let there: BTreeSet<u64> = key["versions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|version| version["version"].as_u64().unwrap_or_else(|| version.as_u64().unwrap()))
        .collect();
    assert!(done.versions.is_subset(&there), "{:?}", done.versions.difference(&there));
    for name in &done.keys {
        tenant.admin.get(&format!("/keys/{name}")).expect(200);
    }
    for ciphertext in &done.ciphertexts {
        for client in [&tenant.app, other] {
            assert_eq!(client.decrypt(&json!({ "ciphertext": ciphertext })), b"kept");
        }
    }
    println!(
        "\nkept: {} keys, {} versions of one key, {} ciphertexts",
        done.keys.len(),
        done.versions.len(),
        done.ciphertexts.len()
    );
}
