//! The start of a server whose keys are in a Vault: it listens at once, and this gets it ready
//! when Vault answers, however long that takes.

use std::sync::Arc;
use std::time::Duration;

use keyward_keyring::KeyringError;
use keyward_keyring::store::StoreError;
use keyward_keyring::vault::VaultError;

use crate::app::App;
use crate::backend::VaultBackend;
use crate::errors::Code;
use crate::readiness::Waiting;

/// How long a start may take before it says what it waits for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause before the next attempt.
const PAUSE: Duration = Duration::from_millis(500);

/// Why one attempt failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    #[error(transparent)]
    Vault(#[from] VaultError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// What only this way of starting needs.
    #[error("{0}")]
    Other(String),
}

impl Trouble {
    fn code(&self) -> Code {
        match self {
            Self::Vault(error) => error.into(),
            Self::Store(error) | Self::Keyring(KeyringError::Store(error)) => error.into(),
            Self::Keyring(_) | Self::Other(_) => Code::NotReady,
        }
    }
}

/// Gets `app` ready: login, check of the store, policies, then `finish`. Repeats until all of it
/// has succeeded, and says on standard error and in the log what it waits for, each reason once.
pub(crate) async fn run<F>(app: &Arc<App>, vault: &VaultBackend, finish: F)
where
    F: AsyncFn(&Arc<App>) -> Result<(), Trouble>,
{
    log_in(app, vault).await;
    // Before anything is read, so that no change in between is missed.
    app.keyring.start_polling(vault.poll, std::future::pending());
    loop {
        log_in(app, vault).await;
        match attempt(app, vault, &finish).await {
            Ok(()) => break,
            Err(trouble) => {
                note(app, vault, Waiting { code: trouble.code(), reason: trouble.to_string() });
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    app.readiness.finish();
    tracing::info!(vault = vault.address, "ready: keys are kept in Vault");
}

async fn log_in(app: &App, vault: &VaultBackend) {
    let ready = vault.vault.wait_ready();
    tokio::pin!(ready);
    while tokio::time::timeout(PATIENCE, &mut ready).await.is_err() {
        let status = vault.vault.status();
        note(app, vault, Waiting::of(&status));
    }
}

async fn attempt<F>(app: &Arc<App>, vault: &VaultBackend, finish: &F) -> Result<(), Trouble>
where
    F: AsyncFn(&Arc<App>) -> Result<(), Trouble>,
{
    vault.store.check().await?;
    app.load_policies().await?;
    finish(app).await
}

fn note(app: &App, vault: &VaultBackend, waiting: Waiting) {
    let (code, reason) = (waiting.code.as_str(), waiting.reason.clone());
    if app.readiness.wait_for(waiting) {
        let address = &vault.address;
        tracing::warn!(vault = address, code, reason, "not ready: waiting for Vault");
    }
}
