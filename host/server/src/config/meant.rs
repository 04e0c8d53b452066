//! What is meant by names that no setting has.

use super::settings::ALL;
use crate::spelling;

/// Variables that are no settings of the server, but of the client and of `keyward dev`'s examples.
const OTHERS: [&str; 6] = [
    "KEYWARD_ADDR",
    "KEYWARD_CA_CERT",
    "KEYWARD_OPERATOR_TOKEN",
    "KEYWARD_TENANT",
    "KEYWARD_TOKEN",
    "KEYWARD_TOKEN_FILE",
];

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or_default()
}

/// The key in the file that is meant by `key`: of the same name in another table, else the nearest.
pub fn key(key: &str) -> Option<&'static str> {
    let written = key.replace('-', "_").to_ascii_lowercase();
    let keys = || ALL.iter().filter_map(|setting| setting.key);
    let moved: Vec<_> = keys().filter(|known| last(known) == last(&written)).collect();
    let distance = |known: &&'static str| strsim::damerau_levenshtein(&written, known);
    // Of the same name in several tables, the one in the nearest.
    moved.into_iter().min_by_key(distance).or_else(|| spelling::nearest(&written, keys()))
}

/// The environment variable that is meant by `name`, where it can hardly be one of something else:
/// Kubernetes sets some that begin with a service's name.
pub fn variable(name: &str) -> Option<&'static str> {
    let is_ours = ["KEYWARD_", "E2EE_VAULT_"].iter().any(|prefix| name.starts_with(prefix));
    let names = || ALL.iter().map(|setting| setting.env);
    if !is_ours || name.starts_with("KEYWARD_TEST_") || OTHERS.contains(&name) {
        return None;
    }
    if names().any(|known| known == name) {
        return None;
    }
    spelling::nearest(name, names()).filter(|known| strsim::damerau_levenshtein(name, known) <= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As fingers err: two letters swapped, one left out, one doubled, a dash for a line.
    fn misspelt(name: &str) -> Vec<String> {
        let letters: Vec<char> = name.chars().collect();
        let middle = usize::midpoint(name.rfind('.').map_or(0, |at| at + 1), letters.len());
        let without = |at: usize| {
            letters.iter().enumerate().filter(|(n, _)| *n != at).map(|(_, letter)| letter).collect()
        };
        let mut swapped = letters.clone();
        swapped.swap(middle - 1, middle);
        let mut doubled = letters.clone();
        doubled.insert(middle, letters[middle]);
        vec![
            swapped.into_iter().collect(),
            doubled.into_iter().collect(),
            without(middle),
            without(letters.len() - 1),
            name.replace('_', "-"),
            name.to_ascii_uppercase(),
            format!("{name}s"),
        ]
    }

    #[test]
    fn every_key_is_known_by_its_misspellings() {
        let keys: Vec<_> = ALL.iter().filter_map(|setting| setting.key).collect();
        for known in &keys {
            for wrong in misspelt(known) {
                if keys.contains(&wrong.as_str()) {
                    continue;
                }
                assert_eq!(key(&wrong), Some(*known), "{wrong}");
            }
        }
        assert_eq!(key("max_items"), Some("http.max_items"));
        assert_eq!(key("policy.imgae.memory"), Some("policy.image.memory"));
        assert_eq!(key("nonsense"), None);
    }

    #[test]
    fn every_variable_is_known_by_its_misspellings() {
        for setting in ALL {
            for wrong in [format!("{}S", setting.env), setting.env.replacen('_', "", 1)] {
                if wrong.starts_with("KEYWARD_") || wrong.starts_with("E2EE_VAULT_") {
                    assert_eq!(variable(&wrong), Some(setting.env), "{wrong}");
                }
            }
            assert_eq!(variable(setting.env), None);
        }
        for other in ["KEYWARD_SERVICE_HOST", "KEYWARD_PORT_8480_TCP_ADDR", "PATH", "KEYWARD_ADDR"]
        {
            assert_eq!(variable(other), None, "{other}");
        }
    }
}
