//! `tenants/<tenant>/policy`: which component is active, and which ones were before.

use keyward_keyring::TenantName;
use serde::{Deserialize, Serialize};

/// Most activations a record has, the one in force included.
pub const HISTORY: usize = 100;

/// How a component became active.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// Put, which pushes and activates. Also what records say that do not tell.
    #[default]
    Upload,
    /// Activated after it was pushed.
    Activate,
    /// Rolled back to.
    Rollback,
    /// Rolled back to by this program, because the policy after it failed too often.
    Failures,
}

impl Why {
    /// As it stands in records and answers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::Activate => "activate",
            Self::Rollback => "rollback",
            Self::Failures => "failures",
        }
    }
}

/// That a component is, or was, a tenant's policy, since when, by whom and how.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Activation {
    /// `sha256:` and the component's digest in hexadecimal.
    pub digest: String,
    /// Unix time in ms.
    pub activated_at: u64,
    /// Subject of the credential that activated it.
    pub activated_by: String,
    /// How.
    #[serde(default)]
    pub why: Why,
}

/// A component that decides a share of the requests, or that is tried on them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Candidate {
    /// `sha256:` and the component's digest in hexadecimal.
    pub digest: String,
    /// Of a hundred requests, 1 to 100.
    pub percent: u8,
    /// Unix time in ms.
    pub since: u64,
    /// Subject of the credential that set it.
    pub by: String,
}

/// When a policy that fails gives way to the one before. A policy fails when it traps, does not
/// end in its time, hits another limit, or gives a plan that makes no sense; a refusal is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Safeguard {
    /// Of a hundred runs within a minute on one host, 0 to 99: more than that is too often.
    pub max_failed_percent: u8,
    /// Runs within that minute below which nothing is concluded.
    pub min_runs: u32,
}

/// A tenant's record. One that has nothing but the first three members of `active` is of a program
/// that knew no more; what is added since, such a program ignores.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct PolicyRecord {
    /// What is in force.
    #[serde(flatten)]
    pub active: Activation,
    /// The digest that was active before this one: where a roll-back leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<String>,
    /// The activations before, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Activation>,
    /// What decides a share of the requests in the place of the active one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Candidate>,
    /// What runs beside the active one, and decides nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<Candidate>,
    /// `None`: a policy that fails stays, and what it fails at is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safeguard: Option<Safeguard>,
}

pub(super) fn path(tenant: &TenantName) -> String {
    format!("tenants/{tenant}/policy")
}

impl PolicyRecord {
    /// The first of a tenant.
    pub fn new(active: Activation) -> Self {
        let (previous, earlier) = (None, Vec::new());
        Self { active, previous, earlier, canary: None, shadow: None, safeguard: None }
    }

    /// The record after another activation. Candidates are candidates to follow the one that was
    /// active: they end with it.
    #[must_use]
    pub fn followed_by(mut self, next: Activation) -> Self {
        (self.canary, self.shadow) = (None, None);
        // The same component activated once more is no other to go back to.
        if next.digest != self.active.digest {
            self.previous = Some(self.active.digest.clone());
        }
        self.earlier.push(std::mem::replace(&mut self.active, next));
        let excess = (self.earlier.len() + 1).saturating_sub(HISTORY);
        self.earlier.drain(..excess);
        self
    }

    /// Every activation it tells of, oldest first.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = &Activation> {
        self.earlier.iter().chain(std::iter::once(&self.active))
    }

    /// What a component is needed for, if it is: then it cannot be deleted.
    pub fn need(&self, digest: &str) -> Option<&'static str> {
        let is = |candidate: &Option<Candidate>| {
            candidate.as_ref().is_some_and(|candidate| candidate.digest == digest)
        };
        if self.active.digest == digest {
            Some("the active policy; activate another one first")
        } else if is(&self.canary) {
            Some("the canary; end it first: DELETE …/policy/canary")
        } else if is(&self.shadow) {
            Some("the shadow; end it first: DELETE …/policy/shadow")
        } else if self.previous.as_deref() == Some(digest) {
            Some("what a roll-back leads to; activate two others first")
        } else {
            None
        }
    }

    /// Whether a component is needed.
    pub fn needs(&self, digest: &str) -> bool {
        self.need(digest).is_some()
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers alone: cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn activation(digest: &str, at: u64) -> Activation {
        let (digest, activated_by) = (digest.to_owned(), "test".to_owned());
        Activation { digest, activated_at: at, activated_by, why: Why::Activate }
    }

    #[test]
    fn records_of_before_there_was_a_history_are_read() {
        let old = br#"{"digest":"sha256:00","activated_at":7,"activated_by":"admin"}"#;
        let record = PolicyRecord::from_bytes(old).unwrap();
        assert_eq!(record.active.activated_at, 7);
        assert_eq!((record.active.why, record.previous.clone()), (Why::Upload, None));
        assert_eq!(record.history().count(), 1);
        let next = record.followed_by(activation("sha256:01", 8));
        assert_eq!(next.previous.as_deref(), Some("sha256:00"));
        assert_eq!(PolicyRecord::from_bytes(&next.to_bytes()), Some(next.clone()));
        // The members a program of then reads are where it looks for them.
        let text: serde_json::Value = serde_json::from_slice(&next.to_bytes()).unwrap();
        assert_eq!((&text["digest"], &text["activated_at"]), (&"sha256:01".into(), &8.into()));
    }

    proptest! {
        /// Against a list of everything that ever happened.
        #[test]
        fn the_history_is_the_end_of_what_happened(digests in prop::collection::vec(0_u8..4, 1..250)) {
            let all: Vec<Activation> =
                (0_u64..).zip(&digests).map(|(at, n)| activation(&n.to_string(), at)).collect();
            let mut record = PolicyRecord::new(all[0].clone());
            for next in &all[1..] {
                record = record.followed_by(next.clone());
            }
            let told: Vec<&Activation> = record.history().collect();
            prop_assert_eq!(told.len(), all.len().min(HISTORY));
            prop_assert!(told.iter().copied().eq(&all[all.len() - told.len()..]));
            let last = all.last().unwrap();
            let before = all.iter().rev().find(|it| it.digest != last.digest);
            prop_assert_eq!(&record.previous, &before.map(|it| it.digest.clone()));
        }
    }
}
