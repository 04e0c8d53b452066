//! From a tenant's record to what decides.

use std::sync::Arc;

use keyward_keyring::TenantName;
use keyward_keyring::store::StoreError;
use keyward_policy_host::Policy;

use super::components::ComponentError;
use super::rules::Rules;
use super::shadow::Shadow;
use super::{
    Activation, Active, Canary, Candidate, ComponentDigest, Failures, Kept, Policies, PolicyRecord,
    Serving, Slot, Verdict, record,
};

/// What a tenant whose policy did not load is told.
const NOT_LOADED: &str = "the tenant's active policy did not load at start, so nothing is allowed; \
                          an operator finds the reason in the server's log, or activates a policy \
                          with PUT …/policy";

impl Policies {
    /// What the tenant's record asks for; what runs already is taken over.
    pub(super) async fn slot(&self, tenant: &TenantName) -> Result<Option<Slot>, StoreError> {
        let Some(stored) = self.store.get(&record::path(tenant)).await? else {
            return Ok(None);
        };
        let Some(record) = PolicyRecord::from_bytes(&stored.value) else {
            tracing::error!(%tenant, "the record of the policy is damaged; tenant is shut");
            return Ok(Some(Slot::Failed(NOT_LOADED.into())));
        };
        let rules = self.rules(tenant).await?;
        let policy = match self.policy(tenant, &record.active.digest).await {
            Ok(policy) => policy,
            Err(ComponentError::Store(error)) => return Err(error),
            // What the record says is in force: what ran before it does not run on in its place.
            Err(ComponentError::Away(reason)) => {
                tracing::error!(%tenant, reason, "policy cannot be fetched; tenant is shut till then");
                self.unfetched.add(tenant);
                return Ok(Some(Slot::Away));
            }
            Err(ComponentError::Unusable(reason)) => {
                tracing::error!(%tenant, reason, "policy did not load; tenant is shut");
                return Ok(Some(Slot::Failed(NOT_LOADED.into())));
            }
        };
        if let Err(error) = rules.ceiling.check(policy.imports(), policy.size()) {
            tracing::error!(%tenant, %error, "policy is above its ceiling; tenant is shut");
            let detail = format!("the tenant's active policy is shut: {error}");
            return Ok(Some(Slot::Failed(detail.into())));
        }
        let verdict = self.verdict(tenant, &policy, &record.active, &rules).await?;
        let active = Arc::new(Active { policy, record: record.active, verdict });
        let canary = self.candidate(tenant, record.canary, &rules).await?;
        let shadow = self.candidate(tenant, record.shadow, &rules).await?;
        Ok(Some(Slot::Ready(Arc::new(Serving {
            tenant: tenant.clone(),
            active,
            failures: Failures::default(),
            canary: canary.map(|(candidate, policy)| {
                Arc::new(Canary { candidate, policy, failures: Failures::default() })
            }),
            shadow: shadow.map(|(candidate, policy)| self.shadow(tenant, candidate, policy)),
            safeguard: record.safeguard,
        }))))
    }

    /// What decides after `active` was made so, by its record.
    pub(super) fn alone(
        tenant: &TenantName,
        active: &Arc<Active>,
        record: &PolicyRecord,
    ) -> Arc<Serving> {
        Arc::new(Serving {
            tenant: tenant.clone(),
            active: Arc::clone(active),
            failures: Failures::default(),
            canary: None,
            shadow: None,
            safeguard: record.safeguard,
        })
    }

    /// The policy of this digest: one that runs for the tenant, or from its component.
    async fn policy(
        &self,
        tenant: &TenantName,
        digest: &str,
    ) -> Result<Arc<Policy>, ComponentError> {
        if let Some(serving) = self.serving(tenant) {
            let canary = serving.canary.as_ref().map(|canary| &canary.policy);
            let shadow = serving.shadow.as_ref().map(|shadow| &shadow.policy);
            let mut running = [Some(&serving.active.policy), canary, shadow].into_iter().flatten();
            if let Some(policy) = running.find(|policy| policy.digest() == digest) {
                return Ok(Arc::clone(policy));
            }
        }
        let digest: ComponentDigest =
            digest.parse().map_err(|_| ComponentError::Unusable("its record is damaged".into()))?;
        let wasm = self.components.read(&digest).await?;
        let admitted = self.host.admit(&wasm).await;
        admitted.map_err(|error| ComponentError::Unusable(error.to_string()))
    }

    /// A component on trial. One that cannot be had, or may not be the tenant's policy, is not
    /// tried: what is active decides alone.
    async fn candidate(
        &self,
        tenant: &TenantName,
        candidate: Option<Candidate>,
        rules: &Rules,
    ) -> Result<Option<(Candidate, Arc<Policy>)>, StoreError> {
        let Some(candidate) = candidate else { return Ok(None) };
        let digest = &candidate.digest;
        let policy = match self.policy(tenant, digest).await {
            Ok(policy) => policy,
            Err(ComponentError::Store(error)) => return Err(error),
            Err(ComponentError::Away(reason)) => {
                tracing::error!(%tenant, digest, reason, "a policy on trial cannot be fetched yet");
                self.unfetched.add(tenant);
                return Ok(None);
            }
            Err(ComponentError::Unusable(reason)) => {
                tracing::error!(%tenant, digest, reason, "a policy on trial did not load");
                return Ok(None);
            }
        };
        if let Err(error) = rules.ceiling.check(policy.imports(), policy.size()) {
            tracing::error!(%tenant, digest, %error, "a policy on trial is above its ceiling");
            return Ok(None);
        }
        let kept = match digest.parse() {
            Ok(digest) => self.kept.get(tenant, &digest).await?,
            Err(_) => None,
        };
        let is_trusted = kept.is_some_and(|kept| rules.trust.verdict(tenant, &kept).is_trusted());
        if !is_trusted {
            tracing::error!(%tenant, digest, "a policy on trial is not trusted");
            return Ok(None);
        }
        Ok(Some((candidate, policy)))
    }

    /// A shadow; the one that is there already if it is the same, so that its report goes on.
    fn shadow(
        &self,
        tenant: &TenantName,
        candidate: Candidate,
        policy: Arc<Policy>,
    ) -> Arc<Shadow> {
        let there = self.serving(tenant).and_then(|serving| serving.shadow.clone());
        there
            .filter(|shadow| shadow.candidate == candidate)
            .unwrap_or_else(|| Shadow::new(candidate, policy, Arc::clone(&self.stage)))
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
}
