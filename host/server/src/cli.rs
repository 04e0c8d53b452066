//! The command line.

use std::fmt::Display;
use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use keyward_policy_host::Compiler;

use crate::app::App;
use crate::config::{self, Config, ConfigError, Values};
use crate::net::Drained;
use crate::operator::OperatorError;
use crate::server::{self, Bound};
use crate::startup::{self, Trouble};
use crate::tokens::TokenError;
use crate::{dev, files, log, migrate, operator};

/// Exit code for a mistake in the configuration or the command line; clap uses it as well.
const USAGE: u8 = 2;

/// A self-hosted encryption service that each tenant programs.
#[derive(Parser)]
#[command(
    name = "keyward",
    version,
    after_help = "Exit codes: 0 clean, 1 failure, 2 configuration or usage."
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
    /// Print every setting: key in keyward.toml, environment variable, default, meaning (Markdown)
    Config,
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
            with_config(flags, dev::run)
        }
        Command::Serve { config, listen, data } => {
            with_config(Flags { config, listen, data, policies: None }, serve)
        }
        Command::Vault { command: VaultCommand::Migrate { wrap, config } } => {
            let flags = Flags { config, listen: None, data: None, policies: None };
            with_config(flags, |config| migrate::run(config, wrap))
        }
        Command::Config => {
            print!("{}", config::markdown());
            ExitCode::SUCCESS
        }
        Command::CompilePolicy => keyward_policy_host::compiler::child_main(),
    }
}

struct Flags {
    config: Option<PathBuf>,
    listen: Option<SocketAddr>,
    data: Option<PathBuf>,
    policies: Option<PathBuf>,
}

impl Flags {
    fn read(self) -> Result<Config, ConfigError> {
        let mut values = Values::new();
        if let Some(path) = &self.config {
            values.read_file(path)?;
        }
        values.read_environment(|name| std::env::var(name).ok())?;
        if let Some(address) = self.listen {
            values.set_flag(&config::LISTEN, "--listen", address.to_string())?;
        }
        for (path, setting, flag) in [
            (self.data, &config::DATA_DIR, "--data"),
            (self.policies, &config::POLICIES_DIR, "--policies"),
        ] {
            if let Some(path) = path {
                let text = path.into_os_string().into_string();
                let text = text.map_err(|_| ConfigError::new(format!("{flag}: not UTF-8")))?;
                values.set_flag(setting, flag, text)?;
            }
        }
        let mut config = Config::build(&values)?;
        let program = std::env::current_exe().map_err(|error| {
            ConfigError::new(format!("cannot find the own executable: {error}"))
        })?;
        config.compiler = Compiler::Child { program, args: vec!["compile-policy".into()] };
        Ok(config)
    }
}

fn with_config<F, T, E>(flags: Flags, run: impl FnOnce(Config) -> F) -> ExitCode
where
    F: Future<Output = Result<T, E>>,
    T: Into<ExitCode>,
    E: Display,
{
    let config = flags.read().and_then(|config| log::start(&config.log).map(|()| config));
    let config = match config {
        Ok(config) => config,
        Err(error) => return fail(USAGE, &error),
    };
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &format!("cannot start the runtime: {error}")),
    };
    match runtime.block_on(run(config)) {
        Ok(done) => done.into(),
        Err(error) => fail(1, &error),
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

/// One line on standard error, and the exit code.
fn fail(code: u8, error: &dyn Display) -> ExitCode {
    eprintln!("keyward: {}", error.to_string().replace('\n', " "));
    ExitCode::from(code)
}

/// Why `keyward serve` failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// It could not listen.
    #[error(transparent)]
    Serve(#[from] server::ServeError),
    /// The application could not be built.
    #[error(transparent)]
    Start(#[from] crate::app::StartError),
    /// There is no operator token.
    #[error(transparent)]
    Operator(#[from] OperatorError),
}

async fn serve(config: Config) -> Result<Drained, RunError> {
    let bound = Bound::bind(&config).await?;
    let data_dir = config.data_dir.clone();
    files::create_private_dir(&data_dir)
        .map_err(|error| crate::app::StartError::Directory { path: data_dir.clone(), error })?;
    let app = server::build(config).await?;
    let Some(vault) = app.backend.vault() else {
        first_operator(&app, &data_dir).await?;
        return Ok(bound.serve(Arc::clone(&app), async {}).await?);
    };
    let starting = startup::run(&app, vault, async |app| {
        let ensured = first_operator(app, &data_dir).await;
        ensured.map_err(|error| match error {
            OperatorError::Token(TokenError::Store(error)) => error.into(),
            error => Trouble::Other(error.to_string()),
        })
    });
    Ok(bound.serve(Arc::clone(&app), starting).await?)
}

async fn first_operator(app: &App, data_dir: &Path) -> Result<(), OperatorError> {
    if let Some(path) = operator::ensure(app, data_dir).await? {
        eprintln!(
            "keyward: first start: the operator's token is in {}; keep it safe",
            path.display()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_win() {
        let flags = Flags {
            config: None,
            listen: Some("127.0.0.1:0".parse().unwrap()),
            data: Some("elsewhere".into()),
            policies: None,
        };
        let config = flags.read().unwrap();
        assert_eq!(config.listen.port(), 0);
        assert_eq!(config.data_dir, PathBuf::from("elsewhere"));
    }

    #[test]
    fn a_missing_file_is_one_line_that_names_it() {
        let flags = Flags {
            config: Some("/nowhere/keyward.toml".into()),
            listen: None,
            data: None,
            policies: None,
        };
        let error = flags.read().err().unwrap().to_string();
        assert!(error.contains("/nowhere/keyward.toml") && !error.contains('\n'), "{error}");
    }
}
