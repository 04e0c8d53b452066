//! `keyward policy inspect`: what a component may do, offers and needs.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueHint};
use keyward_policy_host::{
    AdmissionError, EngineKind, HostConfig, ImageConfig, Operation, Survey, survey,
};
use serde_json::{Value, json};

use super::permissions::in_words;
use super::sandbox::Sandbox;
use super::{print, print_json, project};
use crate::client::failure::Failure;

#[derive(ClapArgs)]
pub struct Args {
    /// The component, or its project [default: the current directory]
    #[arg(value_hint = ValueHint::AnyPath)]
    file: Option<PathBuf>,
}

/// Shows it. Fails after that if a host with the default limits would refuse it.
pub async fn run(args: &Args, json: bool) -> Result<(), Failure> {
    let path = project::component(args.file.as_deref())?;
    let wasm = std::fs::read(&path).map_err(|error| Failure::file("read", &path, &error))?;
    let host = HostConfig { image: Some(ImageConfig::default()), ..HostConfig::default() };
    let survey = survey(&wasm, &host)
        .map_err(|error| Failure::Local(format!("{}: {error}", path.display())))?;
    let mut objections: Vec<Value> = survey.objections.iter().map(objection).collect();
    let mut operations = Vec::new();
    if objections.is_empty() {
        // What only compiling and running it can show.
        match Sandbox::open(&path, false).await {
            Ok(sandbox) => operations = sandbox.policy.operations().to_vec(),
            Err(failure) => objections.push(json!({ "detail": failure.text() })),
        }
    }
    let refused = !objections.is_empty();
    if json {
        print_json(&as_json(&survey, &operations, &objections))?;
    } else {
        print(&for_people(&path, &survey, &operations, &objections))?;
    }
    if refused { Err(Failure::Invalid) } else { Ok(()) }
}

fn objection(error: &AdmissionError) -> Value {
    json!({ "code": error.code(), "detail": error.to_string() })
}

/// The contract's version, by what is imported and exported.
fn contract(survey: &Survey) -> Option<&str> {
    let names = survey.exports.iter().chain(&survey.imports);
    names.filter_map(|name| name.strip_prefix("keyward:policy/")).find_map(|name| {
        let (_, version) = name.split_once('@')?;
        Some(version)
    })
}

/// A schema as JSON, if it is that.
fn schema(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

fn as_json(survey: &Survey, operations: &[Operation], objections: &[Value]) -> Value {
    let tool = |(name, version): &(String, String)| json!({ "name": name, "version": version });
    let imports =
        survey.imports.iter().map(|name| json!({ "name": name, "allows": in_words(name) }));
    json!({
        "digest": survey.digest,
        "size": survey.size,
        "contract": contract(survey),
        "sdk": survey.sdk.as_ref().map(tool),
        "made_with": survey.made_with.iter().map(tool).collect::<Vec<_>>(),
        "imports": imports.collect::<Vec<_>>(),
        "exports": survey.exports,
        "operations": operations.iter().map(|it| json!({
            "name": it.name,
            "description": it.description,
            "input_schema": schema(&it.input_schema),
            "output_schema": schema(&it.output_schema),
        })).collect::<Vec<_>>(),
        "needs": {
            "modules": survey.needs.modules,
            "memories": survey.needs.memories,
            "memory_bytes": survey.needs.memory_bytes,
            "tables": survey.needs.tables,
            "table_elements": survey.needs.table_elements,
        },
        "engine": survey.engine.map(EngineKind::name),
        "admitted": objections.is_empty(),
        "objections": objections,
    })
}

fn for_people(
    path: &Path,
    survey: &Survey,
    operations: &[Operation],
    objections: &[Value],
) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let mut line = |name: &str, text: String| {
        let _ = writeln!(out, "{name:<12}{text}");
    };
    line("component", format!("{}, {} bytes", path.display(), survey.size));
    line("digest", survey.digest.clone());
    line("contract", contract(survey).map_or("none".into(), |it| format!("keyward:policy@{it}")));
    let joined =
        |(name, version): &(String, String)| format!("{name} {version}").trim_end().to_owned();
    line("SDK", survey.sdk.as_ref().map_or("not said".into(), joined));
    let made: Vec<String> = survey.made_with.iter().map(joined).collect();
    line("made with", if made.is_empty() { "not said".into() } else { made.join(", ") });
    let needs = survey.needs;
    line(
        "needs",
        format!(
            "{} of memory at start, {} table(s) of up to {} elements, {} module(s)",
            kib(needs.memory_bytes),
            needs.tables,
            needs.table_elements,
            needs.modules,
        ),
    );
    line("engine", survey.engine.map_or("none has all of that".into(), |it| it.to_string()));
    line("may", String::new());
    if survey.imports.is_empty() {
        line("", "nothing but decide: it imports no interface".into());
    }
    for import in &survey.imports {
        let name = import.strip_prefix("keyward:policy/").unwrap_or(import);
        line("", format!("{name:<18}{}", in_words(import).unwrap_or("NOT OF THE CONTRACT")));
    }
    line("exports", survey.exports.join(", "));
    if !operations.is_empty() {
        line("operations", String::new());
    }
    for operation in operations {
        line("", format!("invoke/{}: {}", operation.name, operation.description));
        line("", format!("  in   {}", schema(&operation.input_schema)));
        line("", format!("  out  {}", schema(&operation.output_schema)));
    }
    match objections {
        [] => line("admitted", "yes, by a server with the default limits".into()),
        some => {
            line("admitted", "no:".into());
            for objection in some {
                let text = |name: &str| objection[name].as_str().unwrap_or_default().to_owned();
                line("", format!("{} {}", text("code"), text("detail")).trim().to_owned());
            }
        }
    }
    // No trailing blanks where a heading has no text of its own.
    let lines: Vec<&str> = out.lines().map(str::trim_end).collect();
    lines.join("\n") + "\n"
}

/// Bytes for people.
pub fn kib(bytes: u64) -> String {
    format!("{} KiB", bytes.div_ceil(1024))
}
