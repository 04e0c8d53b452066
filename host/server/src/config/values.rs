//! What was written, and where. No meaning yet.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use zeroize::Zeroizing;

use super::kind::{Kind, SEPARATOR};
use super::settings::{ALL, Setting};
use super::{ConfigError, ConfigErrors, meant};

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// In the file, at this line.
    File(PathBuf, usize),
    /// In its environment variable.
    Environment(&'static str),
    /// On the command line, as this flag.
    Flag(&'static str),
    /// Nowhere.
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, line) => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => f.write_str(name),
            Self::Default => f.write_str("default"),
        }
    }
}

struct Written {
    text: Zeroizing<String>,
    origin: Origin,
}

/// The values given, by setting. Later layers replace earlier ones.
#[derive(Default)]
pub struct Values {
    written: HashMap<&'static str, Written>,
    warnings: Vec<String>,
}

impl Values {
    /// Nothing given: all defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds what the file says. A file with a secret in it must be its owner's alone.
    pub fn read_file(&mut self, path: &Path) -> Result<(), ConfigErrors> {
        let failed = |error: std::io::Error| {
            ConfigError(format!("cannot read the configuration file {}: {error}", path.display()))
        };
        let mut file = File::open(path).map_err(failed)?;
        let mode = file.metadata().map_err(failed)?.permissions().mode();
        let mut text = Zeroizing::new(String::new());
        file.read_to_string(&mut text).map_err(failed)?;
        let secret = self.read_toml(path, &text)?;
        match secret {
            Some(name) if mode & 0o077 != 0 => Err(ConfigErrors::from(ConfigError(format!(
                "`{name}` is a secret, but other users may read {0}: run `chmod 600 {0}`",
                path.display()
            )))),
            _ => Ok(()),
        }
    }

    /// Gives the name of a secret that the file holds, if it does.
    fn read_toml(&mut self, path: &Path, text: &str) -> Result<Option<&'static str>, ConfigErrors> {
        let line_at = |offset: usize| text[..offset.min(text.len())].matches('\n').count() + 1;
        let table = DeTable::parse(text).map_err(|error| {
            let line = error.span().map_or(1, |span| line_at(span.start));
            ConfigError(format!("{}:{line}: not TOML: {}", path.display(), error.message()))
        })?;
        let mut found = Vec::new();
        flatten("", table.get_ref(), &mut found);
        found.sort_by_key(|(_, offset, _)| *offset);
        let (mut secret, mut wrong) = (None, Vec::new());
        for (key, offset, value) in found {
            let origin = Origin::File(path.to_owned(), line_at(offset));
            let Some(setting) = ALL.iter().find(|setting| setting.key == Some(&key)) else {
                wrong.push(ConfigError(unknown_key(&key, &origin)));
                continue;
            };
            secret = secret.or_else(|| setting.kind.is_secret().then(|| setting.name()));
            let Some(value) = value.and_then(|value| value.fitting(setting.kind)) else {
                wrong.push(unfit(setting, &origin));
                continue;
            };
            wrong.extend(self.set(setting, value, origin).err());
        }
        ConfigErrors::of(wrong)?;
        Ok(secret)
    }

    /// Adds what the environment says. Empty variables count as unset.
    pub fn read_environment(
        &mut self,
        get: impl Fn(&str) -> Option<String>,
    ) -> Result<(), ConfigErrors> {
        let mut wrong = Vec::new();
        for setting in ALL {
            if let Some(text) = get(setting.env).filter(|text| !text.is_empty()) {
                wrong.extend(self.set(setting, text, Origin::Environment(setting.env)).err());
            }
        }
        ConfigErrors::of(wrong)
    }

    /// Warns of variables among `names` that are likely meant to be a setting's.
    pub fn look_at_names(&mut self, names: impl Iterator<Item = String>) {
        self.warnings.extend(names.filter_map(|name| {
            let meant = meant::variable(&name)?;
            Some(format!("environment variable {name} is no setting; did you mean {meant}?"))
        }));
    }

    /// What is likely not meant so, whatever the settings mean.
    pub(super) fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Adds what a flag says.
    pub fn set_flag(
        &mut self,
        setting: &'static Setting,
        flag: &'static str,
        text: String,
    ) -> Result<(), ConfigError> {
        self.set(setting, text, Origin::Flag(flag))
    }

    fn set(
        &mut self,
        setting: &'static Setting,
        text: String,
        origin: Origin,
    ) -> Result<(), ConfigError> {
        let text = Zeroizing::new(text);
        if !setting.kind.accepts(&text) {
            return Err(unfit(setting, &origin));
        }
        self.written.insert(setting.env, Written { text, origin });
        Ok(())
    }

    /// What was given for `setting`, else its default.
    pub fn get(&self, setting: &'static Setting) -> Option<&str> {
        let given = self.written.get(setting.env).map(|written| written.text.as_str());
        given.or(setting.default)
    }

    /// Forgets what only the environment holds, which stays as it is while the process lives: root
    /// keys and passphrases are not kept longer than they are needed.
    pub(super) fn forget_what_stays(&mut self) {
        for setting in ALL.iter().filter(|setting| setting.key.is_none()) {
            self.written.remove(setting.env);
        }
    }

    /// The settings whose values are others in `new`, but those that only the environment holds.
    pub(super) fn changed(&self, new: &Self) -> Vec<&'static Setting> {
        let all = ALL.iter().filter(|setting| setting.key.is_some());
        all.filter(|setting| self.get(setting) != new.get(setting)).copied().collect()
    }

    /// Takes what `new` has of these settings.
    pub(super) fn take(&mut self, settings: &[&'static Setting], mut new: Self) {
        for setting in settings {
            match new.written.remove(setting.env) {
                Some(written) => self.written.insert(setting.env, written),
                None => self.written.remove(setting.env),
            };
        }
    }

    /// Where its value comes from.
    pub fn origin(&self, setting: &'static Setting) -> Origin {
        self.written.get(setting.env).map_or(Origin::Default, |written| written.origin.clone())
    }
}

/// What stands in the file.
enum Leaf {
    One(String),
    Many(Vec<String>),
}

impl Leaf {
    /// As the text of a setting of this kind, if it can be one.
    fn fitting(self, kind: Kind) -> Option<String> {
        match self {
            Self::One(text) => Some(text),
            Self::Many(texts) => {
                let is_list = matches!(kind, Kind::List | Kind::Choices(_));
                let is_clean = texts.iter().all(|text| !text.contains(SEPARATOR));
                (is_list && is_clean).then(|| texts.join(&SEPARATOR.to_string()))
            }
        }
    }
}

/// Leaves of the table with their dotted key, offset in the file, and text (`None`: of a type
/// that no setting has).
fn flatten(prefix: &str, table: &DeTable<'_>, out: &mut Vec<(String, usize, Option<Leaf>)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{prefix}.{}", name.get_ref())
        };
        let text = match value.get_ref() {
            DeValue::Table(table) => {
                flatten(&key, table, out);
                continue;
            }
            DeValue::String(text) => Some(Leaf::One(text.to_string())),
            DeValue::Integer(number) if number.radix() == 10 => {
                Some(Leaf::One(number.as_str().to_owned()))
            }
            DeValue::Boolean(switch) => Some(Leaf::One(switch.to_string())),
            DeValue::Array(items) => {
                let texts = items.iter().map(|item| match item.get_ref() {
                    DeValue::String(text) => Some(text.to_string()),
                    _ => None,
                });
                texts.collect::<Option<Vec<_>>>().map(Leaf::Many)
            }
            _ => None,
        };
        out.push((key, name.span().start, text));
    }
}

fn unfit(setting: &Setting, origin: &Origin) -> ConfigError {
    let (name, expects) = (setting.name(), setting.kind.expects());
    ConfigError(format!("`{name}` ({origin}): must be {expects}"))
}

fn unknown_key(key: &str, origin: &Origin) -> String {
    let hint = match meant::key(key) {
        Some(known) => format!("did you mean `{known}`?"),
        None => "`keyward config` lists the settings".into(),
    };
    format!("`{key}` ({origin}): no such setting; {hint}")
}

#[cfg(test)]
mod tests {
    use super::super::settings::{LISTEN, MAX_BODY, MAX_ITEMS};
    use super::*;

    fn from_toml(text: &str) -> Result<Values, String> {
        let mut values = Values::new();
        values.read_toml(Path::new("keyward.toml"), text).map_err(|error| error.to_string())?;
        Ok(values)
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let mut values = from_toml("[http]\nmax_body = \"1MiB\"\nmax_items = 10\n").unwrap();
        let environment = |name: &str| (name == MAX_BODY.env).then(|| "2MiB".to_owned());
        values.read_environment(environment).unwrap();
        assert_eq!(values.get(&MAX_BODY), Some("2MiB"));
        assert_eq!(values.get(&MAX_ITEMS), Some("10"));
        assert_eq!(values.get(&LISTEN), LISTEN.default);
        assert_eq!(values.origin(&MAX_ITEMS).to_string(), "keyward.toml:3");
    }

    #[test]
    fn errors_name_setting_and_place() {
        for (text, expected) in [
            ("\nlisten = \"here\"", "`listen` (keyward.toml:2): must be an IP address"),
            ("[http]\nmax_items = 0", "`http.max_items` (keyward.toml:2): must be a whole number"),
            ("[http]\nmax_items = [\"1\"]", "`http.max_items` (keyward.toml:2): must be a whole"),
            ("[jwt]\naudience = [\"a;b\"]", "`jwt.audience` (keyward.toml:2): must be a list"),
            ("[jwt]\naudience = []", "`jwt.audience` (keyward.toml:2): must be a list"),
            ("[http]\nmax_items = [1]", "`http.max_items` (keyward.toml:2): must be a whole"),
            ("max_items = 1", "did you mean `http.max_items`?"),
            ("[http]\nnonsense = 1", "`http.nonsense` (keyward.toml:2): no such setting"),
            ("listen", "keyward.toml:1: not TOML"),
        ] {
            let error = from_toml(text).err().unwrap();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let text = "lsiten = 1\n[http]\nmax_items = 0\nmax_bdy = 1\n[log]\nlevel = \"info\"\n";
        let errors = Values::new().read_toml(Path::new("keyward.toml"), text).unwrap_err();
        let errors: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.len(), 3, "{errors:?}");
        for (error, part) in
            errors.iter().zip(["mean `listen`", "`http.max_items`", "mean `http.max_body`"])
        {
            assert!(error.contains(part), "{errors:?}");
        }
    }

    #[test]
    fn a_file_with_a_secret_must_be_private() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keyward.toml");
        std::fs::write(&path, "[vault]\ntoken = \"hvs.example\"\n").unwrap();
        let with_mode = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            Values::new().read_file(&path).map_err(|error| error.to_string())
        };
        let error = with_mode(0o644).unwrap_err();
        assert!(error.contains("`vault.token`") && error.contains("chmod 600"), "{error}");
        assert!(!error.contains("hvs."), "{error}");
        assert_eq!(with_mode(0o600), Ok(()));
        std::fs::write(&path, "[vault]\naddr = \"http://127.0.0.1:8200\"\n").unwrap();
        assert_eq!(with_mode(0o644), Ok(()));
    }

    #[test]
    fn a_bad_variable_is_named() {
        let environment = |name: &str| (name == MAX_ITEMS.env).then(|| "many".to_owned());
        let error = Values::new().read_environment(environment).unwrap_err().to_string();
        assert!(error.contains("environment variable KEYWARD_HTTP_MAX_ITEMS"), "{error}");
    }
}
