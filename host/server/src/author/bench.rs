//! `keyward policy bench`: what a decision takes, and an operation, with the server's engine and
//! pool. One request at a time, as `cargo xtask bench cycle` measures.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args as ClapArgs, ValueHint};
use keyward_policy_host::{Observe, Payload, Request};
use serde_json::{Value, json};

use super::cases::{Case, File};
use super::inspect::kib;
use super::run::{self, Outputs, TIME};
use super::sandbox::Sandbox;
use super::{print, print_json, project};
use crate::client::failure::Failure;

/// Runs before the first that counts: caches and branch predictors have seen it all.
const WARM_UP: u32 = 500;
/// Most runs that are kept.
const MOST: usize = 1_000_000;

#[derive(ClapArgs)]
pub struct Args {
    /// The component, or its project [default: the current directory]
    #[arg(value_hint = ValueHint::AnyPath)]
    file: Option<PathBuf>,
    /// A directory with cases, or one file [default: `cases` beside the component]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::AnyPath)]
    cases: Option<PathBuf>,
    /// The case to measure [default: the first that is allowed, and the first `invoke/…`]
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// How long to measure each
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
}

/// What is measured.
struct Subject {
    what: String,
    request: Request,
    payload: Option<Payload>,
}

/// Measures and shows it.
pub async fn run(args: &Args, json: bool) -> Result<(), Failure> {
    let path = project::component(args.file.as_deref())?;
    let files = project::cases(args.cases.as_deref(), &path)?;
    let sandbox = Sandbox::open(&path, false).await?;
    let mut rows = Vec::new();
    let mut measured = Vec::new();
    for wanted in [false, true] {
        let Some((file, case)) = pick(&files, args.case.as_deref(), wanted) else { continue };
        for subject in subjects(&sandbox, file, case).await? {
            if !measured.contains(&subject.what) {
                rows.push(measure(&sandbox, &subject, args.seconds).await?);
                measured.push(subject.what);
            }
        }
    }
    if let Some(name) = &args.case
        && rows.is_empty()
    {
        return Err(Failure::Usage(format!("there is no case \"{name}\"")));
    }
    if rows.is_empty() {
        rows.push(measure(&sandbox, &without_cases(), args.seconds).await?);
    }
    if json {
        return print_json(&json!({ "policy": sandbox.policy.digest(), "measured": rows }));
    }
    let mut out = format!(
        "{:<44} {:>9} {:>9} {:>9} {:>10} {:>9}\n",
        "a fresh instance each time", "p50 us", "p90 us", "p99 us", "per second", "memory"
    );
    for row in &rows {
        let figure = |name: &str| row[name].as_f64().unwrap_or_default();
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{:<44} {:>9.2} {:>9.2} {:>9.2} {:>10.0} {:>9}",
            row["what"].as_str().unwrap_or_default(),
            figure("p50_us"),
            figure("p90_us"),
            figure("p99_us"),
            figure("per_second"),
            kib(row["memory_bytes"].as_u64().unwrap_or_default()),
        );
    }
    if cfg!(debug_assertions) {
        out += "This keyward is built without optimisation, which makes everything slower.\n";
    }
    print(&out)
}

/// The case of this name; without one, the first that is allowed, of the policy's own operations or
/// not.
fn pick<'a>(files: &'a [File], name: Option<&str>, invoked: bool) -> Option<(&'a File, &'a Case)> {
    let all = files.iter().flat_map(|file| file.cases.iter().map(move |case| (file, case)));
    let mut fitting = all.filter(|(_, case)| case.operation.starts_with("invoke/") == invoked);
    match name {
        Some(name) => fitting.find(|(_, case)| case.name == name),
        None => {
            fitting.find(|(_, case)| case.expect.allow.is_some() && case.expect.fails.is_none())
        }
    }
}

/// The decision of a case, and the operation if it is one. Cases before it run first, because it
/// may need their output.
async fn subjects(sandbox: &Sandbox, file: &File, case: &Case) -> Result<Vec<Subject>, Failure> {
    let tenant = sandbox.set_up(file).await?;
    let mut outputs = Outputs::new();
    let mut last = None;
    for earlier in &file.cases {
        last = Some(run::run(sandbox, &tenant, file, earlier, &mut outputs).await?);
        if earlier.name == case.name {
            break;
        }
    }
    let Some(run) = last else { return Ok(Vec::new()) };
    let decision = Subject {
        what: format!("decide {}", case.operation),
        request: run.request.clone(),
        payload: None,
    };
    let mut subjects = vec![decision];
    if case.operation.starts_with("invoke/") {
        let what = format!("decide and run {}", case.operation);
        subjects.push(Subject { what, request: run.request, payload: run.payload });
    }
    Ok(subjects)
}

fn without_cases() -> Subject {
    let request = Request {
        id: "bench".into(),
        tenant: "acme".into(),
        caller: run::caller(super::cases::Caller {
            roles: vec!["application".into()],
            ..super::cases::Caller::default()
        }),
        operation: "encrypt".into(),
        key: Some("demo".into()),
        context: Some(b"row 17".to_vec()),
        purpose: Some("billing".into()),
        time: TIME,
    };
    Subject { what: "decide encrypt (there are no cases)".into(), request, payload: None }
}

async fn measure(sandbox: &Sandbox, subject: &Subject, seconds: u64) -> Result<Value, Failure> {
    let Subject { what, request, payload } = subject;
    let observed =
        sandbox.host.observe(&sandbox.policy, request, payload.as_ref(), Observe::default()).await;
    let trace = observed.map_err(|error| Failure::local("the policy did not run", &error))?;
    for _ in 0..WARM_UP {
        once(sandbox, request, payload.as_ref()).await;
    }
    let mut times: Vec<Duration> = Vec::with_capacity(MOST);
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        let start = Instant::now();
        if start >= end || times.len() == MOST {
            break;
        }
        once(sandbox, request, payload.as_ref()).await;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    let total: Duration = times.iter().sum();
    // Fewer than `MOST`.
    let count = f64::from(u32::try_from(times.len()).unwrap_or(u32::MAX));
    let at = |percent: usize| {
        times.get(times.len() * percent / 100).map_or(0.0, |time| time.as_secs_f64() * 1e6)
    };
    Ok(json!({
        "what": what,
        "runs": times.len(),
        "p50_us": at(50),
        "p90_us": at(90),
        "p99_us": at(99),
        "per_second": count / total.as_secs_f64().max(f64::MIN_POSITIVE),
        "memory_bytes": trace.memory_bytes,
        "host_calls": super::judge::counts(&trace),
    }))
}

/// One run; a refusal takes as long as its decision.
async fn once(sandbox: &Sandbox, request: &Request, payload: Option<&Payload>) {
    match payload {
        None => drop(std::hint::black_box(sandbox.host.authorize(&sandbox.policy, request).await)),
        Some(payload) => {
            let done = sandbox.host.invoke(&sandbox.policy, request, payload).await;
            drop(std::hint::black_box(done));
        }
    }
}
