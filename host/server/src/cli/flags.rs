//! Flags beside the configuration's file and the environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use keyward_policy_host::Compiler;

use crate::config::{self, Config, ConfigError, Values};

/// Flags of commands that start something with the configuration.
#[derive(Default)]
pub struct Flags {
    /// `--config`
    pub config: Option<PathBuf>,
    /// `--listen`
    pub listen: Option<SocketAddr>,
    /// `--data`
    pub data: Option<PathBuf>,
    /// `--policies`
    pub policies: Option<PathBuf>,
}

impl Flags {
    /// The configuration: flags win over the environment, that over the file.
    pub fn read(self) -> Result<Config, ConfigError> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
