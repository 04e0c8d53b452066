//! What a policy would decide on a request, and how it came to that, without anything being done.

use std::sync::Arc;

use keyward_keyring::TenantName;
use keyward_policy_host::{
    Bound, Detail, HostConfig, ImageConfig, Observe, Payload, PolicyError, PolicyHost, Request,
    Services, SetupError, Trace,
};
use tokio::sync::OnceCell;

use super::activation::unreadable;
use super::{ComponentDigest, Policies};
use crate::errors::Code;
use crate::http::Problem;
use crate::state::{Rehearsal, States};

/// Explanations at once.
const POOL: u32 = 4;
/// Most that is kept of the calls of one run, in bytes.
const MAX_CALLS: usize = 8 << 20;

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
        let image =
            config.image.map(|image| ImageConfig { pool_size: POOL, per_tenant: POOL, ..image });
        let config = HostConfig { pool_size: POOL, per_tenant: POOL, fuel: true, image, ..config };
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

/// How much of a run is looked at.
#[derive(Clone, Copy)]
pub enum Look<'a> {
    /// Its decision, and of bytes how many there were.
    Lengths,
    /// Everything, and of an `invoke/NAME` that is given a payload its execution as well.
    Values(Option<&'a Payload>),
}

/// What came of a question.
pub struct Explained {
    /// What the operator's baseline did, and its digest; none: there is none.
    pub baseline: Option<(String, Trace)>,
    /// What the policy did; none: the baseline did not let the request pass.
    pub policy: Option<Trace>,
}

impl Policies {
    /// Asks the baseline, if there is one, and a component that the tenant keeps for their decisions;
    /// of what they remember afterwards, nothing lasts.
    pub async fn explain(
        &self,
        tenant: &TenantName,
        digest: &ComponentDigest,
        request: &Request,
        look: Look<'_>,
    ) -> Result<Explained, Problem> {
        self.kept(tenant, digest).await?;
        let state = Rehearsal::new(Arc::clone(&self.explainer.states));
        let mut bound = Bound::default();
        let mut asked = None;
        if let Some(baseline) = self.baseline()? {
            let named = &baseline.record.digest;
            let parsed = named.parse().map_err(|_| Problem::internal("a digest is none"))?;
            let trace = self.observed(&parsed, request, &state, Bound::default(), Look::Lengths);
            let trace = trace.await?;
            let decided = trace.decision.as_ref().map(Bound::by).ok();
            let baseline = Some((named.clone(), trace));
            let Some(demanded) = decided else {
                return Ok(Explained { baseline, policy: None });
            };
            (bound, asked) = (demanded, baseline);
        }
        let trace = self.observed(digest, request, &state, bound, look).await?;
        Ok(Explained { baseline: asked, policy: Some(trace) })
    }

    async fn observed(
        &self,
        digest: &ComponentDigest,
        request: &Request,
        state: &Arc<Rehearsal>,
        bound: Bound,
        look: Look<'_>,
    ) -> Result<Trace, Problem> {
        let wasm = self.components.read(digest).await.map_err(unreadable)?;
        let host = self.explainer.host().await.map_err(Problem::internal)?;
        // Without the tenant's ceiling: what is told of a component permits it nothing.
        let policy = host.admit(&wasm).await?;
        let state = Some(Arc::clone(state) as _);
        let (detail, payload) = match look {
            Look::Lengths => (Detail::Lengths, None),
            Look::Values(payload) => (Detail::Values, payload),
        };
        if payload.is_some() {
            let name = request.operation.strip_prefix("invoke/").unwrap_or_default();
            if !policy.operations().iter().any(|operation| operation.name == name) {
                return Err(PolicyError::UnknownOperation { name: name.to_owned() }.into());
            }
        }
        let max_bytes = Some(MAX_CALLS);
        let observe = Observe { state, bound, detail, max_bytes, ..Observe::default() };
        Ok(host.observe(&policy, request, payload, observe).await?)
    }

    /// The digest of the tenant's policy.
    pub async fn active_digest(&self, tenant: &TenantName) -> Result<ComponentDigest, Problem> {
        let record = self.record(tenant).await?;
        record.and_then(|record| record.active.digest.parse().ok()).ok_or_else(|| {
            Problem::new(Code::PolicyNotSet, "no policy is active; name one that is kept")
        })
    }
}
