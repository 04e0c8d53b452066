//! What a plan obliges the host to do besides the operation itself.

use crate::bindings::Plan;

/// Longest `note`, in bytes.
const MAX_NOTE: usize = 256;

/// The obligations of one plan, understood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Obligations {
    /// Largest plaintext, ciphertext or payload, in bytes.
    pub max_bytes: Option<u64>,
    /// Texts to record with the outcome.
    pub notes: Vec<String>,
}

/// An obligation the host cannot meet. The request is refused: none is dropped in silence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObligationError {
    /// The host does not know it.
    #[error("the policy asks for the obligation `{name}`, which this host does not know")]
    Unknown {
        /// Its name.
        name: String,
    },
    /// Its value cannot be read.
    #[error("the policy's obligation `{name}` has an unusable value")]
    BadValue {
        /// Its name.
        name: &'static str,
    },
    /// The payload is longer than `max-bytes`.
    #[error("{len} bytes; the tenant's policy allows {limit}")]
    TooLong {
        /// The payload's length.
        len: usize,
        /// The smallest `max-bytes` of the plan.
        limit: u64,
    },
}

impl ObligationError {
    /// Stable machine code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unknown { .. } => "obligation_unknown",
            Self::BadValue { .. } => "policy_bad_plan",
            Self::TooLong { .. } => "policy_max_bytes",
        }
    }
}

impl Obligations {
    /// Reads a plan's obligations; of several `max-bytes` the smallest counts.
    pub fn of(plan: &Plan) -> Result<Self, ObligationError> {
        let mut obligations = Self::default();
        for obligation in &plan.obligations {
            match obligation.name.as_str() {
                "max-bytes" => {
                    let limit: u64 = obligation
                        .value
                        .parse()
                        .map_err(|_| ObligationError::BadValue { name: "max-bytes" })?;
                    let so_far = obligations.max_bytes.unwrap_or(u64::MAX);
                    obligations.max_bytes = Some(so_far.min(limit));
                }
                "note" if obligation.value.len() <= MAX_NOTE => {
                    obligations.notes.push(obligation.value.clone());
                }
                "note" => return Err(ObligationError::BadValue { name: "note" }),
                _ => {
                    return Err(ObligationError::Unknown { name: shorten(&obligation.name) });
                }
            }
        }
        Ok(obligations)
    }

    /// Holds a payload of `len` bytes against `max-bytes`.
    pub fn check_len(&self, len: usize) -> Result<(), ObligationError> {
        match self.max_bytes {
            Some(limit) if len as u64 > limit => Err(ObligationError::TooLong { len, limit }),
            _ => Ok(()),
        }
    }

    /// Writes the notes to the log, with what they belong to.
    pub fn record(&self, tenant: &str, request_id: &str) {
        for note in &self.notes {
            tracing::info!(
                tenant,
                request_id,
                note = note.escape_debug().to_string(),
                "policy note"
            );
        }
    }
}

fn shorten(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::Obligation;

    fn plan(obligations: &[(&str, &str)]) -> Plan {
        Plan {
            key: None,
            version: None,
            suite: None,
            authenticated_data: Vec::new(),
            obligations: obligations
                .iter()
                .map(|(name, value)| Obligation { name: (*name).into(), value: (*value).into() })
                .collect(),
        }
    }

    #[test]
    fn the_smallest_max_bytes_counts() {
        let read = Obligations::of(&plan(&[("max-bytes", "10"), ("max-bytes", "5")])).unwrap();
        assert!(read.check_len(5).is_ok());
        assert_eq!(read.check_len(6), Err(ObligationError::TooLong { len: 6, limit: 5 }));
    }

    #[test]
    fn an_unknown_obligation_is_an_error() {
        let error = Obligations::of(&plan(&[("shred", "")])).unwrap_err();
        assert_eq!(error, ObligationError::Unknown { name: "shred".into() });
    }

    #[test]
    fn unusable_values_are_errors() {
        assert!(Obligations::of(&plan(&[("max-bytes", "-1")])).is_err());
        assert!(Obligations::of(&plan(&[("note", &"x".repeat(257))])).is_err());
        assert_eq!(Obligations::of(&plan(&[("note", "n")])).unwrap().notes, ["n"]);
    }
}
