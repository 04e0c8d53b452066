//! Policies whose components cannot be fetched yet, asked for again until they can.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyward_keyring::TenantName;
use keyward_keyring::store::StoreError;

use super::Policies;
use crate::app::App;

/// Pause before they are asked for again.
const PAUSE: Duration = Duration::from_secs(3);

/// Whose they are.
#[derive(Default)]
pub(super) struct Unfetched(Mutex<Owners>);

#[derive(Default)]
struct Owners {
    tenants: HashSet<TenantName>,
    baseline: bool,
}

impl Unfetched {
    fn owners(&self) -> std::sync::MutexGuard<'_, Owners> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A policy of this tenant's could not be fetched.
    pub fn add(&self, tenant: &TenantName) {
        self.owners().tenants.insert(tenant.clone());
    }

    /// The baseline could not be fetched.
    pub fn add_baseline(&self) {
        self.owners().baseline = true;
    }

    fn take(&self) -> Owners {
        std::mem::take(&mut *self.owners())
    }
}

impl Policies {
    /// Loads anew what could not be fetched. What still cannot be is noted again.
    async fn fetch_again(&self) -> Result<(), StoreError> {
        let Owners { tenants, baseline } = self.unfetched.take();
        if baseline {
            let order = self.order.lock().await;
            let loaded = self.load_baseline().await;
            drop(order);
            if loaded.is_err() {
                self.unfetched.add_baseline();
                for tenant in &tenants {
                    self.unfetched.add(tenant);
                }
                return loaded;
            }
        }
        let mut failed = Ok(());
        for tenant in tenants {
            if failed.is_ok() {
                failed = self.reload(&tenant).await;
            }
            if failed.is_err() {
                self.unfetched.add(&tenant);
            }
        }
        failed
    }
}

/// Fetches what could not be, for as long as the application lives.
pub fn keep_fetching(app: &Arc<App>) {
    let app = Arc::downgrade(app);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(PAUSE).await;
            let Some(app) = app.upgrade() else { return };
            if let Err(error) = app.policies.fetch_again().await {
                tracing::warn!(%error, "the key store failed while policies were fetched again");
            }
        }
    });
}
