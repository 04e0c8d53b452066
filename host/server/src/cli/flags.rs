//! Flags beside the configuration's file and the environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use keyward_policy_host::Compiler;

use crate::config::{self, Config, ConfigError, ConfigErrors, Source, Values};
use crate::log;

/// Flags of commands that start something with the configuration.
#[derive(Clone, Default)]
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
    /// What file, environment and flags say; the later win.
    pub fn values(&self) -> Result<Values, ConfigErrors> {
        let mut values = Values::new();
        let file = match &self.config {
            Some(path) => values.read_file(path),
            None => Ok(()),
        };
        let environment = values.read_environment(|name| std::env::var(name).ok());
        ConfigErrors::together([file, environment])?;
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        values.look_at_names(names);
        if let Some(address) = self.listen {
            values.set_flag(&config::LISTEN, "--listen", address.to_string())?;
        }
        for (path, setting, flag) in [
            (&self.data, &config::DATA_DIR, "--data"),
            (&self.policies, &config::POLICIES_DIR, "--policies"),
        ] {
            if let Some(path) = path {
                let text = path.clone().into_os_string().into_string();
                let text = text.map_err(|_| ConfigError::new(format!("{flag}: not UTF-8")))?;
                values.set_flag(setting, flag, text)?;
            }
        }
        Ok(values)
    }

    /// The configuration that they mean, with where to read it again.
    pub fn config(self) -> Result<Config, ConfigErrors> {
        let (values, mut config) = self.read()?;
        config.source =
            Some(Source::new(self.config.clone(), values, Box::new(move || self.read())));
        Ok(config)
    }

    /// The configuration that they mean, and its values.
    pub fn read(&self) -> Result<(Values, Config), ConfigErrors> {
        let values = self.values()?;
        let mut config = Config::build(&values)?;
        log::check(&config.log)?;
        let program = std::env::current_exe().map_err(|error| {
            ConfigError::new(format!("cannot find the own executable: {error}"))
        })?;
        config.files.extend(self.config.clone());
        config.compiler = Compiler::Child { program, args: vec!["compile-policy".into()] };
        Ok((values, config))
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
        let (_, config) = flags.read().unwrap();
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
