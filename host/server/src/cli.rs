//! The command line: what runs a server here, and what the client does.

mod audit;
mod config;
mod flags;
mod serve;

use std::fmt::Display;
use std::future::Future;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use self::flags::Flags;
pub use self::serve::RunError;
use self::serve::serve;
use crate::app::StartError;
use crate::config::{Config, ConfigErrors};
use crate::net::Drained;
use crate::server::Bound;
use crate::{client, dev, doctor, files, hardening, log, migrate};

/// Exit code for a mistake in the configuration or the command line; clap uses it as well.
const USAGE: u8 = 2;

/// A self-hosted encryption service that each tenant programs.
#[derive(Parser)]
#[command(
    name = "keyward",
    version,
    after_help = "Exit codes: 0 done, 1 failed or refused, 2 configuration or usage, 130 interrupted."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a server to try things on: a tenant `demo` with keys, an active policy and tokens
    ///
    /// Keeps everything in one directory, so that a restart finds tenants, keys and tokens again.
    /// Writes ADDR and tokens to DIR/dev.env (readable by you alone) and prints curl lines to
    /// paste. Reads the KEYWARD_* and E2EE_VAULT_* environment variables (`keyward config` lists
    /// them).
    Dev {
        /// Address and port to listen on; port 0 takes a free one
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<SocketAddr>,
        /// Where to keep the store, policies and dev.env [default: keyward-data]
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
        /// Where the built policies are [default: `policies` beside the executable's directory]
        #[arg(long, value_name = "DIR")]
        policies: Option<PathBuf>,
    },
    /// Start the server
    ///
    /// At the first start it writes an operator's token to operator.token in the data directory.
    /// With that token create a tenant, its keys, its policy and tokens for its applications.
    Serve {
        /// The configuration; every setting has a default and an environment variable
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Address and port to listen on; wins over file and environment
        #[arg(long, value_name = "ADDRESS")]
        listen: Option<SocketAddr>,
        /// Data directory; wins over file and environment
        #[arg(long, value_name = "DIR")]
        data: Option<PathBuf>,
    },
    /// Work on the Vault that keeps the keys
    Vault {
        #[command(subcommand)]
        command: VaultCommand,
    },
    /// Verify an audit log, show its entries, or its public key; no server is needed
    Audit {
        #[command(subcommand)]
        command: audit::Command,
    },
    #[command(flatten)]
    Client(client::Command),
    /// Print what lets a shell complete commands and options
    #[command(after_help = "For bash: keyward completions bash > \
        ~/.local/share/bash-completion/completions/keyward")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print every setting: key in keyward.toml, environment variable, default, meaning (Markdown)
    ///
    /// With `check` or `print`: look at a configuration.
    Config {
        #[command(subcommand)]
        command: Option<config::Command>,
    },
    /// Look for what would keep a server with this configuration from doing well here, and say what to do
    ///
    /// Looks at the configuration, permissions, disk, root key, store, limits, hardening, address,
    /// TLS, clock, Vault and its policy, identity provider and sandbox. Run it as the user that runs
    /// the server, and with its environment. It changes nothing. Exit codes: 0 nothing has failed,
    /// 1 something has, 2 the configuration cannot be used.
    Doctor {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
        /// Print the findings as JSON
        #[arg(long)]
        json: bool,
    },
    /// Compile a component from standard input; what the server runs to keep the compiler apart
    #[command(hide = true)]
    CompilePolicy,
}

#[derive(Subcommand)]
enum VaultCommand {
    /// Wrap all stored key material by Vault Transit, or unwrap it
    ///
    /// Hosts may go on serving. Configure them first: with `vault.transit_key` before wrapping,
    /// and without it only after unwrapping. Older revisions in the other form are destroyed.
    /// Interrupted, run it again.
    Migrate {
        /// The form to bring key material into
        #[arg(long, value_name = "FORM")]
        wrap: migrate::Form,
        /// The configuration, as for `serve`
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Dev { listen, data, policies } => {
            let flags = Flags { config: None, listen, data, policies };
            with_server(flags, dev::run)
        }
        Command::Serve { config, listen, data } => {
            with_server(Flags { config, listen, data, policies: None }, serve)
        }
        Command::Vault { command: VaultCommand::Migrate { wrap, config } } => {
            let flags = Flags { config, ..Flags::default() };
            with_config(flags, |config| migrate::run(config, wrap))
        }
        Command::Audit { command } => audit::run(command),
        Command::Client(command) => client::run(command),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "keyward", &mut script);
            print(&script)
        }
        Command::Config { command: None } => print(crate::config::markdown().as_bytes()),
        Command::Config { command: Some(command) } => config::run(command),
        Command::Doctor { config, json } => {
            let flags = Flags { config, ..Flags::default() };
            let (text, code) = doctor::examine(flags.config(), json);
            match print(text.as_bytes()) {
                ExitCode::SUCCESS => code,
                failed => failed,
            }
        }
        Command::CompilePolicy => keyward_policy_host::compiler::child_main(),
    }
}

/// Runs what listens: it does before anything else, so that nothing is left of a start that cannot.
fn with_server<F, E>(flags: Flags, run: impl FnOnce(Config, Bound) -> F) -> ExitCode
where
    F: Future<Output = Result<Drained, E>>,
    E: Display,
{
    let mut config = match configured(flags) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let bound = match Bound::bind(&mut config) {
        Ok(bound) => bound,
        Err(error) => return fail(1, &error),
    };
    let path = config.data_dir.clone();
    if let Err(error) = files::create_private_dir(&path) {
        return fail(1, &StartError::Directory { path, error });
    }
    start(config, |config| run(config, bound))
}

fn with_config<F, T, E>(flags: Flags, run: impl FnOnce(Config) -> F) -> ExitCode
where
    F: Future<Output = Result<T, E>>,
    T: Into<ExitCode>,
    E: Display,
{
    match configured(flags) {
        Ok(config) => start(config, run),
        Err(code) => code,
    }
}

/// The configuration; from now on there is a log.
fn configured(flags: Flags) -> Result<Config, ExitCode> {
    let config = flags.config().and_then(|config| {
        log::start(&config.log, config.traces.as_ref())?;
        Ok(config)
    });
    let config = config.map_err(|errors| refuse(&errors))?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    Ok(config)
}

fn start<F, T, E>(config: Config, run: impl FnOnce(Config) -> F) -> ExitCode
where
    F: Future<Output = Result<T, E>>,
    T: Into<ExitCode>,
    E: Display,
{
    // Before there is a thread that would not be held to it.
    if let Err(error) = hardening::enter(&config) {
        return fail(1, &error);
    }
    // Two at least: while one works for a tenant that takes turns, the other sees who comes.
    let workers = std::thread::available_parallelism().map_or(2, |cores| cores.get().max(2));
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = match runtime.worker_threads(workers).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format!("cannot start the runtime: {error}")),
    };
    match runtime.block_on(run(config)) {
        Ok(done) => done.into(),
        Err(error) => fail(1, &error),
    }
}

/// Text on standard output. Where nobody reads it, that is a failure, and nothing to say.
fn print(text: &[u8]) -> ExitCode {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        Err(error) => fail(1, &format!("cannot write to standard output: {error}")),
    }
}

impl From<Drained> for ExitCode {
    fn from(drained: Drained) -> Self {
        match drained {
            Drained::Clean => Self::SUCCESS,
            Drained::Cut(_) => Self::FAILURE,
        }
    }
}

/// A line on standard error for each mistake, and the exit code.
fn refuse(errors: &ConfigErrors) -> ExitCode {
    for error in errors.iter() {
        fail(USAGE, error);
    }
    ExitCode::from(USAGE)
}

/// One line on standard error, and the exit code.
fn fail(code: u8, error: &dyn Display) -> ExitCode {
    eprintln!("keyward: {}", error.to_string().replace('\n', " "));
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
