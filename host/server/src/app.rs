//! The application: everything a request needs, built once from the configuration.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use keyward_audit::{Audit, AuditError, Settings as AuditSettings};
use keyward_crypto::CryptoError;
use keyward_crypto::at_rest::RootKey;
use keyward_keyring::backup::Recipients;
use keyward_keyring::store::StoreError;
use keyward_keyring::vault::VaultError;
use keyward_keyring::{CacheConfig, Change, Keyring, KeyringError, Outage, TenantName};
use keyward_policy_host::{HostConfig, KeyService, PolicyHost, Services, SetupError};

use crate::audit::{Auditors, SinkError, SinkSettings, Sinks};
use crate::backend::{Backend, Opened};
use crate::bridge::Bridge;
use crate::config::{Config, HttpConfig, RotationConfig};
use crate::health::Health;
use crate::jwt::Jwt;
use crate::limits::{Limits, QuotaStore};
use crate::metrics::Requests;
use crate::net::{Tls, TlsStatistics};
use crate::policies::{self, Bucket, Content, Explainer, Policies};
use crate::readiness::{Readiness, Waiting};
use crate::restores::Restores;
use crate::state::States;
use crate::tokens::{self, Tokens};
use crate::traces::{self, Traces};
use crate::{changes, files, http, log, oci, purge, reload, rotation};

/// The application's state. [`App::service`] is its HTTP face.
pub struct App {
    /// Limits of the HTTP side, as they were at the start.
    pub http: HttpConfig,
    /// Those of them that may change meanwhile.
    pub bodies: BodyLimits,
    /// Largest component, in bytes.
    pub max_component: usize,
    /// The tenant of the management API's requests that name none.
    pub default_tenant: TenantName,
    /// Whether tenant-admins may record runs of policies.
    pub may_record: bool,
    /// The outage contract of tenants that have none of their own.
    pub default_outage: Outage,
    /// Where the keys are kept.
    pub backend: Backend,
    /// Tenants and keys.
    pub keyring: Keyring,
    /// Bearer tokens.
    pub tokens: Tokens,
    /// JWTs of an identity provider, if it is set up.
    pub(crate) jwt: Option<Jwt>,
    /// Active policies.
    pub policies: Policies,
    /// Whether the start is over.
    pub readiness: Readiness,
    /// Backups on their way into the store.
    pub restores: Restores,
    /// How the store is.
    pub health: Health,
    /// The audit log, unless it is off.
    pub audit: Option<AuditLog>,
    /// What is logged.
    pub(crate) log_level: Arc<log::Level>,
    /// Traces of requests, if there are any.
    pub(crate) traces: Option<Arc<Traces>>,
    /// Counts of what the HTTP API answered.
    pub requests: Arc<Requests>,
    /// What is let in.
    pub limits: Arc<Limits>,
    /// What operators gave single tenants of it.
    pub quotas: QuotaStore,
    /// When keys are rotated without a call.
    pub rotation: RotationConfig,
    /// Counts of what was rotated so.
    pub rotations: rotation::Counters,
    /// Counts of configurations read again.
    pub reloads: reload::Counters,
    /// The certificate that is served, where HTTPS is.
    tls: OnceLock<Arc<Tls>>,
    draining: AtomicBool,
}

/// Why the server cannot start: one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store cannot be opened or read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The access to Vault cannot be set up.
    #[error("`vault.…`: {0}")]
    Vault(VaultError),
    /// The keyring cannot be read.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// The policy sandbox cannot be set up.
    #[error(transparent)]
    Policies(#[from] SetupError),
    /// A host key could not be derived.
    #[error("a host key cannot be derived: {0}")]
    Crypto(#[from] CryptoError),
    /// A directory cannot be created.
    #[error("cannot create the directory {}: {error}; choose another with --data or `data_dir`", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// The audit log cannot be opened.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// What is to have the audit log as well cannot be set up.
    #[error(transparent)]
    AuditSink(#[from] SinkError),
    /// The identity provider cannot be set up.
    #[error("{0}")]
    Identity(String),
    /// The bucket of components, or the way to registries, cannot be set up.
    #[error("{0}")]
    Components(String),
    /// A background task died.
    #[error("start-up was interrupted")]
    Interrupted,
}

impl App {
    /// Opens the store and sets up the sandbox. The embedded store is read at once, and what is
    /// wrong with it is an error; a Vault is not asked here: see [`Readiness`].
    pub async fn build(config: Config) -> Result<Arc<Self>, StartError> {
        let Config { data_dir, root_key, policy, http, cache, vault, .. } = config;
        let (components, artefacts) = (data_dir.join("policies"), data_dir.join("artefacts"));
        let restores = Restores::new(data_dir.clone());
        let Opened { backend, store, artefact_key, audit_key } =
            Backend::open(data_dir, root_key, vault).await?;
        let audit = match config.audit {
            None => None,
            Some(settings) => {
                let (to, sinks) = (config.audit_recipients, config.audit_sinks);
                Some(open_audit(settings, to, sinks, audit_key).await?)
            }
        };
        create_dir(&components)?;
        create_dir(&artefacts)?;
        let host_config = HostConfig {
            pool_size: policy.pool_size,
            per_tenant: policy.per_tenant,
            limits: policy.limits,
            max_component_bytes: policy.max_component,
            image: policy.image,
            compile_timeout: policy.compile_timeout,
            artefact_dir: Some(artefacts),
            artefact_key,
            compiler: config.compiler,
            fuel: false,
        };
        let kept = policies::Settings {
            allow_unsigned: policy.allow_unsigned.unwrap_or(false),
            max_kept: policy.max_kept,
        };
        let shared = backend.is_shared();
        let bucket = policy.store.as_ref().map(Bucket::open).transpose();
        let bucket = bucket.map_err(StartError::Components)?;
        let largest =
            policy.image.map_or(0, |image| image.max_component_bytes).max(policy.max_component);
        let registries = oci::Access::new(policy.registries.clone(), largest);
        let registries = registries.map_err(StartError::Components)?;
        let content = Content { dir: components, shared, bucket, registries };
        let cache = CacheConfig { shared, ..cache };
        let keyring = Keyring::new(store, cache);
        let limits = Limits::new(config.limits, workers());
        let states = Arc::new(States::new(Arc::clone(keyring.store()), policy.state_bytes));
        let keys: Arc<dyn KeyService> = Arc::new(Bridge::new(keyring.clone()).within(&limits));
        let explainer = Explainer::new(host_config.clone(), Arc::clone(&keys), Arc::clone(&states));
        let host = PolicyHost::new(host_config, Services { keys, state: states })?;
        let quotas = QuotaStore::new(&keyring, &limits);
        let app = Arc::new(Self {
            bodies: BodyLimits::new(&http),
            http,
            max_component: largest,
            default_tenant: config.default_tenant,
            may_record: policy.record,
            default_outage: cache.default_outage,
            tokens: Tokens::new(&keyring, &cache),
            jwt: config.jwt.map(Jwt::start).transpose().map_err(StartError::Identity)?,
            policies: Policies::new(host, &keyring, content, kept, explainer),
            audit,
            readiness: if shared { Readiness::starting() } else { Readiness::started() },
            backend,
            keyring,
            restores,
            health: Health::default(),
            log_level: log::level(&config.log),
            traces: traces::start(),
            requests: Arc::default(),
            quotas,
            limits,
            rotation: config.rotation,
            rotations: rotation::Counters::default(),
            reloads: reload::Counters::default(),
            tls: OnceLock::new(),
            draining: AtomicBool::new(false),
        });
        if shared {
            changes::follow(&app);
        } else {
            app.load_policies().await?;
        }
        app.limits.start();
        purge::start(&app);
        policies::follow(&app);
        policies::keep_fetching(&app);
        rotation::start(&app, &app.rotation);
        tokens::start(&app, config.token_uses);
        Ok(app)
    }

    /// Reads which policies are active, of every tenant.
    pub(crate) async fn load_policies(&self) -> Result<(), KeyringError> {
        let tenants = self.keyring.list_tenants().await?;
        // First: what a policy may is known before it runs.
        self.quotas.load(&tenants).await?;
        Ok(self.policies.load(&tenants).await?)
    }

    /// Forgets all that was read from the store, reads anew which policies are active, and tells
    /// other hosts to do the same: what is there may be something else than before.
    pub(crate) async fn refresh(&self) -> Result<(), KeyringError> {
        self.keyring.announce(Change::Everything).await;
        self.keyring.clear_cache().await;
        self.tokens.forget_all();
        self.load_policies().await
    }

    /// Puts things in order before the process ends: nothing is asked of it afterwards.
    pub async fn shutdown(&self) {
        rotation::last_flush(self).await;
        tokens::last_flush(self).await;
        if let Some(backend) = self.backend.vault() {
            backend.vault.shutdown().await;
        }
        if let Some(audit) = &self.audit {
            audit.log.close().await;
            audit.sinks.stop().await;
        }
        if let Some(traces) = &self.traces {
            traces.flush(self.http.drain_timeout).await;
        }
    }

    /// Why requests cannot be served at the moment, each reason with a code in brackets. Nothing in
    /// them is secret.
    pub async fn not_ready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.is_draining() {
            reasons.push("the server is shutting down".to_owned());
        }
        let Some(_) = self.backend.vault() else {
            if let Err(error) = self.keyring.store().ping().await {
                tracing::warn!(%error, "the key store does not answer");
                reasons.push(format!("the key store does not answer ({})", error.code()));
            }
            return reasons;
        };
        if let Some(Waiting { code, reason }) = self.readiness.waiting() {
            // What is wrong with the set-up, and what to run: no request had a part in it.
            reasons.push(format!("{reason} ({})", code.as_str()));
        } else if let Some(waiting) = self.health.trouble(&self.backend, &self.keyring).await {
            // What failed may name a tenant, and whoever asks needs no credential.
            let Waiting { code, reason } = waiting;
            tracing::debug!(code = code.as_str(), reason, "not ready");
            reasons.push(format!("{} ({})", code.title(), code.as_str()));
        }
        reasons
    }

    /// What is wrong without keeping the server from serving. Nothing in it is secret.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(audit) = &self.audit {
            warnings.extend(audit.sinks.warnings(audit.log.statistics().written));
        }
        let failed = self.policies.failed();
        if failed > 0 {
            warnings.push(format!(
                "the policies of {failed} tenants did not load, so these tenants are shut; the log \
                 has the reasons"
            ));
        }
        if let Some(keys) = self.jwt.as_ref().map(Jwt::statistics) {
            if keys.keys == 0 {
                warnings.push(
                    "the identity provider's keys are not there, so no JWT is taken; the log has \
                     the reason"
                        .into(),
                );
            } else if keys.is_failing {
                let age = keys.age.unwrap_or_default().as_secs();
                warnings.push(format!(
                    "the identity provider's keys cannot be fetched anew; those of {age} s ago are \
                     used"
                ));
            }
        }
        warnings
    }

    /// The HTTP API over this application.
    pub fn service(self: &Arc<Self>) -> http::Scope {
        http::service(Arc::clone(self))
    }

    /// From now on `/readyz` says that the server is going away.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Says what HTTPS is served with.
    pub(crate) fn tls(&self, tls: Arc<Tls>) {
        // Once: an application is served at one address.
        let _ = self.tls.set(tls);
    }

    /// How it is with the certificate, where HTTPS is served.
    pub(crate) fn tls_statistics(&self) -> Option<TlsStatistics> {
        self.tls.get().map(|tls| tls.statistics())
    }

    /// Whether the server is going away.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

/// How much a request may have.
pub struct BodyLimits {
    max_bytes: AtomicUsize,
    max_items: AtomicUsize,
}

impl BodyLimits {
    fn new(config: &HttpConfig) -> Self {
        let (max_bytes, max_items) = (config.max_body.into(), config.max_items.into());
        Self { max_bytes, max_items }
    }

    /// Takes what another configuration says.
    pub(crate) fn set(&self, config: &HttpConfig) {
        self.max_bytes.store(config.max_body, Ordering::Relaxed);
        self.max_items.store(config.max_items, Ordering::Relaxed);
    }

    /// Largest JSON body, in bytes.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes.load(Ordering::Relaxed)
    }

    /// Largest number of items in a batch.
    pub fn max_items(&self) -> usize {
        self.max_items.load(Ordering::Relaxed)
    }
}

/// The audit log, and where it is.
pub struct AuditLog {
    /// Takes entries.
    pub log: Audit,
    /// Its directory.
    pub dir: PathBuf,
    /// Where entries are sent as well.
    pub sinks: Sinks,
}

async fn open_audit(
    settings: AuditSettings,
    recipients: Option<Recipients>,
    sinks: SinkSettings,
    key: RootKey,
) -> Result<AuditLog, StartError> {
    let dir = settings.dir.clone();
    let open = move || -> Result<AuditLog, StartError> {
        let auditors = recipients.map(|recipients| -> Box<dyn keyward_audit::Auditors> {
            Box::new(Auditors(recipients))
        });
        let log = Audit::open(&settings, &|log| key.derive(log.as_bytes()), auditors)?;
        let sinks = Sinks::start(&log, &dir, &sinks)?;
        Ok(AuditLog { log, dir, sinks })
    };
    let opened = tokio::task::spawn_blocking(open).await;
    opened.map_err(|_| StartError::Interrupted)?
}

/// Threads that work on requests.
fn workers() -> usize {
    tokio::runtime::Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers())
}

fn create_dir(path: &Path) -> Result<(), StartError> {
    let failed = |error| StartError::Directory { path: path.to_owned(), error };
    files::create_private_dir(path).map_err(failed)
}
