//! The policies a tenant keeps: pushed, compared, activated, rolled back, deleted; and what
//! operators allow them to be.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use keyward_test_vault::{Options, Vault};
use keyward_tests::age::Owner;
use keyward_tests::stamp::{stamp, stamped};
use keyward_tests::vault::{self, Env};
use keyward_tests::{Answer, Cli, Client, Server, Tenant, b64, policy};
use serde_json::{Value, json};

static SERVER: LazyLock<Server> = LazyLock::new(|| Server::serve("[policy]\nmax_kept = 4\n"));
/// Where nothing unsigned passes, which is the default.
const STRICT: &str = "[policy]\nallow_unsigned = false\n";
const WASM: (&str, &str) = ("content-type", "application/wasm");

fn push(client: &Client, wasm: &[u8]) -> Answer {
    client.send("POST", "/policies", &[WASM], wasm)
}

/// Pushes the policy of a stamp; gives its digest.
#[track_caller]
fn pushed(tenant: &Tenant, number: u32) -> String {
    push(&tenant.admin, &stamped(number)).expect(201).str("/digest")
}

fn activate(client: &Client, digest: &str) -> Answer {
    client.post("/policy/activate", &json!({ "digest": digest }))
}

fn rollback(client: &Client) -> Answer {
    client.send("POST", "/policy/rollback", &[], b"")
}

/// The stamp of the policy that decides and executes.
#[track_caller]
fn which(app: &Client) -> String {
    let text = app.send("POST", "/invoke/which", &[], b"").expect(200).text();
    let (decided, executed) = text.split_once(' ').unwrap();
    assert_eq!(decided, executed);
    decided.to_owned()
}

fn digests(listed: &Value) -> Vec<String> {
    let all = listed["policies"].as_array().unwrap();
    all.iter().map(|it| it["digest"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_pushed_policy_decides_nothing_until_it_is_activated() {
    let tenant = SERVER.tenant("pushed");
    rollback(&tenant.admin).problem(409, "policy_no_previous");
    let empty = tenant.admin.get("/policy/history").expect(200).json();
    assert_eq!((&empty["history"], &empty["limit"]), (&json!([]), &json!(100)));
    let first = push(&tenant.admin, &stamped(1)).expect(201).json();
    tenant.app.get("/policy").problem(404, "policy_not_set");
    let (one, wasm) = (first["digest"].as_str().unwrap(), stamped(1));
    assert_eq!((&first["size"], &first["contract"]), (&json!(wasm.len()), &json!("0.1.0")));
    assert_eq!((&first["operations"], &first["pushed_by"]), (&json!(["which"]), &json!("admin")));
    assert_eq!((&first["active"], &first["signatures"]), (&json!(false), &json!([])));
    // The same once more, by somebody else, is no news.
    assert_eq!(push(&tenant.operator, &wasm).expect(200).json(), first);

    let shown = activate(&tenant.admin, one).expect(200).json();
    assert_eq!(shown, tenant.app.get("/policy").expect(200).json());
    assert_eq!((&shown["digest"], &shown["trusted"]), (&json!(one), &json!(true)));
    let two = pushed(&tenant, 2);
    assert_eq!(which(&tenant.app), stamp(1));
    activate(&tenant.operator, &two).expect(200);
    assert_eq!(which(&tenant.app), stamp(2));
    assert_eq!(tenant.admin.get(&format!("/policies/{two}")).expect(200).json()["active"], true);
    rollback(&tenant.admin).expect(200);
    assert_eq!(which(&tenant.app), stamp(1));
    // A roll-back is rolled back by another.
    rollback(&tenant.admin).expect(200);
    assert_eq!(which(&tenant.app), stamp(2));
    let three = tenant.admin.put_policy(&stamped(3)).expect(200).str("/digest");
    // What is active already is no policy to go back to.
    activate(&tenant.admin, &three).expect(200);
    let to = json!({ "digest": one });
    tenant.admin.post("/policy/rollback", &to).expect(200);
    assert_eq!(rollback(&tenant.admin).expect(200).str("/digest"), three);

    let history = tenant.admin.get("/policy/history").expect(200).json();
    let told: Vec<_> = history["history"].as_array().unwrap().iter().collect();
    let whys: Vec<_> = told.iter().map(|it| it["why"].as_str().unwrap()).collect();
    let expected = [
        "activate", "activate", "rollback", "rollback", "upload", "activate", "rollback",
        "rollback",
    ];
    assert_eq!(whys, expected);
    assert_eq!((&told[1]["by"], &told[1]["digest"]), (&json!("operator"), &json!(two)));
    assert!(told.windows(2).all(|two| two[0]["since"].as_str() <= two[1]["since"].as_str()));
}

#[test]
fn an_activation_can_insist_on_what_is_active() {
    let tenant = SERVER.tenant("if-active");
    let [one, two] = [1, 2].map(|number| pushed(&tenant, number));
    let swap = |to: &str, from: &str| {
        let body = json!({ "digest": to, "if_active": from });
        tenant.admin.post("/policy/activate", &body)
    };
    swap(&one, &two).problem(409, "policy_active_differs").detail("none");
    activate(&tenant.admin, &one).expect(200);
    swap(&two, &two).problem(409, "policy_active_differs").detail(&one);
    assert_eq!(which(&tenant.app), stamp(1));
    swap(&two, &one).expect(200);
    let stranger = format!("sha256:{}", "0".repeat(64));
    activate(&tenant.admin, &stranger).problem(404, "policy_not_kept");
    tenant.admin.get(&format!("/policies/{stranger}")).problem(404, "policy_not_kept");
    for bad in ["", "sha256:", &one[7..], &one.to_uppercase()] {
        activate(&tenant.admin, bad).problem(400, "invalid_field").field("/digest");
        let body = json!({ "digest": one, "if_active": bad });
        let refused = tenant.admin.post("/policy/activate", &body);
        refused.problem(400, "invalid_field").field("/if_active");
    }
    tenant.admin.get("/policies/none").problem(400, "invalid_request").field("/digest");
    tenant.admin.get("/policy/diff").problem(400, "invalid_request").field("/to");
    assert_eq!(which(&tenant.app), stamp(2));
}

#[test]
fn there_is_room_for_so_many_and_what_is_not_needed_can_go() {
    let (tenant, other) = (SERVER.tenant("room"), SERVER.tenant("room-too"));
    let all = [10, 11, 12, 13].map(|number| pushed(&tenant, number));
    activate(&tenant.admin, &all[0]).expect(200);
    activate(&tenant.admin, &all[1]).expect(200);
    let refused = push(&tenant.admin, &stamped(14)).problem(409, "policies_too_many");
    let refused = refused.detail(&all[2]).detail(&all[3]).str("/detail");
    assert!(!refused.contains(&all[0]) && !refused.contains(&all[1]), "{refused}");
    tenant.admin.put_policy(&stamped(14)).problem(409, "policies_too_many");
    // What is kept already takes no room.
    push(&tenant.admin, &stamped(13)).expect(200);
    let first = tenant.admin.get("/policies?limit=3").expect(200).json();
    let next = first["next"].as_str().unwrap();
    let rest = tenant.admin.get(&format!("/policies?limit=3&after={next}")).expect(200).json();
    assert_eq!(rest.get("next"), None);
    let mut sorted = all.to_vec();
    sorted.sort();
    assert_eq!([digests(&first), digests(&rest)].concat(), sorted);

    let delete =
        |digest: &str| tenant.admin.send("DELETE", &format!("/policies/{digest}"), &[], b"");
    delete(&all[1]).problem(409, "policy_in_use").detail("active policy");
    delete(&all[0]).problem(409, "policy_in_use").detail("roll-back");
    push(&other.admin, &stamped(12)).expect(201);
    for digest in [&all[2], &all[3]] {
        assert_eq!(delete(digest).expect(200).str("/digest"), **digest);
        delete(digest).problem(404, "policy_not_kept");
        activate(&tenant.admin, digest).problem(404, "policy_not_kept");
    }
    let file = |digest: &str| SERVER.data().join(format!("policies/{}.wasm", &digest[7..]));
    assert!(file(&all[2]).exists(), "another tenant keeps it");
    assert!(!file(&all[3]).exists(), "nobody does");
    activate(&other.admin, &all[2]).expect(200);
    assert_eq!(which(&other.app), stamp(12));
    pushed(&tenant, 14);
    assert_eq!(rollback(&tenant.admin).expect(200).str("/digest"), all[0]);
}

#[test]
fn only_who_manages_a_tenant_sees_and_changes_its_policies() {
    let (tenant, other) = (SERVER.tenant("managed"), SERVER.tenant("managed-too"));
    let one = pushed(&tenant, 1);
    activate(&tenant.admin, &one).expect(200);
    let strangers = other.admin.at_root().below("/api/v1/tenants/managed");
    for (client, who) in [(&tenant.app, "app"), (&strangers, "stranger")] {
        push(client, &stamped(2)).problem(403, "forbidden");
        activate(client, &one).problem(403, "forbidden");
        rollback(client).problem(403, "forbidden");
        for path in ["/policies", "/policy/history", "/policy/trust", "/policy/ceiling"] {
            assert_eq!(client.get(path).status, 403, "{who} {path}");
        }
        client.send("DELETE", &format!("/policies/{one}"), &[], b"").problem(403, "forbidden");
    }
    // What bounds a tenant is not its own to change.
    for (path, body) in [
        ("/policy/trust", json!({ "signers": [], "unsigned": true })),
        ("/policy/ceiling", json!({ "interfaces": null })),
    ] {
        let put = |client: &Client| {
            let json = [("content-type", "application/json")];
            client.send("PUT", path, &json, body.to_string().as_bytes())
        };
        put(&tenant.admin).problem(403, "forbidden");
        put(&tenant.operator).expect(200);
    }
    // One tenant's policies are not another's.
    activate(&other.admin, &one).problem(404, "policy_not_kept");
}

#[track_caller]
fn put(client: &Client, path: &str, body: &Value) -> Answer {
    let json = [("content-type", "application/json")];
    client.send("PUT", path, &json, body.to_string().as_bytes())
}

#[test]
fn a_diff_tells_what_a_policy_may_and_offers_that_another_does_not() {
    let tenant = SERVER.tenant("compared");
    let to = push(&tenant.admin, &policy("receipts")).expect(201).str("/digest");
    tenant.admin.get(&format!("/policy/diff?to={to}")).problem(404, "policy_not_set");
    let from = tenant.admin.put_policy(&policy("fields")).expect(200).str("/digest");
    let found = tenant.admin.get(&format!("/policy/diff?to={to}")).expect(200).json();
    let import = |name: &str| format!("keyward:policy/{name}@0.1.0");
    assert_eq!((&found["from"], &found["to"]), (&json!(from), &json!(to)));
    assert_eq!(found["imports"]["added"], json!([import("signing"), import("verifying")]));
    assert_eq!(found["imports"]["removed"], json!([import("opening"), import("sealing")]));
    assert_eq!(found["operations"]["added"], json!(["attest", "check", "public-key"]));
    assert_eq!(found["operations"]["removed"], json!(["protect", "reveal"]));
    assert_eq!(found["size"]["to"], policy("receipts").len());
    let [one, two] = [1, 2].map(|number| pushed(&tenant, number));
    let found = tenant.admin.get(&format!("/policy/diff?from={one}&to={two}")).expect(200).json();
    let changed = json!([{ "name": "which", "fields": ["description"] }]);
    assert_eq!(found["operations"]["changed"], changed);
    assert_eq!(found["imports"], json!({ "added": [], "removed": [] }));
}

#[test]
fn policies_are_signed_by_whom_an_operator_trusts() {
    let mut server = Server::serve(STRICT);
    let (acme, other) = (server.tenant("acme"), server.tenant("other"));
    let wasm = stamped(1);
    push(&acme.admin, &wasm).problem(403, "policy_untrusted").detail("PUT …/policy/trust");
    acme.operator.put_policy(&wasm).problem(403, "policy_untrusted");
    assert_eq!(acme.admin.get("/policies").expect(200).json()["policies"], json!([]));

    let cli = Cli::tenant(&server, &acme);
    for name in ["release.pem", "stranger.pem"] {
        cli.run(&["policy", "keygen", name]).good();
        let mode = std::fs::metadata(cli.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    cli.run(&["policy", "keygen", "release.pem"]).failed(1, &["release.pem"]);
    let public = std::fs::read_to_string(cli.path("release.pem.pub")).unwrap();
    let signer = json!({ "name": "release", "public_key": public });
    let trust = json!({ "signers": [signer], "unsigned": false });
    for (bad, field) in [
        (json!({ "signers": [{ "name": "", "public_key": public }] }), "/signers/0/name"),
        (json!({ "signers": [{ "name": "a", "public_key": "x" }] }), "/signers/0/public_key"),
        (json!({ "signers": [signer, signer] }), "/signers/1/public_key"),
        (json!({}), ""),
    ] {
        let refused = put(&acme.operator, "/policy/trust", &bad).problem(400, "invalid_field");
        assert!(field.is_empty() || refused.json()["field"] == field, "{}", refused.text());
    }
    for tenant in [&acme, &other] {
        let set = put(&tenant.operator, "/policy/trust", &trust).expect(200).json();
        assert_eq!(set, tenant.admin.get("/policy/trust").expect(200).json());
        assert_eq!((&set["own"], &set["unsigned"]), (&json!(true), &json!(false)));
    }
    let file = cli.file("policy.wasm", &wasm);
    push(&acme.admin, &wasm).problem(403, "policy_untrusted").detail("(release)");
    let strange = ["policy", "push", &file, "--sign", "stranger.pem"];
    cli.run(&strange).failed(1, &["policy_untrusted", "release"]);
    let args = ["policy", "push", &file, "--sign", "release.pem", "--json"];
    let kept = cli.run(&args).good().json();
    assert_eq!(kept["signatures"][0]["signer"], "release");
    let digest = kept["digest"].as_str().unwrap();
    let shown = activate(&acme.admin, digest).expect(200).json();
    assert_eq!((&shown["trusted"], &shown["signed_by"]), (&json!(true), &json!(["release"])));
    // Signed for one tenant, it is of no use in another that trusts the same key.
    let signature = signature_of(&server, &cli, &wasm);
    let stolen = [WASM, ("keyward-policy-signature", signature.as_str())];
    let refused = other.admin.send("POST", "/policies", &stolen, &wasm);
    refused.problem(400, "policy_signature_invalid").detail("tenant other");
    let refused = acme.admin.send("POST", "/policies", &stolen, &stamped(2));
    refused.problem(400, "policy_signature_invalid");
    for bad in ["", "none", &signature[1..], &signature[..signature.len() - 1]] {
        let headers = [WASM, ("keyward-policy-signature", bad)];
        let refused = acme.admin.send("POST", "/policies", &headers, &wasm);
        refused.problem(400, "policy_signature_invalid");
    }

    // Trusted no longer: it stays, says so, and is not activated again.
    let second = cli.file("second.wasm", stamped(2));
    let args = ["policy", "push", &second, "--sign", "release.pem", "--activate"];
    cli.run(&args).good();
    assert_eq!(which(&acme.app), stamp(2));
    put(&acme.operator, "/policy/trust", &json!({ "signers": [] })).expect(200);
    for round in 0..2 {
        let acme = [&acme.admin_token, &acme.app_token]
            .map(|token| server.client().token(token).below("/api/v1/tenants/acme"));
        let shown = acme[1].get("/policy").expect(200).json();
        assert_eq!(
            (&shown["trusted"], &shown["signed_by"]),
            (&json!(false), &json!([])),
            "{round}"
        );
        assert!(shown["distrust"].as_str().unwrap().contains("no trusted signers"));
        assert_eq!(which(&acme[1]), stamp(2), "{round}");
        rollback(&acme[0]).problem(403, "policy_untrusted");
        activate(&acme[0], digest).problem(403, "policy_untrusted");
        server.stop();
        server.start_again();
    }
    let admin = server.client().token(&acme.admin_token).below("/api/v1/tenants/acme");
    let operator = server.operator().below("/api/v1/tenants/acme");
    put(&operator, "/policy/trust", &trust).expect(200);
    assert_eq!(admin.get("/policy").expect(200).json()["trusted"], true);
    rollback(&admin).expect(200);
}

/// The signature of a component for tenant `acme`, as the client sends it.
fn signature_of(server: &Server, cli: &Cli, wasm: &[u8]) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let file = cli.file("to-sign.wasm", wasm);
    let args = ["policy", "push", &file, "--sign", "release.pem", "--addr", &address];
    let mut child = cli.start(&args);
    let (mut stream, _) = listener.accept().unwrap();
    let mut got = Vec::new();
    let mut piece = [0; 4096];
    let head = loop {
        let read = std::io::Read::read(&mut stream, &mut piece).unwrap();
        assert_ne!(read, 0, "{}", server.address);
        got.extend_from_slice(&piece[..read]);
        if let Some(end) = got.windows(4).position(|four| four == b"\r\n\r\n") {
            break String::from_utf8(got[..end].to_vec()).unwrap();
        }
    };
    child.kill().unwrap();
    child.wait().unwrap();
    let line = head.lines().find_map(|line| line.strip_prefix("keyward-policy-signature: "));
    line.unwrap().to_owned()
}

#[test]
fn a_ceiling_bounds_what_policies_may_and_shuts_what_is_above() {
    let mut server = Server::serve("");
    let tenant = server.tenant_with_policy("acme", "fields");
    for name in ["fields", "fields-deterministic"] {
        tenant.key(name);
    }
    let body = json!({ "key": "main", "plaintext": b64("x") });
    tenant.app.post("/encrypt", &body).expect(200);
    let none = tenant.admin.get("/policy/ceiling").expect(200).json();
    assert_eq!(none, json!({ "own": false }));
    let set = |body: Value| put(&tenant.operator, "/policy/ceiling", &body);
    set(json!({ "interfaces": ["keys", "opened"] }))
        .problem(400, "invalid_field")
        .field("/interfaces/1")
        .detail("opening");
    set(json!({ "max_size": 0 })).problem(400, "invalid_field").field("/max_size");

    let low = json!({ "interfaces": ["keys", "sealing"] });
    assert_eq!(set(low).expect(200).json()["interfaces"], json!(["keys", "sealing"]));
    let shut = |app: &Client| {
        let answer = app.post("/encrypt", &body).problem(503, "policy_unusable");
        answer.detail("imports opening; allowed are keys, sealing");
        app.get("/policy").problem(503, "policy_unusable");
    };
    shut(&tenant.app);
    let refused = push(&tenant.admin, &policy("receipts")).problem(422, "component_above_ceiling");
    refused.detail("imports signing, verifying; allowed are keys, sealing");
    let kept = digests(&tenant.admin.get("/policies").expect(200).json());
    assert_eq!(kept.len(), 1);
    activate(&tenant.admin, &kept[0]).problem(422, "component_above_ceiling");
    server.stop();
    server.start_again();
    let client = |token: &str| server.client().token(token).below("/api/v1/tenants/acme");
    let (app, admin) = (client(&tenant.app_token), client(&tenant.admin_token));
    shut(&app);
    // Another policy opens the tenant, and so does a higher ceiling.
    let one = push(&admin, &stamped(1)).expect(201).str("/digest");
    activate(&admin, &one).expect(200);
    assert_eq!(which(&app), stamp(1));
    rollback(&admin).problem(422, "component_above_ceiling");
    let operator = server.operator().below("/api/v1/tenants/acme");
    put(&operator, "/policy/ceiling", &json!({ "interfaces": null })).expect(200);
    rollback(&admin).expect(200);
    app.post("/encrypt", &body).expect(200);
    put(&operator, "/policy/ceiling", &json!({ "max_size": 1000 })).expect(200);
    app.post("/encrypt", &body).problem(503, "policy_unusable").detail("at most 1000");
    push(&admin, &stamped(2)).problem(422, "component_above_ceiling").detail("at most 1000");
    put(&operator, "/policy/ceiling", &json!({})).expect(200);
    app.post("/encrypt", &body).expect(200);
}

#[test]
fn a_backup_has_what_is_kept_and_what_operators_set() {
    let (owner, first) = (Owner::new(), Server::serve(""));
    let tenant = first.tenant("acme");
    let [one, two, three] = [1, 2, 3].map(|number| pushed(&tenant, number));
    activate(&tenant.admin, &one).expect(200);
    activate(&tenant.admin, &two).expect(200);
    put(&tenant.operator, "/policy/ceiling", &json!({ "interfaces": ["keys"] })).expect(200);
    put(&tenant.operator, "/policy/trust", &json!({ "signers": [], "unsigned": true })).expect(200);
    let paths = ["/policies", "/policy/history", "/policy/trust", "/policy/ceiling", "/policy"];
    let before = paths.map(|path| tenant.admin.get(path).expect(200).json());
    for scope in [&[][..], &["--tenant", "acme"]] {
        let cli = Cli::operator(&first);
        let (identity, recipient) = (cli.file("identity", owner.file()), owner.recipient());
        let args = ["backup", "--out", "it.age", "--recipient", &recipient];
        cli.run(&[&args[..], scope].concat()).good();
        let second = Server::serve("");
        let backup = cli.path("it.age");
        let restore = ["restore", "--in", backup.to_str().unwrap(), "--identity", &identity];
        Cli::operator(&second).run(&restore).good();
        let admin = second.client().token(&tenant.admin_token).below("/api/v1/tenants/acme");
        let after = paths.map(|path| admin.get(path).expect(200).json());
        assert_eq!(after, before, "{scope:?}");
        // The components themselves, too.
        let app = admin.token(&tenant.app_token);
        for (digest, number) in [(&one, 1), (&three, 3), (&two, 2)] {
            activate(&admin, digest).expect(200);
            assert_eq!(which(&app), stamp(number));
        }
    }
}

#[test]
fn hosts_over_one_vault_share_what_is_kept_and_set() {
    let vault = Vault::start(Options::default());
    let root = vault::prepare(&vault);
    let env = Env::new(&vault.address).approle(&vault::role(&root, "1h", "4h"));
    let first = Server::serve_with("", &env.pairs());
    let tenant = first.tenant("acme");
    let second = Server::serve_with("", &env.pairs());
    let there = |token: &str| second.client().token(token).below("/api/v1/tenants/acme");
    let (admin, app) = (there(&tenant.admin_token), there(&tenant.app_token));
    let [one, two, three] = [1, 2, 3].map(|number| pushed(&tenant, number));
    assert_eq!(digests(&admin.get("/policies").expect(200).json()).len(), 3);
    let eventually = |what: &str, is: &dyn Fn() -> bool| {
        let start = Instant::now();
        while !is() {
            assert!(start.elapsed() < Duration::from_secs(20), "{what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    // Pushed on one, activated on the other, rolled back on the first.
    activate(&admin, &one).expect(200);
    activate(&admin, &two).expect(200);
    assert_eq!(which(&app), stamp(2));
    eventually("activated there", &|| tenant.app.get("/policy").json()["digest"] == json!(two));
    rollback(&tenant.admin).expect(200);
    eventually("rolled back here", &|| which(&app) == stamp(1));
    assert_eq!(
        admin.get("/policy/history").expect(200).json(),
        tenant.admin.get("/policy/history").expect(200).json()
    );
    admin.send("DELETE", &format!("/policies/{three}"), &[], b"").expect(200);
    activate(&tenant.admin, &three).problem(404, "policy_not_kept");
    put(&tenant.operator, "/policy/ceiling", &json!({ "max_size": 1 })).expect(200);
    eventually("shut there", &|| app.get("/policy").status == 503);
    put(&tenant.operator, "/policy/ceiling", &json!({})).expect(200);
    eventually("opened there", &|| app.get("/policy").status == 200);
    assert_eq!(which(&app), stamp(1));
}
