//! The command line client: what the HTTP API does, for people and scripts.
//!
//! It speaks the API alone and has no way of its own into a store. A plain command is a variant of
//! a clap enum and the [`Call`] it makes of itself: method, path, fields, and how its answer is
//! shown. What reads or writes more than an answer has a module of its own in [`commands`].

pub mod api;
pub mod call;
pub mod commands;
pub mod connection;
pub(crate) mod failure;
mod files;
mod progress;
mod show;
mod upload;

use std::process::ExitCode;

use clap::Subcommand;

use self::api::Api;
use self::call::Call;
use self::commands::{backups, data, keys, management, policies, receipts, streams, tokens};
use self::connection::Connection;
use self::failure::Failure;
use self::show::Printer;

/// What the client does.
#[derive(Subcommand)]
pub enum Command {
    /// Create, list, rotate, disable, delete and destroy keys
    Key {
        #[command(flatten)]
        connection: Connection,
        #[command(subcommand)]
        command: keys::Command,
    },
    /// Encrypt standard input: a value of up to 1 MiB to text (kw1.…), or with --stream bytes of
    /// any length
    Encrypt {
        #[command(flatten)]
        connection: Connection,
        #[command(flatten)]
        command: streams::Encrypt,
    },
    /// Decrypt standard input: text (kw1.…) or a stream, whichever it is
    Decrypt {
        #[command(flatten)]
        connection: Connection,
        #[command(flatten)]
        command: streams::Decrypt,
    },
    #[command(flatten)]
    Data(data::Command),
    /// Create and list tenants, and set what happens to one while the key store is away
    Tenant {
        #[command(flatten)]
        connection: Connection,
        #[command(subcommand)]
        command: management::TenantCommand,
    },
    /// Make, list, show, rotate and revoke tokens
    Token {
        #[command(flatten)]
        connection: Connection,
        #[command(subcommand)]
        command: tokens::Command,
    },
    /// Write, build and test policies; push, sign, activate, roll back and compare them
    Policy {
        #[command(flatten)]
        connection: Connection,
        #[command(subcommand)]
        command: policies::Command,
    },
    /// Look after a server
    Server {
        #[command(flatten)]
        connection: Connection,
        #[command(subcommand)]
        command: management::ServerCommand,
    },
    /// Check receipts of destruction, and show the public keys to check them with
    Receipt {
        #[command(subcommand)]
        command: receipts::Command,
    },
    /// Back up the store, or one tenant, to an age file
    Backup {
        #[command(flatten)]
        connection: Connection,
        #[command(flatten)]
        command: backups::Backup,
    },
    /// Restore a backup, or see what that would change
    Restore {
        #[command(flatten)]
        connection: Connection,
        #[command(flatten)]
        command: backups::Restore,
    },
}

/// Runs a command to its end, or until a signal asks it to stop.
pub fn run(command: Command) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::local("cannot start the runtime", &error).report(),
    };
    let done = runtime.block_on(async {
        tokio::select! {
            // First: from its first poll on, a signal no longer ends the process by itself, which
            // would leave behind what the command has begun to write.
            biased;
            () = interrupted() => Err(Failure::Interrupted),
            done = dispatch(command) => done,
        }
    });
    // A read of standard input may still wait, and nothing waits for it.
    runtime.shutdown_background();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) =
        (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

async fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Key { connection, command } => plain(&connection, command.call()?).await,
        Command::Tenant { connection, command } => plain(&connection, command.call()).await,
        Command::Token { connection, command } => plain(&connection, command.call()?).await,
        Command::Policy { connection, command } => command.run(&connection).await,
        Command::Server { connection, command } => plain(&connection, command.call()).await,
        Command::Data(command) => command.run().await,
        Command::Encrypt { connection, command } => command.run(&connection).await,
        Command::Decrypt { connection, command } => command.run(&connection).await,
        Command::Receipt { command } => command.run().await,
        Command::Backup { connection, command } => command.run(&connection).await,
        Command::Restore { connection, command } => command.run(&connection).await,
    }
}

/// Makes a call and shows its answer.
async fn plain(connection: &Connection, call: Call) -> Result<(), Failure> {
    let show = call.show;
    let answer = Api::new(connection)?.call(call).await?;
    Printer::new(connection).answer(&answer, show)
}
