//! Follows what other hosts change in the shared store: reloads the policies they activate and
//! forgets the tokens they touch. Keys are the keyring's own to forget.

use std::sync::Arc;
use std::time::Duration;

use keyward_keyring::{Change, KeyringError};
use tokio::sync::broadcast::error::RecvError;

use crate::app::App;

/// Pause before something is asked for again that could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// Starts to apply what [polling](keyward_keyring::Keyring::start_polling) finds, for as long as
/// the application lives.
pub(crate) fn follow(app: &Arc<App>) {
    let mut changes = app.keyring.subscribe();
    let app = Arc::downgrade(app);
    tokio::spawn(async move {
        loop {
            let change = match changes.recv().await {
                Ok(change) => change,
                Err(RecvError::Lagged(_)) => Change::Everything,
                Err(RecvError::Closed) => return,
            };
            while let Some(app) = app.upgrade() {
                match apply(&app, &change).await {
                    Ok(()) => break,
                    Err(error) => {
                        tracing::warn!(%error, ?change, "a change could not be read; trying again");
                    }
                }
                drop(app);
                tokio::time::sleep(PAUSE).await;
            }
        }
    });
}

async fn apply(app: &App, change: &Change) -> Result<(), KeyringError> {
    match change {
        Change::Policy(tenant) => Ok(app.policies.reload(tenant).await?),
        Change::Tenant(tenant) => Ok(app.quotas.reload(tenant).await?),
        Change::Token(id) => {
            app.tokens.forget(id).await;
            Ok(())
        }
        Change::Everything => {
            app.tokens.forget_all();
            app.load_policies().await
        }
        _ => Ok(()),
    }
}
