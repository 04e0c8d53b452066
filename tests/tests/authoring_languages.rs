//! The policy author's way in JavaScript and in Python, with the real binary, npm and pip. These
//! install from what `cargo xtask policies` has fetched, without a network.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use keyward_tests::Cli;
use serde_json::{Value, json};

/// One language, as `policy new` and `policy build` know it.
struct Language {
    name: &'static str,
    /// The command that brings what a build needs, as both of them say it.
    first: &'static str,
    /// Runs the project's unit tests.
    unit_tests: &'static str,
    /// The policy's source.
    source: &'static str,
    sdk: &'static str,
}

const JAVASCRIPT: Language = Language {
    name: "js",
    first: "npm ci",
    unit_tests: "npm test",
    source: "policy.js",
    sdk: "@keyward/policy",
};
const PYTHON: Language = Language {
    name: "python",
    first: "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt",
    unit_tests: ".venv/bin/python -m unittest",
    source: "policy.py",
    sdk: "keyward_policy",
};

fn target(path: &str) -> String {
    let root: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().into();
    let path = root.join("target").join(path);
    assert!(path.is_dir(), "{} is not there; run `cargo xtask policies`", path.display());
    path.to_str().unwrap().to_owned()
}

/// An author whose npm and pip have their packages at hand, and no network.
fn author() -> Cli {
    Cli::author()
        .env("npm_config_cache", &target("js/cache"))
        .env("npm_config_offline", "true")
        .env("npm_config_audit", "false")
        .env("PIP_NO_INDEX", "1")
        .env("PIP_FIND_LINKS", &target("py/wheels"))
        .env("PIP_DISABLE_PIP_VERSION_CHECK", "1")
        .env("PIP_NO_CACHE_DIR", "1")
}

/// Runs a line in the author's project.
#[track_caller]
fn shell(author: &Cli, line: &str) {
    let mut shell = Command::new("sh");
    shell.args(["-ec", line]).current_dir(author.path("mine")).env_clear();
    let asked = author.command(&[]);
    shell.envs(asked.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = shell.output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{line}\n{}", String::from_utf8_lossy(&said));
}

/// A project that is tested and inspected. Each of these compiles it, which takes its time.
fn from_nothing(language: &Language) -> Cli {
    let author = author();
    let new = author.run(&["policy", "new", "mine", "--lang", language.name]).good();
    assert!(new.text().contains(&format!("\n  {}\n", language.first)), "{}", new.text());
    let needed = format!("run `cd mine && {}`", language.first);
    author.run(&["policy", "build", "mine"]).failed(1, &[&needed]);
    shell(&author, language.first);
    shell(&author, language.unit_tests);
    // What the build says goes to standard error.
    let built = author.run(&["policy", "build", "mine"]);
    assert_eq!(built.code, Some(0), "{}", built.stderr);
    assert!(built.text().starts_with("mine/mine.wasm ("), "{}", built.text());
    assert!(built.stderr.contains("imports nothing"), "{}", built.stderr);

    let tested = author.run(&["policy", "test", "mine", "--inputs", "10", "--json"]).good().json();
    assert_eq!(tested["passed"], true);
    let cases = tested["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 5);
    // The interpreter's own work.
    assert!(cases.iter().all(|case| case["fuel"].as_u64() > Some(10_000)), "{tested}");
    assert!(cases[0]["memory_bytes"].as_u64() > Some(8 << 20), "{tested}");

    let shown = author.run(&["policy", "inspect", "mine", "--json"]).good().json();
    assert_eq!(shown["sdk"], json!({ "name": language.sdk, "version": "0.1.0" }));
    assert_eq!((&shown["engine"], &shown["admitted"]), (&json!("image"), &json!(true)));
    let imports: Vec<&Value> = shown["imports"].as_array().unwrap().iter().collect();
    assert!(imports.iter().all(|it| it["name"] == "keyward:policy/types@0.1.0"), "{shown}");

    author
}

/// What does not build says where, and leaves the component of before alone.
fn a_broken_source_breaks_nothing_else(author: &Cli, language: &Language) {
    let source = author.path("mine").join(language.source);
    let before = fs::read(author.path("mine/mine.wasm")).unwrap();
    fs::write(&source, "this is no source").unwrap();
    let failed = author.run(&["policy", "build", "mine"]);
    assert_eq!(failed.code, Some(1));
    for part in [language.source, "failed; its message is above"] {
        assert!(failed.stderr.contains(part), "{part}: {}", failed.stderr);
    }
    assert_eq!(fs::read(author.path("mine/mine.wasm")).unwrap(), before);
}

#[test]
fn a_policy_in_javascript_from_nothing_to_changed() {
    let author = from_nothing(&JAVASCRIPT);
    // Another decision: the same cases fail, and say how.
    let source = author.path("mine/policy.js");
    let text = fs::read_to_string(&source).unwrap();
    let (from, to) = (".bind(request.purpose)", ".bind('all')");
    assert!(text.contains(from), "{text}");
    fs::write(&source, text.replace(from, to)).unwrap();
    assert_eq!(author.run(&["policy", "build", "mine"]).code, Some(0));
    let tested = author.run(&["policy", "test", "mine", "--no-properties"]);
    assert_eq!((tested.code, tested.stderr.as_str()), (Some(1), ""));
    for part in ["FAIL  an application encrypts", "got       [\"all\"]", "3 cases passed, 2 failed"]
    {
        assert!(tested.text().contains(part), "{part}: {}", tested.text());
    }
    a_broken_source_breaks_nothing_else(&author, &JAVASCRIPT);
}

#[test]
fn a_policy_in_python_from_nothing_to_measured() {
    let author = from_nothing(&PYTHON);
    let measured =
        author.run(&["policy", "bench", "mine", "--seconds", "1", "--json"]).good().json();
    let row = &measured["measured"][0];
    assert_eq!(row["what"], "decide encrypt");
    assert!(row["p50_us"].as_f64() > Some(0.0) && row["per_second"].as_f64() > Some(1.0), "{row}");
    a_broken_source_breaks_nothing_else(&author, &PYTHON);
}

/// A project whose `tools` say these things; what its build fails with.
fn with_tools(language: &Language, tools: &[(&str, &str)]) -> String {
    let author = Cli::author();
    author.run(&["policy", "new", "mine", "--lang", language.name]).good();
    let folder = author.path("tools");
    fs::create_dir(&folder).unwrap();
    for (name, script) in tools {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let build = author.env("PATH", folder.to_str().unwrap()).run(&["policy", "build", "mine"]);
    assert_eq!(build.code, Some(1), "{}", build.stderr);
    build.stderr
}

#[test]
fn what_is_missing_or_too_old_is_said_with_what_brings_it() {
    for (language, tools, parts) in [
        (&JAVASCRIPT, &[][..], &["needs node", "apt-get install nodejs npm"][..]),
        (&JAVASCRIPT, &[("node", "echo v18.19.0")], &["Node.js 20 or later", "is v18.19.0"]),
        (&JAVASCRIPT, &[("node", "echo v22.1.0")], &["needs npm", "apt-get install nodejs npm"]),
        (&PYTHON, &[], &["needs python3", "apt-get install python3 python3-venv"]),
        (&PYTHON, &[("python3", "exit 1")], &["python3 is not as", "3.11 or later"]),
    ] {
        let said = with_tools(language, tools);
        for part in parts {
            assert!(said.contains(part), "{tools:?}: {part}: {said}");
        }
    }
}

/// An environment without the packages is not taken for one that has them.
#[test]
fn an_environment_without_its_packages_says_so() {
    let author = Cli::author();
    author.run(&["policy", "new", "mine", "--lang", "python"]).good();
    shell(&author, "python3 -m venv --without-pip .venv");
    let install = "run `cd mine && .venv/bin/pip install -r requirements.txt`";
    author.run(&["policy", "build", "mine"]).failed(1, &[install]);
}
