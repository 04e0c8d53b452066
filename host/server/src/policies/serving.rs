//! What a tenant's requests are decided by: the operator's baseline, if there is one, and below it the
//! active policy, or a canary in its place, and a shadow beside it.

use std::sync::Arc;
use std::time::Instant;

use keyward_keyring::TenantName;
use keyward_policy_host::{
    Bound, HostError, Obligations, Payload, Plan, Policy, PolicyError, PolicyHost, Request, compose,
};
use tracing::Instrument;

use super::failures::Failures;
use super::shadow::{self, Answer, Shadow};
use super::{Active, Baseline, Candidate, Counters, Failing, Safeguard};
use crate::metrics::{PolicyRun, Stopwatch};
use crate::traces;

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
    means: Arc<Means>,
    baseline: Option<Arc<Baseline>>,
    serving: Arc<Serving>,
    /// Whether the canary decides.
    canary: Option<Arc<Canary>>,
}

/// What every decision needs, in one piece: it is shared with each request.
pub(super) struct Means {
    pub host: Arc<PolicyHost>,
    pub counters: Counters,
    pub failing: Failing,
}

impl Decider {
    pub(super) fn new(
        means: Arc<Means>,
        baseline: Option<Arc<Baseline>>,
        serving: Arc<Serving>,
    ) -> Self {
        let drawn = |canary: &&Arc<Canary>| fastrand::u8(0..100) < canary.candidate.percent;
        let canary = serving.canary.as_ref().filter(drawn).cloned();
        Self { means, baseline, serving, canary }
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
        let Some(above) = self.ask_baseline(request).await? else {
            return self.own(request, &Bound::default()).await;
        };
        let own = self.own(request, &Bound::by(&above)).await?;
        compose(&above, own)
    }

    /// Asks for many decisions; results in the order of the requests.
    pub async fn authorize_many(
        &self,
        requests: &[Request],
    ) -> Result<Vec<Result<Plan, HostError>>, PolicyError> {
        let Some(baseline) = &self.baseline else {
            return self.own_many(requests, &Bound::default()).await;
        };
        let above =
            timed(PolicyRun::Authorize, self.means.host.authorize_many(&baseline.policy, requests))
                .await;
        let above = above.map_err(|error| self.of_baseline(error))?;
        let mut decided: Vec<Option<Result<Plan, HostError>>> = Vec::new();
        decided.resize_with(requests.len(), || None);
        let mut waiting: Vec<(usize, Bound)> = Vec::new();
        for (at, plan) in above.iter().enumerate() {
            match plan {
                Ok(plan) => waiting.push((at, Bound::by(plan))),
                Err(refused) => decided[at] = Some(Err(refused.clone().of_baseline())),
            }
        }
        // What one instance seals is bound alike: as a rule there is one such group.
        while let Some((_, bound)) = waiting.first() {
            let bound = bound.clone();
            let (group, others) = waiting.into_iter().partition(|(_, other)| *other == bound);
            waiting = others;
            let group: Vec<usize> = group.into_iter().map(|(at, _)| at).collect();
            let asked: Vec<Request> = group.iter().map(|at| requests[*at].clone()).collect();
            let own = self.own_many(&asked, &bound).await?;
            for (at, own) in group.into_iter().zip(own) {
                let both = match (&above[at], own) {
                    (Ok(above), Ok(own)) => match compose(above, own) {
                        Ok(plan) => Ok(plan),
                        Err(PolicyError::Refused(refused)) => Err(refused),
                        Err(error) => return Err(error),
                    },
                    (Err(refused), _) => Err(refused.clone()),
                    (Ok(_), Err(refused)) => Err(refused),
                };
                decided[at] = Some(both);
            }
        }
        Ok(decided.into_iter().flatten().collect())
    }

    /// Asks for a decision, and then for the operation.
    pub async fn invoke(
        &self,
        request: &Request,
        payload: &Payload,
    ) -> Result<Payload, PolicyError> {
        let mut bound = Bound::default();
        if let Some(above) = self.ask_baseline(request).await? {
            let obligations = Obligations::of(&above).and_then(|obligations| {
                obligations.check_len(payload.body.len())?;
                Ok(obligations)
            });
            let obligations = obligations.map_err(|error| self.of_baseline(error.into()))?;
            obligations.record(&request.tenant, &request.id);
            bound = Bound::by(&above);
        }
        let started = self.shadowing().map(|shadow| (shadow, Instant::now()));
        let done = timed(
            PolicyRun::Invoke,
            self.means.host.invoke_under(self.policy(), request, payload, &bound),
        )
        .await;
        self.count(request.time, 1, done.as_ref().err());
        if let Some((shadow, started)) = started
            && !is_busy(&done)
        {
            let (answer, elapsed) = (Answer::of(&done), started.elapsed());
            shadow.run(request.clone(), Some(payload), bound, answer, elapsed);
        }
        done
    }

    /// What the baseline demands of a request that it lets pass.
    async fn ask_baseline(&self, request: &Request) -> Result<Option<Plan>, PolicyError> {
        let Some(baseline) = &self.baseline else { return Ok(None) };
        let decided =
            timed(PolicyRun::Authorize, self.means.host.authorize(&baseline.policy, request)).await;
        decided.map(Some).map_err(|error| self.of_baseline(error))
    }

    fn of_baseline(&self, error: PolicyError) -> PolicyError {
        if error.is_failure() {
            self.means.counters.failed(error.code());
            tracing::error!(%error, "the baseline policy failed");
        }
        PolicyError::Baseline(Box::new(error))
    }

    async fn own(&self, request: &Request, bound: &Bound) -> Result<Plan, PolicyError> {
        let started = self.shadowing().map(|shadow| (shadow, Instant::now()));
        let decided = timed(
            PolicyRun::Authorize,
            self.means.host.authorize_under(self.policy(), request, bound),
        )
        .await;
        self.count(request.time, 1, decided.as_ref().err());
        if let Some((shadow, started)) = started
            && !is_busy(&decided)
        {
            let (answer, elapsed) = (Answer::of_plan(&decided), started.elapsed());
            shadow.run(request.clone(), None, bound.clone(), answer, elapsed);
        }
        decided
    }

    async fn own_many(
        &self,
        requests: &[Request],
        bound: &Bound,
    ) -> Result<Vec<Result<Plan, HostError>>, PolicyError> {
        let started = self.shadowing().map(|shadow| (shadow, Instant::now()));
        let decided = timed(
            PolicyRun::Authorize,
            self.means.host.authorize_many_under(self.policy(), requests, bound),
        )
        .await;
        let time = requests.first().map_or(0, |request| request.time);
        self.count(time, 1, decided.as_ref().err());
        if let (Some((shadow, started)), Ok(answers)) = (started, &decided) {
            let elapsed = started.elapsed() / u32::try_from(requests.len().max(1)).unwrap_or(1);
            for (request, answer) in requests.iter().zip(answers).take(shadow::MAX_OF_BATCH) {
                let answer = match answer {
                    Ok(plan) => Answer::Plan(Box::new(plan.clone())),
                    Err(error) => Answer::Error(error.code()),
                };
                shadow.run(request.clone(), None, bound.clone(), answer, elapsed);
            }
            shadow.skip(requests.len().saturating_sub(shadow::MAX_OF_BATCH));
        }
        decided
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
            self.means.counters.failed(error.code());
        }
        let failures = self.canary.as_ref().map_or(&self.serving.failures, |it| &it.failures);
        let failed = u32::from(failed.is_some());
        if failures.count(now, runs, failed, self.serving.safeguard.as_ref()) {
            let reported = self.means.failing.report(&self.serving.tenant, self.digest());
            if !reported {
                failures.again();
            }
        }
    }
}

/// One run, timed; one for which there was no room is none.
async fn timed<T>(
    run: PolicyRun,
    work: impl Future<Output = Result<T, PolicyError>>,
) -> Result<T, PolicyError> {
    let watch = Stopwatch::start();
    let done = work.instrument(traces::policy(run.label())).await;
    if !is_busy(&done) {
        run.observe(watch.elapsed());
    }
    done
}

fn is_busy<T>(outcome: &Result<T, PolicyError>) -> bool {
    matches!(outcome, Err(PolicyError::Busy { .. }))
}
