//! What a tenant's requests are decided by: the active policy, or a canary in its place, and a shadow
//! beside it.

use std::sync::Arc;
use std::time::Instant;

use keyward_keyring::TenantName;
use keyward_policy_host::{HostError, Payload, Plan, Policy, PolicyError, PolicyHost, Request};

use super::failures::Failures;
use super::shadow::{self, Answer, Shadow};
use super::{Active, Candidate, Counters, Failing, Safeguard};

/// A policy that decides a share of the requests.
pub struct Canary {
    /// As the tenant's record has it.
    pub candidate: Candidate,
    pub(super) policy: Arc<Policy>,
    /// How often it failed on this host.
    pub failures: Failures,
}

/// All that a tenant's record says is to decide.
pub struct Serving {
    pub(super) tenant: TenantName,
    /// The tenant's policy.
    pub active: Arc<Active>,
    /// How often it failed on this host.
    pub failures: Failures,
    /// What decides a share of the requests in its place.
    pub canary: Option<Arc<Canary>>,
    /// What runs beside it.
    pub shadow: Option<Arc<Shadow>>,
    /// When it gives way.
    pub safeguard: Option<Safeguard>,
}

/// Decides one request. Everything the request asks is asked of the same policy.
pub struct Decider {
    host: Arc<PolicyHost>,
    serving: Arc<Serving>,
    /// Whether the canary decides.
    canary: Option<Arc<Canary>>,
    counters: Arc<Counters>,
    failing: Failing,
}

impl Decider {
    pub(super) fn new(
        host: Arc<PolicyHost>,
        serving: Arc<Serving>,
        counters: Arc<Counters>,
        failing: Failing,
    ) -> Self {
        let drawn = |canary: &&Arc<Canary>| fastrand::u8(0..100) < canary.candidate.percent;
        let canary = serving.canary.as_ref().filter(drawn).cloned();
        Self { host, serving, canary, counters, failing }
    }

    fn policy(&self) -> &Policy {
        self.canary.as_ref().map_or(&self.serving.active.policy, |canary| &canary.policy)
    }

    /// The digest of the policy that decides.
    pub fn digest(&self) -> &str {
        self.policy().digest()
    }

    /// Asks for a decision.
    pub async fn authorize(&self, request: &Request) -> Result<Plan, PolicyError> {
        let started = self.shadowing().map(|shadow| (shadow, Instant::now()));
        let decided = self.host.authorize(self.policy(), request).await;
        self.count(request.time, 1, decided.as_ref().err());
        if let Some((shadow, started)) = started
            && !is_busy(&decided)
        {
            let answer = Answer::of_plan(&decided);
            shadow.run(request.clone(), None, answer, started.elapsed());
        }
        decided
    }

    /// Asks for many decisions; results in the order of the requests.
    pub async fn authorize_many(
        &self,
        requests: &[Request],
    ) -> Result<Vec<Result<Plan, HostError>>, PolicyError> {
        let started = self.shadowing().map(|shadow| (shadow, Instant::now()));
        let decided = self.host.authorize_many(self.policy(), requests).await;
        let time = requests.first().map_or(0, |request| request.time);
        self.count(time, 1, decided.as_ref().err());
        if let (Some((shadow, started)), Ok(answers)) = (started, &decided) {
            let share = started.elapsed() / u32::try_from(requests.len().max(1)).unwrap_or(1);
            for (request, answer) in requests.iter().zip(answers).take(shadow::MAX_OF_BATCH) {
                let answer = match answer {
                    Ok(plan) => Answer::Plan(Box::new(plan.clone())),
                    Err(error) => Answer::Error(error.code()),
                };
                shadow.run(request.clone(), None, answer, share);
            }
            shadow.skip(requests.len().saturating_sub(shadow::MAX_OF_BATCH));
        }
        decided
    }

    /// Asks for a decision, and then for the operation.
    pub async fn invoke(
        &self,
        request: &Request,
        payload: &Payload,
    ) -> Result<Payload, PolicyError> {
        let started = self.shadowing().map(|shadow| (shadow, Instant::now()));
        let done = self.host.invoke(self.policy(), request, payload).await;
        self.count(request.time, 1, done.as_ref().err());
        if let Some((shadow, started)) = started
            && !is_busy(&done)
        {
            shadow.run(request.clone(), Some(payload), Answer::of(&done), started.elapsed());
        }
        done
    }

    /// The shadow, if it is to run on this request: what the canary decides has no active answer to
    /// compare with.
    fn shadowing(&self) -> Option<&Arc<Shadow>> {
        let shadow = self.serving.shadow.as_ref().filter(|_| self.canary.is_none())?;
        shadow.wants().then_some(shadow)
    }

    fn count(&self, now: u64, runs: u32, error: Option<&PolicyError>) {
        let failed = error.filter(|error| error.is_failure());
        if let Some(error) = failed {
            self.counters.failed(error.code());
        }
        let failures = self.canary.as_ref().map_or(&self.serving.failures, |it| &it.failures);
        let failed = u32::from(failed.is_some());
        if failures.count(now, runs, failed, self.serving.safeguard.as_ref()) {
            let reported = self.failing.report(&self.serving.tenant, self.digest());
            if !reported {
                failures.again();
            }
        }
    }
}

fn is_busy<T>(outcome: &Result<T, PolicyError>) -> bool {
    matches!(outcome, Err(PolicyError::Busy { .. }))
}
