//! `keyward policy record`: runs cases, or a question at a server, and keeps every host call.

mod live;

use std::path::{Path, PathBuf};

use clap::{Args as ClapArgs, ValueHint};

use super::run::{self, Outputs};
use super::sandbox::Sandbox;
use super::{print, project};
use crate::client::connection::Connection;
use crate::client::failure::Failure;
use crate::recording::{Outcome, Recorded, Recording};

#[derive(ClapArgs)]
pub struct Args {
    /// The case to record, by its name
    #[arg(required_unless_present_any = ["tests", "server"], conflicts_with = "tests")]
    case: Option<String>,
    /// Record all cases
    #[arg(long)]
    tests: bool,
    /// The component, or its project [default: the current directory]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::AnyPath)]
    policy: Option<PathBuf>,
    /// A directory with cases, or one file [default: `cases` beside the component]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::AnyPath)]
    cases: Option<PathBuf>,
    #[command(flatten)]
    live: live::Args,
    /// Where the recording goes
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: PathBuf,
}

/// Records.
pub async fn run(args: &Args, connection: &Connection) -> Result<(), Failure> {
    if args.live.is_asked() {
        let bytes = live::record(&args.live, connection).await?;
        write(&args.output, &bytes)?;
        return print(&format!(
            "{}: a run at {}. It holds what was sent and what the policy decrypted, in clear; only \
             you may read it.\n",
            args.output.display(),
            connection.addr()
        ));
    }
    let path = project::component(args.policy.as_deref())?;
    let files = project::cases(args.cases.as_deref(), &path)?;
    let sandbox = Sandbox::open(&path, true).await?;
    let mut runs = Vec::new();
    for file in &files {
        let tenant = sandbox.set_up(file).await?;
        let mut outputs = Outputs::new();
        for case in &file.cases {
            // The others run as well: a later one may need their output.
            let run = run::run(&sandbox, &tenant, file, case, &mut outputs).await?;
            if args.case.as_ref().is_some_and(|wanted| *wanted != case.name) {
                continue;
            }
            let invoked = run.request.operation.starts_with("invoke/");
            runs.push(Recorded {
                case: case.name.clone(),
                request: (&run.request).into(),
                // Of everything else the payload is none of the policy's business.
                payload: run.payload.as_ref().filter(|_| invoked).map(Into::into),
                outcome: Outcome::of(&run.trace),
                calls: run.trace.calls,
            });
        }
    }
    if runs.is_empty() {
        let what = match &args.case {
            Some(name) => format!("there is no case \"{name}\""),
            None => "there are no cases: name a directory with --cases".into(),
        };
        return Err(Failure::Usage(what));
    }
    let count = runs.len();
    let calls: usize = runs.iter().map(|run| run.calls.len()).sum();
    let recording = Recording { policy: sandbox.policy.digest().into(), runs }.to_bytes();
    let bytes = recording.map_err(|it| Failure::local("cannot write a recording", &it))?;
    write(&args.output, &bytes)?;
    print(&format!(
        "{}: {count} runs, {calls} host calls. It holds what the cases sent and what the policy \
         decrypted, in clear; only you may read it.\n",
        args.output.display()
    ))
}

/// To a file that its owner alone may read; one that is there is replaced.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    crate::files::write_atomic(path, bytes, 0o600)
        .map_err(|error| Failure::file("write", path, &error))
}
