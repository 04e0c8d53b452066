//! The components a tenant keeps: pushed, listed, deleted. None of it changes what is active.

use keyward_keyring::TenantName;
use keyward_keyring::store::StoreError;

use super::activation::unreadable;
use super::signature::Signature;
use super::{ComponentDigest, Kept, Policies, PolicyRecord, Verdict};
use crate::clock;
use crate::errors::Code;
use crate::http::Problem;

/// How many of those that can be deleted a refusal names.
const NAMED: usize = 3;
/// Most signatures one component has.
const MAX_SIGNATURES: usize = 16;

/// A component that was pushed.
pub struct Pushed {
    /// Its digest.
    pub digest: ComponentDigest,
    /// Its record.
    pub kept: Kept,
    /// Whether the tenant did not keep it before.
    pub is_new: bool,
}

#[expect(clippy::needless_pass_by_value, reason = "it is for `map_err`")]
fn unavailable(error: StoreError) -> Problem {
    Problem::store(&error)
}

impl Policies {
    /// Admits a component and keeps it. One that is kept already stays as it is, with the
    /// signatures that are new.
    pub async fn push(
        &self,
        tenant: &TenantName,
        wasm: bytes::Bytes,
        signatures: Vec<Signature>,
        by: &str,
    ) -> Result<Pushed, Problem> {
        self.push_from(tenant, wasm, signatures, None, by).await
    }

    /// The same with where it was pulled from.
    pub(super) async fn push_from(
        &self,
        tenant: &TenantName,
        wasm: bytes::Bytes,
        signatures: Vec<Signature>,
        source: Option<String>,
        by: &str,
    ) -> Result<Pushed, Problem> {
        let rules = self.rules(tenant).await.map_err(unavailable)?;
        let policy = self.host.admit_within(&wasm, &rules.ceiling).await?;
        let digest = ComponentDigest::of(&wasm);
        let order = self.order.lock().await;
        let before = self.kept.get(tenant, &digest).await.map_err(unavailable)?;
        let is_new = before.is_none();
        let mut kept = before.unwrap_or_else(|| Kept::of(&policy, clock::unix_ms(), by));
        if let Some(bad) = rules.trust.false_one(tenant, &kept, &signatures) {
            let (keyid, size) = (&bad.keyid, kept.size);
            let detail = format!(
                "the signature of key {keyid} is not of this component for this tenant (tenant \
                 {tenant}, digest {digest}, size {size}); docs/policies.md tells what is signed"
            );
            return Err(Problem::new(Code::PolicySignatureInvalid, detail));
        }
        for signature in signatures {
            kept.signatures.retain(|other| !signature.replaces(other));
            kept.signatures.push(signature);
        }
        kept.source = source.or(kept.source);
        let excess = kept.signatures.len().saturating_sub(MAX_SIGNATURES);
        kept.signatures.drain(..excess);
        if let Verdict::Refused(reason) = rules.trust.verdict(tenant, &kept) {
            return Err(Problem::new(Code::PolicyUntrusted, reason));
        }
        if is_new {
            self.check_room(tenant, 1).await?;
        }
        self.components.keep(&digest, &wasm).await.map_err(unreadable)?;
        self.kept.put(tenant, &digest, &kept).await.map_err(unavailable)?;
        if is_new && let Err(full) = self.check_room(tenant, 0).await {
            // Other hosts pushed at the same time: rather none of them than one too many.
            self.kept.delete(tenant, &digest).await.map_err(unavailable)?;
            return Err(full);
        }
        // Another host may have removed the bytes meanwhile, before it could see the record.
        self.components.keep(&digest, &wasm).await.map_err(unreadable)?;
        drop(order);
        if is_new {
            tracing::info!(%tenant, %digest, by, "policy kept");
        }
        Ok(Pushed { digest, kept, is_new })
    }

    /// The record of a component that the tenant keeps.
    pub async fn kept(
        &self,
        tenant: &TenantName,
        digest: &ComponentDigest,
    ) -> Result<Kept, Problem> {
        let kept = self.kept.get(tenant, digest).await.map_err(unavailable)?;
        kept.ok_or_else(|| {
            let detail = format!("tenant {tenant} keeps no component {digest}; GET …/policies");
            Problem::new(Code::PolicyNotKept, detail)
        })
    }

    /// At most `limit` of those that the tenant keeps, in the order of their digests, after the one
    /// named; and the last one's digest if there may be more.
    pub async fn page_of_kept(
        &self,
        tenant: &TenantName,
        after: Option<&ComponentDigest>,
        limit: usize,
    ) -> Result<(Vec<Kept>, Option<ComponentDigest>), Problem> {
        let mut digests = self.kept.digests(tenant).await.map_err(unavailable)?;
        digests.retain(|digest| after.is_none_or(|after| digest > after));
        let is_more = digests.len() > limit;
        digests.truncate(limit);
        let next = digests.last().filter(|_| is_more).cloned();
        let kept = self.kept.all(tenant, &digests).await.map_err(unavailable)?;
        Ok((kept, next))
    }

    /// Lets go of a component, unless it is active or what a roll-back leads to. Its bytes go with
    /// the last tenant that keeps it.
    pub async fn delete(
        &self,
        tenant: &TenantName,
        digest: &ComponentDigest,
    ) -> Result<Kept, Problem> {
        let _order = self.order.lock().await;
        let kept = self.kept(tenant, digest).await?;
        let refuse_if_needed = |record: Option<PolicyRecord>| {
            let Some(what) = record.and_then(|record| record.need(digest.as_str())) else {
                return Ok(());
            };
            Err(Problem::new(Code::PolicyInUse, format!("{digest} is {what}")))
        };
        refuse_if_needed(self.record(tenant).await?)?;
        self.kept.delete(tenant, digest).await.map_err(unavailable)?;
        // Another host may have activated it meanwhile, before it could see that it is gone.
        if let Err(problem) = refuse_if_needed(self.record(tenant).await?) {
            self.kept.put(tenant, digest, &kept).await.map_err(unavailable)?;
            return Err(problem);
        }
        if let Err(error) = self.remove_bytes(digest).await {
            tracing::warn!(%digest, code = error.code.as_str(), "a component was not removed");
        }
        tracing::info!(%tenant, %digest, "policy deleted");
        Ok(kept)
    }

    async fn remove_bytes(&self, digest: &ComponentDigest) -> Result<(), Problem> {
        if self.is_kept_anywhere(digest).await? {
            return Ok(());
        }
        let wasm = self.components.read(digest).await.map_err(unreadable)?;
        self.components.remove(digest).await.map_err(unreadable)?;
        // Pushed again meanwhile: whoever did so saw the bytes and left them.
        if self.is_kept_anywhere(digest).await? {
            return self.components.keep(digest, &wasm).await.map_err(unreadable);
        }
        self.host.forget(digest.hex()).map_err(Problem::internal)
    }

    async fn is_kept_anywhere(&self, digest: &ComponentDigest) -> Result<bool, Problem> {
        if self.is_baseline(digest).await.map_err(unavailable)? {
            return Ok(true);
        }
        for tenant in self.keyring.list_tenants().await? {
            let is_needed = self.record(&tenant).await?.is_some_and(|it| it.needs(digest.as_str()));
            if is_needed || self.kept.has(&tenant, digest).await.map_err(unavailable)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Refuses unless the tenant may keep `more` components, and says which ones can go.
    async fn check_room(&self, tenant: &TenantName, more: usize) -> Result<(), Problem> {
        let digests = self.kept.digests(tenant).await.map_err(unavailable)?;
        let max = self.settings.max_kept;
        if digests.len() + more <= max {
            return Ok(());
        }
        let record = self.record(tenant).await?;
        let mut kept = self.kept.all(tenant, &digests).await.map_err(unavailable)?;
        kept.retain(|kept| record.as_ref().is_none_or(|record| !record.needs(&kept.digest)));
        kept.sort_by_key(|kept| kept.pushed_at);
        let oldest: Vec<&str> = kept.iter().take(NAMED).map(|kept| kept.digest.as_str()).collect();
        let detail = format!(
            "the tenant keeps {max} components, the most (`policy.max_kept`); delete some that are \
             not needed, such as the oldest: {} (DELETE …/policies/DIGEST)",
            oldest.join(", ")
        );
        Err(Problem::new(Code::PoliciesTooMany, detail))
    }
}
