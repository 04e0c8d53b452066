//! Policies' components in a bucket that hosts share: S3's protocol, spoken by a real server of it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::time::Duration;

use keyward_test_vault::{Fault, Options, Proxy, Rule, Vault};
use keyward_tests::age::Owner;
use keyward_tests::bucket::Bucket;
use keyward_tests::stamp::{stamp, stamped};
use keyward_tests::vault::{self, Env};
use keyward_tests::{Answer, Cli, Client, LIMIT, Launch, Server, until};
use serde_json::json;

const WASM: (&str, &str) = ("content-type", "application/wasm");
/// What nobody is to see.
const SECRET: &str = "hush-this-is-the-secret-access-key";
const SESSION: &str = "hush-this-is-the-session-token";

fn push(client: &Client, number: u32) -> Answer {
    client.send("POST", "/policies", &[WASM], &stamped(number))
}

fn activate(client: &Client, digest: &str) -> Answer {
    client.post("/policy/activate", &json!({ "digest": digest }))
}

fn which(app: &Client) -> String {
    let text = app.send("POST", "/invoke/which", &[], b"").expect(200).text();
    text.split_once(' ').unwrap().0.to_owned()
}

fn object(digest: &str) -> String {
    format!("policies/{}.wasm", &digest[7..])
}

fn config(endpoint: &str) -> String {
    format!(
        "policy.store.url = \"s3://keyward/policies\"\npolicy.store.endpoint = {endpoint:?}\n\
         policy.store.region = \"us-east-1\"\n"
    )
}

/// Credentials, as the environment gives them.
fn with_credentials(env: Env) -> Env {
    env.set("AWS_ACCESS_KEY_ID", "AKIAKEYWARD")
        .set("AWS_SECRET_ACCESS_KEY", SECRET)
        .set("AWS_SESSION_TOKEN", SESSION)
}

/// The components of a server's own.
fn files(server: &Server) -> Vec<String> {
    let entries = fs::read_dir(server.data().join("policies")).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

#[test]
fn hosts_find_components_in_the_bucket_and_serve_without_it() {
    let Some(bucket) = Bucket::start() else { return };
    let (vault, proxy) = (Vault::start(Options::default()), Proxy::start(&bucket.address));
    let root = vault::prepare(&vault);
    let env = Env::new(&vault.address).approle(&vault::role(&root, "1h", "4h"));
    let env = with_credentials(env);
    let (config, env) = (config(&proxy.address), env.pairs());
    let first = Server::serve_with(&config, &env);
    let mut second = Server::serve_with(&config, &env);
    let tenant = first.tenant("acme");
    let there = |server: &Server| {
        let below = |token| server.client().token(token).below("/api/v1/tenants/acme");
        (below(&tenant.admin_token), below(&tenant.app_token))
    };
    let (admin, app) = there(&second);
    let [one, two, three] =
        [1, 2, 3].map(|number| push(&tenant.admin, number).expect(201).str("/digest"));
    assert_eq!(bucket.names().len(), 3, "{:?}", bucket.names());
    assert!(bucket.names().contains(&object(&one)));
    let kept = vault::secrets(&root, vault::MOUNT);
    assert!(kept.iter().all(|(path, _)| !path.contains("components")), "they are in the bucket");
    assert!(files(&second).is_empty());
    for digest in [&one, &two] {
        activate(&admin, digest).expect(200);
    }
    assert_eq!(which(&app), stamp(2));

    // The bucket goes away: what is active goes on, and so does all that was here before.
    proxy.set(Fault::Drop);
    assert_eq!(which(&app), stamp(2));
    activate(&admin, &one).expect(200);
    until("the first host follows", || tenant.app.get("/policy").json()["digest"] == json!(one));
    assert_eq!(which(&tenant.app), stamp(1));
    let refused = activate(&admin, &three).problem(503, "policy_store_unavailable");
    assert!(!refused.header("retry-after").is_empty());
    push(&tenant.admin, 4).problem(503, "policy_store_unavailable");
    assert_eq!(
        tenant.admin.get("/policies").expect(200).json()["policies"].as_array().unwrap().len(),
        3
    );
    second.stop();
    second.start_again();
    let (admin, app) = there(&second);
    assert_eq!(which(&app), stamp(1));

    // One activates what the other has never seen; that one is shut, and opens by itself.
    activate(&tenant.admin, &three).expect(200);
    until("shut there", || app.get("/policy").status == 503);
    app.get("/policy").problem(503, "policy_store_unavailable");
    proxy.set(Fault::None);
    until("fetched", || app.get("/policy").status == 200);
    assert_eq!(which(&app), stamp(3));
    push(&admin, 4).expect(201);

    // Whatever its owner puts there, nothing runs that is not what was asked for.
    let five = push(&tenant.admin, 5).expect(201).str("/digest");
    bucket.put(&object(&five), &stamped(6));
    activate(&admin, &five).problem(500, "internal");
    assert!(second.stderr().contains("was changed"), "{}", second.stderr());
    push(&tenant.admin, 5).expect(200);
    activate(&admin, &five).expect(200);
    assert_eq!(which(&app), stamp(5));
    // What nobody keeps any more is not left there.
    admin.send("DELETE", &format!("/policies/{two}"), &[], b"").expect(200);
    assert!(!bucket.names().contains(&object(&two)));

    let logs = first.stderr() + &second.stderr();
    for secret in [SECRET, SESSION] {
        assert!(!logs.contains(secret));
    }
    assert!(logs.contains("the bucket of components failed"), "{logs}");
}

#[test]
fn a_host_alone_keeps_them_there_as_well_and_a_backup_has_them() {
    let Some(bucket) = Bucket::start() else { return };
    let env = with_credentials(Env::default()).set("KEYWARD_HARDENING", "on");
    let mut server = Server::serve_with(&config(&bucket.address), &env.pairs());
    let tenant = server.tenant("acme");
    let [one, two] = [1, 2].map(|number| push(&tenant.admin, number).expect(201).str("/digest"));
    activate(&tenant.admin, &one).expect(200);
    server.stop();
    // The disk is new but for the key store.
    for file in files(&server) {
        fs::remove_file(server.data().join("policies").join(file)).unwrap();
    }
    server.start_again();
    let below = |token| server.client().token(token).below("/api/v1/tenants/acme");
    let (admin, app) = (below(&tenant.admin_token), below(&tenant.app_token));
    assert_eq!(which(&app), stamp(1));
    assert_eq!(files(&server).len(), 1, "only what is needed is fetched");

    let (cli, owner) = (Cli::operator(&server), Owner::new());
    let (identity, recipient) = (cli.file("identity", owner.file()), owner.recipient());
    cli.run(&["backup", "--out", "it.age", "--recipient", &recipient]).good();
    // Restored where there is no bucket.
    let other = Server::serve("");
    let backup = cli.path("it.age");
    let restore = ["restore", "--in", backup.to_str().unwrap(), "--identity", &identity];
    Cli::operator(&other).run(&restore).good();
    let there = |token| other.client().token(token).below("/api/v1/tenants/acme");
    activate(&there(&tenant.admin_token), &two).expect(200);
    assert_eq!(which(&there(&tenant.app_token)), stamp(2));
    drop(admin);
}

#[test]
fn what_the_bucket_refuses_is_told_to_the_operator_and_no_secret_with_it() {
    let Some(bucket) = Bucket::start() else { return };
    let proxy = Proxy::start(&bucket.address);
    let env = with_credentials(Env::default());
    let server = Server::serve_with(&config(&proxy.address), &env.pairs());
    let tenant = server.tenant("acme");
    proxy.rules(vec![Rule::new(Fault::Status(403))]);
    let refused = push(&tenant.admin, 1).problem(503, "policy_store_unavailable").text();
    assert!(!refused.contains("s3://"), "{refused}");
    until("it is logged", || server.stderr().contains("credentials may not do this"));
    proxy.set(Fault::BlackHole);
    std::thread::sleep(Duration::from_secs(3));
    proxy.set(Fault::None);
    push(&tenant.admin, 1).expect(201);
    let doctor = |config: &str| {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("keyward.toml");
        fs::write(&file, config).unwrap();
        let args = ["doctor", "--json", "--config", file.to_str().unwrap()];
        let mut doctor = Launch::new(home.path(), &args);
        for (name, value) in env.pairs() {
            doctor = doctor.env(name, value);
        }
        let found: serde_json::Value = serde_json::from_str(&doctor.run(LIMIT).stdout).unwrap();
        let mut found = found.as_array().unwrap().iter();
        found.find(|finding| finding["check"] == "bucket").unwrap().clone()
    };
    assert_eq!(doctor(&config(&bucket.address))["state"], "ok");
    // A bucket that is not there is not an object that is not there.
    let lost = config(&bucket.address).replace("s3://keyward/", "s3://nobodys/");
    let finding = doctor(&lost);
    assert_eq!(finding["state"], "failed");
    assert!(finding["found"].as_str().unwrap().contains("NoSuchBucket"), "{finding}");
    let lost = Server::serve_with(&lost, &env.pairs());
    let tenant = lost.tenant("acme");
    push(&tenant.admin, 1).problem(503, "policy_store_unavailable");
    until("it is logged", || lost.stderr().contains("NoSuchBucket"));
    for secret in [SECRET, SESSION] {
        assert!(!(server.stderr() + &lost.stderr()).contains(secret));
    }
}
