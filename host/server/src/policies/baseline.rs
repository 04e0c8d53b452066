//! The operator's policy above every tenant's: `baseline-policy`.
//!
//! It is asked before the tenant's policy, for every request of every tenant. One that is set and
//! does not load lets nothing pass.

use std::sync::Arc;

use keyward_keyring::Change;
use keyward_keyring::store::StoreError;
use keyward_policy_host::{Policy, PolicyHost};
use serde::{Deserialize, Serialize};

use super::activation::unreadable;
use super::components::ComponentError;
use super::{ComponentDigest, Policies};
use crate::clock;
use crate::errors::Code;
use crate::http::Problem;

pub(super) const PATH: &str = "baseline-policy";

/// What an operator set.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct BaselineRecord {
    /// `sha256:` and the component's digest in hexadecimal.
    pub digest: String,
    /// Unix time in ms.
    pub set_at: u64,
    /// Subject of the operator's credential.
    pub set_by: String,
}

/// A baseline that is ready to run.
pub struct Baseline {
    /// Since when, by whom.
    pub record: BaselineRecord,
    /// It has as many instances as the pool has, for it runs for all tenants.
    pub policy: Arc<Policy>,
}

/// What is above the tenants' policies.
#[derive(Clone, Default)]
pub(super) enum Above {
    #[default]
    Nothing,
    Baseline(Arc<Baseline>),
    /// It is set and did not load.
    Failed,
    /// It is set and cannot be fetched yet.
    Away,
}

impl Policies {
    /// The baseline, if one is set; a problem if it did not load.
    pub fn baseline(&self) -> Result<Option<Arc<Baseline>>, Problem> {
        match &**self.above.load() {
            Above::Nothing => Ok(None),
            Above::Baseline(baseline) => Ok(Some(Arc::clone(baseline))),
            Above::Away => Err(Problem::new(
                Code::PolicyStoreUnavailable,
                "the operator's baseline policy was not here before, and where components are kept \
                 does not answer; it is asked again until it does",
            )),
            Above::Failed => Err(Problem::new(
                Code::PolicyUnusable,
                "the operator's baseline policy did not load, so nothing is allowed; an operator \
                 finds the reason in the server's log, or sets another: PUT /api/v1/policy/baseline",
            )),
        }
    }

    /// Admits a component and asks it before every tenant's policy from now on.
    pub async fn set_baseline(
        &self,
        wasm: bytes::Bytes,
        by: &str,
    ) -> Result<Arc<Baseline>, Problem> {
        let admitted = self.host.admit(&wasm).await?;
        let digest = ComponentDigest::of(&wasm);
        let record = BaselineRecord {
            digest: digest.to_string(),
            set_at: clock::unix_ms(),
            set_by: by.to_owned(),
        };
        let order = self.order.lock().await;
        self.components.keep(&digest, &wasm).await.map_err(unreadable)?;
        let bytes = serde_json::to_vec(&record).map_err(Problem::internal)?;
        self.compare_and_set(PATH, |_| Ok((bytes.clone(), ()))).await?;
        let policy = PolicyHost::for_all(&admitted);
        let baseline = Arc::new(Baseline { record, policy });
        self.above.store(Arc::new(Above::Baseline(Arc::clone(&baseline))));
        tracing::warn!(%digest, by, "baseline policy set");
        drop(order);
        self.keyring.announce(Change::Everything).await;
        Ok(baseline)
    }

    /// Asks the tenants' policies alone. None to remove is no error.
    pub async fn remove_baseline(&self, by: &str) -> Result<(), Problem> {
        let order = self.order.lock().await;
        self.store.delete(PATH).await.map_err(|error| Problem::store(&error))?;
        self.above.store(Arc::default());
        tracing::warn!(by, "baseline policy removed");
        drop(order);
        self.keyring.announce(Change::Everything).await;
        Ok(())
    }

    /// Whether this component is the baseline.
    pub(super) async fn is_baseline(&self, digest: &ComponentDigest) -> Result<bool, StoreError> {
        let Some(found) = self.store.get(PATH).await? else { return Ok(false) };
        let record = serde_json::from_slice::<BaselineRecord>(&found.value);
        Ok(record.is_ok_and(|record| record.digest == digest.as_str()))
    }

    /// Loads what the record asks for; what runs already is taken over.
    pub(super) async fn load_baseline(&self) -> Result<(), StoreError> {
        let above = match self.store.get(PATH).await? {
            None => Above::Nothing,
            Some(found) => match serde_json::from_slice::<BaselineRecord>(&found.value) {
                Err(error) => {
                    tracing::error!(%error, "the record of the baseline policy is damaged");
                    Above::Failed
                }
                Ok(record) => match self.loaded_baseline(&record).await {
                    Ok(policy) => Above::Baseline(Arc::new(Baseline { record, policy })),
                    Err(ComponentError::Store(error)) => return Err(error),
                    Err(ComponentError::Away(reason)) => {
                        tracing::error!(
                            reason,
                            "the baseline cannot be fetched; all are shut till then"
                        );
                        self.unfetched.add_baseline();
                        Above::Away
                    }
                    Err(ComponentError::Unusable(reason)) => {
                        tracing::error!(reason, "the baseline policy did not load; all are shut");
                        Above::Failed
                    }
                },
            },
        };
        self.above.store(Arc::new(above));
        Ok(())
    }

    async fn loaded_baseline(
        &self,
        record: &BaselineRecord,
    ) -> Result<Arc<Policy>, ComponentError> {
        if let Above::Baseline(running) = &**self.above.load()
            && running.record.digest == record.digest
        {
            return Ok(Arc::clone(&running.policy));
        }
        let unusable = |reason: String| ComponentError::Unusable(reason);
        let digest: ComponentDigest =
            record.digest.parse().map_err(|_| unusable("its record is damaged".into()))?;
        let wasm = self.components.read(&digest).await?;
        let policy = self.host.admit(&wasm).await.map_err(|error| unusable(error.to_string()))?;
        Ok(PolicyHost::for_all(&policy))
    }
}
