//! Settings: from keyward.toml, the environment and the command line to a [`Config`].
//!
//! Two stages. [`Values`] holds what was written, each with where; [`Config`] is what it means,
//! with every rule between settings checked. The settings themselves are rows of one table,
//! [`ALL`], from which docs/configuration.md is generated.

mod build;
mod content;
#[cfg(test)]
mod examples;
mod identities;
mod kind;
mod limits;
mod meant;
mod print;
mod reload;
mod settings;
mod sinks;
mod traces;
mod values;
mod vault;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::HeaderMap;
use keyward_keyring::backup::Recipients;
use keyward_keyring::embedded::RootKeySource;
use keyward_keyring::vault::VaultConfig;
use keyward_keyring::{CacheConfig, TenantName};
use keyward_policy_host::{Compiler, ImageConfig, Limits};

use crate::audit::SinkSettings;
use crate::jwt::JwtConfig;
use crate::limits::LimitsConfig;
use crate::mtls::Mapping;
use crate::oci;
use crate::policies::BucketSettings;

pub use self::kind::Kind;
pub(crate) use self::kind::duration as parse_duration;
pub use self::print::print;
pub use self::reload::{Reading, Source};
pub use self::settings::{ALL, DATA_DIR, LISTEN, POLICIES_DIR, Setting, markdown};
pub use self::values::{Origin, Values};

/// A setting that cannot be used, in one line that says which, where, and what would do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

/// Settings that cannot be used: all that could be found at once, at least one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct ConfigErrors(Vec<ConfigError>);

fn lines(errors: &[ConfigError]) -> String {
    errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl ConfigErrors {
    /// An error if there is one in them.
    fn of(errors: Vec<ConfigError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }
}

impl ConfigErrors {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }

    /// All errors of several readings.
    pub(crate) fn together(
        readings: impl IntoIterator<Item = Result<(), Self>>,
    ) -> Result<(), Self> {
        Self::of(readings.into_iter().filter_map(Result::err).flat_map(|errors| errors.0).collect())
    }
}

impl From<ConfigError> for ConfigErrors {
    fn from(error: ConfigError) -> Self {
        Self(vec![error])
    }
}

/// Everything the server is set up with.
pub struct Config {
    /// Address to listen on.
    pub listen: SocketAddr,
    /// Where the store, policies and artefacts are kept.
    pub data_dir: PathBuf,
    /// Where the root key of the data directory comes from.
    pub root_key: RootKeySource,
    /// TLS certificate chain and private key, both PEM.
    pub tls: Option<TlsFiles>,
    /// How the audit log is kept; `None`: there is none.
    pub audit: Option<keyward_audit::Settings>,
    /// Whom its entries are sealed to; `None`: they are in clear.
    pub audit_recipients: Option<Recipients>,
    /// Where its entries are sent as well.
    pub audit_sinks: SinkSettings,
    /// Limits of the HTTP side.
    pub http: HttpConfig,
    /// What is let in.
    pub limits: LimitsConfig,
    /// The policies' sandbox.
    pub policy: PolicyConfig,
    /// The Vault that keeps the keys; `None`: the embedded store.
    pub vault: Option<VaultSettings>,
    /// How long loaded keys and verified tokens are kept in memory, and how many.
    pub cache: CacheConfig,
    /// The tenant of the management API's requests that name none.
    pub default_tenant: TenantName,
    /// When uses are counted into the store, and keys rotated.
    pub rotation: RotationConfig,
    /// Whom client certificates speak for.
    pub mtls: Mapping,
    /// The identity provider whose JWTs are taken, if any are.
    pub jwt: Option<JwtConfig>,
    /// How often it is written down when tokens were last used.
    pub token_uses: Duration,
    /// What is logged, and how.
    pub log: LogConfig,
    /// What is traced, and how; `None`: nothing.
    pub traces: Option<TracesConfig>,
    /// Where policies that `keyward dev` activates are found.
    pub policies_dir: Option<PathBuf>,
    /// Who compiles policies. Not a setting: the binary has it done in a child process.
    pub compiler: Compiler,
    /// What the process gives up before it serves.
    pub hardening: Hardening,
    /// Files beside its own directories that the configuration names, itself included.
    pub files: Vec<PathBuf>,
    /// What is likely not meant so, one line each, for the log.
    pub warnings: Vec<String>,
    /// Where all this came from. Not a setting: the command line knows it.
    pub source: Option<Source>,
}

/// What the process gives up before it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hardening {
    /// What the system permits.
    On,
    /// All of it; else it does not start.
    Required,
    /// Nothing.
    Off,
}

/// How the Vault that keeps the keys is reached.
pub struct VaultSettings {
    /// Address, login, and how calls behave.
    pub access: VaultConfig,
    /// How often changes made by other hosts are asked for.
    pub poll: Duration,
}

/// PEM files for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, leaf first.
    pub cert: PathBuf,
    /// Private key: PKCS #8, PKCS #1 or SEC 1.
    pub key: PathBuf,
    /// Authorities of clients' certificates.
    pub client_ca: Option<PathBuf>,
    /// Whether clients show one.
    pub client_auth: ClientAuth,
    /// Whether TLS 1.2 is not spoken.
    pub only_tls13: bool,
    /// How often it is looked for new files.
    pub reload: Duration,
}

/// Whether clients show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not asked for one.
    Off,
    /// They may.
    Optional,
    /// Who does not is not spoken to.
    Required,
}

/// Limits of the HTTP side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Largest JSON body, in bytes.
    pub max_body: usize,
    /// Largest number of items in a batch.
    pub max_items: usize,
    /// Largest body of an invoke, in bytes.
    pub max_invoke: usize,
    /// Time for the headers of a request to arrive, also the longest idle time of a connection.
    pub header_timeout: Duration,
    /// Time for a body to arrive.
    pub body_timeout: Duration,
    /// Time for everything after that.
    pub request_timeout: Duration,
    /// Time in-flight requests have to finish at shutdown.
    pub drain_timeout: Duration,
    /// Largest number of connections at once.
    pub max_connections: usize,
}

/// The policies' sandbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyConfig {
    /// Instances at once, over all tenants.
    pub pool_size: u32,
    /// Instances at once of one tenant.
    pub per_tenant: u32,
    /// Bounds on each run.
    pub limits: Limits,
    /// Largest component, in bytes.
    pub max_component: usize,
    /// Most bytes that one tenant's policies remember.
    pub state_bytes: usize,
    /// The engine for policies with an interpreter.
    pub image: Option<ImageConfig>,
    /// How long a compilation may take.
    pub compile_timeout: Duration,
    /// Whether policies without a signature pass where an operator set nothing else for the tenant;
    /// `None`: only with `keyward dev`.
    pub allow_unsigned: Option<bool>,
    /// Whether tenant-admins may record runs.
    pub record: bool,
    /// Most components a tenant keeps.
    pub max_kept: usize,
    /// The bucket that components are kept in; `None`: the data directory and the key store.
    pub store: Option<BucketSettings>,
    /// Registries that components may be pulled from.
    pub registries: oci::Settings,
}

/// When uses are counted into the store, and keys rotated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationConfig {
    /// How often counts of use are brought to the store, and budgets checked.
    pub flush: Duration,
    /// How often it is looked for keys that are due.
    pub check: Duration,
    /// The shortest schedule a key may have.
    pub min_every: Duration,
}

/// Which requests are traced, and where their traces go. No `Debug`: the headers are a secret.
#[derive(Clone)]
pub struct TracesConfig {
    /// Where a receiver takes OTLP over HTTP.
    pub endpoint: String,
    /// What is sent with it: how the receiver knows who sends.
    pub headers: HeaderMap,
    /// The share of requests without a trace of their caller's that are traced, 0 to 1.
    pub sample: f64,
    /// What this service is called in traces.
    pub service_name: String,
}

/// What is logged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// Lines of JSON instead of text.
    pub json: bool,
    /// A level, or directives as `tracing` takes them.
    pub filter: String,
}
