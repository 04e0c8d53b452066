//! What a policy would decide on a request, and how it came to that, without anything being done.

use std::sync::Arc;

use keyward_keyring::TenantName;
use keyward_policy_host::{HostConfig, Observe, PolicyHost, Request, Services, SetupError, Trace};
use tokio::sync::OnceCell;

use super::activation::unreadable;
use super::{ComponentDigest, Policies};
use crate::errors::Code;
use crate::http::Problem;
use crate::state::{Rehearsal, States};

/// Explanations at once.
const POOL: u32 = 4;

/// Runs policies to be looked at: in a sandbox of its own, so that it takes no instance from
/// requests, and one that counts what a run costs. It is set up when it is first asked for.
pub struct Explainer {
    config: HostConfig,
    states: Arc<States>,
    keys: Arc<dyn keyward_policy_host::KeyService>,
    host: OnceCell<Arc<PolicyHost>>,
}

impl Explainer {
    /// With the settings of the sandbox that serves, and the same keys and entries.
    pub fn new(
        config: HostConfig,
        keys: Arc<dyn keyward_policy_host::KeyService>,
        states: Arc<States>,
    ) -> Self {
        let config = HostConfig { pool_size: POOL, per_tenant: POOL, fuel: true, ..config };
        Self { config, states, keys, host: OnceCell::new() }
    }

    pub(super) fn states(&self) -> Arc<States> {
        Arc::clone(&self.states)
    }

    async fn host(&self) -> Result<&Arc<PolicyHost>, SetupError> {
        self.host
            .get_or_try_init(|| async {
                let keys = Arc::clone(&self.keys);
                let services = Services { keys, state: Arc::clone(&self.states) as _ };
                PolicyHost::new(self.config.clone(), services)
            })
            .await
    }
}

impl Policies {
    /// Asks a component that the tenant keeps for its decision; of what it remembers afterwards,
    /// nothing lasts.
    pub async fn explain(
        &self,
        tenant: &TenantName,
        digest: &ComponentDigest,
        request: &Request,
    ) -> Result<Trace, Problem> {
        self.kept(tenant, digest).await?;
        let wasm = self.components.read(digest).await.map_err(unreadable)?;
        let host = self.explainer.host().await.map_err(Problem::internal)?;
        // Without the tenant's ceiling: what it says of a component is no secret and no permission.
        let policy = host.admit(&wasm).await?;
        let state = Rehearsal::new(Arc::clone(&self.explainer.states));
        let observe = Observe { state: Some(state), ..Observe::default() };
        Ok(host.observe(&policy, request, None, observe).await?)
    }

    /// The digest of the tenant's policy.
    pub async fn active_digest(&self, tenant: &TenantName) -> Result<ComponentDigest, Problem> {
        let record = self.record(tenant).await?;
        record.and_then(|record| record.active.digest.parse().ok()).ok_or_else(|| {
            Problem::new(Code::PolicyNotSet, "no policy is active; name one that is kept")
        })
    }
}
