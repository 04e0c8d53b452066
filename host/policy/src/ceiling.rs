//! What a tenant's policies may want at most.

use std::collections::BTreeSet;

use crate::contract;
use crate::error::AdmissionError;

/// A bound on what a component may be, set from outside. The default bounds nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ceiling {
    /// Interfaces of the contract that may be imported, by their names alone, such as `opening`;
    /// `None`: all. `types`, which has no functions, is always among them.
    pub interfaces: Option<BTreeSet<String>>,
    /// Largest component, in bytes; `None`: as large as the host admits.
    pub max_bytes: Option<usize>,
}

impl Ceiling {
    /// Names of the interfaces that a ceiling may name.
    pub fn interfaces() -> impl Iterator<Item = &'static str> {
        contract::importable().filter(|name| *name != contract::TYPES)
    }

    /// Whether a component of `size` bytes with these imports stays below. Fails with
    /// [`AdmissionError::AboveCeiling`], which says what was wanted and what is allowed.
    pub fn check(&self, imports: &[String], size: usize) -> Result<(), AdmissionError> {
        if let Some(limit) = self.max_bytes.filter(|limit| size > *limit) {
            let reason = format!("it has {size} bytes; at most {limit} are allowed");
            return Err(AdmissionError::AboveCeiling { reason });
        }
        let Some(allowed) = &self.interfaces else { return Ok(()) };
        let wanted: Vec<&str> = imports
            .iter()
            .map(|import| contract::interface(import))
            .filter(|name| *name != contract::TYPES && !allowed.contains(*name))
            .collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let allowed: Vec<&str> = allowed.iter().map(String::as_str).collect();
        let allowed = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
        let reason = format!("it imports {}; allowed are {allowed}", wanted.join(", "));
        Err(AdmissionError::AboveCeiling { reason })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ceiling(interfaces: &[&str]) -> Ceiling {
        let interfaces = interfaces.iter().map(|name| (*name).to_owned()).collect();
        Ceiling { interfaces: Some(interfaces), max_bytes: None }
    }

    fn imports(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| format!("keyward:policy/{name}@0.1.0")).collect()
    }

    #[test]
    fn what_is_wanted_and_what_is_allowed_is_said() {
        let wanted = imports(&["keys", "opening", "signing", "types"]);
        assert!(Ceiling::default().check(&wanted, usize::MAX).is_ok());
        assert!(ceiling(&["keys", "opening", "signing"]).check(&wanted, 1).is_ok());
        let error = ceiling(&["keys", "sealing"]).check(&wanted, 1).unwrap_err().to_string();
        assert!(error.contains("imports opening, signing; allowed are keys, sealing"), "{error}");
        assert!(ceiling(&[]).check(&imports(&["types"]), 1).is_ok());
        let error = ceiling(&[]).check(&wanted, 1).unwrap_err().to_string();
        assert!(error.contains("allowed are none"), "{error}");
    }

    #[test]
    fn a_size_is_a_bound_that_may_be_met() {
        let ceiling = Ceiling { interfaces: None, max_bytes: Some(10) };
        assert!(ceiling.check(&[], 10).is_ok());
        let error = ceiling.check(&[], 11).unwrap_err().to_string();
        assert!(error.contains("11 bytes; at most 10"), "{error}");
    }
}
