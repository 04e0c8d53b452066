//! The application: everything a request needs, built once from the configuration.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use keyward_crypto::CryptoError;
use keyward_crypto::at_rest::RootKey;
use keyward_keyring::embedded::EmbeddedStore;
use keyward_keyring::store::StoreError;
use keyward_keyring::{CacheConfig, Keyring, KeyringError};
use keyward_policy_host::{HostConfig, PolicyHost, SetupError};
use zeroize::Zeroizing;

use crate::bridge::Bridge;
use crate::config::{Config, HttpConfig};
use crate::policies::Policies;
use crate::tokens::Tokens;
use crate::{files, http};

/// What a cached key takes, with one version.
const BYTES_PER_KEY: u64 = 4096;

/// The application's state. [`App::service`] is its HTTP face.
pub struct App {
    /// Limits of the HTTP side.
    pub http: HttpConfig,
    /// Largest component, in bytes.
    pub max_component: usize,
    /// Tenants and keys.
    pub keyring: Keyring,
    /// Bearer tokens.
    pub tokens: Tokens,
    /// Active policies.
    pub policies: Policies,
    draining: AtomicBool,
}

/// Why the server cannot start: one line that says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The store cannot be opened or read.
    #[error(transparent)]
    Store(#[from] StoreError),
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
    /// A background task died.
    #[error("start-up was interrupted")]
    Interrupted,
}

impl App {
    /// Opens the store, sets up the sandbox, loads the active policies.
    pub async fn build(config: Config) -> Result<Arc<Self>, StartError> {
        let Config { data_dir, root_key, policy, http, cache_ttl, cache_entries, .. } = config;
        let (components, artefacts) = (data_dir.join("policies"), data_dir.join("artefacts"));
        let opened = tokio::task::spawn_blocking(move || EmbeddedStore::open(&data_dir, &root_key));
        let store = opened.await.map_err(|_| StartError::Interrupted)??;
        create_dir(&components)?;
        create_dir(&artefacts)?;
        let host_config = HostConfig {
            pool_size: policy.pool_size,
            per_tenant: policy.per_tenant,
            limits: policy.limits,
            max_component_bytes: policy.max_component,
            compile_timeout: policy.compile_timeout,
            artefact_dir: Some(artefacts),
            artefact_key: host_key(store.root_key(), b"artefacts")?,
            compiler: config.compiler,
        };
        let max_bytes = cache_entries.saturating_mul(BYTES_PER_KEY);
        let cache = CacheConfig { ttl: cache_ttl, max_bytes, ..CacheConfig::default() };
        let keyring = Keyring::new(Arc::new(store), cache);
        let host = PolicyHost::new(host_config, Arc::new(Bridge::new(keyring.clone())))?;
        let policies = Policies::new(host, &keyring, components);
        policies.load(&keyring.list_tenants().await?).await?;
        let tokens = Tokens::new(&keyring, cache_ttl);
        let max_component = policy.max_component;
        let draining = AtomicBool::new(false);
        Ok(Arc::new(Self { http, max_component, keyring, tokens, policies, draining }))
    }

    /// The HTTP API over this application.
    pub fn service(self: &Arc<Self>) -> http::Scope {
        http::service(Arc::clone(self))
    }

    /// From now on `/readyz` says that the server is going away.
    pub fn start_draining(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether the server is going away.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}

fn create_dir(path: &Path) -> Result<(), StartError> {
    let failed = |error| StartError::Directory { path: path.to_owned(), error };
    files::create_private_dir(path).map_err(failed)
}

fn host_key(root: &RootKey, info: &[u8]) -> Result<Zeroizing<[u8; 32]>, CryptoError> {
    Ok(Zeroizing::new(*root.derive(info)?.expose()))
}
