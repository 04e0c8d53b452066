//! The policy author's command line: from an empty directory to a tested component, without a
//! server.
//!
//! It runs policies in the server's own sandbox, over a keyring in memory. It never reads a server's
//! store, installs nothing, and speaks to a server for one purpose alone: to have it record a run.

mod bench;
mod build;
mod cases;
mod inspect;
mod judge;
mod new;
mod permissions;
mod project;
mod properties;
mod record;
mod replay;
mod run;
mod sandbox;
mod sdk;
mod test;

use std::io::Write as _;

use clap::Subcommand;

use crate::client::connection::Connection;
use crate::client::failure::Failure;

/// What an author does.
#[derive(Subcommand)]
pub enum Command {
    /// Write a new policy, ready to build
    New(new::Args),
    /// Build the component of a policy
    Build(build::Args),
    /// Show what a component may do, offers and needs, and what speaks against it
    Inspect(inspect::Args),
    /// Run cases and property checks in the real sandbox
    Test(test::Args),
    /// Measure decisions, and an operation
    Bench(bench::Args),
    /// Run cases, or have a server run a question, and keep every host call, to replay it
    Record(Box<record::Args>),
    /// Run recorded cases again, on recorded host calls, and show the first difference
    Replay(replay::Args),
}

/// Runs it.
pub async fn run(command: Command, connection: &Connection) -> Result<(), Failure> {
    let json = connection.json();
    match command {
        Command::New(args) => new::run(&args),
        Command::Build(args) => build::run(&args),
        Command::Inspect(args) => inspect::run(&args, json).await,
        Command::Test(args) => test::run(&args, json).await,
        Command::Bench(args) => bench::run(&args, json).await,
        Command::Record(args) => record::run(&args, connection).await,
        Command::Replay(args) => replay::run(&args).await,
    }
}

/// Writes text to standard output.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|it| Failure::stdout(&it))
}

/// Writes JSON to standard output, on one line.
fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    print(&format!("{value}\n"))
}
