//! The tables to edit: what data may be kept for, and who may read it for what.

/// Everything records are kept for.
pub const PURPOSES: &[&str] = &["treatment", "billing", "research"];

/// Roles that may write records, for any purpose above.
pub const WRITERS: &[&str] = &["application", "clinician"];

/// The purposes a role may read for.
pub struct Grant {
    /// As the credential carries it.
    pub role: &'static str,
    /// A subset of [`PURPOSES`].
    pub purposes: &'static [&'static str],
}

/// Roles that are not here read nothing.
pub const GRANTS: &[Grant] = &[
    Grant { role: "application", purposes: &["treatment", "billing"] },
    Grant { role: "clinician", purposes: &["treatment"] },
    Grant { role: "accountant", purposes: &["billing"] },
    Grant { role: "researcher", purposes: &["research"] },
];
