//! The policy author's way from an empty directory to a tested component, with the real binary.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use keyward_tests::Cli;
use serde_json::{Value, json};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn component(name: &str) -> String {
    root().join(format!("target/policies/{name}.wasm")).to_str().unwrap().to_owned()
}

fn cases(name: &str) -> String {
    root().join(format!("plugins/{name}/cases")).to_str().unwrap().to_owned()
}

/// A policy that does what the property checks are there to find.
const LEAKY: &str = r##"
use keyward_policy::*;

struct Leaky;

impl Policy for Leaky {
    fn authorize(request: &Request) -> Result<Plan, Error> {
        match request.action() {
            Action::Invoke(_) => Ok(Plan::allow()),
            Action::Hash => panic!("nobody hashes"),
            Action::Random if random::bytes(1)[0] % 2 == 0 => Ok(Plan::allow()),
            _ => Err(Error::denied("no")),
        }
    }

    fn invoke(request: &Request, payload: Payload) -> Result<Payload, Error> {
        let text = String::from_utf8_lossy(&payload.body).into_owned();
        match request.action() {
            Action::Invoke("protect") => Ok(payload),
            Action::Invoke("reveal") => {
                log::info("revealing", &[("what", &text)]);
                let body = text.to_uppercase().into_bytes();
                Ok(Payload { content_type: payload.content_type, body })
            }
            _ => Err(Error::invalid(text)),
        }
    }

    fn describe() -> Vec<Operation> {
        let schema = r#"{"type":"object","properties":{"name":{"type":"string"}},"required":["name"]}"#;
        ["protect", "reveal"].map(|name| Operation {
            name: name.into(),
            description: "does it".into(),
            input_schema: schema.into(),
            output_schema: schema.into(),
        }).into()
    }
}

export_policy!(Leaky);
"##;

#[test]
fn a_rust_policy_from_nothing_to_replayed() {
    let author = Cli::author();
    let new = author.run(&["policy", "new", "mine"]).good();
    assert!(new.text().contains("keyward policy build"), "{}", new.text());
    author.run(&["policy", "new", "mine"]).failed(2, &["mine exists"]);
    author.run(&["policy", "test", "mine"]).failed(2, &["no component", "keyward policy build"]);
    // Cargo may say on standard error that it updates or compiles; it does not with --quiet.
    let built = author.run(&["policy", "build", "mine"]).good();
    assert!(built.text().starts_with("mine/mine.wasm ("), "{}", built.text());

    let tested = author.run(&["policy", "test", "mine"]).good();
    for part in [
        "mine/cases/first.toml",
        "ok    an application encrypts",
        "fuel",
        "5 cases passed, 0 failed",
    ] {
        assert!(tested.text().contains(part), "{part}: {}", tested.text());
    }
    let tested = author.run(&["policy", "test", "mine", "--json"]).good().json();
    assert_eq!(tested["passed"], true);
    let first = &tested["cases"][0];
    assert_eq!((&first["host_calls"], &first["memory_bytes"]), (&json!({}), &json!(65_536)));
    assert!(first["fuel"].as_u64().unwrap() > 100, "{first}");
    // The same again gives the same, fuel included.
    let again = author.run(&["policy", "test", "mine", "--json"]).good().json();
    assert_eq!(
        (&again["cases"][0]["fuel"], &again["properties"]),
        (&first["fuel"], &tested["properties"])
    );

    let shown = author.run(&["policy", "inspect", "mine"]).good();
    for part in ["keyward:policy@0.1.0", "keyward-policy 0.1.0", "64 KiB", "admitted    yes"] {
        assert!(shown.text().contains(part), "{part}: {}", shown.text());
    }

    let measured =
        author.run(&["policy", "bench", "mine", "--seconds", "1", "--json"]).good().json();
    let row = &measured["measured"][0];
    assert_eq!(row["what"], "decide encrypt");
    assert!(row["p50_us"].as_f64() > Some(0.0) && row["p50_us"].as_f64() <= row["p99_us"].as_f64());
    assert!(row["per_second"].as_f64() > Some(10.0), "{row}");

    author.run(&["policy", "record", "--tests", "--policy", "mine", "-o", "all.json"]).good();
    let replayed = author.run(&["policy", "replay", "all.json", "--policy", "mine"]).good();
    assert!(replayed.text().contains("5 as recorded, 0 not"), "{}", replayed.text());

    // Another decision: a case fails, and so does the replay; both say how.
    let source = author.path("mine/src/lib.rs");
    let text = std::fs::read_to_string(&source).unwrap();
    std::fs::write(
        &source,
        text.replace(".bind(purpose)", ".bind(purpose.replace(purpose.as_str(), \"all\"))"),
    )
    .unwrap();
    author.run(&["policy", "build", "mine"]).good();
    let tested = author.run(&["policy", "test", "mine"]);
    assert_eq!((tested.code, tested.stderr.as_str()), (Some(1), ""));
    for part in [
        "FAIL  an application encrypts",
        "expected  [\"billing\"]",
        "got       [\"all\"]",
        "expected  failed: ciphertext_invalid",
        "3 cases passed, 2 failed",
    ] {
        assert!(tested.text().contains(part), "{part}: {}", tested.text());
    }
    let replayed = author.run(&["policy", "replay", "all.json", "--policy", "mine"]);
    assert_eq!(replayed.code, Some(1), "{}", replayed.text());
    assert!(replayed.text().contains("another policy"), "{}", replayed.text());
    assert!(replayed.text().contains("2 as recorded, 3 not"), "{}", replayed.text());

    std::fs::write(&source, LEAKY).unwrap();
    author.run(&["policy", "build", "mine", "-o", "leaky.wasm"]).good();
    let tested = author.run(&["policy", "test", "leaky.wasm", "--json"]);
    assert_eq!((tested.code, tested.stderr.as_str()), (Some(1), ""));
    let tested = tested.json();
    for (property, why) in [
        ("equal requests get equal decisions", "random by roles"),
        ("no input makes it crash", "policy_trap"),
        ("no plaintext in errors or logs", "the log line \"revealing"),
        ("reveal(protect(x)) = x", "back came"),
    ] {
        let mut properties = tested["properties"].as_array().unwrap().iter();
        let found = properties.find(|it| it["name"] == property);
        let found = found.unwrap_or_else(|| panic!("{property}: {tested}"));
        assert!(found["failure"].as_str().is_some_and(|it| it.contains(why)), "{found}");
    }
    author.run(&["policy", "test", "leaky.wasm", "--no-properties"]).good();
    // What does not compile says so, and leaves the component of before alone.
    let before = std::fs::read(author.path("mine/mine.wasm")).unwrap();
    std::fs::write(&source, "this is no Rust").unwrap();
    let failed = author.run(&["policy", "build", "mine"]);
    assert_eq!(failed.code, Some(1));
    assert!(failed.stderr.contains("policy-mine does not build"), "{}", failed.stderr);
    assert_eq!(std::fs::read(author.path("mine/mine.wasm")).unwrap(), before);
}

#[test]
fn a_policy_may_use_another_sdk() {
    let author = Cli::author();
    let sdk = root().join("guest-sdk");
    author.run(&["policy", "new", "other", "--sdk", sdk.to_str().unwrap()]).good();
    assert!(!author.path("other/vendor").exists());
    let manifest = std::fs::read_to_string(author.path("other/Cargo.toml")).unwrap();
    assert!(manifest.contains(&format!("path = {:?}", sdk.canonicalize().unwrap())), "{manifest}");
    author.run(&["policy", "new", "no", "--sdk", "nowhere"]).failed(1, &["nowhere"]);
    author.run(&["policy", "new", "no", "--lang", "js", "--sdk", "."]).failed(2, &["--lang rust"]);
    author.run(&["policy", "new", "No"]).failed(2, &["`No` cannot name a policy"]);
}

#[test]
fn the_policies_of_this_repository_pass_their_cases_and_properties() {
    let author = Cli::author();
    for name in ["baseline", "cards", "fields", "four-eyes", "receipts", "records"] {
        let args = ["policy", "test", &component(name), "--cases", &cases(name)];
        let tested = author.run(&args);
        assert_eq!(tested.code, Some(0), "{name}: {}{}", tested.text(), tested.stderr);
    }
}

#[test]
fn inspecting_says_what_a_component_may_do_and_what_speaks_against_it() {
    let author = Cli::author();
    let shown = author.run(&["policy", "inspect", &component("receipts"), "--json"]).good().json();
    let imports: Vec<&str> = shown["imports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert!(imports.contains(&"keyward:policy/signing@0.1.0"), "{imports:?}");
    assert!(!imports.contains(&"keyward:policy/opening@0.1.0"), "{imports:?}");
    assert_eq!(shown["sdk"], json!({ "name": "keyward-policy", "version": "0.1.0" }));
    assert_eq!((&shown["contract"], &shown["admitted"]), (&json!("0.1.0"), &json!(true)));
    let names: Vec<&Value> =
        shown["operations"].as_array().unwrap().iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["attest", "check", "public-key"]);
    assert_eq!(shown["operations"][2]["input_schema"]["type"], "object");
    let text = author.run(&["policy", "inspect", &component("receipts")]).good();
    assert!(text.text().contains("signing@0.1.0     sign"), "{}", text.text());

    let foreign = wat::parse_str(
        r#"(component (import "wasi:random/random@0.2.0" (instance)) (core module (memory 1025)))"#,
    );
    let foreign = author.file("foreign.wasm", foreign.unwrap());
    let shown = author.run(&["policy", "inspect", &foreign, "--json"]);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(1), ""));
    let shown = shown.json();
    let codes: Vec<&Value> =
        shown["objections"].as_array().unwrap().iter().map(|it| &it["code"]).collect();
    let expected =
        ["component_forbidden_imports", "component_missing_exports", "component_needs_too_much"];
    assert_eq!(codes, expected);
    author
        .run(&["policy", "test", &foreign])
        .failed(1, &["component_forbidden_imports", "inspect"]);
    let text = author.file("text.wasm", "hello");
    author.run(&["policy", "inspect", &text]).failed(1, &["not a valid WebAssembly component"]);
}

#[test]
fn a_misspelt_case_says_what_was_meant() {
    let author = Cli::author();
    let file = author.file(
        "cases.toml",
        "[kees.a]\n[[case]]\nname = \"a\"\noperation = \"encrypt\"\n\
         expect = { alow = true }\npurpos = \"x\"\n",
    );
    let tested = author.run(&["policy", "test", &component("records"), "--cases", &file]);
    assert_eq!(tested.code, Some(2), "{}", tested.stderr);
    let lines: Vec<&str> = tested.stderr.lines().collect();
    for (line, place, meant) in [(0, 1, "keys"), (1, 5, "allow"), (2, 6, "purpose")] {
        let place = format!("cases.toml:{place}: ");
        let hint = format!("did you mean `{meant}`?");
        let found = lines.iter().any(|it| it.contains(&place) && it.contains(&hint));
        assert!(found, "{line}: {place}{hint}: {}", tested.stderr);
    }
    assert_eq!(lines.len(), 3);
    let empty = author.path("empty");
    std::fs::create_dir(&empty).unwrap();
    let args = ["policy", "test", &component("records"), "--cases", "empty"];
    author.run(&args).failed(2, &["empty has no cases"]);
}

#[test]
fn a_recording_is_private_and_replays_what_happened() {
    let author = Cli::author();
    let fields = component("fields");
    let cases = cases("fields");
    let record = |case: &str, out: &str| {
        author.run(&["policy", "record", case, "--policy", &fields, "--cases", &cases, "-o", out])
    };
    assert!(record("and revealed", "one.json").good().text().contains("1 runs"));
    record("nobody", "none.json").failed(2, &["no case \"nobody\""]);
    let path = author.path("one.json");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600, "{mode:o}");
    let replay = |file: &str| author.run(&["policy", "replay", file, "--policy", &fields]);
    let replayed = replay("one.json").good();
    assert!(replayed.text().contains("1 as recorded, 0 not"), "{}", replayed.text());

    // The recording is believed, whatever keys there are: another answer gives another output.
    let text = std::fs::read_to_string(&path).unwrap();
    let call = text.lines().find(|line| line.contains("\"opening.decrypt")).unwrap();
    assert!(text.contains(&keyward_tests::b64("\"Ada\"")), "the plaintext is not in it: {call}");
    author.file(
        "other.json",
        text.replace(&keyward_tests::b64("\"Ada\""), &keyward_tests::b64("\"Eve\"")),
    );
    let replayed = replay("other.json");
    assert_eq!(replayed.code, Some(1));
    for part in ["DIFF  and revealed", "output", "\\\"Ada\\\"", "\\\"Eve\\\""] {
        assert!(replayed.text().contains(part), "{part}: {}", replayed.text());
    }
    // A call left out of it: the run ends where it is missed.
    let fewer: Vec<&str> = text.lines().filter(|line| *line != call).collect();
    author.file("fewer.json", fewer.join("\n"));
    let replayed = replay("fewer.json");
    assert_eq!(replayed.code, Some(1));
    assert!(replayed.text().contains("now       opening.decrypt"), "{}", replayed.text());
    author.file("cut.json", text.lines().take(3).collect::<Vec<_>>().join("\n"));
    replay("cut.json").failed(2, &["cut.json:3: the file breaks off"]);
    author.file("empty.json", "");
    replay("empty.json").failed(2, &["the file is empty"]);
}

#[test]
fn what_a_build_needs_is_said_with_the_command_that_brings_it() {
    let author = Cli::author();
    author.run(&["policy", "build"]).failed(2, &["this directory is no policy", "policy new"]);
    author.run(&["policy", "new", "scripted", "--lang", "js"]).good();
    author.run(&["policy", "new", "snake", "--lang", "python"]).good();
    for name in ["scripted", "snake"] {
        assert!(author.path(name).join("wit/policy.wit").is_file());
    }
    if has("node") {
        author.run(&["policy", "build", "scripted"]).failed(1, &["cd scripted && npm ci"]);
    }
    if has("python3") {
        author.run(&["policy", "build", "snake"]).failed(1, &["cd snake && python3 -m venv .venv"]);
    }
    let nothing = Command::new(author.command(&[]).get_program())
        .args(["policy", "build", "scripted"])
        .current_dir(author.dir.path())
        .env_clear()
        // Without any, a system has directories of its own to look into.
        .env("PATH", author.path("empty"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&nothing.stderr).into_owned();
    assert!(said.contains("nodejs.org"), "{said}");
}

fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok_and(|it| it.status.success());
    if !found {
        eprintln!("skipped in part: there is no {program} here");
    }
    found
}
