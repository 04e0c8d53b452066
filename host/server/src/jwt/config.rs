//! What is expected of JWTs.

use std::path::PathBuf;
use std::time::Duration;

use jsonwebtoken::Algorithm;

/// Where the provider's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Fetched from there.
    Url {
        /// `https://…`, or `http://` on this machine.
        url: String,
        /// PEM file of the authorities that its certificate is checked against, instead of the
        /// system's.
        ca_cert: Option<PathBuf>,
    },
    /// Read from this file.
    File(PathBuf),
}

/// What is expected of JWTs, and what their claims mean.
#[derive(Clone, Debug)]
pub struct JwtConfig {
    /// `iss` has to be this.
    pub issuer: String,
    /// `aud` has to name one of these.
    pub audience: Vec<String>,
    /// Where the keys are.
    pub source: Source,
    /// Which signatures are taken. Public-key signatures alone: see [`algorithm`].
    pub algorithms: Vec<Algorithm>,
    /// How far the provider's clock and this one may be apart, in whole seconds.
    pub leeway: Duration,
    /// The claim that is the subject.
    pub subject_claim: String,
    /// The claim that lists roles: its name, or a path with dots.
    pub roles_claim: String,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// Roles of the provider, and what they are called here.
    pub roles: Vec<(String, String)>,
    /// The provider's role that makes its holder an operator.
    pub operator_role: Option<String>,
    /// The claims that policies see; `None`: all that are scalars or lists of text.
    pub claims: Option<Vec<String>>,
    /// How often the keys are fetched anew.
    pub refresh: Duration,
    /// How long they are used when they cannot be.
    pub max_stale: Duration,
}

/// The algorithm of this name, if it is a signature by a private key. There is no `none` here, and
/// no HMAC: its key would be the one that the provider publishes.
pub fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" => Algorithm::EdDSA,
        _ => return None,
    })
}
