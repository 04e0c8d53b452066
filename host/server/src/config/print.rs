//! A configuration as it is in force, written as a file would have it.

use std::fmt::Write;

use super::kind::{self, Kind};
use super::settings::{ALL, Setting};
use super::values::{Origin, Values};

/// Every setting with its value and where that comes from, as TOML. It can be read as a
/// configuration again; secrets are left out, and said to be set.
pub fn print(values: &Values) -> String {
    let mut out = String::new();
    for setting in ALL {
        let (name, origin) = (setting.name(), values.origin(setting));
        let line = match (values.get(setting), setting.key) {
            (None, _) => format!("# {name} is not set"),
            (Some(_), _) if setting.kind.is_secret() => format!("# {name} is set, {origin}"),
            // Only the environment may hold it.
            (Some(text), None) => format!("# {name}={text}"),
            (Some(text), Some(key)) => {
                let written = written(setting, text);
                match origin {
                    Origin::Default => format!("{key} = {written}"),
                    origin => format!("{key} = {written} # {origin}"),
                }
            }
        };
        let _ = writeln!(out, "{line}");
    }
    out
}

fn written(setting: &Setting, text: &str) -> String {
    match setting.kind {
        // Without what TOML does not take in a number, such as zeros before it.
        Kind::Count(..) => kind::count(text).map_or_else(|| quoted(text), |n| n.to_string()),
        Kind::Switch => text.to_owned(),
        Kind::List | Kind::Choices(_) => {
            let texts = kind::list(text).unwrap_or_default();
            let texts: Vec<_> = texts.into_iter().map(quoted).collect();
            format!("[{}]", texts.join(", "))
        }
        _ => quoted(text),
    }
}

/// A basic string of TOML: JSON's, but that this has one more character that cannot stand as it is.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::super::settings::{JWT_AUDIENCE, LISTEN, MAX_ITEMS, ROOT_PASSPHRASE, VAULT_TOKEN};
    use super::*;

    fn with(pairs: &[(&Setting, &str)]) -> Values {
        let mut values = Values::new();
        let get = |name: &str| {
            pairs.iter().find(|(setting, _)| setting.env == name).map(|(_, text)| (*text).into())
        };
        values.read_environment(get).unwrap();
        values
    }

    #[test]
    fn what_is_printed_can_be_read_and_means_the_same() {
        let values = with(&[
            (&LISTEN, "[::1]:80"),
            (&MAX_ITEMS, "010"),
            (&JWT_AUDIENCE, "a \"b\"; \\c"),
            (&super::super::settings::JWT_ISSUER, "tab\tand\u{7f}#"),
        ]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("keyward.toml");
        std::fs::write(&path, print(&values)).unwrap();
        let mut again = Values::new();
        again.read_file(&path).unwrap();
        for setting in ALL {
            let same = |values: &Values| match setting.kind {
                Kind::Count(..) => values.get(setting).and_then(kind::count).map(|n| n.to_string()),
                Kind::List => values.get(setting).and_then(kind::list).map(|it| it.join(";")),
                _ => values.get(setting).map(str::to_owned),
            };
            assert_eq!(same(&again), same(&values), "{}", setting.name());
        }
    }

    #[test]
    fn secrets_are_said_to_be_set_and_no_more() {
        let text = print(&with(&[(&VAULT_TOKEN, "hvs.x"), (&ROOT_PASSPHRASE, "open sesame")]));
        assert!(!text.contains("hvs.") && !text.contains("sesame"), "{text}");
        assert!(text.contains("# vault.token is set, environment variable E2EE_VAULT_TOKEN\n"));
        assert!(text.contains("# KEYWARD_ROOT_PASSPHRASE is set, environment"), "{text}");
    }
}
