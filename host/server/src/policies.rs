//! Which policy each tenant has active, kept across restarts.
//!
//! The component's bytes are kept by their digest; which one is active is a record in the store,
//! changed only by compare-and-set. A policy that does not load leaves its tenant with nothing
//! allowed, and every other tenant and the server as they were. Until the records have been read
//! for the first time, nobody is told that a tenant has no policy.

mod backed_up;
mod components;
mod record;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use keyward_keyring::store::{Store, StoreError};
use keyward_keyring::{Change, Keyring, TenantName};
use keyward_policy_host::{Policy, PolicyHost};

use self::backed_up::BackedUp;
use self::components::{ComponentError, Components};
pub use self::record::PolicyRecord;
use crate::clock;
use crate::errors::Code;
use crate::http::Problem;

/// How often an activation tries again when somebody else changed the record.
const ATTEMPTS: usize = 5;
/// Tenants whose policies are loaded at a time.
const LOADS: usize = 8;

/// A tenant's active policy.
pub struct Active {
    /// Ready to run.
    pub policy: Arc<Policy>,
    /// Since when, and by whom.
    pub record: PolicyRecord,
}

#[derive(Clone)]
enum Slot {
    Ready(Arc<Active>),
    /// Did not load; the reason is in the log.
    Failed,
}

/// The tenants' active policies.
pub struct Policies {
    host: Arc<PolicyHost>,
    store: Arc<dyn Store>,
    /// Tells other hosts.
    keyring: Keyring,
    components: Components,
    /// Whether the records have been read.
    loaded: AtomicBool,
    /// Read on every request, replaced on an activation.
    slots: ArcSwap<HashMap<String, Slot>>,
    /// Orders activations of this process.
    activating: tokio::sync::Mutex<()>,
}

impl Policies {
    /// Keeps components in `dir`, which exists, and in the keyring's store if it is `shared` with
    /// other hosts.
    pub fn new(host: Arc<PolicyHost>, keyring: &Keyring, dir: PathBuf, shared: bool) -> Self {
        let store = Arc::clone(keyring.store());
        Self {
            host,
            components: Components::new(dir, Arc::clone(&store), shared),
            store,
            keyring: keyring.clone(),
            loaded: AtomicBool::new(false),
            slots: ArcSwap::from_pointee(HashMap::new()),
            activating: tokio::sync::Mutex::new(()),
        }
    }

    /// Where policies run.
    pub fn host(&self) -> &Arc<PolicyHost> {
        &self.host
    }

    /// The store with the components that this host has as files, for a backup to read.
    pub fn backed_up(&self) -> BackedUp {
        BackedUp::new(Arc::clone(&self.store), self.components.dir().to_owned())
    }

    /// The tenant's active policy, or why there is none to ask.
    pub fn active(&self, tenant: &TenantName) -> Result<Arc<Active>, Problem> {
        match self.slots.load().get(tenant.as_str()) {
            Some(Slot::Ready(active)) => Ok(Arc::clone(active)),
            Some(Slot::Failed) => Err(Problem::new(
                Code::PolicyUnusable,
                "the tenant's active policy did not load at start, so nothing is allowed; an \
                 operator finds the reason in the server's log, or activates a policy with PUT \
                 …/policy",
            )),
            None if !self.loaded.load(Ordering::Acquire) => Err(Problem::new(
                Code::NotReady,
                "the server has not yet read which policies are active; retry after the time given",
            )),
            None => Err(Problem::new(
                Code::PolicyMissing,
                format!(
                    "tenant {tenant} has no active policy, so nothing is allowed; activate one: \
                     curl -X PUT -H 'Content-Type: application/wasm' --data-binary @policy.wasm \
                     …/api/v1/tenants/{tenant}/policy"
                ),
            )),
        }
    }

    /// How many tenants' policies did not load.
    pub fn failed(&self) -> usize {
        self.slots.load().values().filter(|slot| matches!(slot, Slot::Failed)).count()
    }

    /// How many tenants have a policy that is ready to run.
    pub fn ready(&self) -> usize {
        self.slots.load().values().filter(|slot| matches!(slot, Slot::Ready(_))).count()
    }

    /// Loads what is active by the records of these tenants, and forgets all others. Fails, and
    /// changes nothing, when the store does.
    pub async fn load(&self, tenants: &[TenantName]) -> Result<(), StoreError> {
        let _order = self.activating.lock().await;
        let slots: HashMap<String, Slot> = stream::iter(tenants.to_vec())
            .map(|tenant| async move {
                let slot = self.slot(&tenant).await?;
                Ok::<_, StoreError>(slot.map(|slot| (tenant.as_str().to_owned(), slot)))
            })
            .buffer_unordered(LOADS)
            .try_filter_map(|slot| async move { Ok(slot) })
            .try_collect()
            .await?;
        self.slots.store(Arc::new(slots));
        self.loaded.store(true, Ordering::Release);
        Ok(())
    }

    /// Loads what is active by the tenant's record, which another host may have changed. Fails,
    /// and changes nothing, when the store does.
    pub async fn reload(&self, tenant: &TenantName) -> Result<(), StoreError> {
        let _order = self.activating.lock().await;
        let slot = self.slot(tenant).await?;
        if let Some(Slot::Ready(active)) = &slot {
            let record = &active.record;
            tracing::info!(%tenant, digest = record.digest, by = record.activated_by, "policy read");
        }
        self.set(tenant, slot.as_ref());
        Ok(())
    }

    /// What the tenant's record asks for; what is active already is taken over.
    async fn slot(&self, tenant: &TenantName) -> Result<Option<Slot>, StoreError> {
        let Some(stored) = self.store.get(&record::path(tenant)).await? else {
            return Ok(None);
        };
        let record = PolicyRecord::from_bytes(&stored.value);
        if let (Some(record), Some(Slot::Ready(active))) =
            (&record, self.slots.load().get(tenant.as_str()))
            && active.record.digest == record.digest
        {
            let active = Active { policy: Arc::clone(&active.policy), record: record.clone() };
            return Ok(Some(Slot::Ready(Arc::new(active))));
        }
        match self.load_one(record).await {
            Ok(active) => Ok(Some(Slot::Ready(Arc::new(active)))),
            Err(ComponentError::Store(error)) => Err(error),
            Err(ComponentError::Unusable(reason)) => {
                tracing::error!(%tenant, reason, "policy did not load; tenant is shut");
                Ok(Some(Slot::Failed))
            }
        }
    }

    async fn load_one(&self, record: Option<PolicyRecord>) -> Result<Active, ComponentError> {
        let unusable = |reason: String| ComponentError::Unusable(reason);
        let record = record.ok_or_else(|| unusable("its record is damaged".into()))?;
        let wasm = self.components.read(&record).await?;
        let policy = self.host.admit(&wasm).await.map_err(|error| unusable(error.to_string()))?;
        if policy.digest() != record.digest {
            return Err(unusable("its component's digest is another".into()));
        }
        Ok(Active { policy, record })
    }

    fn set(&self, tenant: &TenantName, slot: Option<&Slot>) {
        self.slots.rcu(|slots| {
            let mut slots = HashMap::clone(slots);
            match slot {
                Some(slot) => slots.insert(tenant.as_str().to_owned(), slot.clone()),
                None => slots.remove(tenant.as_str()),
            };
            slots
        });
    }

    /// Admits a component and makes it the tenant's policy for every request from now on.
    pub async fn activate(
        &self,
        tenant: &TenantName,
        wasm: bytes::Bytes,
        activated_by: &str,
    ) -> Result<Arc<Active>, Problem> {
        let policy = self.host.admit(&wasm).await?;
        let record = PolicyRecord {
            digest: policy.digest().to_owned(),
            activated_at: clock::unix_ms(),
            activated_by: activated_by.to_owned(),
        };
        let order = self.activating.lock().await;
        self.components.keep(&record, &wasm).await.map_err(|error| match error {
            ComponentError::Store(error) => Problem::store(&error),
            ComponentError::Unusable(reason) => Problem::internal(reason),
        })?;
        self.write_record(tenant, &record).await?;
        let active = Arc::new(Active { policy, record });
        self.set(tenant, Some(&Slot::Ready(Arc::clone(&active))));
        tracing::info!(%tenant, digest = active.record.digest, by = activated_by, "policy active");
        drop(order);
        self.keyring.announce(Change::Policy(tenant.clone())).await;
        Ok(active)
    }

    async fn write_record(
        &self,
        tenant: &TenantName,
        record: &PolicyRecord,
    ) -> Result<(), Problem> {
        let path = record::path(tenant);
        let bytes = record.to_bytes();
        for _ in 0..ATTEMPTS {
            let written =
                match self.store.get(&path).await.map_err(|error| Problem::store(&error))? {
                    None => self.store.create(&path, &bytes).await,
                    Some(old) => self.store.replace(&path, &bytes, old.revision).await,
                };
            match written {
                Ok(_) => return Ok(()),
                Err(StoreError::Exists { .. } | StoreError::RevisionMismatch { .. }) => {}
                Err(error) => return Err(Problem::store(&error)),
            }
        }
        Err(Problem::new(Code::Conflict, "others are changing this tenant's policy; retry"))
    }
}

#[cfg(test)]
mod tests;
