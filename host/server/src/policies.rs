//! Which components each tenant keeps, and which one is its policy, across restarts.
//!
//! A component's bytes are kept by their digest, with a record for each tenant that keeps it; which
//! one is active is another record, changed only by compare-and-set. A policy that does not load, or
//! wants more than its tenant's ceiling, leaves its tenant with nothing allowed, and every other
//! tenant and the server as they were. Until the records have been read for the first time, nobody
//! is told that a tenant has no policy.

mod activation;
mod backed_up;
mod ceiling;
mod components;
mod difference;
mod digest;
mod kept;
mod record;
mod registry;
mod rules;
pub mod signature;
mod trust;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use keyward_keyring::store::{Store, StoreError};
use keyward_keyring::{Keyring, TenantName};
use keyward_policy_host::{Policy, PolicyHost};

use self::backed_up::BackedUp;
pub use self::ceiling::CeilingRecord;
use self::components::{ComponentError, Components};
pub use self::difference::{Changed, Difference, OperationChange};
pub use self::digest::{ComponentDigest, NoDigest};
pub use self::kept::Kept;
use self::kept::KeptStore;
pub use self::record::{Activation, HISTORY, PolicyRecord, Why};
pub use self::registry::Pushed;
use self::rules::Rules;
pub use self::trust::{Signer, Trust, TrustRecord, Verdict};
use crate::errors::Code;
use crate::http::Problem;

/// Tenants whose policies are loaded at a time.
const LOADS: usize = 8;

/// A tenant's active policy.
pub struct Active {
    /// Ready to run.
    pub policy: Arc<Policy>,
    /// Since when, by whom and how.
    pub record: Activation,
    /// Whether it could be activated now, as far as signatures go. One that could not stays until
    /// it is replaced: to trust somebody no longer is no reason to stop what runs.
    pub verdict: Verdict,
}

#[derive(Clone)]
enum Slot {
    Ready(Arc<Active>),
    /// Shut; what a caller is told.
    Failed(Arc<str>),
}

/// What the server's settings say of policies that tenants keep.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether policies without a signature pass where an operator set nothing else.
    pub allow_unsigned: bool,
    /// Most components a tenant keeps.
    pub max_kept: usize,
}

/// The tenants' policies.
pub struct Policies {
    host: Arc<PolicyHost>,
    store: Arc<dyn Store>,
    /// Tells other hosts.
    keyring: Keyring,
    components: Components,
    kept: KeptStore,
    settings: Settings,
    /// Whether the records have been read.
    loaded: AtomicBool,
    /// Read on every request, replaced on an activation.
    slots: ArcSwap<HashMap<String, Slot>>,
    /// Orders changes that this process makes.
    order: tokio::sync::Mutex<()>,
}

impl Policies {
    /// Keeps components in `dir`, which exists, and in the keyring's store if it is `shared` with
    /// other hosts.
    pub fn new(
        host: Arc<PolicyHost>,
        keyring: &Keyring,
        dir: PathBuf,
        shared: bool,
        settings: Settings,
    ) -> Self {
        let store = Arc::clone(keyring.store());
        Self {
            host,
            components: Components::new(dir, Arc::clone(&store), shared),
            kept: KeptStore::new(Arc::clone(&store)),
            store,
            keyring: keyring.clone(),
            settings,
            loaded: AtomicBool::new(false),
            slots: ArcSwap::from_pointee(HashMap::new()),
            order: tokio::sync::Mutex::new(()),
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
            Some(Slot::Failed(detail)) => {
                Err(Problem::new(Code::PolicyUnusable, detail.to_string()))
            }
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
        self.slots.load().values().filter(|slot| matches!(slot, Slot::Failed(_))).count()
    }

    /// How many tenants have a policy that is ready to run.
    pub fn ready(&self) -> usize {
        self.slots.load().values().filter(|slot| matches!(slot, Slot::Ready(_))).count()
    }

    /// Loads what is active by the records of these tenants, and forgets all others. Fails, and
    /// changes nothing, when the store does.
    pub async fn load(&self, tenants: &[TenantName]) -> Result<(), StoreError> {
        let _order = self.order.lock().await;
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
        let _order = self.order.lock().await;
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
        let rules = self.rules(tenant).await?;
        match self.loaded_policy(tenant, record).await {
            Ok((policy, record)) => {
                if let Err(error) = rules.ceiling.check(policy.imports(), policy.size()) {
                    tracing::error!(%tenant, %error, "policy is above its ceiling; tenant is shut");
                    let detail = format!("the tenant's active policy is shut: {error}");
                    return Ok(Some(Slot::Failed(detail.into())));
                }
                let verdict = self.verdict(tenant, &policy, &record, &rules).await?;
                Ok(Some(Slot::Ready(Arc::new(Active { policy, record, verdict }))))
            }
            Err(ComponentError::Store(error)) => Err(error),
            Err(ComponentError::Unusable(reason)) => {
                tracing::error!(%tenant, reason, "policy did not load; tenant is shut");
                Ok(Some(Slot::Failed(
                    "the tenant's active policy did not load at start, so nothing is allowed; an \
                     operator finds the reason in the server's log, or activates a policy with PUT \
                     …/policy"
                        .into(),
                )))
            }
        }
    }

    /// The policy a record names: the one that runs, or from its component.
    async fn loaded_policy(
        &self,
        tenant: &TenantName,
        record: Option<PolicyRecord>,
    ) -> Result<(Arc<Policy>, Activation), ComponentError> {
        let damaged = || ComponentError::Unusable("its record is damaged".into());
        let active = record.ok_or_else(damaged)?.active;
        if let Some(Slot::Ready(running)) = self.slots.load().get(tenant.as_str())
            && running.record.digest == active.digest
        {
            return Ok((Arc::clone(&running.policy), active));
        }
        let digest: ComponentDigest = active.digest.parse().map_err(|_| damaged())?;
        let wasm = self.components.read(&digest).await?;
        let admitted = self.host.admit(&wasm).await;
        let policy = admitted.map_err(|error| ComponentError::Unusable(error.to_string()))?;
        Ok((policy, active))
    }

    /// What signatures say of a policy that is active. A component that was put before there were
    /// records of those that are kept gets one.
    async fn verdict(
        &self,
        tenant: &TenantName,
        policy: &Policy,
        record: &Activation,
        rules: &Rules,
    ) -> Result<Verdict, StoreError> {
        let Ok(digest) = policy.digest().parse::<ComponentDigest>() else {
            return Ok(rules.trust.verdict(tenant, &Kept::of(policy, 0, "")));
        };
        let found = self.kept.get(tenant, &digest).await?;
        let kept = if let Some(kept) = found {
            kept
        } else {
            let kept = Kept::of(policy, record.activated_at, &record.activated_by);
            if let Err(error) = self.kept.put(tenant, &digest, &kept).await {
                tracing::warn!(%tenant, %error, "an active policy has no record of its own");
            }
            kept
        };
        let verdict = rules.trust.verdict(tenant, &kept);
        if let Verdict::Refused(reason) = &verdict {
            tracing::warn!(%tenant, digest = %digest, reason, "the active policy is not trusted");
        }
        Ok(verdict)
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
}

#[cfg(test)]
mod tests;
