//! Which components each tenant keeps, and which one is its policy, across restarts.
//!
//! A component's bytes are kept by their digest, with a record for each tenant that keeps it; which
//! one is active is another record, changed only by compare-and-set. A policy that does not load, or
//! wants more than its tenant's ceiling, leaves its tenant with nothing allowed, and every other
//! tenant and the server as they were. Until the records have been read for the first time, nobody
//! is told that a tenant has no policy.

mod activation;
mod backed_up;
mod baseline;
mod ceiling;
mod components;
mod difference;
mod digest;
mod explain;
mod failing;
mod failures;
mod kept;
mod loading;
mod pulled;
mod record;
mod registry;
mod rollout;
mod rules;
mod serving;
mod shadow;
pub mod signature;
mod trust;
mod unfetched;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use keyward_keyring::store::{Store, StoreError};
use keyward_keyring::{Keyring, TenantName};
use keyward_policy_host::{Policy, PolicyHost};
use tokio::sync::Semaphore;

use self::backed_up::BackedUp;
use self::baseline::Above;
pub use self::baseline::Baseline;
pub use self::ceiling::CeilingRecord;
use self::components::Components;
pub use self::components::bucket::{Bucket, BucketSettings, BucketUrl};
pub use self::difference::{Changed, Difference, OperationChange};
pub use self::digest::{ComponentDigest, NoDigest};
pub use self::explain::{Explained, Explainer, Look};
pub use self::failing::{Counters, follow};
use self::failing::{Failing, Reports};
use self::failures::Failures;
pub use self::kept::Kept;
use self::kept::KeptStore;
pub use self::record::{Activation, Candidate, HISTORY, PolicyRecord, Safeguard, Why};
pub use self::registry::Pushed;
use self::rollout::GaveWay;
pub use self::rollout::Trial;
use self::serving::Means;
pub use self::serving::{Canary, Decider, Serving};
use self::shadow::Stage;
pub use self::shadow::{Kind, Report, Shadow, Times};
pub use self::trust::{Signer, Trust, TrustRecord, Verdict};
use self::unfetched::Unfetched;
pub use self::unfetched::keep_fetching;
use crate::errors::Code;
use crate::http::Problem;
use crate::oci::Access;

/// Tenants whose policies are loaded at a time.
const LOADS: usize = 8;
/// Runs of shadows at a time, of all tenants.
const SHADOWS: usize = 8;

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
    Ready(Arc<Serving>),
    /// Shut; what a caller is told.
    Failed(Arc<str>),
    /// Shut until its component can be fetched.
    Away,
}

/// What the server's settings say of policies that tenants keep.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Whether policies without a signature pass where an operator set nothing else.
    pub allow_unsigned: bool,
    /// Most components a tenant keeps.
    pub max_kept: usize,
}

/// Where components are kept.
pub struct Content {
    /// A directory, which exists.
    pub dir: PathBuf,
    /// Whether the keyring's store is shared with other hosts, which look for components there.
    pub shared: bool,
    /// Where they look instead.
    pub bucket: Option<Bucket>,
    /// Where components may be pulled from.
    pub registries: Access,
}

/// The tenants' policies.
pub struct Policies {
    host: Arc<PolicyHost>,
    store: Arc<dyn Store>,
    /// Tells other hosts.
    keyring: Keyring,
    components: Arc<Components>,
    kept: KeptStore,
    settings: Settings,
    /// Whether the records have been read.
    loaded: AtomicBool,
    /// Read on every request, replaced on an activation.
    slots: ArcSwap<HashMap<String, Slot>>,
    /// Orders changes that this process makes.
    order: tokio::sync::Mutex<()>,
    /// What is asked before the tenants' policies.
    above: ArcSwap<Above>,
    stage: Arc<Stage>,
    explainer: Explainer,
    means: Arc<Means>,
    /// Taken by who follows them.
    reports: Mutex<Option<Reports>>,
    unfetched: Unfetched,
    /// Where components may be pulled from.
    registries: Access,
}

impl Policies {
    /// Of the keyring's tenants.
    pub fn new(
        host: Arc<PolicyHost>,
        keyring: &Keyring,
        content: Content,
        settings: Settings,
        explainer: Explainer,
    ) -> Self {
        let Content { dir, shared, bucket, registries } = content;
        let store = Arc::clone(keyring.store());
        let (failing, reports) = Failing::new();
        let means =
            Arc::new(Means { host: Arc::clone(&host), counters: Counters::default(), failing });
        let stage = Arc::new(Stage {
            host: Arc::clone(&host),
            states: explainer.states(),
            slots: Arc::new(Semaphore::new(SHADOWS)),
        });
        Self {
            host,
            above: ArcSwap::from_pointee(Above::Nothing),
            stage,
            explainer,
            means,
            reports: Mutex::new(Some(reports)),
            unfetched: Unfetched::default(),
            registries,
            components: Arc::new(Components::new(dir, Arc::clone(&store), shared, bucket)),
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

    /// The store with the components that are kept elsewhere, for a backup to read.
    pub fn backed_up(&self) -> BackedUp {
        BackedUp::new(Arc::clone(&self.store), Arc::clone(&self.components))
    }

    /// What becomes of policies on this host.
    pub fn counters(&self) -> &Counters {
        &self.means.counters
    }

    fn take_reports(&self) -> Option<Reports> {
        self.reports.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What decides a request of the tenant, or why there is none to ask.
    pub fn decider(&self, tenant: &TenantName) -> Result<Decider, Problem> {
        let (baseline, serving) = (self.baseline()?, self.found(tenant)?);
        Ok(Decider::new(Arc::clone(&self.means), baseline, serving))
    }

    /// The tenant's active policy, or why there is none to ask.
    pub fn active(&self, tenant: &TenantName) -> Result<Arc<Active>, Problem> {
        Ok(Arc::clone(&self.found(tenant)?.active))
    }

    fn found(&self, tenant: &TenantName) -> Result<Arc<Serving>, Problem> {
        match self.slots.load().get(tenant.as_str()) {
            Some(Slot::Ready(serving)) => Ok(Arc::clone(serving)),
            Some(Slot::Failed(detail)) => {
                Err(Problem::new(Code::PolicyUnusable, detail.to_string()))
            }
            Some(Slot::Away) => Err(Problem::new(
                Code::PolicyStoreUnavailable,
                "the tenant's active policy was not here before, and where components are kept \
                 does not answer; it is asked again until it does",
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
        let is_shut = |slot: &&Slot| matches!(slot, Slot::Failed(_) | Slot::Away);
        self.slots.load().values().filter(is_shut).count()
    }

    /// How many tenants have a policy that is ready to run.
    pub fn ready(&self) -> usize {
        self.slots.load().values().filter(|slot| matches!(slot, Slot::Ready(_))).count()
    }

    /// Loads what is active by the records of these tenants, and forgets all others. Fails, and
    /// changes nothing, when the store does.
    pub async fn load(&self, tenants: &[TenantName]) -> Result<(), StoreError> {
        let _order = self.order.lock().await;
        self.load_baseline().await?;
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
        if let Some(Slot::Ready(serving)) = &slot {
            let record = &serving.active.record;
            tracing::info!(%tenant, digest = record.digest, by = record.activated_by, "policy read");
        }
        self.set(tenant, slot.as_ref());
        Ok(())
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
