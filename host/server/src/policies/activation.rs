//! Making a component that is kept the tenant's policy, and going back to another.

use std::sync::Arc;

use keyward_keyring::store::StoreError;
use keyward_keyring::{Change, TenantName};

use super::components::ComponentError;
use super::signature::Signature;
use super::{Activation, Active, ComponentDigest, Policies, PolicyRecord, Slot, Why, record};
use crate::clock;
use crate::errors::Code;
use crate::http::Problem;

/// How often a change tries again when somebody else changed the same record.
const ATTEMPTS: usize = 20;

impl Policies {
    /// Pushes a component and makes it the tenant's policy for every request from now on.
    pub async fn put(
        &self,
        tenant: &TenantName,
        wasm: bytes::Bytes,
        signatures: Vec<Signature>,
        by: &str,
    ) -> Result<Arc<Active>, Problem> {
        let pushed = self.push(tenant, wasm, signatures, by).await?;
        self.make_active(tenant, &pushed.digest, None, Why::Upload, by).await
    }

    /// Makes a component that is kept the tenant's policy; with `if_active` only if that is the
    /// policy now.
    pub async fn activate(
        &self,
        tenant: &TenantName,
        digest: &ComponentDigest,
        if_active: Option<&ComponentDigest>,
        by: &str,
    ) -> Result<Arc<Active>, Problem> {
        let if_active = if_active.map(ComponentDigest::as_str);
        self.make_active(tenant, digest, if_active, Why::Activate, by).await
    }

    /// Goes back to the component named, or to the one that was active before the one that is now.
    pub async fn roll_back(
        &self,
        tenant: &TenantName,
        to: Option<&ComponentDigest>,
        by: &str,
    ) -> Result<Arc<Active>, Problem> {
        if let Some(digest) = to {
            return self.make_active(tenant, digest, None, Why::Rollback, by).await;
        }
        let none = || {
            let detail = "no other policy was active before, so there is none to go back to; \
                          activate one: POST …/policy/activate";
            Problem::new(Code::PolicyNoPrevious, detail)
        };
        let record = self.record(tenant).await?.ok_or_else(none)?;
        let previous = record.previous.as_deref().ok_or_else(none)?;
        let digest = previous.parse().map_err(|_| none())?;
        // Back from what this found, not from what somebody else activates meanwhile.
        let from = Some(record.active.digest.as_str());
        self.make_active(tenant, &digest, from, Why::Rollback, by).await
    }

    /// What is active and what was; `None` if nothing ever was.
    pub async fn record(&self, tenant: &TenantName) -> Result<Option<PolicyRecord>, Problem> {
        let found = self.store.get(&record::path(tenant)).await;
        let found = found.map_err(|error| Problem::store(&error))?;
        Ok(found.and_then(|found| PolicyRecord::from_bytes(&found.value)))
    }

    pub(super) async fn make_active(
        &self,
        tenant: &TenantName,
        digest: &ComponentDigest,
        if_active: Option<&str>,
        why: Why,
        by: &str,
    ) -> Result<Arc<Active>, Problem> {
        let unavailable = |error: StoreError| Problem::store(&error);
        let kept = self.kept(tenant, digest).await?;
        let rules = self.rules(tenant).await.map_err(unavailable)?;
        let verdict = rules.trust.verdict(tenant, &kept);
        if let super::Verdict::Refused(reason) = verdict {
            return Err(Problem::new(Code::PolicyUntrusted, reason));
        }
        let wasm = self.components.read(digest).await.map_err(unreadable)?;
        let policy = self.host.admit_within(&wasm, &rules.ceiling).await?;
        let order = self.order.lock().await;
        let next = Activation {
            digest: digest.to_string(),
            activated_at: clock::unix_ms(),
            activated_by: by.to_owned(),
            why,
        };
        let record = self
            .change(tenant, |record| {
                let now = record.as_ref().map(|record| record.active.digest.as_str());
                if if_active.is_some_and(|wanted| now != Some(wanted)) {
                    let now = now.unwrap_or("none");
                    let detail = format!("the active policy is {now}; nothing was changed");
                    return Err(Problem::new(Code::PolicyActiveDiffers, detail));
                }
                let next = next.clone();
                Ok(match record {
                    Some(record) => record.followed_by(next),
                    None => PolicyRecord::new(next),
                })
            })
            .await?;
        // Another host may have let go of it meanwhile, before it could know that it is needed.
        if !self.kept.has(tenant, digest).await.map_err(unavailable)? {
            self.components.keep(digest, &wasm).await.map_err(unreadable)?;
            self.kept.put(tenant, digest, &kept).await.map_err(unavailable)?;
        }
        let active = Arc::new(Active { policy, record: next, verdict });
        let serving = Self::alone(tenant, &active, &record);
        self.set(tenant, Some(&Slot::Ready(serving)));
        tracing::info!(%tenant, %digest, by, why = why.name(), "policy active");
        drop(order);
        self.keyring.announce(Change::Policy(tenant.clone())).await;
        Ok(active)
    }

    /// Changes the tenant's record. One that is damaged counts as none.
    pub(super) async fn change(
        &self,
        tenant: &TenantName,
        change: impl Fn(Option<PolicyRecord>) -> Result<PolicyRecord, Problem>,
    ) -> Result<PolicyRecord, Problem> {
        self.compare_and_set(&record::path(tenant), |old| {
            let next = change(old.and_then(PolicyRecord::from_bytes))?;
            Ok((next.to_bytes(), next))
        })
        .await
    }

    /// Writes what `change` makes of the record at `path`, again if it was changed meanwhile.
    pub(super) async fn compare_and_set<T>(
        &self,
        path: &str,
        change: impl Fn(Option<&[u8]>) -> Result<(Vec<u8>, T), Problem>,
    ) -> Result<T, Problem> {
        for _ in 0..ATTEMPTS {
            let old = self.store.get(path).await.map_err(|error| Problem::store(&error))?;
            let (bytes, made) = change(old.as_ref().map(|old| old.value.as_slice()))?;
            let written = match old {
                None => self.store.create(path, &bytes).await,
                Some(old) => self.store.replace(path, &bytes, old.revision).await,
            };
            match written {
                Ok(_) => return Ok(made),
                Err(StoreError::Exists { .. } | StoreError::RevisionMismatch { .. }) => {}
                Err(error) => return Err(Problem::store(&error)),
            }
        }
        Err(Problem::new(Code::Conflict, "others are changing this tenant's policy; retry"))
    }
}

/// The problem of a component that is kept and cannot be had.
pub(super) fn unreadable(error: ComponentError) -> Problem {
    match error {
        ComponentError::Store(error) => Problem::store(&error),
        // The log has the reason.
        ComponentError::Away(_) => Problem::new(
            Code::PolicyStoreUnavailable,
            "where components are kept does not answer, or not this server; active policies go on, \
             and nothing was changed; retry after the time given",
        ),
        ComponentError::Unusable(reason) => Problem::internal(reason),
    }
}
