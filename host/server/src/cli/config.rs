//! `keyward config check|print`: what a configuration means, without a server.

use std::path::PathBuf;
use std::process::ExitCode;

use super::{Flags, print, refuse};
use crate::config;

/// What to do with a configuration.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Tell whether the configuration can be used
    ///
    /// Reads the file and the environment as `serve` does, and says all that is wrong, one line
    /// each, or that nothing is. Exit code 0 or 2. Files that it names, and a Vault, are not looked
    /// at: that is what `keyward doctor` does.
    Check {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print what is in force, and where each value comes from (TOML); secrets are left out
    Print {
        /// The configuration
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Runs the command.
pub fn run(command: Command) -> ExitCode {
    let (file, prints) = match command {
        Command::Check { config } => (config, false),
        Command::Print { config } => (config, true),
    };
    let name = file.as_ref().map_or("the environment".into(), |path| path.display().to_string());
    match (Flags { config: file, ..Flags::default() }).read() {
        Err(errors) => refuse(&errors),
        Ok((values, _)) if prints => print(config::print(&values).as_bytes()),
        Ok((_, config)) => {
            for warning in config.warnings {
                eprintln!("keyward: warning: {warning}");
            }
            print(format!("{name}: can be used\n").as_bytes())
        }
    }
}
