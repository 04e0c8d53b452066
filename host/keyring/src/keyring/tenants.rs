//! Tenants: created once, their outage contract changed by compare-and-set, read through the cache.

use std::sync::Arc;
use std::time::Instant;

use super::Inner;
use super::late::Served;
use crate::cache::{Life, Outdated, TenantState};
use crate::change::Change;
use crate::error::KeyringError;
use crate::flight::Loading;
use crate::names::TenantName;
use crate::outage::Outage;
use crate::record::{self, TenantData};
use crate::store::StoreError;

/// How many lost races for the record to accept.
const ATTEMPTS: usize = 100;

impl Inner {
    pub(super) async fn create_tenant(&self, tenant: &TenantName) -> Result<(), KeyringError> {
        let path = record::tenant_path(tenant);
        let data = TenantData { created_at: record::now_ms(), outage: None, revision: 0 };
        match self.store.create(&path, &record::encode_tenant(&path, &data)?).await {
            Ok(_) => Ok(()),
            Err(StoreError::Exists { .. }) => {
                Err(KeyringError::TenantExists { tenant: tenant.to_string() })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Reads the tenant's record from the store.
    pub(super) async fn read_tenant(
        &self,
        tenant: &TenantName,
    ) -> Result<TenantData, KeyringError> {
        let path = record::tenant_path(tenant);
        match self.store.get(&path).await? {
            Some(found) => record::decode_tenant(&path, &found),
            None => Err(KeyringError::TenantNotFound { tenant: tenant.to_string() }),
        }
    }

    /// Succeeds when the tenant exists.
    pub(super) async fn tenant(
        self: &Arc<Self>,
        tenant: &TenantName,
    ) -> Result<Arc<TenantState>, KeyringError> {
        let Some(state) = self.caches.tenants.get(tenant).await else {
            return self.load_tenant(tenant, false).await;
        };
        let life = state.life.load_full();
        if self.caches.clock.now() < life.ages {
            return Ok(state);
        }
        let window = state.window(self.caches.config.default_outage);
        let (served, answer) =
            Box::pin(self.late(&life, window, state, || self.load_tenant(tenant, false))).await;
        if served == Served::Stale {
            self.tally(served);
        }
        answer
    }

    /// Loads the tenant from the store, or joins the load under way. One that `is_changed` is read
    /// whatever is cached.
    pub(super) fn load_tenant(
        self: &Arc<Self>,
        tenant: &TenantName,
        is_changed: bool,
    ) -> Loading<Arc<TenantState>> {
        self.caches.tenant_loads.join(tenant, || {
            let outdated = Arc::new(Outdated::default());
            let (inner, tenant, under) = (self.clone(), tenant.clone(), outdated.clone());
            let load = async move {
                let caches = &inner.caches;
                // A load that ended since the caller looked has cached what is wanted.
                if !is_changed
                    && let Some(state) = caches.tenants.get(&tenant).await
                    && caches.clock.now() < state.life.load().ages
                {
                    return Ok(state);
                }
                let (begun, epoch) = (Instant::now(), caches.epoch());
                let found = inner.read_tenant(&tenant).await;
                inner.loaded(begun, found.as_ref().err());
                let data = match found {
                    Ok(data) => data,
                    Err(error) => {
                        if let Some(state) = caches.tenants.get(&tenant).await {
                            if error.is_unavailable() {
                                state.life.load().failed(caches.clock.now());
                            } else {
                                caches.tenants.invalidate(&tenant).await;
                            }
                        }
                        return Err(error);
                    }
                };
                let state = caches.tenant_state(&tenant);
                if outdated.unless(|| {
                    state.set_outage(data.outage);
                    let life = Life::begin(caches.clock.now(), caches.config.ttl);
                    state.life.store(Arc::new(life));
                }) && epoch == caches.epoch()
                {
                    caches.tenants.insert(tenant, state.clone()).await;
                }
                Ok(state)
            };
            (under, load)
        })
    }

    /// Brings what is cached of a tenant up to date with the store.
    pub(super) async fn refresh_tenant(self: &Arc<Self>, tenant: &TenantName) {
        if let Some(outdated) = self.caches.tenant_loads.cancel(tenant) {
            outdated.set();
        }
        self.caches.tenants.invalidate(tenant).await;
        if self.caches.knows_tenant(tenant)
            && let Err(error) = self.load_tenant(tenant, true).await
        {
            tracing::warn!(%tenant, %error, "a change of a tenant could not be read");
            self.caches.tenants.invalidate(tenant).await;
        }
    }

    pub(super) async fn set_outage(
        self: &Arc<Self>,
        tenant: &TenantName,
        outage: Option<Outage>,
    ) -> Result<(), KeyringError> {
        let path = record::tenant_path(tenant);
        for _ in 0..ATTEMPTS {
            let data = TenantData { outage, ..self.read_tenant(tenant).await? };
            let value = record::encode_tenant(&path, &data)?;
            match self.store.replace(&path, &value, data.revision).await {
                Ok(_) => {
                    self.refresh_tenant(tenant).await;
                    self.generation.announce(Change::Tenant(tenant.clone())).await;
                    return Ok(());
                }
                Err(StoreError::RevisionMismatch { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(KeyringError::Conflict { key: tenant.to_string() })
    }
}
