//! `keyward policy replay`: recorded runs again, on recorded host calls.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueHint};
use keyward_policy_host::{Detail, HostCall, Observe, Payload, Trace};

use super::sandbox::Sandbox;
use super::{print, project};
use crate::client::failure::Failure;
use crate::recording::{self, Outcome, Output, Recorded, Recording};

#[derive(ClapArgs)]
pub struct Args {
    /// The recording
    #[arg(value_hint = ValueHint::FilePath)]
    recording: PathBuf,
    /// The component, or its project [default: the current directory]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    policy: Option<PathBuf>,
}

/// Replays all runs; fails after the report if one is not as it was.
pub async fn run(args: &Args) -> Result<(), Failure> {
    let recording = read(&args.recording)?;
    let path = project::component(args.policy.as_deref())?;
    let sandbox = Sandbox::open(&path, true).await?;
    // Writing to a string cannot fail.
    let mut out = String::new();
    if recording.policy != sandbox.policy.digest() {
        let _ = writeln!(
            out,
            "another policy than the recorded one: {}, recorded {}",
            sandbox.policy.digest(),
            recording.policy
        );
    }
    let mut different = 0;
    for run in &recording.runs {
        let request = run.request.clone().into();
        let payload: Option<Payload> = run.payload.clone().map(Into::into);
        let observe = Observe {
            detail: Detail::Values,
            script: Some(run.calls.clone()),
            ..Observe::default()
        };
        let trace =
            sandbox.host.observe(&sandbox.policy, &request, payload.as_ref(), observe).await;
        let trace = trace.map_err(|error| Failure::local("the policy did not run", &error))?;
        match difference(run, &trace) {
            None => {
                let _ = writeln!(out, "same  {}: {} host calls", run.case, trace.calls.len());
            }
            Some((what, recorded, now)) => {
                different += 1;
                let _ = writeln!(out, "DIFF  {}\n        {what}", run.case);
                let _ = writeln!(out, "          recorded  {recorded}\n          now       {now}");
            }
        }
    }
    let _ = writeln!(out, "{} as recorded, {different} not", recording.runs.len() - different);
    print(&out)?;
    if different == 0 { Ok(()) } else { Err(Failure::Invalid) }
}

fn read(path: &Path) -> Result<Recording, Failure> {
    let text = std::fs::read_to_string(path).map_err(|it| Failure::file("read", path, &it))?;
    recording::parse(&text)
        .map_err(|(number, what)| Failure::Usage(format!("{}:{number}: {what}", path.display())))
}

/// The first difference: what, as it was recorded, as it is now.
fn difference(run: &Recorded, trace: &Trace) -> Option<(String, String, String)> {
    if let Some(divergence) = &trace.divergence {
        let what = format!("host call {}", divergence.position + 1);
        let recorded = divergence.expected.as_ref().map_or("none: it ended".into(), shown_call);
        return Some((what, recorded, shown_call(&divergence.called)));
    }
    let now = Outcome::of(trace);
    if now.decision != run.outcome.decision {
        let shown = |outcome: &Outcome| format!("{:?}", outcome.decision);
        return Some(("decision".into(), shown(&run.outcome), shown(&now)));
    }
    if now.output != run.outcome.output {
        let shown = |outcome: &Outcome| match &outcome.output {
            None => "none".into(),
            Some(Output::Failed(error)) => format!("{}: {}", error.code, error.text),
            Some(Output::Payload(body)) => super::judge::shown_body(&body.clone().into()),
        };
        return Some(("output".into(), shown(&run.outcome), shown(&now)));
    }
    if trace.calls_left > 0 {
        let position = run.calls.len() - trace.calls_left;
        let recorded = run.calls.get(position).map(shown_call).unwrap_or_default();
        return Some((format!("host call {}", position + 1), recorded, "none: it ended".into()));
    }
    None
}

/// A call without its result. Bytes are shown by their number: they may be plaintext.
fn shown_call(call: &HostCall) -> String {
    let arguments: Vec<String> = call.arguments.iter().map(|it| format!("{it:?}")).collect();
    format!("{}({})", call.function, arguments.join(", "))
}
