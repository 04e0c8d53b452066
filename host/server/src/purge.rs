//! Destroys deleted keys whose restore window is over.

use std::sync::Arc;
use std::time::Duration;

use crate::app::App;
use crate::clock;

/// How often it is looked for them: every key's metadata is read.
const PERIOD: Duration = Duration::from_hours(1);

/// Looks for them now and then, for as long as the application lives. Any number of hosts may.
pub(crate) fn start(app: &Arc<App>) {
    let app = Arc::downgrade(app);
    tokio::spawn(async move {
        loop {
            let Some(app) = app.upgrade() else {
                return;
            };
            // What became of each key, the keyring logs.
            if app.readiness.waiting().is_none()
                && let Err(error) = app.keyring.purge_due(clock::unix_ms()).await
            {
                tracing::warn!(%error, "deleted keys could not be purged; trying again in an hour");
            }
            drop(app);
            tokio::time::sleep(PERIOD).await;
        }
    });
}
