//! Trying a component before it is active: on a share of the requests, or beside them; and what
//! becomes of one that fails.

use keyward_keyring::store::StoreError;
use keyward_keyring::{Change, TenantName};

use super::activation::unreadable;
use super::{
    Candidate, ComponentDigest, Policies, PolicyRecord, Safeguard, Serving, Slot, Verdict, Why,
};
use crate::clock;
use crate::errors::Code;
use crate::http::Problem;

/// What a candidate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It decides a share of the requests.
    Canary,
    /// It runs beside them.
    Shadow,
}

impl Trial {
    const fn name(self) -> &'static str {
        match self {
            Self::Canary => "canary",
            Self::Shadow => "shadow",
        }
    }

    fn of(self, record: &mut PolicyRecord) -> &mut Option<Candidate> {
        match self {
            Self::Canary => &mut record.canary,
            Self::Shadow => &mut record.shadow,
        }
    }
}

/// What became of a policy that failed too often.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum GaveWay {
    /// The one before, of this digest, is active again.
    RolledBack(String),
    /// It was a canary, and is none any more.
    CanaryEnded,
    /// There is none to go back to.
    Stayed,
}

fn none_active() -> Problem {
    Problem::new(Code::PolicyNotSet, "no policy is active; activate one first: PUT …/policy")
}

impl Policies {
    /// What decides for the tenant, if it is loaded.
    pub fn serving(&self, tenant: &TenantName) -> Option<std::sync::Arc<Serving>> {
        match self.slots.load().get(tenant.as_str()) {
            Some(Slot::Ready(serving)) => Some(serving.clone()),
            _ => None,
        }
    }

    /// What could not give way may be reported again.
    pub(super) fn report_again(&self, tenant: &TenantName) {
        if let Some(serving) = self.serving(tenant) {
            serving.failures.again();
            if let Some(canary) = &serving.canary {
                canary.failures.again();
            }
        }
    }

    /// Tries a component that is kept, in the place of one that is tried so already.
    pub async fn try_out(
        &self,
        tenant: &TenantName,
        trial: Trial,
        digest: &ComponentDigest,
        percent: u8,
        by: &str,
    ) -> Result<PolicyRecord, Problem> {
        let unavailable = |error: StoreError| Problem::store(&error);
        let kept = self.kept(tenant, digest).await?;
        let rules = self.rules(tenant).await.map_err(unavailable)?;
        if let Verdict::Refused(reason) = rules.trust.verdict(tenant, &kept) {
            return Err(Problem::new(Code::PolicyUntrusted, reason));
        }
        let wasm = self.components.read(digest).await.map_err(unreadable)?;
        self.host.admit_within(&wasm, &rules.ceiling).await?;
        let candidate = Candidate {
            digest: digest.to_string(),
            percent,
            since: clock::unix_ms(),
            by: by.to_owned(),
        };
        let record = self
            .rewrite(tenant, |mut record| {
                if record.active.digest == candidate.digest {
                    let detail = "that is the active policy: there is nothing to try";
                    return Err(Problem::field(Code::InvalidField, "/digest", detail));
                }
                *trial.of(&mut record) = Some(candidate.clone());
                Ok(record)
            })
            .await?;
        // Another host may have let go of it meanwhile, before it could know that it is needed.
        if !self.kept.has(tenant, digest).await.map_err(unavailable)? {
            self.components.keep(digest, &wasm).await.map_err(unreadable)?;
            self.kept.put(tenant, digest, &kept).await.map_err(unavailable)?;
        }
        tracing::info!(%tenant, %digest, by, percent, "policy on trial as {}", trial.name());
        Ok(record)
    }

    /// Ends a trial; with `digest` only of that component. None to end is no error.
    pub async fn end_trial(
        &self,
        tenant: &TenantName,
        trial: Trial,
        digest: Option<&ComponentDigest>,
    ) -> Result<PolicyRecord, Problem> {
        self.rewrite(tenant, |mut record| {
            let tried = trial.of(&mut record);
            let is_other = |tried: &Candidate| digest.is_some_and(|it| it.as_str() != tried.digest);
            if tried.as_ref().is_some_and(is_other) {
                let detail = "another policy is on trial; nothing was changed";
                return Err(Problem::new(Code::PolicyActiveDiffers, detail));
            }
            *tried = None;
            Ok(record)
        })
        .await
    }

    /// Sets when a policy that fails gives way; `None`: never.
    pub async fn guard(
        &self,
        tenant: &TenantName,
        safeguard: Option<Safeguard>,
    ) -> Result<PolicyRecord, Problem> {
        self.rewrite(tenant, |record| Ok(PolicyRecord { safeguard, ..record })).await
    }

    /// Lets a policy give way that failed too often: back to the one before, or, if it is the canary,
    /// to the active one. A policy that was gone back to for that reason stays.
    pub(super) async fn give_way(
        &self,
        tenant: &TenantName,
        digest: &ComponentDigest,
    ) -> Result<GaveWay, Problem> {
        let record = self.record(tenant).await?.ok_or_else(none_active)?;
        if record.canary.as_ref().is_some_and(|canary| canary.digest == digest.as_str()) {
            self.end_trial(tenant, Trial::Canary, Some(digest)).await?;
            return Ok(GaveWay::CanaryEnded);
        }
        if record.active.digest != digest.as_str() {
            return Err(Problem::new(Code::PolicyActiveDiffers, "another policy is active"));
        }
        let previous = record.previous.as_deref().and_then(|digest| digest.parse().ok());
        let (Some(previous), true) = (previous, record.active.why != Why::Failures) else {
            return Ok(GaveWay::Stayed);
        };
        let from = Some(digest.as_str());
        let active = self.make_active(tenant, &previous, from, Why::Failures, "keyward").await?;
        Ok(GaveWay::RolledBack(active.record.digest.clone()))
    }

    /// Changes the record of a tenant that has a policy, and serves what it says.
    async fn rewrite(
        &self,
        tenant: &TenantName,
        change: impl Fn(PolicyRecord) -> Result<PolicyRecord, Problem>,
    ) -> Result<PolicyRecord, Problem> {
        let changed = self.change(tenant, |record| change(record.ok_or_else(none_active)?)).await?;
        let reloaded = self.reload(tenant).await;
        self.keyring.announce(Change::Policy(tenant.clone())).await;
        reloaded.map_err(|error| Problem::store(&error))?;
        Ok(changed)
    }
}
