//! Why an artefact is not pulled or published.

/// Why. The texts name registries and repositories, and nothing secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OciError {
    /// The text is no reference.
    #[error("{0}")]
    Reference(String),
    /// The registry, or the repository, is none that may be pulled from.
    #[error("{0}")]
    NotAllowed(String),
    /// No answer, or one that says to come again.
    #[error("the registry {registry} does not answer: {reason}")]
    Unavailable {
        /// Which.
        registry: String,
        /// In short.
        reason: String,
    },
    /// The registry does not let us.
    #[error("the registry {registry} refuses: {reason}")]
    Refused {
        /// Which.
        registry: String,
        /// In short.
        reason: String,
    },
    /// There is no such artefact.
    #[error("{0} is not in the registry")]
    NotFound(String),
    /// It is larger than anything that could be used.
    #[error("the component has {size} bytes; at most {limit} are accepted")]
    TooLarge {
        /// In bytes, as the manifest says.
        size: u64,
        /// In bytes.
        limit: u64,
    },
    /// It is no policy's, or not what its digest says.
    #[error("{0}")]
    Invalid(String),
    /// On this machine: a file, or TLS.
    #[error("{0}")]
    Local(String),
}

impl OciError {
    /// The stable code of the HTTP API.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Reference(_) => "invalid_field",
            Self::NotAllowed(_) => "registry_not_allowed",
            Self::Unavailable { .. } => "registry_unavailable",
            Self::Refused { .. } => "registry_refused",
            Self::NotFound(_) => "artefact_not_found",
            Self::TooLarge { .. } => "component_too_large",
            Self::Invalid(_) => "artefact_invalid",
            Self::Local(_) => "internal",
        }
    }
}
