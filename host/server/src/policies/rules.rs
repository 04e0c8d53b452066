//! What operators allow a tenant's policies to be: signed by whom, and how much they may want.

use keyward_keyring::store::StoreError;
use keyward_keyring::{Change, TenantName};
use keyward_policy_host::Ceiling;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CeilingRecord, Policies, Trust, TrustRecord, ceiling, trust};
use crate::http::Problem;

/// What applies to a tenant's policies at the moment.
pub(super) struct Rules {
    pub trust: Trust,
    pub ceiling: Ceiling,
}

/// A record as it was found.
enum Found<T> {
    Absent,
    Damaged,
    Some(T),
}

impl Policies {
    /// The rules of a tenant, from the store: they are asked for when something changes, not with
    /// each request. A record that is damaged lets nothing pass.
    pub(super) async fn rules(&self, tenant: &TenantName) -> Result<Rules, StoreError> {
        let trust = match self.find::<TrustRecord>(&trust::path(tenant)).await? {
            Found::Damaged => Trust::damaged(),
            Found::Absent => Trust::of(None, self.settings.allow_unsigned),
            Found::Some(record) => Trust::of(Some(&record), self.settings.allow_unsigned),
        };
        let ceiling = match self.find::<CeilingRecord>(&ceiling::path(tenant)).await? {
            Found::Damaged => ceiling::damaged(),
            Found::Absent => Ceiling::default(),
            Found::Some(record) => record.ceiling(),
        };
        Ok(Rules { trust, ceiling })
    }

    /// What an operator set of whom to trust, and what applies.
    pub async fn trust(
        &self,
        tenant: &TenantName,
    ) -> Result<(Option<TrustRecord>, Trust), Problem> {
        let found = self.find::<TrustRecord>(&trust::path(tenant)).await;
        Ok(match found.map_err(|error| Problem::store(&error))? {
            Found::Damaged => (None, Trust::damaged()),
            Found::Absent => (None, Trust::of(None, self.settings.allow_unsigned)),
            Found::Some(record) => {
                let trust = Trust::of(Some(&record), self.settings.allow_unsigned);
                (Some(record), trust)
            }
        })
    }

    /// What an operator set as the ceiling.
    pub async fn ceiling(&self, tenant: &TenantName) -> Result<Option<CeilingRecord>, Problem> {
        let found = self.find::<CeilingRecord>(&ceiling::path(tenant)).await;
        Ok(match found.map_err(|error| Problem::store(&error))? {
            Found::Damaged => {
                let detail = "the record of the tenant's ceiling is damaged; set it anew";
                return Err(Problem::internal(detail));
            }
            Found::Absent => None,
            Found::Some(record) => Some(record),
        })
    }

    /// Sets whom to trust. What is active stays active, and shows whether it still could be
    /// activated.
    pub async fn set_trust(
        &self,
        tenant: &TenantName,
        record: &TrustRecord,
    ) -> Result<(), Problem> {
        self.write_rule(tenant, &trust::path(tenant), record).await
    }

    /// Sets the ceiling. An active policy above it is shut, here at once and on other hosts as
    /// soon as they hear of it; raised again, it is opened again.
    pub async fn set_ceiling(
        &self,
        tenant: &TenantName,
        record: &CeilingRecord,
    ) -> Result<(), Problem> {
        self.write_rule(tenant, &ceiling::path(tenant), record).await
    }

    async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Found<T>, StoreError> {
        let Some(found) = self.store.get(path).await? else { return Ok(Found::Absent) };
        Ok(serde_json::from_slice(&found.value).map_or_else(
            |error| {
                tracing::error!(path, %error, "a record of what policies may be is damaged");
                Found::Damaged
            },
            Found::Some,
        ))
    }

    async fn write_rule(
        &self,
        tenant: &TenantName,
        path: &str,
        record: &impl Serialize,
    ) -> Result<(), Problem> {
        let bytes = serde_json::to_vec(record).map_err(Problem::internal)?;
        self.compare_and_set(path, |_| Ok((bytes.clone(), ()))).await?;
        let reloaded = self.reload(tenant).await;
        self.keyring.announce(Change::Policy(tenant.clone())).await;
        reloaded.map_err(|error| Problem::store(&error))
    }
}
