//! Where the keys are kept, and what differs by it: opening, checking, going away.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use keyward_crypto::CryptoError;
use keyward_crypto::at_rest::RootKey;
use keyward_keyring::embedded::{EmbeddedStore, LocalDir, RootKeySource};
use keyward_keyring::store::{Store, StoreError, VaultStore};
use keyward_keyring::vault::Vault;
use zeroize::Zeroizing;

use crate::app::StartError;
use crate::config::VaultSettings;
use crate::observed::Observed;

/// Where the keys are kept.
pub enum Backend {
    /// In the data directory.
    Embedded,
    /// In a Vault that other hosts may share.
    Vault(VaultBackend),
}

/// A Vault, and the data directory this host has beside it.
pub struct VaultBackend {
    /// The Vault.
    pub vault: Vault,
    /// Its KV engine, as a store.
    pub store: Arc<VaultStore>,
    /// Its address.
    pub address: String,
    /// How often other hosts' changes are asked for.
    pub poll: Duration,
    _dir: LocalDir,
}

/// An opened backend.
pub(crate) struct Opened {
    pub backend: Backend,
    pub store: Arc<dyn Store>,
    /// Authenticates compiled artefacts in the data directory.
    pub artefact_key: Zeroizing<[u8; 32]>,
    /// From which the signing keys of audit logs are derived.
    pub audit_key: RootKey,
}

impl Backend {
    /// Opens the data directory and the store in it; or, with a Vault, starts to log in to it,
    /// without waiting for an answer.
    pub(crate) async fn open(
        data_dir: PathBuf,
        root_key: RootKeySource,
        vault: Option<VaultSettings>,
    ) -> Result<Opened, StartError> {
        let Some(settings) = vault else {
            let store = blocking(move || EmbeddedStore::open(&data_dir, &root_key)).await?;
            let (artefact_key, audit_key) = host_keys(store.root_key())?;
            let (backend, store) = (Self::Embedded, Observed::over(Arc::new(store)));
            return Ok(Opened { backend, store, artefact_key, audit_key });
        };
        let dir = blocking(move || LocalDir::open(&data_dir, &root_key)).await?;
        let (artefact_key, audit_key) = host_keys(dir.root_key())?;
        let (address, poll) = (settings.access.address.clone(), settings.poll);
        let vault = Vault::start(settings.access).map_err(StartError::Vault)?;
        let store = Arc::new(VaultStore::new(vault.clone()));
        let shared = Observed::over(store.clone());
        let backend = Self::Vault(VaultBackend { vault, store, address, poll, _dir: dir });
        Ok(Opened { backend, store: shared, artefact_key, audit_key })
    }

    /// The Vault, if that is where the keys are.
    pub fn vault(&self) -> Option<&VaultBackend> {
        match self {
            Self::Embedded => None,
            Self::Vault(backend) => Some(backend),
        }
    }

    /// Whether other hosts may change what is in the store.
    pub fn is_shared(&self) -> bool {
        self.vault().is_some()
    }
}

async fn blocking<T: Send + 'static>(
    open: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StartError> {
    Ok(tokio::task::spawn_blocking(open).await.map_err(|_| StartError::Interrupted)??)
}

/// What authenticates artefacts, and what signing keys of audit logs come from.
fn host_keys(root: &RootKey) -> Result<(Zeroizing<[u8; 32]>, RootKey), CryptoError> {
    Ok((Zeroizing::new(*root.derive(b"artefacts")?.expose()), root.derive(b"audit")?))
}
