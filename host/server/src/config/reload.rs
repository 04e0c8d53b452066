//! Which settings are taken while the server runs, and what is new in a configuration.

use std::path::{Path, PathBuf};

use super::settings as s;
use super::settings::Setting;
use super::{Config, ConfigErrors, Values};

/// Taken at SIGHUP; all others need a restart.
static RELOADED: [&Setting; 10] = [
    &s::MTLS_MAP,
    &s::MAX_BODY,
    &s::MAX_ITEMS,
    &s::LIMITS_TOKEN,
    &s::LIMITS_TENANT,
    &s::LIMITS_ITEMS,
    &s::LIMITS_OPERATIONS,
    &s::MAX_IN_FLIGHT,
    &s::MAX_WAIT,
    &s::LOG_LEVEL,
];

/// Whether the setting is taken at SIGHUP.
pub fn is_reloaded(setting: &Setting) -> bool {
    RELOADED.iter().any(|reloaded| reloaded.env == setting.env)
}

/// Reads a configuration once more.
type Read = Box<dyn Fn() -> Result<(Values, Config), ConfigErrors> + Send + Sync>;

/// Where a configuration came from, to read it again.
pub struct Source {
    file: Option<PathBuf>,
    read: Read,
    /// What is in force.
    values: Values,
}

/// What a configuration says that is read again.
pub struct Reading {
    /// What it means.
    pub config: Config,
    /// The settings that changed and are taken.
    pub taken: Vec<&'static Setting>,
    /// Those that changed and need a restart.
    pub kept: Vec<&'static Setting>,
}

impl Source {
    /// A configuration with these values, which `read` reads again.
    pub fn new(file: Option<PathBuf>, mut values: Values, read: Read) -> Self {
        values.forget_what_stays();
        Self { file, read, values }
    }

    /// Its file, if it has one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Reads it again. What it has of settings that are taken counts as in force from now on.
    pub fn read(&mut self) -> Result<Reading, ConfigErrors> {
        let (values, config) = (self.read)()?;
        let changed = self.values.changed(&values);
        let (taken, kept): (Vec<_>, Vec<_>) = changed.into_iter().partition(|it| is_reloaded(it));
        self.values.take(&taken, values);
        Ok(Reading { config, taken, kept })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn what_is_taken_is_in_force_and_what_is_not_is_told_each_time() {
        let text = Arc::new(Mutex::new(String::new()));
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keyward.toml");
        let read = {
            let text = Arc::clone(&text);
            move || {
                std::fs::write(&path, text.lock().unwrap().as_str()).unwrap();
                let mut values = Values::new();
                values.read_file(&path)?;
                let secret = |name: &str| (name == s::ROOT_PASSPHRASE.env).then(|| "x".to_owned());
                values.read_environment(secret)?;
                let config = Config::build(&values)?;
                Ok((values, config))
            }
        };
        let (values, _) = read().unwrap();
        let mut source = Source::new(None, values, Box::new(read));
        assert!(source.values.get(&s::ROOT_PASSPHRASE).is_none(), "a passphrase is kept");
        let names = |settings: &[&'static Setting]| {
            settings.iter().map(|setting| setting.name()).collect::<Vec<_>>()
        };
        let mut step = |new: &str| {
            new.clone_into(&mut text.lock().unwrap());
            source.read().map(|it| (names(&it.taken), names(&it.kept))).map_err(drop)
        };
        assert_eq!(step(""), Ok((vec![], vec![])));
        let changed = "data_dir = \"elsewhere\"\nlimits.token = \"5/s\"\n";
        assert_eq!(step(changed), Ok((vec!["limits.token"], vec!["data_dir"])));
        assert_eq!(step(changed), Ok((vec![], vec!["data_dir"])));
        assert_eq!(step("limits.token = \"fast\"\n"), Err(()));
        assert_eq!(step("limits.token = \"5/s\"\n"), Ok((vec![], vec![])));
        assert_eq!(step(""), Ok((vec!["limits.token"], vec![])));
    }
}
