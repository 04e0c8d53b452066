//! Backup and restore with real servers: what is restored serves the same tenants as before.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use keyward_test_vault::{Options, Vault};
use keyward_tests::age::{self, Owner};
use keyward_tests::vault::{self, Env};
use keyward_tests::{Cli, Client, Server, Tenant, b64, policy, unb64};
use serde_json::{Value, json};

/// What a tenant encrypted, and what it was.
struct Made {
    tenant: String,
    token: String,
    text: Vec<(String, String)>,
    streams: Vec<Vec<u8>>,
    protected: Value,
    mac: String,
}

const STREAM: &[u8] = b"a stream of bytes";

fn document() -> Value {
    json!({ "customer": { "name": "Ada" } })
}

/// One of each kind, by each version.
fn make(tenant: &Tenant, rotations: usize) -> Made {
    let (mut text, mut streams) = (Vec::new(), Vec::new());
    for round in 0..=rotations {
        let plain = format!("{} {round}", tenant.name);
        let body = json!({ "key": "main", "plaintext": b64(&plain), "context": b64("c") });
        text.push((tenant.app.encrypt(&body), plain));
        let sealed = tenant.app.send("POST", "/stream/encrypt?key=main", &[], STREAM);
        streams.push(sealed.expect(200).body);
        if round < rotations {
            tenant.operator.post("/keys/main/rotate", &json!({})).expect(200);
        }
    }
    let protected = tenant.app.post("/invoke/protect", &document()).expect(200).json();
    assert_ne!(protected, document());
    let mac = tenant.app.post("/mac", &json!({ "key": "tags", "input": b64("m") })).expect(200);
    let (name, token) = (tenant.name.clone(), tenant.app_token.clone());
    Made { tenant: name, token, text, streams, protected, mac: mac.str("/mac") }
}

fn tenant(server: &Server, name: &str) -> Tenant {
    let tenant = server.tenant_with_policy(name, "fields");
    tenant.new_key(&json!({ "name": "tags", "algorithm": "hmac-sha-256" }));
    tenant.key("fields");
    tenant.new_key(&json!({ "name": "fields-deterministic", "algorithm": "aes-256-siv" }));
    tenant
}

impl Made {
    fn app(&self, server: &Server) -> Client {
        server.client().token(&self.token).below(&format!("/api/v1/tenants/{}", self.tenant))
    }

    /// Fails unless all of it opens on this server, with the token from before.
    #[track_caller]
    fn opens_on(&self, server: &Server) {
        let app = self.app(server);
        for (ciphertext, plain) in &self.text {
            let body = json!({ "ciphertext": ciphertext, "context": b64("c") });
            assert_eq!(app.decrypt(&body), plain.as_bytes());
        }
        for sealed in &self.streams {
            let opened = app.send("POST", "/stream/decrypt", &[], sealed).expect(200);
            assert_eq!(opened.body, STREAM);
        }
        let revealed = app.post("/invoke/reveal", &self.protected).expect(200).json();
        assert_eq!(revealed, document());
        let body = json!({ "key": "tags", "input": b64("m"), "mac": self.mac });
        assert_eq!(app.post("/mac/verify", &body).expect(200).json()["valid"], true);
    }
}

fn back_up(cli: &Cli, owner: &Owner, name: &str) -> Value {
    let out = cli.path(name);
    let recipient = owner.recipient();
    let args = ["backup", "--json", "--out", out.to_str().unwrap(), "--recipient", &recipient];
    let report = cli.run(&args).good().json();
    assert_eq!(report["bytes"], fs::metadata(out).unwrap().len());
    assert_eq!(report["damaged_total"], 0, "{report}");
    report
}

fn in_vault() -> (Vault, Server) {
    let vault = Vault::start(Options::default());
    let root = vault::prepare(&vault);
    let env = Env::new(&vault.address).approle(&vault::role(&root, "1h", "4h"));
    let server = Server::serve_with("", &env.pairs());
    (vault, server)
}

#[test]
fn everything_serves_on_after_embedded_vault_embedded() {
    let owner = Owner::new();
    let first = Server::serve("");
    let (acme, other) = (tenant(&first, "acme"), tenant(&first, "other"));
    let made = [make(&acme, 3), make(&other, 0)];
    let gone = first.operator().below("/api/v1/vault/keys/main");
    gone.send("DELETE", "/versions/2?tenant=acme", &[], b"").expect(200);
    let active = acme.operator.get("/policy").expect(200).str("/digest");
    let cli = Cli::operator(&first);
    let identity = cli.file("identity", owner.file());
    let report = back_up(&cli, &owner, "first.age");
    assert_eq!(report["tenant"], Value::Null);
    assert_eq!(report["keys"], 8);

    let (_vault, second) = in_vault();
    let there = Cli::operator(&second);
    let backup = cli.path("first.age");
    let restore = ["restore", "--in", backup.to_str().unwrap(), "--identity", &identity];
    let dry = there.run(&[&restore[..], &["--dry-run"]].concat()).good();
    assert!(dry.text().contains("+ tenant acme, key main: 4 versions"), "{}", dry.text());
    assert!(dry.text().contains("dry run: nothing was changed"), "{}", dry.text());
    assert_eq!(second.operator().get("/api/v1/tenants").expect(200).json()["tenants"], json!([]));
    made[0].app(&second).post("/random", &json!({})).problem(401, "unauthenticated");
    let done = there.run(&[&restore[..], &["--json"]].concat()).good().json();
    assert_eq!(done["backup"]["digest"], report["digest"]);
    assert_eq!((&done["dry_run"], &done["from_this_store"]), (&json!(false), &json!(false)));
    assert!(done["written"].as_u64() > Some(20), "{done}");
    let lost = made[0].text[1].0.clone();
    let mut made = made;
    made[0].text.remove(1);
    made[0].streams.remove(1);
    for made in &made {
        made.opens_on(&second);
    }
    let body = json!({ "ciphertext": lost, "context": b64("c") });
    assert_ne!(made[0].app(&second).post("/decrypt", &body).status, 200, "a destroyed version");
    // The operator of the first server is one here as well.
    let operator = second.client().token(&first.operator_token);
    operator.get("/api/v1/tenants").expect(200);
    // The same once more: there is nothing left to do.
    let again = there.run(&[&restore[..], &["--json"]].concat()).good().json();
    assert_eq!(again["written"], 0, "{again}");

    // What was made in between comes along on the way back.
    let acme_there = made[0].app(&second);
    operator.below("/api/v1/tenants/acme").post("/keys/main/rotate", &json!({})).expect(200);
    let body = json!({ "key": "main", "plaintext": b64("late"), "context": b64("c") });
    let late = acme_there.encrypt(&body);
    made[0].text.push((late, "late".to_owned()));
    back_up(&there, &owner, "second.age");
    let mut third = Server::serve("");
    let here = Cli::operator(&third);
    let backup = there.path("second.age");
    let restore = ["restore", "--in", backup.to_str().unwrap(), "--identity", &identity];
    let done = here.run(&restore).good();
    assert!(done.text().contains("restored: "), "{}", done.text());
    for _ in 0..2 {
        for made in &made {
            made.opens_on(&third);
        }
        let shown = third.operator().get("/api/v1/tenants/acme/policy").expect(200);
        assert_eq!(shown.str("/digest"), active);
        // The same after a start.
        let token = third.operator_token.clone();
        third.stop();
        third.start_again();
        assert_eq!(third.operator_token, token);
    }
    // Whoever looked over a server's shoulder saw no identity.
    let secret = owner.file().lines().nth(1).unwrap().to_owned();
    for server in [&first, &second, &third] {
        assert!(!server.stderr().contains(&secret) && !server.stdout().contains(&secret));
        for file in server.data_files() {
            let content = fs::read(&file).unwrap();
            let found = content.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!found, "{}", file.display());
        }
    }
}

#[test]
fn one_tenant_comes_with_its_policy_and_tokens_and_without_the_others() {
    let (owner, first) = (Owner::new(), Server::serve(""));
    let (acme, other) = (tenant(&first, "acme"), tenant(&first, "other"));
    let (made, others) = (make(&acme, 1), make(&other, 0));
    // A tenant in the environment is no choice of one: that would be a backup of less than asked.
    let cli = Cli::operator(&first).env("KEYWARD_TENANT", "acme");
    assert_eq!(back_up(&cli, &owner, "all.age")["tenant"], Value::Null);
    let (identity, recipient) = (cli.file("identity", owner.file()), owner.recipient());
    let args = ["backup", "--tenant", "acme", "--out", "acme.age", "--recipient", &recipient];
    let text = cli.run(&args).good();
    assert!(text.text().contains("tenant acme: 4 keys"), "{}", text.text());
    let second = Server::serve("");
    let there = Cli::operator(&second);
    let backup = cli.path("acme.age");
    there.run(&["restore", "--in", backup.to_str().unwrap(), "--identity", &identity]).good();
    made.opens_on(&second);
    let tenants = second.operator().get("/api/v1/tenants").expect(200).json();
    assert_eq!(tenants, json!({ "tenants": [{ "name": "acme" }] }));
    others.app(&second).post("/random", &json!({})).problem(401, "unauthenticated");
    second
        .client()
        .token(&first.operator_token)
        .get("/api/v1/tenants")
        .problem(401, "unauthenticated");
    // Into a server that has something else of that name only when that is wanted.
    let third = Server::serve("");
    let own = tenant(&third, "acme");
    let kept = make(&own, 0);
    let there = Cli::operator(&third);
    let restore = ["restore", "--in", backup.to_str().unwrap(), "--identity", &identity];
    there.run(&restore).failed(1, &["restore_conflicts", "dry run"]);
    kept.opens_on(&third);
    there.run(&[&restore[..], &["--conflict", "keep"]].concat()).good();
    kept.opens_on(&third);
    let body = json!({ "ciphertext": made.text[0].0, "context": b64("c") });
    made.app(&third).post("/decrypt", &body).expect(400);
    there.run(&[&restore[..], &["--conflict", "replace"]].concat()).good();
    made.opens_on(&third);
    let body = json!({ "ciphertext": kept.text[0].0, "context": b64("c") });
    kept.app(&third).post("/decrypt", &body).expect(400);
}

/// Whatever is wrong with a backup is said, by a code, and changes nothing.
#[test]
fn what_is_no_whole_backup_for_this_server_is_refused() {
    let (owner, first) = (Owner::new(), Server::serve(""));
    make(&tenant(&first, "acme"), 1);
    let cli = Cli::operator(&first);
    let report = back_up(&cli, &owner, "good.age");
    let good = fs::read(cli.path("good.age")).unwrap();
    let content = owner.open(&good);
    let second = Server::serve("");
    let there = Cli::operator(&second);
    let identity = there.file("identity", owner.file());
    let nothing = |what: &str| {
        let tenants = second.operator().get("/api/v1/tenants").expect(200).json();
        assert_eq!(tenants, json!({ "tenants": [] }), "{what}");
    };

    // The client, with the identity.
    let mut changed = good.clone();
    let middle = changed.len() / 2;
    changed[middle] ^= 1;
    let to_owner = |content: &[u8]| age::seal(&owner.recipient(), content);
    let other = there.file("other", Owner::new().file());
    for (name, file, identity, codes) in [
        ("changed", changed, &identity, &["backup_damaged"][..]),
        (
            "cut",
            good[..good.len() - 9].to_vec(),
            &identity,
            &["backup_damaged", "backup_truncated"],
        ),
        ("foreign", good.clone(), &other, &["backup_wrong_identity"]),
        ("text", b"some text".to_vec(), &identity, &["backup_foreign"]),
        ("another file", to_owner(b"some text"), &identity, &["backup_foreign"]),
        ("newer", to_owner(b"keyward-backup 2\nwhat will be"), &identity, &["backup_newer_format"]),
        ("short", to_owner(&content[..content.len() - 200]), &identity, &["backup_truncated"]),
    ] {
        let path = there.file("file", file);
        let done = there.run(&["restore", "--in", &path, "--identity", identity]);
        let code = done.stderr.split(": ").nth(1).unwrap_or_default().to_owned();
        assert!(codes.contains(&code.as_str()), "{name}: {}", done.stderr);
        done.failed(1, &[]);
        nothing(name);
    }
    let wrong = format!("ed25519:{}", "0".repeat(64));
    let path = there.file("file", &good);
    let restore = ["restore", "--in", &path, "--identity", &identity];
    there.run(&[&restore[..], &["--origin", &wrong]].concat()).failed(1, &["backup_wrong_origin"]);
    let bad = there.run(&[&restore[..], &["--origin", "here"]].concat());
    bad.failed(1, &["backup_origin_invalid"]);
    nothing("origin");

    // Whoever speaks HTTP, to this server's own recipient.
    let operator = second.operator();
    let recipient = operator.get("/api/v1/restore/recipient").expect(200).str("/recipient");
    let to_server = |content: &[u8]| age::seal(&recipient, content);
    let mut damaged = content.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    for (body, code) in [
        (good.clone(), "backup_wrong_identity"),
        (Vec::new(), "backup_foreign"),
        (to_server(b""), "backup_foreign"),
        (to_server(b"keyward-backup 99\n"), "backup_newer_format"),
        (to_server(&damaged), "backup_damaged"),
        (to_server(&content[..content.len() - 1]), "backup_truncated"),
        (to_server(&[&content[..], b"more"].concat()), "backup_damaged"),
    ] {
        operator.send("POST", "/api/v1/restore", &[], &body).problem(422, code);
        nothing(code);
    }
    for query in ["dry_run=maybe", "conflict=none", "identity=AGE-SECRET-KEY-1", "dry_run"] {
        let path = format!("/api/v1/restore?{query}");
        operator.send("POST", &path, &[], &good).problem(400, "invalid_request");
    }

    // An upload that stops half-way.
    let whole = to_server(&content);
    let mut stream = TcpStream::connect(&second.address).unwrap();
    let head = format!(
        "POST /api/v1/restore HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        second.operator_token,
        whole.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&whole[..whole.len() - 1]).unwrap();
    drop(stream);
    std::thread::sleep(Duration::from_millis(300));
    nothing("half an upload");
    // The whole of it is fine.
    let restored = operator.send("POST", "/api/v1/restore", &[], &whole).expect(200).json();
    assert_eq!(restored["backup"]["digest"], report["digest"]);
}

#[test]
fn backups_are_for_operators_and_say_what_is_wrong_with_a_request() {
    let server = Server::serve("");
    let tenant = tenant(&server, "acme");
    let recipient = Owner::new().recipient();
    let good = json!({ "recipients": [recipient] });
    for client in [tenant.admin.at_root(), tenant.app.at_root()] {
        client.post("/api/v1/backup", &good).problem(403, "forbidden");
        client.send("POST", "/api/v1/restore", &[], b"x").problem(403, "forbidden");
        client.get("/api/v1/restore/recipient").problem(403, "forbidden");
    }
    server.client().post("/api/v1/backup", &good).problem(401, "unauthenticated");
    let operator = server.operator();
    let post = |body: &Value| operator.post("/api/v1/backup", body);
    post(&json!({ "recipients": [] }))
        .problem(400, "backup_recipient_invalid")
        .field("/recipients");
    let one_bad = json!({ "recipients": [recipient, "age1bad"] });
    post(&one_bad).problem(400, "backup_recipient_invalid").field("/recipients/1");
    let secret = Owner::new().file();
    let shown = post(&json!({ "recipients": [secret.lines().nth(1)] }));
    assert!(!shown.problem(400, "backup_recipient_invalid").text().contains("SECRET-KEY"));
    let unknown = json!({ "recipients": [recipient], "tenant": "none" });
    post(&unknown).problem(404, "tenant_not_found").field("/tenant");
    post(&json!({ "recipients": [recipient], "passphrase": "x" }))
        .problem(400, "invalid_field")
        .field("/passphrase");
    post(&json!({ "recipients": vec![&recipient; 33] })).problem(400, "invalid_field");
    let answer = post(&good).expect(200);
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert!(answer.body.starts_with(b"age-encryption.org/v1\n"));
}

/// A component that is not there any more is named, and the rest is saved.
#[test]
fn what_is_missing_in_a_backup_is_said() {
    let (owner, server) = (Owner::new(), Server::serve(""));
    let made = make(&tenant(&server, "acme"), 0);
    let dir = server.data().join("policies");
    for entry in fs::read_dir(&dir).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let cli = Cli::operator(&server);
    let (identity, recipient) = (cli.file("identity", owner.file()), owner.recipient());
    let done = cli.run(&["backup", "--out", "b.age", "--recipient", &recipient]);
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stderr.contains("components/"), "{}", done.stderr);
    let mut second = Server::serve("");
    let there = Cli::operator(&second);
    let backup = cli.path("b.age");
    there.run(&["restore", "--in", backup.to_str().unwrap(), "--identity", &identity]).good();
    made.app(&second).post("/random", &json!({})).problem(503, "policy_unusable");
    let manage = second.operator().below("/api/v1/tenants/acme");
    manage.put_policy(&policy("fields")).expect(200);
    made.opens_on(&second);
    second.stop();
}

/// Whatever is written meanwhile: what was encrypted before a backup began opens from it.
#[test]
fn a_backup_under_load_is_consistent() {
    let (owner, server) = (Owner::new(), Server::serve(""));
    let tenant = tenant(&server, "acme");
    let cli = Cli::operator(&server);
    let identity = cli.file("identity", owner.file());
    let done = AtomicBool::new(false);
    let made = std::sync::Mutex::new(Vec::new());
    let backups = std::thread::scope(|scope| {
        for key in ["a", "b", "c"] {
            let (tenant, done, made) = (&tenant, &done, &made);
            scope.spawn(move || {
                tenant.key(key);
                let mut last = 1;
                for round in 0.. {
                    if done.load(Ordering::Relaxed) {
                        return;
                    }
                    let text = format!("{key} {round}");
                    let body = json!({ "key": key, "plaintext": b64(&text) });
                    let answer = tenant.app.post("/encrypt", &body).expect(200);
                    made.lock().unwrap().push((Instant::now(), answer.str("/ciphertext"), text));
                    let rotated = tenant.operator.post(&format!("/keys/{key}/rotate"), &json!({}));
                    let next = rotated.expect(200).json()["key_version"].as_u64().unwrap();
                    assert!(next > last);
                    last = next;
                    if round % 20 == 0 {
                        tenant.key(&format!("{key}{round}"));
                    }
                }
            });
        }
        let backups: Vec<_> = (0..3)
            .map(|number| {
                std::thread::sleep(Duration::from_millis(400));
                let begun = Instant::now();
                let name = format!("{number}.age");
                back_up(&cli, &owner, &name);
                (begun, cli.path(&name))
            })
            .collect();
        done.store(true, Ordering::Relaxed);
        backups
    });
    let made = made.into_inner().unwrap();
    for (begun, path) in backups {
        let second = Server::serve("");
        let there = Cli::operator(&second);
        there.run(&["restore", "--in", path.to_str().unwrap(), "--identity", &identity]).good();
        let app = second.client().token(&tenant.app_token).below("/api/v1/tenants/acme");
        let before = made.iter().filter(|(at, ..)| *at < begun);
        let bodies: Vec<_> = before.map(|(_, sealed, text)| (sealed, text)).collect();
        assert!(bodies.len() > 10, "{}", bodies.len());
        for batch in bodies.chunks(100) {
            let items: Vec<_> =
                batch.iter().map(|(sealed, _)| json!({ "ciphertext": sealed })).collect();
            let answer = app.post("/decrypt", &json!({ "items": items })).expect(200).json();
            for (opened, (_, text)) in answer["items"].as_array().unwrap().iter().zip(batch) {
                let plain = opened["plaintext"].as_str();
                assert_eq!(plain.map(unb64).as_deref(), Some(text.as_bytes()), "{opened}");
            }
        }
    }
}

/// A server that begins to answer a backup and then does something else.
fn half(then: impl FnOnce(TcpStream) + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 4096];
        let _ = stream.read(&mut request).unwrap();
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n\
                    transfer-encoding: chunked\r\n\r\n15\r\nage-encryption.org/v1\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        then(stream);
    });
    url
}

#[test]
fn an_interrupted_backup_leaves_no_file() {
    let recipient = Owner::new().recipient();
    let args = ["backup", "--out", "b.age", "--recipient", &recipient];
    // The server goes away.
    let cli = Cli::new(&half(drop)).env("KEYWARD_OPERATOR_TOKEN", "kw_x");
    cli.run(&args).failed(1, &["broke off"]);
    assert!(cli.names().is_empty(), "{:?}", cli.names());
    // Ctrl-C.
    let (sender, hold) = std::sync::mpsc::channel::<()>();
    let cli = Cli::new(&half(move |_stream| hold.recv().unwrap_or_default()));
    let cli = cli.env("KEYWARD_OPERATOR_TOKEN", "kw_x");
    let child = cli.start(&args);
    let start = Instant::now();
    while cli.names().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!cli.path("b.age").exists());
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    assert!(cli.names().is_empty(), "{:?}", cli.names());
    drop(sender);
    // A file that is there is not replaced.
    cli.file("b.age", "older");
    cli.run(&args).failed(1, &["backup_file_exists", "b.age"]);
    assert_eq!(fs::read(cli.path("b.age")).unwrap(), b"older");
}
