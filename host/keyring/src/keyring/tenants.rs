//! Tenants: created once, their outage contract changed by compare-and-set.

use std::sync::Arc;

use super::Inner;
use crate::change::Change;
use crate::error::KeyringError;
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
