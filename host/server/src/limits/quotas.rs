//! `tenants/<tenant>/quotas`: what operators give one tenant, and where that is kept.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use keyward_keyring::store::{Store, StoreError};
use keyward_keyring::{Change, Keyring, TenantName};
use keyward_policy_host::Bounds;
use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use super::rate::{NotARate, Rate};
use super::tenants::TenantLimits;
use super::{Limits, OperationRates};
use crate::http::Problem;

/// How many lost races for the record to accept.
const ATTEMPTS: usize = 100;
/// Records read at a time.
const LOADS: usize = 8;

/// A rate that one tenant has instead of the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub enum OwnRate {
    /// `off`: none.
    Off,
    /// This one.
    At(Rate),
}

impl OwnRate {
    fn over(own: Option<Self>, default: Option<Rate>) -> Option<Rate> {
        match own {
            None => default,
            Some(Self::Off) => None,
            Some(Self::At(rate)) => Some(rate),
        }
    }
}

impl TryFrom<String> for OwnRate {
    type Error = NotARate;

    fn try_from(text: String) -> Result<Self, NotARate> {
        if text == "off" { Ok(Self::Off) } else { text.parse().map(Self::At) }
    }
}

impl From<OwnRate> for String {
    fn from(rate: OwnRate) -> Self {
        match rate {
            OwnRate::Off => "off".into(),
            OwnRate::At(rate) => rate.to_string(),
        }
    }
}

/// What one tenant may. What is `None` is as the server's settings say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Quotas {
    /// Names of keys its policies may use; `*` is any text.
    pub keys: Option<Vec<String>>,
    /// Requests.
    pub requests: Option<OwnRate>,
    /// Items.
    pub items: Option<OwnRate>,
    /// Requests by kind, instead of all that the server has.
    pub operations: Option<BTreeMap<String, OwnRate>>,
    /// Requests under way at once.
    pub in_flight: Option<u32>,
    /// Its part, compared with others'.
    pub weight: Option<NonZeroU32>,
    /// Policy instances at once.
    pub instances: Option<u32>,
    /// Host calls of one run.
    pub host_calls: Option<u32>,
    /// Bytes of one host call or result.
    pub host_call_bytes: Option<u32>,
    /// Memory of one run, in bytes.
    pub memory_bytes: Option<u32>,
    /// CPU time of all policy runs in each second, in milliseconds.
    pub cpu_ms_per_second: Option<u32>,
}

/// The record.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct QuotaRecord {
    /// What was set.
    #[serde(flatten)]
    pub quotas: Quotas,
    /// Unix time in ms.
    pub set_at: u64,
    /// Subject of the operator's credential.
    pub set_by: String,
}

impl Quotas {
    /// With what holds for everybody where nothing is set.
    pub(super) fn limits(&self, default: &TenantLimits) -> TenantLimits {
        let operations = match &self.operations {
            None => default.operations.clone(),
            Some(own) => {
                let rated = own.iter().filter_map(|(kind, rate)| match rate {
                    OwnRate::Off => None,
                    OwnRate::At(rate) => Some((kind.as_str(), *rate)),
                });
                // Of a kind that this program does not know: set by a newer one.
                OperationRates::known(rated)
            }
        };
        TenantLimits {
            requests: OwnRate::over(self.requests, default.requests),
            items: OwnRate::over(self.items, default.items),
            operations,
            max_in_flight: self.in_flight.map(|count| count as usize).or(default.max_in_flight),
            weight: self.weight.unwrap_or(default.weight),
        }
    }

    pub(super) fn cpu_per_second(&self) -> Option<Duration> {
        self.cpu_ms_per_second.map(|count| Duration::from_millis(count.into()))
    }

    pub(super) fn bounds(&self) -> Bounds {
        Bounds {
            host_calls: self.host_calls,
            host_call_bytes: self.host_call_bytes.map(|bytes| bytes as usize),
            memory_bytes: self.memory_bytes.map(|bytes| bytes as usize),
        }
    }

    pub(super) fn grants(&self) -> Option<Vec<WildMatch>> {
        self.keys.as_ref().map(|keys| keys.iter().map(|pattern| WildMatch::new(pattern)).collect())
    }

    /// Those of a record that cannot be read: no key is granted.
    fn damaged() -> Self {
        Self { keys: Some(Vec::new()), ..Self::default() }
    }
}

fn path(tenant: &TenantName) -> String {
    format!("tenants/{tenant}/quotas")
}

/// Where quotas are kept, and whom they are told.
pub struct QuotaStore {
    store: Arc<dyn Store>,
    /// Tells other hosts.
    keyring: Keyring,
    limits: Arc<Limits>,
    /// Orders what this process reads and applies.
    order: tokio::sync::Mutex<()>,
}

/// A record as it was found.
enum Found {
    Absent,
    Damaged,
    Some(QuotaRecord),
}

impl QuotaStore {
    /// Keeps them in the keyring's store, and applies them to `limits`.
    pub fn new(keyring: &Keyring, limits: &Arc<Limits>) -> Self {
        Self {
            store: Arc::clone(keyring.store()),
            keyring: keyring.clone(),
            limits: Arc::clone(limits),
            order: tokio::sync::Mutex::new(()),
        }
    }

    /// Applies the records of these tenants, and of no other.
    pub async fn load(&self, tenants: &[TenantName]) -> Result<(), StoreError> {
        let _order = self.order.lock().await;
        let all: HashMap<Box<str>, Arc<Quotas>> = stream::iter(tenants.to_vec())
            .map(|tenant| async move {
                let found = self.find(&tenant).await?;
                let name: Box<str> = tenant.as_str().into();
                Ok::<_, StoreError>(found.applied().map(|quotas| (name, Arc::new(quotas))))
            })
            .buffer_unordered(LOADS)
            .try_filter_map(|found| async move { Ok(found) })
            .try_collect()
            .await?;
        self.limits.set_all_quotas(all);
        Ok(())
    }

    /// Applies the tenant's record, which another host may have changed.
    pub async fn reload(&self, tenant: &TenantName) -> Result<(), StoreError> {
        let _order = self.order.lock().await;
        let quotas = self.find(tenant).await?.applied();
        self.limits.set_quotas(tenant.as_str(), quotas.map(Arc::new).as_ref());
        Ok(())
    }

    /// What an operator set.
    pub async fn get(&self, tenant: &TenantName) -> Result<Option<QuotaRecord>, Problem> {
        match self.find(tenant).await.map_err(|error| Problem::store(&error))? {
            Found::Absent => Ok(None),
            Found::Some(record) => Ok(Some(record)),
            Found::Damaged => Err(Problem::internal(
                "the record of the tenant's quotas is damaged; set them anew",
            )),
        }
    }

    /// Sets them, here at once and on other hosts as soon as they hear of it.
    pub async fn set(&self, tenant: &TenantName, record: &QuotaRecord) -> Result<(), Problem> {
        let value = serde_json::to_vec(record).map_err(Problem::internal)?;
        let path = path(tenant);
        for _ in 0..ATTEMPTS {
            let written = match self.store.get(&path).await {
                Ok(Some(found)) => self.store.replace(&path, &value, found.revision).await,
                Ok(None) => self.store.create(&path, &value).await,
                Err(error) => Err(error),
            };
            match written {
                Ok(_) => return self.changed(tenant).await,
                Err(StoreError::Exists { .. } | StoreError::RevisionMismatch { .. }) => {}
                Err(error) => return Err(Problem::store(&error)),
            }
        }
        Err(Problem::new(
            crate::errors::Code::Conflict,
            "somebody else keeps changing the tenant's quotas; try again",
        ))
    }

    /// Removes them: what holds for everybody holds for this tenant, too.
    pub async fn remove(&self, tenant: &TenantName) -> Result<(), Problem> {
        let deleted = self.store.delete(&path(tenant)).await;
        deleted.map_err(|error| Problem::store(&error))?;
        self.changed(tenant).await
    }

    async fn changed(&self, tenant: &TenantName) -> Result<(), Problem> {
        let applied = self.reload(tenant).await;
        self.keyring.announce(Change::Tenant(tenant.clone())).await;
        applied.map_err(|error| Problem::store(&error))
    }

    async fn find(&self, tenant: &TenantName) -> Result<Found, StoreError> {
        let Some(found) = self.store.get(&path(tenant)).await? else { return Ok(Found::Absent) };
        Ok(serde_json::from_slice(&found.value).map_or_else(
            |error| {
                tracing::error!(%tenant, %error, "the record of a tenant's quotas is damaged");
                Found::Damaged
            },
            Found::Some,
        ))
    }
}

impl Found {
    fn applied(self) -> Option<Quotas> {
        match self {
            Self::Absent => None,
            Self::Damaged => Some(Quotas::damaged()),
            Self::Some(record) => Some(record.quotas),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_set_is_the_servers() {
        let rate = |text: &str| Some(text.parse::<Rate>().unwrap());
        let operations = OperationRates::read([("sign", "1/s"), ("keys", "2/s")]).unwrap();
        let (requests, items) = (rate("5/s"), rate("6/s"));
        let default = TenantLimits { requests, items, operations, ..TenantLimits::default() };
        assert_eq!(Quotas::default().limits(&default), default);
        let own: Quotas = serde_json::from_str(
            r#"{"requests":"off","items":"7/m burst 9","operations":{"sign":"3/h","newer":"1/s"},
                "in_flight":4,"weight":2,"newer":true}"#,
        )
        .unwrap();
        let limits = own.limits(&default);
        assert_eq!((limits.requests, limits.items), (None, rate("7/m burst 9")));
        assert_eq!((limits.max_in_flight, limits.weight.get()), (Some(4), 2));
        let sign: Vec<_> = limits.operations.iter().map(|(of, rate)| (of.as_str(), rate)).collect();
        assert_eq!(sign, [("sign", "3/h".parse().unwrap())]);
    }

    #[test]
    fn a_damaged_record_grants_no_key() {
        assert!(Quotas::damaged().grants().is_some_and(|grants| grants.is_empty()));
        assert!(Quotas::default().grants().is_none());
    }
}
