//! What operators give single tenants: rates, keys, instances, CPU time; shown, enforced, counted.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use keyward_test_vault::{Options, Vault};
use keyward_tests::vault::{self, Env};
use keyward_tests::{Answer, Cli, Server, Tenant};
use serde_json::{Value, json};

static SERVER: LazyLock<Server> =
    LazyLock::new(|| Server::serve("[policy]\ncpu = \"500ms\"\nwall = \"60s\"\n"));

#[track_caller]
fn set(tenant: &Tenant, quotas: &Value) -> Value {
    put(tenant, quotas).expect(200).json()
}

fn put(tenant: &Tenant, quotas: &Value) -> Answer {
    let json = [("content-type", "application/json")];
    tenant.operator.send("PUT", "/quotas", &json, quotas.to_string().as_bytes())
}

fn encrypt(tenant: &Tenant, key: &str, purpose: &str) -> Answer {
    tenant.app.post("/encrypt", &json!({ "key": key, "plaintext": "", "purpose": purpose }))
}

#[test]
fn quotas_are_an_operators_to_set_and_an_admins_to_see() {
    let tenant = SERVER.tenant("seen");
    let none = tenant.admin.get("/quotas").expect(200).json();
    assert_eq!((&none["quotas"], &none["own"]), (&json!({}), &json!(false)));
    let quotas = json!({
        "keys": ["app-*"], "requests": "100/s burst 200", "items": "off", "operations": { "sign": "1/h" },
        "in_flight": 10, "weight": 2, "instances": 3, "host_calls": 100, "host_call_bytes": 4096,
        "memory_bytes": 1_048_576, "cpu_ms_per_second": 500,
    });
    let shown = set(&tenant, &quotas);
    assert_eq!((&shown["quotas"], &shown["own"]), (&quotas, &json!(true)));
    assert_eq!(shown["use"]["in_flight"], 0);
    let seen = || tenant.admin.get("/quotas").expect(200).json()["quotas"].take();
    assert_eq!(seen(), quotas);
    tenant.app.get("/quotas").problem(403, "forbidden");
    let json = [("content-type", "application/json")];
    tenant.admin.send("PUT", "/quotas", &json, b"{}").problem(403, "forbidden");
    tenant.admin.send("DELETE", "/quotas", &[], b"").problem(403, "forbidden");
    for (field, bad) in [
        ("/requests", json!({ "requests": "fast" })),
        ("/items", json!({ "items": "0/s" })),
        ("/operations/health", json!({ "operations": { "health": "1/s" } })),
        ("/operations/sign", json!({ "operations": { "sign": "often" } })),
        ("/keys/1", json!({ "keys": ["a", ""] })),
        ("/weight", json!({ "weight": 101 })),
        ("/in_flight", json!({ "in_flight": 0 })),
        ("/memory_bytes", json!({ "memory_bytes": 1 })),
        ("/cpu_ms_per_second", json!({ "cpu_ms_per_second": -1 })),
        ("/more", json!({ "more": 1 })),
    ] {
        put(&tenant, &bad).problem(400, "invalid_field").field(field);
    }
    assert_eq!(seen(), quotas, "what is wrong changes nothing");
    let removed = tenant.operator.send("DELETE", "/quotas", &[], b"").expect(200).json();
    assert_eq!((&removed["quotas"], &removed["own"]), (&json!({}), &json!(false)));
}

#[test]
fn policies_use_the_keys_that_are_granted() {
    let tenant = SERVER.tenant_with_policy("granted", "hostile");
    tenant.key("app-1");
    set(&tenant, &json!({ "keys": ["app-*"] }));
    encrypt(&tenant, "app-1", "allow").expect(200);
    encrypt(&tenant, "main", "allow").problem(403, "key_not_granted");
    // By a handle of the policy's own.
    let opened = |key: &str| tenant.app.post(&format!("/invoke/open-own?key={key}"), &json!({}));
    opened("main").problem(403, "policy_refused");
    let items = json!({ "items": [
        { "key": "main", "plaintext": "", "purpose": "allow" },
        { "key": "app-1", "plaintext": "", "purpose": "allow" },
    ] });
    let answer = tenant.app.post("/encrypt", &items).expect(200).json();
    assert_eq!(answer["items"][0]["error"]["code"], "key_not_granted");
    assert!(answer["items"][1]["ciphertext"].is_string());
    let stream = |key: &str| {
        let path = format!("/stream/encrypt?key={key}&purpose=allow");
        tenant.app.send("POST", &path, &[], b"x")
    };
    stream("main").problem(403, "key_not_granted");
    stream("app-1").expect(200);
    tenant.operator.send("DELETE", "/quotas", &[], b"").expect(200);
    encrypt(&tenant, "main", "allow").expect(200);
    opened("main").expect(200);
}

#[test]
fn a_tenants_own_rate_goes_before_the_servers() {
    let server = Server::serve("[limits]\ntenant = \"1/h\"\n");
    let tenant = server.tenant("rated");
    tenant.app.get("/keys").expect(200);
    tenant.app.get("/keys").problem(429, "rate_limited");
    set(&tenant, &json!({ "requests": "3/h" }));
    for _ in 0..3 {
        tenant.app.get("/keys").expect(200);
    }
    tenant.app.get("/keys").problem(429, "rate_limited");
    // The same once more fills no bucket.
    set(&tenant, &json!({ "requests": "3/h" }));
    tenant.app.get("/keys").problem(429, "rate_limited");
    set(&tenant, &json!({ "requests": "off" }));
    for _ in 0..5 {
        tenant.app.get("/keys").expect(200);
    }
}

#[test]
fn cpu_time_is_given_by_the_second() {
    let tenant = SERVER.tenant_with_policy("spends", "hostile");
    let other = SERVER.tenant_with_policy("saves", "hostile");
    set(&tenant, &json!({ "cpu_ms_per_second": 100 }));
    encrypt(&tenant, "main", "loop").problem(502, "policy_cpu_limit");
    // Half a second of it is five seconds' worth, of which one was free.
    let refused = encrypt(&tenant, "main", "allow").problem(429, "policy_cpu_quota");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&wait), "{wait}");
    encrypt(&other, "main", "allow").expect(200);
    let used = tenant.admin.get("/quotas").expect(200).json()["use"].take();
    assert!(used["cpu_ms"].as_u64() >= Some(300), "{used}");
    assert_eq!((&used["runs"], &used["instances"]), (&json!(1), &json!(0)));
    assert!(used["peak_memory_bytes"].as_u64() > Some(0), "{used}");
    set(&tenant, &json!({}));
    encrypt(&tenant, "main", "allow").expect(200);
    // And told of each tenant.
    let metrics = SERVER.client().get("/metrics").expect(200).text();
    assert!(
        metrics.contains(r#"keyward_tenant_policy_runs_total{tenant="spends"} 2"#),
        "{metrics}"
    );
}

#[test]
fn instances_and_runs_are_bounded_below_the_servers_settings() {
    let tenant = SERVER.tenant_with_policy("bounded", "hostile");
    set(&tenant, &json!({ "instances": 1 }));
    std::thread::scope(|scope| {
        scope.spawn(|| encrypt(&tenant, "main", "loop").problem(502, "policy_cpu_limit"));
        let start = Instant::now();
        while tenant.admin.get("/quotas").expect(200).json()["use"]["instances"] != 1 {
            assert!(start.elapsed() < Duration::from_secs(20));
        }
        let refused = encrypt(&tenant, "main", "allow").problem(429, "policy_instances_quota");
        assert_eq!(refused.header("retry-after"), "1");
    });
    encrypt(&tenant, "main", "allow").expect(200);
    set(&tenant, &json!({ "host_calls": 10 }));
    let many = || tenant.app.post("/invoke/million-calls?key=main", &json!({}));
    let refused = many().problem(502, "policy_host_call_limit");
    assert!(refused.str("/detail").contains("10"), "{}", refused.text());
    set(&tenant, &json!({ "memory_bytes": 2_097_152 }));
    encrypt(&tenant, "main", "alloc").problem(502, "policy_memory_limit");
}

#[test]
fn they_outlive_a_restart_and_are_set_by_the_client() {
    let mut server = Server::serve("");
    let tenant = server.tenant_with_policy("kept", "hostile");
    let cli = Cli::operator(&server);
    let at = |words: &[&str]| cli.run(&[words, &["--tenant", "kept"]].concat()).good();
    let words = ["--key", "app-*", "--requests", "50/s", "--operation", "sign=1/m"];
    assert!(at(&[&["tenant", "set-quotas"], &words[..]].concat()).text().contains("app-*"));
    assert!(at(&["tenant", "quotas"]).text().contains("50/s"));
    server.stop();
    server.start_again();
    let shown = server.operator().get("/api/v1/tenants/kept/quotas").expect(200).json();
    assert_eq!(
        shown["quotas"],
        json!({
            "keys": ["app-*"], "requests": "50/s", "operations": { "sign": "1/m" },
        })
    );
    let app = server.client().token(&tenant.app_token).below("/api/v1/tenants/kept");
    let body = json!({ "key": "main", "plaintext": "", "purpose": "allow" });
    app.post("/encrypt", &body).problem(403, "key_not_granted");
}

/// Longest a change may take to reach another host: twice the default of `vault.poll`, and room for a
/// busy machine.
const BOUND: Duration = Duration::from_secs(20);

#[test]
fn other_hosts_hear_of_them() {
    let vault = Vault::start(Options::default());
    let root = vault::prepare(&vault);
    let env = Env::new(&vault.address).approle(&vault::role(&root, "1h", "4h"));
    let first = Server::serve_with("", &env.pairs());
    let tenant = first.tenant_with_policy("acme", "hostile");
    let mut second = Server::serve_with("", &env.pairs());
    second.operator_token.clone_from(&first.operator_token);
    let there = second.client().token(&tenant.app_token).below("/api/v1/tenants/acme");
    let body = json!({ "key": "main", "plaintext": "", "purpose": "allow" });
    there.post("/encrypt", &body).expect(200);
    let until = |status| {
        let start = Instant::now();
        while there.post("/encrypt", &body).status != status {
            assert!(start.elapsed() < BOUND, "no {status} on the other host");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    set(&tenant, &json!({ "keys": [] }));
    until(403);
    there.post("/encrypt", &body).problem(403, "key_not_granted");
    tenant.operator.send("DELETE", "/quotas", &[], b"").expect(200);
    until(200);
}
