//! Runs of a policy that a server records with the tenant's keys, and that are the same again
//! elsewhere.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;

use keyward_crafted::Crafted;
use keyward_tests::{Cli, Server, Tenant, b64, policy, until};
use serde_json::{Value, json};

const ON: &str = "[policy]\nrecord = true\n";
const ORDER: &str = r#"{"customer":{"name":"Ada"}}"#;

/// The tenant-admin's shell.
fn shell(server: &Server, tenant: &Tenant) -> Cli {
    Cli::new(&format!("http://{}", server.address))
        .env("KEYWARD_TENANT", &tenant.name)
        .env("KEYWARD_TOKEN", &tenant.admin_token)
}

/// A tenant that protects fields.
fn fields(server: &Server, name: &str) -> Tenant {
    let tenant = server.tenant_with_policy(name, "fields");
    tenant.key("fields");
    tenant
}

fn encrypt() -> Value {
    json!({ "question": { "operation": "encrypt", "key": "main" } })
}

#[test]
fn a_live_run_is_the_same_again_without_the_server() {
    let server = Server::serve(ON);
    let tenant = fields(&server, "acme");
    let cli = shell(&server, &tenant);
    let component = cli.file("fields.wasm", policy("fields"));
    let order = cli.file("order.json", ORDER);
    let caller = ["--subject", "shop", "--role", "application"];
    let record = |operation: &str, payload: &str, out: &str| {
        let args = ["policy", "record", "--server", operation, "--payload", payload, "-o", out];
        cli.run(&[&args[..], &caller[..]].concat()).good()
    };
    record("invoke/protect", &order, "protect.json");
    let mode = std::fs::metadata(cli.path("protect.json")).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{mode:o}");
    // What it would have answered is in it, with what the server's keys made.
    let text = std::fs::read_to_string(cli.path("protect.json")).unwrap();
    let end: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let output = &end["end"]["output"]["payload"]["body"];
    let output = keyward_tests::unb64(output.as_str().unwrap());
    let protected = cli.file("protected.json", &output);
    let revealed =
        tenant.app.send("POST", "/invoke/reveal", &[("content-type", "application/json")], &output);
    assert_eq!(revealed.expect(200).json(), serde_json::from_str::<Value>(ORDER).unwrap());
    record("invoke/reveal", &protected, "reveal.json");

    // The plan alone.
    let args = ["policy", "record", "--server", "encrypt", "--key", "main", "-o", "plan.json"];
    cli.run(&[&args[..], &caller[..]].concat()).good();

    drop(server);
    for recording in ["protect.json", "reveal.json", "plan.json"] {
        let replayed = cli.run(&["policy", "replay", recording, "--policy", &component]).good();
        let report = replayed.text();
        assert!(report.contains("1 as recorded, 0 not"), "{recording}: {report}");
        assert!(!report.contains("another policy"), "{recording}: {report}");
    }
    // What was recorded is what is replayed: with another plaintext it is another output.
    let text = std::fs::read_to_string(cli.path("reveal.json")).unwrap();
    let (ada, eve) = (b64("\"Ada\""), b64("\"Eve\""));
    assert!(text.contains(&ada), "{text}");
    let other = cli.file("other.json", text.replace(&ada, &eve));
    let replayed = cli.run(&["policy", "replay", &other, "--policy", &component]);
    assert_eq!(replayed.code, Some(1), "{}", replayed.text());
}

#[test]
fn nobody_else_records_and_the_audit_log_has_who_did() {
    let server = Server::serve(ON);
    let tenant = fields(&server, "acme");
    let other = fields(&server, "other");
    let path = "/policy/record";
    tenant.operator.post(path, &encrypt()).problem(403, "forbidden").detail("not for operators");
    tenant.app.post(path, &encrypt()).problem(403, "forbidden");
    let foreign = other.admin.post("/policy/record", &encrypt()).expect(200);
    assert!(foreign.text().contains("\"tenant\":\"other\""), "{}", foreign.text());

    // Not by who has a part of the tenant's data alone.
    let narrow = |scope: Value| {
        let body = json!({ "subject": "narrow", "roles": ["tenant-admin"], "scope": scope });
        let token = tenant.operator.post("/tokens", &body).expect(201).str("/token");
        tenant.operator.token(&token)
    };
    let by_key = narrow(json!({ "keys": ["main"] }));
    by_key.post(path, &encrypt()).problem(403, "out_of_scope");
    let by_operation = narrow(json!({ "operations": ["policy.*", "encrypt"] }));
    by_operation.post(path, &encrypt()).expect(200);
    let decrypt = json!({ "question": { "operation": "decrypt", "key": "main" } });
    by_operation.post(path, &decrypt).problem(403, "out_of_scope");

    let mut reveal = json!({
        "question": { "operation": "invoke/protect" },
        "payload": { "content_type": "application/json", "body": b64(ORDER) },
    });
    tenant.admin.post(path, &reveal).expect(200);
    until("it is in the audit log", || {
        let entries = tenant.admin.get("/audit?operation=policy.record&outcome=ok").expect(200);
        let text = entries.text();
        assert!(!text.contains("Ada"), "{text}");
        let entries = entries.json()["entries"].clone();
        let by: Vec<&Value> = entries.as_array().unwrap().iter().map(|it| &it["subject"]).collect();
        by.contains(&&json!("admin")) && by.contains(&&json!("narrow"))
    });

    // What cannot be asked says which field it is.
    let bad = |body: &Value, field: &str| {
        tenant.admin.post(path, body).problem(400, "invalid_field").field(field);
    };
    bad(&json!({ "question": { "operation": "" } }), "/question/operation");
    bad(&json!({ "question": { "operation": "encrypt", "digest": "x" } }), "/question/digest");
    reveal["question"]["operation"] = json!("encrypt");
    bad(&reveal, "/payload");
    reveal["question"]["operation"] = json!("invoke/nothing");
    tenant.admin.post(path, &reveal).problem(404, "operation_not_found");
    reveal["payload"]["body"] = json!("?");
    let answer = tenant.admin.post(path, &reveal).problem(400, "invalid_base64");
    answer.field("/payload/body");
}

#[test]
fn it_is_off_unless_an_operator_turned_it_on() {
    let server = Server::serve("");
    let tenant = fields(&server, "acme");
    tenant.admin.post("/policy/record", &encrypt()).problem(403, "policy_recording_off");
    let cli = shell(&server, &tenant);
    let args = ["policy", "record", "--server", "encrypt", "--key", "main", "-o", "plan.json"];
    assert_ne!(cli.run(&args).code, Some(0));
    assert!(!cli.path("plan.json").exists());
}

#[test]
fn a_recording_is_bounded_and_leaves_nothing() {
    // However busy the machine is: time is not what is to end it.
    let server = Server::serve(&format!("{ON}cpu = \"10s\"\nwall = \"20s\"\n"));
    let tenant = server.tenant_with_policy("counts", "hostile");
    let count = json!({
        "question": { "operation": "encrypt", "key": "main", "purpose": "state-count" },
    });
    for _ in 0..2 {
        let text = tenant.admin.post("/policy/record", &count).expect(200).text();
        let add = text.lines().find(|line| line.contains("state.add")).unwrap();
        let add: Value = serde_json::from_str(add).unwrap();
        assert_eq!(add["call"]["result"], json!({ "number": 1 }), "{add}");
    }
    // 200 times 64 KiB.
    let much = Crafted::deciding(
        "(local $left i32)
        (local.set $left (i32.const 200))
        (loop $more
            (global.set $heap (i32.const 131072))
            (call $random.bytes (i32.const 65536) (i32.const 12288))
            (local.set $left (i32.sub (local.get $left) (i32.const 1)))
            (br_if $more (local.get $left)))",
    );
    let tenant = server.tenant("much");
    tenant.key("main");
    tenant.operator.put_policy(&much.component()).expect(200);
    tenant.admin.post("/policy/record", &encrypt()).problem(422, "policy_recording_too_large");
    // Lengths alone are not much.
    let told = tenant.admin.post("/policy/explain", &encrypt()["question"]).expect(200).json();
    assert_eq!(
        (&told["allowed"], &told["run"]["host_calls_omitted"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(told["run"]["host_calls"].as_array().unwrap().len(), 200);
}
