//! `keyward policy test`: cases and property checks in the real sandbox.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args as ClapArgs, ValueHint};
use serde_json::{Value, json};

use super::cases::File;
use super::inspect::kib;
use super::judge::{Mismatch, counts, judge};
use super::properties::{self, Effort, Property};
use super::run::{self, Outputs, Run};
use super::sandbox::Sandbox;
use super::{print, print_json, project};
use crate::client::failure::Failure;

#[derive(ClapArgs)]
pub struct Args {
    /// The component, or its project [default: the current directory]
    #[arg(value_hint = ValueHint::AnyPath)]
    file: Option<PathBuf>,
    /// A directory with cases, or one file [default: `cases` beside the component]
    #[arg(long = "cases", value_name = "DIR", value_hint = ValueHint::AnyPath)]
    cases: Option<PathBuf>,
    /// Leave out the property checks
    #[arg(long)]
    no_properties: bool,
    /// Generated inputs for each property
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    inputs: u64,
    /// What to generate inputs from: the same number gives the same inputs
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// A case that ran.
struct Tested<'a> {
    file: &'a File,
    name: &'a str,
    run: Run,
    mismatches: Vec<Mismatch>,
}

/// Runs all; fails after the report if something did not pass.
pub async fn run(args: &Args, json: bool) -> Result<(), Failure> {
    let path = project::component(args.file.as_deref())?;
    let files = project::cases(args.cases.as_deref(), &path)?;
    let sandbox = Sandbox::open(&path, true).await?;
    let mut tested = Vec::new();
    for file in &files {
        let tenant = sandbox.set_up(file).await?;
        let mut outputs = Outputs::new();
        for case in &file.cases {
            let run = run::run(&sandbox, &tenant, file, case, &mut outputs).await?;
            let mismatches = judge(case, &run);
            tested.push(Tested { file, name: &case.name, run, mismatches });
        }
    }
    let effort = Effort { cases: args.inputs, seed: args.seed };
    let properties = if args.no_properties {
        Vec::new()
    } else {
        check_properties(&sandbox, &files, effort).await?
    };
    let failed = tested.iter().filter(|it| !it.mismatches.is_empty()).count();
    let broken = properties.iter().filter(|it| it.failure.is_some()).count();
    if json {
        let cases: Vec<Value> = tested.iter().map(case_as_json).collect();
        let properties: Vec<Value> = properties.iter().map(property_as_json).collect();
        print_json(&json!({
            "policy": sandbox.policy.digest(),
            "cases": cases,
            "properties": properties,
            "seed": args.seed,
            "passed": failed == 0 && broken == 0,
        }))?;
    } else {
        print(&for_people(&tested, &properties, effort))?;
    }
    if failed == 0 && broken == 0 { Ok(()) } else { Err(Failure::Invalid) }
}

/// With what the files say about properties; with the first file if none says anything.
async fn check_properties(
    sandbox: &Sandbox,
    files: &[File],
    effort: Effort,
) -> Result<Vec<Property>, Failure> {
    let said = files.iter().find(|file| file.properties.is_some());
    match said.or(files.first()) {
        Some(file) => properties::check(sandbox, file, effort).await,
        None => properties::check(sandbox, &File::empty(), effort).await,
    }
}

fn case_as_json(tested: &Tested<'_>) -> Value {
    let Tested { file, name, run, mismatches } = tested;
    let differences = mismatches
        .iter()
        .map(|it| json!({ "what": it.what, "expected": it.expected, "got": it.got }));
    let log =
        run.trace.log.iter().map(
            |line| json!({ "level": line.level, "message": line.message, "fields": line.fields }),
        );
    json!({
        "file": file.path.display().to_string(),
        "name": name,
        "operation": run.request.operation,
        "passed": mismatches.is_empty(),
        "differences": differences.collect::<Vec<_>>(),
        "fuel": run.trace.fuel,
        "memory_bytes": run.trace.memory_bytes,
        "elapsed_us": u64::try_from(run.trace.elapsed.as_micros()).unwrap_or(u64::MAX),
        "host_calls": counts(&run.trace),
        "log": log.collect::<Vec<_>>(),
    })
}

fn property_as_json(property: &Property) -> Value {
    json!({
        "name": property.name,
        "passed": property.failure.is_none(),
        "held": property.held,
        "refused": property.refused,
        "failure": property.failure,
    })
}

fn for_people(tested: &[Tested<'_>], properties: &[Property], effort: Effort) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let mut line = |text: String| {
        let _ = writeln!(out, "{}", text.trim_end());
    };
    let mut shown = None;
    let width = tested.iter().map(|it| it.name.chars().count()).max().unwrap_or_default();
    for Tested { file, name, run, mismatches } in tested {
        if shown != Some(&file.path) {
            line(file.path.display().to_string());
            shown = Some(&file.path);
        }
        let mark = if mismatches.is_empty() { "ok  " } else { "FAIL" };
        line(format!("  {mark}  {name:<width$}  {}", used(run)));
        for Mismatch { what, expected, got } in mismatches {
            line(format!("        {what}"));
            line(format!("          expected  {expected}"));
            line(format!("          got       {got}"));
        }
        if !mismatches.is_empty() {
            for entry in &run.trace.log {
                line(format!("        log {}: {} {}", entry.level, entry.message, entry.fields));
            }
        }
    }
    if !properties.is_empty() {
        line(format!("properties, {} inputs each, seed {}", effort.cases, effort.seed));
    }
    for Property { name, held, refused, failure } in properties {
        let mark = if failure.is_none() { "ok  " } else { "FAIL" };
        let refused = if *refused == 0 { String::new() } else { format!(", {refused} refused") };
        line(format!("  {mark}  {name}: held {held} times{refused}"));
        if let Some(failure) = failure {
            line(format!("        {failure}"));
        }
    }
    let failed = tested.iter().filter(|it| !it.mismatches.is_empty()).count();
    let broken = properties.iter().filter(|it| it.failure.is_some()).count();
    line(format!(
        "{} cases passed, {failed} failed; {} properties hold, {broken} do not",
        tested.len() - failed,
        properties.len() - broken,
    ));
    out
}

/// What a run took.
fn used(run: &Run) -> String {
    let trace = &run.trace;
    let fuel = trace.fuel.map_or(String::new(), |fuel| format!("{fuel} fuel, "));
    let memory = kib(trace.memory_bytes as u64);
    let calls: Vec<String> =
        counts(trace).iter().map(|(function, count)| format!("{function} {count}")).collect();
    let calls = if calls.is_empty() { "no host calls".into() } else { calls.join(", ") };
    format!("{fuel}{memory}, {:.2} ms; {calls}", trace.elapsed.as_secs_f64() * 1e3)
}
