//! The audit log of the real server: what is in it, and that nothing can be done to it unseen.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keyward_tests::{Cli, Done, Server, b64, raw};
use serde_json::{Value, json};

fn dir(server: &Server) -> PathBuf {
    server.data().join("audit")
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|end| end == "jsonl")).collect();
    files.sort();
    files
}

fn entries(dir: &Path) -> Vec<Value> {
    let text: String = files(dir).iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The entries of one request, waited for: they are written a little later.
fn of_request(server: &Server, id: &str, count: usize) -> Vec<Value> {
    for _ in 0..500 {
        let found: Vec<Value> =
            entries(&dir(server)).into_iter().filter(|entry| entry["request_id"] == id).collect();
        if found.len() >= count {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("there are not {count} entries of {id}");
}

fn verify(dir: &Path, more: &[&str]) -> Done {
    let cli = Cli::new("http://127.0.0.1:1");
    cli.run(&[&["audit", "verify", "--dir", dir.to_str().unwrap()], more].concat())
}

/// A copy that something is done to.
fn copy(dir: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of actions and what is recorded of each")]
fn every_action_has_its_entry_with_whom_the_token_speaks_for() {
    let mut server = Server::dev();
    let tenant = server.tenant_with_policy("acme", "fields");
    tenant.key("fields");
    tenant.new_key(&json!({ "name": "fields-deterministic", "algorithm": "aes-256-siv" }));
    let json_type = ("content-type", "application/json");
    let mut expected: Vec<(String, Value)> = Vec::new();
    let mut ask =
        |client: &keyward_tests::Client, method: &str, path: &str, body: &Value, wanted: Value| {
            let id = format!("asked-{}", expected.len());
            let headers = [json_type, ("x-request-id", &id), ("x-actor", "mallory")];
            let answer = client.send(method, path, &headers, body.to_string().as_bytes());
            assert_eq!(answer.status, wanted["status"], "{path}: {}", answer.text());
            assert_eq!(answer.header("x-request-id"), id);
            expected.push((id, wanted));
            answer
        };
    let (app, admin, operator) = (&tenant.app, &tenant.admin, tenant.operator.at_root());
    let by = |subject: &str, operation: &str, status: u16| json!({ "subject": subject, "operation": operation, "status": status, "tenant": "acme" });
    let with = |mut wanted: Value, more: &Value| {
        let more = more.as_object().unwrap().clone();
        wanted.as_object_mut().unwrap().extend(more);
        wanted
    };
    ask(
        admin,
        "POST",
        "/keys",
        &json!({ "name": "k", "owner": "mallory" }),
        with(by("admin", "key.create", 201), &json!({ "key": "k", "version": 1 })),
    );
    let plain = json!({ "key": "k", "plaintext": b64("x"), "purpose": "statement" });
    let sealed = ask(
        app,
        "POST",
        "/encrypt",
        &plain,
        with(
            by("app", "encrypt", 200),
            &json!({ "key": "k", "version": 1, "decision": "allow", "purpose": "statement" }),
        ),
    );
    ask(
        admin,
        "POST",
        "/keys/k/rotate",
        &json!({ "reason": "by mallory" }),
        with(by("admin", "key.rotate", 200), &json!({ "key": "k", "version": 2 })),
    );
    let back = json!({ "ciphertext": sealed.str("/ciphertext") });
    ask(
        app,
        "POST",
        "/decrypt",
        &back,
        with(by("app", "decrypt", 200), &json!({ "key": "k", "version": 1, "decision": "allow" })),
    );
    let vault = |rest: &str| format!("/api/v1/vault/keys/k/{rest}?tenant=acme");
    ask(
        &operator,
        "POST",
        &vault("versions"),
        &json!({ "created_by": "mallory" }),
        with(by("operator", "key.version.create", 201), &json!({ "key": "k", "version": 3 })),
    );
    ask(
        &operator,
        "POST",
        &vault("rollback"),
        &json!({ "target_version": 1, "rollback_by": "mallory" }),
        with(by("operator", "key.rollback", 200), &json!({ "key": "k", "version": 1 })),
    );
    ask(
        &operator,
        "DELETE",
        &vault("versions/2"),
        &json!({ "deleted_by": "mallory" }),
        with(by("operator", "key.version.destroy", 200), &json!({ "key": "k", "version": 2 })),
    );
    ask(
        &operator,
        "DELETE",
        &vault("versions/1"),
        &json!({}),
        with(
            by("operator", "key.version.destroy", 409),
            &json!({ "key": "k", "version": 1, "code": "key_version_is_current" }),
        ),
    );
    ask(
        admin,
        "POST",
        "/keys/k/disable",
        &json!({}),
        with(by("admin", "key.disable", 200), &json!({ "key": "k" })),
    );
    ask(
        app,
        "POST",
        "/encrypt",
        &plain,
        with(by("app", "encrypt", 403), &json!({ "key": "k", "code": "key_disabled" })),
    );
    ask(admin, "POST", "/keys/k/enable", &json!({}), by("admin", "key.enable", 200));
    let minted = json!({ "subject": "mallory", "roles": [] });
    let token = ask(admin, "POST", "/tokens", &minted, by("admin", "token.mint", 201));
    ask(
        &operator,
        "POST",
        "/api/v1/vault/cache/clear",
        &json!({}),
        json!({ "subject": "operator", "operation": "cache.clear", "status": 200 }),
    );
    ask(
        &operator,
        "POST",
        "/api/v1/vault/token/renew",
        &json!({}),
        json!({ "subject": "operator", "operation": "vault.token.renew", "status": 409, "code": "vault_not_used" }),
    );
    ask(
        app,
        "POST",
        "/keys/k/rotate",
        &json!({}),
        with(by("app", "key.rotate", 403), &json!({ "key": "k", "code": "forbidden" })),
    );
    let stranger = tenant.caller(&["stranger"]);
    ask(
        &stranger,
        "POST",
        "/encrypt",
        &plain,
        with(
            by("caller", "encrypt", 403),
            &json!({ "code": "policy_refused", "decision": "deny" }),
        ),
    );
    ask(
        &app.authorization(None),
        "POST",
        "/encrypt",
        &plain,
        json!({ "operation": "encrypt", "status": 401, "tenant": "acme", "subject": null, "code": "unauthenticated" }),
    );
    let batch = json!({ "items": [plain, plain, { "key": "absent", "plaintext": "" }] });
    ask(
        app,
        "POST",
        "/encrypt",
        &batch,
        with(
            by("app", "encrypt", 200),
            &json!({ "key": "k", "version": 1, "items": { "done": 2, "failed": { "key_not_found": 1 } } }),
        ),
    );
    ask(
        app,
        "POST",
        "/invoke/protect?purpose=p",
        &json!({ "customer": { "name": "Ada" } }),
        with(by("app", "invoke/protect", 200), &json!({ "purpose": "p", "decision": "allow" })),
    );
    ask(
        admin,
        "POST",
        "/keys/k/destroy",
        &json!({ "confirm": "k" }),
        with(by("admin", "key.destroy", 200), &json!({ "key": "k" })),
    );
    let lines = [("content-type", "application/x-ndjson"), ("x-request-id", "lines")];
    app.send("POST", "/encrypt", &lines, b"{\"key\":\"main\",\"plaintext\":\"\"}\n{}\n")
        .expect(200);
    let stream = [("x-request-id", "stream")];
    app.send("POST", "/stream/encrypt?key=main", &stream, &vec![0; 200_000]).expect(200);
    let trace = [
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("x-request-id", "trace"),
    ];
    app.send("GET", "/keys/main", &trace, b"").expect(200);

    for (id, wanted) in &expected {
        let [entry] = &of_request(&server, id, 1)[..] else { panic!("{id} has several entries") };
        for (field, value) in wanted.as_object().unwrap() {
            assert_eq!(entry.get(field).unwrap_or(&Value::Null), value, "{field} of {entry}");
        }
        assert_eq!(entry["client"], "127.0.0.1");
        assert!(entry["duration_us"].as_u64().unwrap() > 0 && entry["time_ms"].as_u64().is_some());
        if wanted["decision"] == "allow" {
            assert!(entry["policy"].as_str().unwrap().starts_with("sha256:"), "{entry}");
        }
        if wanted["operation"] == "token.mint" {
            assert_eq!(entry["target"], format!("token {}", token.str("/id")));
        }
        // Whoever a body says it was is nowhere.
        assert!(!entry.to_string().contains("mallory"), "{entry}");
    }
    let ends = of_request(&server, "lines", 2);
    assert_eq!((&ends[0]["kind"], &ends[1]["kind"]), (&json!("request"), &json!("end")));
    assert_eq!(ends[1]["items"]["done"], 1);
    assert_eq!((&ends[1]["key"], &ends[1]["version"]), (&json!("main"), &json!(1)));
    let ends = of_request(&server, "stream", 2);
    assert_eq!((&ends[1]["kind"], ends[1].get("code")), (&json!("end"), None));
    assert_eq!((&ends[0]["key"], &ends[0]["version"]), (&json!("main"), &json!(1)));
    let traced = &of_request(&server, "trace", 1)[0];
    assert_eq!(traced["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert!(!fs::read_to_string(&files(&dir(&server))[0]).unwrap().contains(&token.str("/token")));

    queried(&server, &tenant);
    verify(&dir(&server), &[]).good();
    server.stop();
    let done = verify(&dir(&server), &[]).good();
    assert!(done.text().contains("; 0 later entries"), "{}", done.text());
    each_edit_is_found(&dir(&server));
}

/// What the API shows, and to whom.
fn queried(server: &Server, tenant: &keyward_tests::Tenant) {
    let operator = server.operator();
    let shown = |path: &str| {
        let page = operator.get(path).expect(200).json();
        page["entries"].as_array().unwrap().clone()
    };
    let rotations = shown("/api/v1/audit?tenant=acme&operation=key.rotate&outcome=ok");
    assert_eq!(rotations.len(), 1);
    assert_eq!((&rotations[0]["subject"], &rotations[0]["version"]), (&json!("admin"), &json!(2)));
    assert!(shown("/api/v1/audit?subject=mallory").is_empty());
    assert_eq!(shown("/api/v1/audit?request_id=asked-0").len(), 1);
    let mut seen = Vec::new();
    let mut after = json!(0);
    while !after.is_null() {
        let page = operator.get(&format!("/api/v1/audit?key=k&limit=3&after={after}")).expect(200);
        let page = page.json();
        let entries = page["entries"].as_array().unwrap();
        assert!(entries.len() <= 3);
        seen.extend(entries.iter().map(|entry| entry["seq"].as_u64().unwrap()));
        after = page["next"].clone();
    }
    assert!(seen.len() > 10 && seen.is_sorted(), "{seen:?}");
    // A tenant's admins see what is about their tenant, and nobody else anything.
    let other = server.tenant("other");
    other.admin.at_root().get("/api/v1/tenants/acme/keys").problem(403, "forbidden");
    let id =
        other.admin.at_root().get("/api/v1/tenants/acme/keys").header("x-request-id").to_owned();
    of_request(server, &id, 1);
    let page = tenant.admin.get("/audit?limit=1000").expect(200).json();
    let own = page["entries"].as_array().unwrap();
    assert!(own.len() > 20 && own.iter().all(|entry| entry["tenant"] == "acme"));
    let attempt = own.iter().find(|entry| entry["request_id"] == *id).unwrap();
    assert_eq!((attempt.get("subject"), &attempt["status"]), (None, &json!(403)));
    tenant.admin.get("/audit?tenant=other").problem(400, "invalid_request").field("/tenant");
    tenant.app.get("/audit").problem(403, "forbidden");
    other.admin.at_root().get("/api/v1/tenants/acme/audit").problem(403, "forbidden");
    tenant.admin.at_root().get("/api/v1/audit").problem(403, "forbidden");
    let cli = Cli::new("http://127.0.0.1:1");
    let log = dir(server);
    let args = ["audit", "query", "--dir", log.to_str().unwrap(), "--operation", "key.rotate"];
    let text = cli.run(&args).good();
    assert_eq!(text.text().lines().count(), 2, "{}", text.text());
    let lines = cli.run(&[&args[..], &["--outcome", "403", "--json"]].concat()).good();
    assert_eq!(lines.json()["subject"], "app");
    let key = cli.run(&["audit", "key", "--dir", log.to_str().unwrap()]).good();
    assert_eq!(key.text(), fs::read_to_string(log.join("key.vkey")).unwrap());
    let metrics = server.client().get("/metrics").expect(200).text();
    for figure in
        ["keyward_audit_entries_total", "keyward_audit_queue_entries", "keyward_audit_shed_total 0"]
    {
        assert!(metrics.contains(figure), "{figure}");
    }
}

/// One thing after the other is done to copies of a log that is in order.
fn each_edit_is_found(log: &Path) {
    let entries = entries(log);
    let at = entries.iter().position(|entry| entry["operation"] == "key.rotate").unwrap();
    let seq = at + 1;
    let found = |what: &str, expected: usize, edit: &dyn Fn(&mut Vec<String>)| {
        let dir = copy(log);
        let file = &files(dir.path())[0];
        let text = fs::read_to_string(file).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        edit(&mut lines);
        fs::write(file, lines.join("\n") + "\n").unwrap();
        let place = format!("line {expected}: entry {expected}:");
        let done = verify(dir.path(), &[]).failed(1, &[&place]);
        assert!(!done.stderr.is_empty(), "{what}");
    };
    // A byte of each field.
    for (field, value) in entries[at].as_object().unwrap() {
        let value = value.to_string();
        found(field, seq, &|lines| {
            let start = lines[at].find(&format!("\"{field}\":")).unwrap() + field.len() + 3;
            let last = start + value.trim_end_matches('"').len() - 1;
            let byte = lines[at].as_bytes()[last];
            let other = if byte == b'1' { "2" } else { "1" };
            lines[at].replace_range(last..=last, other);
        });
    }
    found("the actor", seq, &|lines| lines[at] = lines[at].replace("\"admin\"", "\"mallory\""));
    found("dropped", seq, &|lines| drop(lines.remove(at)));
    found("swapped", seq, &|lines| lines.swap(at, at + 1));
    found("put in", seq + 1, &|lines| lines.insert(at + 1, lines[at].clone()));
    let dir = copy(log);
    let file = &files(dir.path())[0];
    let text = fs::read_to_string(file).unwrap();
    let kept: Vec<&str> = text.lines().take(seq).collect();
    fs::write(file, kept.join("\n") + "\n").unwrap();
    verify(dir.path(), &[]).failed(1, &[&format!("entry {}:", seq + 1), "missing at the end"]);
    let dir = copy(log);
    fs::remove_file(dir.path().join("checkpoint")).unwrap();
    verify(dir.path(), &[]).failed(1, &["`checkpoint` is missing"]);
    let dir = copy(log);
    fs::write(dir.path().join("key.vkey"), "keyward-audit/0+00000000+AQ==\n").unwrap();
    verify(dir.path(), &[]).failed(1, &["key.vkey"]);
}

#[test]
fn a_whole_file_or_an_old_state() {
    let config = "[audit]\nrotate_bytes = \"4KiB\"\nqueue = 16\n";
    let mut server = Server::serve(config);
    let tenant = server.tenant("acme");
    for _ in 0..10 {
        tenant.admin.get("/keys").expect(200);
    }
    server.stop();
    let old = copy(&dir(&server));
    server.start_again();
    let admin = server.client().token(&tenant.admin_token);
    for _ in 0..60 {
        admin.get("/api/v1/tenants/acme/keys").expect(200);
    }
    server.stop();
    let log = dir(&server);
    let key = fs::read_to_string(log.join("key.vkey")).unwrap();
    let done = verify(&log, &["--key", key.trim()]).good();
    assert!(files(&log).len() > 3 && !done.text().contains("beside the log"), "{}", done.text());
    for file in files(&log) {
        let dir = copy(&log);
        fs::remove_file(dir.path().join(file.file_name().unwrap())).unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap();
        let first: u64 = name.parse().unwrap();
        verify(dir.path(), &[]).failed(1, &[&format!("entry {first}:"), "missing"]);
    }
    // By itself the old state is in order: what is kept elsewhere tells.
    verify(old.path(), &[]).good();
    let checkpoint = log.join("checkpoint");
    let entries = entries(&log).len().to_string();
    let old_size = self::entries(old.path()).len();
    for more in [["--checkpoint", checkpoint.to_str().unwrap()], ["--expect-size", &entries]] {
        verify(&log, &more).good();
        verify(old.path(), &more).failed(1, &[&format!("entry {}:", old_size + 1), "missing"]);
    }
    // Put back under the server, it is as good as any log; the checkpoint kept elsewhere still tells.
    let kept = server.home.path().join("kept");
    fs::copy(&checkpoint, &kept).unwrap();
    fs::remove_dir_all(&log).unwrap();
    fs::rename(copy(old.path()).keep(), &log).unwrap();
    server.start_again();
    server.stop();
    verify(&log, &[]).good();
    verify(&log, &["--checkpoint", kept.to_str().unwrap()]).failed(1, &["entry"]);
}

#[test]
fn a_second_server_is_refused() {
    let server = Server::serve("");
    let log = dir(&server);
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    keyward_tests::Launch::new(
        home.path(),
        &["serve", "--listen", "127.0.0.1:0", "--data", data.to_str().unwrap()],
    )
    .env("KEYWARD_AUDIT_DIR", log.to_str().unwrap())
    .run(Duration::from_secs(30))
    .refused(&["audit directory", "in use by another process", "audit.dir"]);
}

#[test]
fn killed_under_load_it_explains_itself() {
    let mut server = Server::serve("[audit]\nqueue = 64\n");
    let tenant = server.tenant("acme");
    let token = tenant.admin_token.clone();
    for round in 0..20 {
        let stop = AtomicBool::new(false);
        let client = server.client().token(&token).below("/api/v1/tenants/acme");
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let (client, stop) = (client.clone(), &stop);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let _ = client.try_send("GET", "/keys", &[], b"");
                    }
                });
            }
            std::thread::sleep(Duration::from_millis(40 + 7 * round));
            server.kill();
            stop.store(true, Ordering::Relaxed);
        });
        verify(&dir(&server), &[]).good();
        server.start_again();
        let text = verify(&dir(&server), &[]).good().text().to_owned();
        let crashes = text.matches("was not stopped in order").count();
        assert_eq!(u64::try_from(crashes).unwrap(), round + 1, "{text}");
        assert!(text.contains("at most 64 entries in memory were lost"), "{text}");
    }
    server.stop();
}

/// With `audit.strict` whatever was answered is there after a kill.
#[test]
fn strict_loses_nothing_that_was_answered() {
    let mut server = Server::serve("[audit]\nstrict = true\n");
    let tenant = server.tenant("acme");
    for round in 0..5 {
        let id = format!("strict-{round}");
        let client = server.client().token(&tenant.admin_token);
        client.send("GET", "/api/v1/tenants/acme/keys", &[("x-request-id", &id)], b"").expect(200);
        server.kill();
        assert!(entries(&dir(&server)).iter().any(|entry| entry["request_id"] == *id), "{id}");
        server.start_again();
    }
}

/// A small file system of its own, unmounted when dropped.
struct Small(tempfile::TempDir);

impl Small {
    /// None where that is not allowed.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(dir.path());
        let mounted = mount.stderr(std::process::Stdio::null()).status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(dir));
        }
        eprintln!("skipped: a small tmpfs can be mounted by root alone");
        None
    }

    /// Takes all the room there is, until what this gives is removed.
    fn fill(&self) -> PathBuf {
        use std::io::Write as _;
        let path = self.0.path().join("filler");
        let mut file = fs::File::create(&path).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
        path
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn on_a_full_disk(on_stall: &str, then: impl FnOnce(&Server, &dyn Fn(&str) -> u16, PathBuf)) {
    let Some(small) = Small::mount() else { return };
    let log = small.0.path().join("audit");
    let env = [
        ("KEYWARD_AUDIT_DIR", log.to_str().unwrap()),
        ("KEYWARD_AUDIT_ON_STALL", on_stall),
        ("KEYWARD_AUDIT_STALL_TIMEOUT", "200ms"),
        ("KEYWARD_AUDIT_QUEUE", "16"),
    ];
    let mut server = Server::serve_with("", &env);
    let tenant = server.tenant("acme");
    let create = |name: &str| tenant.admin.post("/keys", &json!({ "name": name })).status;
    then(&server, &create, small.fill());
    server.stop();
    let text = verify(&log, &[]).good().text().to_owned();
    assert_eq!(text.contains("answered without an entry"), on_stall == "shed", "{text}");
}

/// Waits until keys are created again.
fn recovered(create: &dyn Fn(&str) -> u16) {
    for attempt in 0..100 {
        if create(&format!("after-{attempt}")) == 201 {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("the server did not recover");
}

#[test]
fn on_a_full_disk_block_refuses_before_anything_is_done() {
    on_a_full_disk("block", |server, create, filler| {
        let mut names = (0..200).map(|number| format!("key-{number}"));
        let refused = names.find(|name| create(name) != 201).unwrap();
        let operator = server.operator();
        operator.get("/api/v1/tenants").problem(503, "audit_unavailable");
        assert_eq!(operator.get("/api/v1/tenants").header("retry-after"), "5");
        server.client().get("/livez").expect(200);
        fs::remove_file(filler).unwrap();
        recovered(create);
        let path = format!("/api/v1/tenants/acme/keys/{refused}");
        operator.get(&path).problem(404, "key_not_found");
    });
}

#[test]
fn on_a_full_disk_shed_serves_on_and_counts() {
    on_a_full_disk("shed", |server, create, filler| {
        for number in 0..60 {
            assert_eq!(create(&format!("key-{number}")), 201);
        }
        let metrics = || server.client().get("/metrics").expect(200).text();
        let shed = |text: &str| {
            let line = text.lines().find(|line| line.starts_with("keyward_audit_shed_total"));
            line.and_then(|line| line.split(' ').next_back()?.parse::<u64>().ok()).unwrap()
        };
        assert!(shed(&metrics()) > 0);
        fs::remove_file(filler).unwrap();
        std::thread::sleep(Duration::from_millis(700));
        recovered(create);
    });
}

#[test]
fn nobody_writes_lines_of_his_own() {
    let mut server = Server::serve("");
    let tenant = server.tenant("acme");
    let forged = "x\",\"status\":200}\n{\"seq\":1,\"kind\":\"request\",\"subject\":\"mallory\"}";
    let before = entries(&dir(&server)).len();
    tenant.admin.post("/keys", &json!({ "name": forged })).problem(400, "invalid_name");
    let subject = "a\\\"b {\"seq\":1} \u{2028}\u{202e}";
    let minted = json!({ "subject": subject, "roles": ["tenant-admin"] });
    let token = tenant.admin.post("/tokens", &minted).expect(201).str("/token");
    tenant.admin.token(&token).get("/keys").expect(200);
    tenant
        .admin
        .post("/tokens", &json!({ "subject": forged, "roles": [] }))
        .problem(400, "invalid_field");
    tenant.admin.send("GET", "/keys", &[("x-request-id", "a b\"}{")], b"").expect(200);
    tenant.admin.send("GET", "/keys", &[("x-request-id", &"x".repeat(5_000))], b"").expect(200);
    for path in
        ["/api/v1/tenants/acme/keys/a%0A%7B%22seq%22", "/%0A%22%7D", "/api/v1/tenants/%22%0A/keys"]
    {
        for head in [
            format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"),
            format!("GET {path}\n HTTP/1.1\r\n\r\n"),
        ] {
            raw(&server.address, head.as_bytes());
        }
    }
    server.stop();
    verify(&dir(&server), &[]).good();
    let entries = entries(&dir(&server));
    assert!(entries.len() > before + 5);
    assert!(entries.iter().any(|entry| entry["subject"] == *subject));
    assert!(entries.iter().all(|entry| entry["subject"] != "mallory"));
    for file in files(&dir(&server)) {
        let text = fs::read_to_string(file).unwrap();
        assert!(text.bytes().all(|byte| byte == b'\n' || !byte.is_ascii_control()));
        assert!(!text.contains('\u{2028}') && !text.contains('\u{202e}'));
    }
}

#[test]
fn turned_off_there_is_none() {
    let mut server = Server::serve("[audit]\nenabled = false\n");
    server.operator().get("/api/v1/audit").problem(409, "audit_off");
    server.stop();
    assert!(!dir(&server).exists());
    verify(&dir(&server), &[]).failed(1, &["has no audit log"]);
}
