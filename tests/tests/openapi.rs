//! The API's description: served as it is committed, valid, with examples that work, and true:
//! schemathesis tries the server against it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use keyward_tests::registry::Registry;
use keyward_tests::{Cli, Client, Server, policy, python};
use serde_json::{Value, json};

const PATH: &str = "/api/v1/openapi.json";
/// The same cases in every run.
const SEED: &str = "4711";
/// Most cases of an operation in a phase.
const EXAMPLES: &str = "5";

/// What the description's examples need beside what `keyward dev` has.
const KEYS: [(&str, &str); 3] =
    [("signing", "ed25519"), ("tags", "hmac-sha-256"), ("transport", "x25519")];
/// The key that is deleted, disabled and destroyed in the place of `demo`, so that the others stay
/// of use.
const SCRATCH: &str = "scratch";
/// The tenant that is bounded in the place of `demo`, which would be shut or slowed down.
const BOUNDED: &str = "bounded";

fn committed() -> Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A program of the virtual environment; none, and a line that says so, outside `cargo xtask test`.
fn program(name: &str) -> Option<Command> {
    let program = python::program(name);
    if program.is_none() {
        println!("SKIPPED: no {name}: cargo xtask test installs it");
    }
    program
}

fn prepared() -> Server {
    prepared_with(&[])
}

fn prepared_with(env: &[(&str, &str)]) -> Server {
    let server = Server::dev_with(env);
    let keys = server.operator().below("/api/v1/tenants/demo/keys");
    for (name, algorithm) in KEYS {
        keys.post("", &json!({ "name": name, "algorithm": algorithm })).expect(201);
    }
    keys.post("", &json!({ "name": SCRATCH, "exportable": true })).expect(201);
    server.operator().post("/api/v1/tenants", &json!({ "name": BOUNDED })).expect(201);
    server
}

#[test]
fn it_is_served_to_anybody_and_only_when_it_changed() {
    let server = Server::dev();
    let anybody = server.client();
    let answer = anybody.get(PATH).expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "public, max-age=300");
    assert_eq!(answer.json(), committed());
    let tag = answer.header("etag").to_owned();
    for (given, status) in [
        (tag.clone(), 304),
        (format!("\"other\", W/{tag}"), 304),
        ("*".to_owned(), 304),
        ("\"other\"".to_owned(), 200),
    ] {
        let answer = anybody.send("GET", PATH, &[("if-none-match", &given)], b"").expect(status);
        assert_eq!(answer.header("etag"), tag, "{given}");
        assert_eq!(answer.body.is_empty(), status == 304, "{given}");
    }
}

#[test]
fn it_is_valid() {
    let Some(mut validator) = program("openapi-spec-validator") else { return };
    let document = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    let output = validator.args(["--schema", "3.1"]).arg(document).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{said}");
}

/// Puts into an example what only this run has, and brings its key into the state it needs.
fn complete(id: &str, example: &mut Value, server: &Server, key: &str) {
    let (demo, keys) = (server.demo(), server.operator().below("/api/v1/tenants/demo/keys"));
    let made = |path: &str, body: Value, name: &str| {
        demo.post(path, &body).expect(200).json()[name].take()
    };
    let input = "aGVsbG8=";
    match id {
        "decrypt" | "rewrap" => {
            let body = json!({ "key": "demo", "plaintext": input, "context": example["context"] });
            example["ciphertext"] = made("/encrypt", body, "ciphertext");
        }
        "verify" => {
            let body = json!({ "key": "signing", "input": input });
            example["signature"] = made("/sign", body, "signature");
        }
        "verifyMac" => {
            example["mac"] = made("/mac", json!({ "key": "tags", "input": input }), "mac");
        }
        "activateKeptPolicy" => {
            example["digest"] = demo.get("/policy").expect(200).json()["digest"].take();
        }
        "rollBackPolicy" => {
            let operator = server.operator().below("/api/v1/tenants/demo");
            operator.put_policy(&policy("baseline")).expect(200);
        }
        "startPolicyCanary" | "startPolicyShadow" => {
            let policies = server.operator().below("/api/v1/tenants/demo/policies");
            let wasm = [("content-type", "application/wasm")];
            let pushed = policies.send("POST", "", &wasm, &policy("records"));
            example["digest"] = pushed.str("/digest").into();
        }
        "destroyKey" => example["confirm"] = key.into(),
        "restoreKey" => drop(keys.send("DELETE", &format!("/{key}"), &[], b"").expect(200)),
        "destroyManagedVersion" => {
            drop(keys.post(&format!("/{key}/rotate"), &json!({})).expect(200));
        }
        _ => {}
    }
}

/// Each with a key of its own. The wrapped keys of imports open nowhere: exchange.rs has those.
#[test]
fn its_examples_work() {
    let registry = Registry::start();
    let allow = format!("http://{}", registry.host);
    let record = ("KEYWARD_POLICY_RECORD", "true");
    let server = prepared_with(&[("KEYWARD_POLICY_REGISTRY_ALLOW", &allow), record]);
    let artefact = format!("oci://{}/policies/mine:1.0", registry.host);
    let cli = Cli::new("http://127.0.0.1:9");
    let wasm = cli.file("mine.wasm", policy("records"));
    cli.run(&["policy", "publish", &wasm, &artefact, "--plain-http"]).good();
    let operator = server.operator();
    let token = json!({ "subject": "admin", "roles": ["tenant-admin"] });
    let admin = operator.post("/api/v1/tenants/demo/tokens", &token).expect(201).str("/token");
    // What operators may not.
    let admin = operator.token(&admin);
    let document = committed();
    let operations = document["paths"].as_object().unwrap().iter().flat_map(|(path, methods)| {
        methods.as_object().unwrap().iter().map(move |(method, it)| (path, method, it))
    });
    let mut tried = 0;
    for (path, method, operation) in operations {
        let id = operation["operationId"].as_str().unwrap();
        let example = operation.pointer("/requestBody/content/application~1json/example");
        let Some(mut example) = example.cloned() else { continue };
        if id.starts_with("import") {
            continue;
        }
        if id == "pullPolicy" {
            example["from"] = artefact.as_str().into();
        }
        let key = format!("of-{id}");
        let body = json!({ "name": key, "exportable": true });
        operator.post("/api/v1/tenants/demo/keys", &body).expect(201);
        complete(id, &mut example, &server, &key);
        let mut path = path.replace("{tenant}", "demo").replace("{version}", "1");
        if path.contains("{key}") {
            path.push_str("?tenant=demo");
        }
        if path.contains("/tokens/{id}") {
            path = path.replace("{id}", &token_at(&operator, &path));
        }
        let path = path.replace("{name}", &key).replace("{key}", &key);
        let client = match (operation["tags"][0].as_str(), id) {
            (Some("data"), _) => server.demo().at_root(),
            (_, "recordPolicy") => admin.clone(),
            _ => operator.clone(),
        };
        let (json, body) = ([("content-type", "application/json")], example.to_string());
        let answer = client.send(&method.to_uppercase(), &path, &json, body.as_bytes());
        assert!((200..300).contains(&answer.status), "{id}: {body}: {}", answer.text());
        tried += 1;
    }
    assert!(tried >= 30, "only {tried} examples");
}

/// The id of a new token, which the operation at `path` is to work on.
fn token_at(operator: &Client, path: &str) -> String {
    let (tokens, _) = path.split_once("/{id}").unwrap();
    let mut body = json!({ "subject": "example" });
    if tokens.contains("/tenants/") {
        body["roles"] = json!(["application"]);
    }
    operator.post(tokens, &body).expect(201).str("/id")
}

/// The description as the run uses it: an answer must have no field that it does not name, and an
/// item of a batch may be anything, because what is wrong with an item is not the request's error.
fn strict(mut document: Value) -> Value {
    fn close(schema: &mut Value) {
        match schema {
            Value::Object(members) => {
                if members.contains_key("properties")
                    && !members.contains_key("additionalProperties")
                {
                    members.insert("additionalProperties".into(), false.into());
                }
                members.values_mut().for_each(close);
            }
            Value::Array(values) => values.iter_mut().for_each(close),
            _ => {}
        }
    }
    for (name, schema) in document["components"]["schemas"].as_object_mut().unwrap() {
        close(schema);
        if name.ends_with("Batch") {
            schema["properties"]["items"]["items"] = json!({});
        }
    }
    document
}

/// Methods that the description does not have are answered by the router, which has tests. What is
/// too long is refused with 413 and 414, which schemathesis does not think of by itself.
const SETTINGS: &str = r#"
[parameters]
"path.tenant" = "demo"
"path.name" = "demo"
"path.key" = "demo"
"path.digest" = "DIGEST"
"query.tenant" = "demo"
[phases.coverage]
unexpected-methods = []
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "409", "413", "414", "415", "422", "5xx"]
"#;

/// Operations that are tried on another key than `demo`: they end it, or want one of another kind.
/// No operation is left out.
const INSTEAD: [(&str, &str); 6] = [
    ("deleteKey", SCRATCH),
    ("restoreKey", SCRATCH),
    ("disableKey", SCRATCH),
    ("destroyKey", SCRATCH),
    ("exportKey", SCRATCH),
    ("getPublicKey", "signing"),
];

fn run(token: &str, server: &Server) {
    let Some(mut schemathesis) = program("schemathesis") else { return };
    let home = server.home.path();
    let (document, config) = (home.join("openapi.json"), home.join("schemathesis.toml"));
    fs::write(&document, strict(committed()).to_string()).unwrap();
    let hooks = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("python/hooks.py");
    let mut settings = format!("hooks = {:?}\n{SETTINGS}", hooks.to_str().unwrap());
    let digest = server.demo().get("/policy").expect(200).str("/digest");
    settings = settings.replace("DIGEST", &digest);
    for id in ["setPolicyTrust", "setPolicyCeiling", "setQuotas"] {
        let _ = write!(
            settings,
            "[[operations]]\ninclude-operation-id = \"{id}\"\n\
             parameters = {{ \"path.tenant\" = \"{BOUNDED}\" }}\n"
        );
    }
    for (id, key) in INSTEAD {
        let _ = write!(
            settings,
            "[[operations]]\ninclude-operation-id = \"{id}\"\n\
             parameters = {{ \"path.name\" = \"{key}\" }}\n"
        );
    }
    fs::write(&config, settings).unwrap();
    schemathesis.arg("--config-file").arg(&config).args(["--no-color", "run"]).arg(&document);
    schemathesis.args(["--url", &format!("http://{}", server.address), "--seed", SEED]);
    schemathesis.args([
        "--max-examples",
        EXAMPLES,
        "--header",
        &format!("Authorization: Bearer {token}"),
    ]);
    schemathesis.args([
        "--checks",
        "not_a_server_error,status_code_conformance,content_type_conformance,\
         response_schema_conformance,response_headers_conformance,negative_data_rejection",
    ]);
    let output = schemathesis.current_dir(home).output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    println!("{said}");
    assert!(output.status.success(), "{said}\n{}", server.stderr());
}

#[test]
fn the_server_keeps_to_it_for_operators() {
    let server = prepared();
    run(&server.operator_token, &server);
}

/// A token that may do whatever a tenant's may.
#[test]
fn the_server_keeps_to_it_for_a_tenant() {
    let server = prepared();
    let tokens = server.operator().below("/api/v1/tenants/demo/tokens");
    let body = json!({ "subject": "all", "roles": ["tenant-admin", "application"] });
    let token = tokens.post("", &body).expect(201).str("/token");
    run(&token, &server);
}
