//! A candidate that runs beside the active policy on live requests and decides nothing.
//!
//! It runs after the request, on what is left of the host: when too many run already, the request
//! goes without and is counted. It sees the keys as the active policy does; what it remembers, it
//! remembers for the one run. Of what it answers only how it differs is kept: no payload, no
//! authenticated data, no text of the policy's own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use keyward_policy_host::{
    Bound, Observe, Payload, Plan, Policy, PolicyError, PolicyHost, Request,
};
use tokio::sync::Semaphore;

use super::Candidate;
use crate::clock;
use crate::state::{Rehearsal, States};

/// Differences kept, the newest.
const RECENT: usize = 50;
/// Largest payload that is copied for a candidate, in bytes.
const MAX_PAYLOAD: usize = 256 << 10;
/// Distinct decisions of one batch that a candidate is asked for.
pub(super) const MAX_OF_BATCH: usize = 16;
/// Times are counted by powers of two, in microseconds.
const TIMES: usize = 32;

/// What a candidate needs to run, shared by all of them.
pub(super) struct Stage {
    pub host: Arc<PolicyHost>,
    pub states: Arc<States>,
    /// Runs at once, of all tenants' candidates.
    pub slots: Arc<Semaphore>,
}

/// How the active policy answered.
#[derive(Clone, Debug)]
pub(super) enum Answer {
    /// It allowed it so.
    Plan(Box<Plan>),
    /// It did what was asked.
    Done,
    /// It refused or failed, with this code.
    Error(&'static str),
}

impl Answer {
    pub fn of_plan(outcome: &Result<Plan, PolicyError>) -> Self {
        match outcome {
            Ok(plan) => Self::Plan(Box::new(plan.clone())),
            Err(error) => Self::Error(error.code()),
        }
    }

    pub fn of<T>(outcome: &Result<T, PolicyError>) -> Self {
        outcome.as_ref().map_or_else(|error| Self::Error(error.code()), |_| Self::Done)
    }

    fn name(&self) -> &'static str {
        match self {
            Self::Plan(_) | Self::Done => "allowed",
            Self::Error(code) => code,
        }
    }
}

/// In what two answers differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One allowed what the other did not.
    Decision,
    /// Both allowed it, with plans that differ in these members.
    Plan(Vec<&'static str>),
    /// Neither allowed it, for different reasons.
    Error,
}

/// One request on which the candidate differed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Unix time in ms.
    pub time: u64,
    /// The request's identifier.
    pub request_id: String,
    /// What was asked for.
    pub operation: String,
    /// The key that was asked for.
    pub key: Option<String>,
    /// In what.
    pub kind: Kind,
    /// `allowed`, or the code of the active policy's error.
    pub active: &'static str,
    /// The same of the candidate.
    pub candidate: &'static str,
}

/// How long runs took.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Times {
    counts: [u64; TIMES],
    sum: u64,
}

impl Times {
    fn note(&mut self, elapsed: Duration) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let slot = (u64::BITS - micros.leading_zeros()) as usize;
        self.counts[slot.min(TIMES - 1)] += 1;
        self.sum = self.sum.saturating_add(micros);
    }

    /// In microseconds; none: nothing ran.
    pub fn mean(&self) -> Option<u64> {
        self.sum.checked_div(self.counts.iter().sum())
    }

    /// A bound in microseconds, a power of two, that this share of the runs (in percent) was below.
    pub fn percentile(&self, percent: u64) -> Option<u64> {
        let all: u64 = self.counts.iter().sum();
        let wanted = (all * percent).div_ceil(100);
        let mut seen = 0;
        self.counts
            .iter()
            .position(|count| {
                seen += count;
                all > 0 && seen >= wanted
            })
            .map(|slot| 1 << slot)
    }
}

/// What is known of a candidate since it runs on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Requests on which both answered the same.
    pub same: u64,
    /// Those by their kind of difference: decision, plan, error.
    pub decisions: u64,
    /// See `decisions`.
    pub plans: u64,
    /// See `decisions`.
    pub errors: u64,
    /// Requests the candidate should have run on and did not: too many at once, a long payload, or a
    /// batch with many decisions.
    pub skipped: u64,
    /// Runs of the candidate that failed: it crashed, hit a limit, or gave a plan nobody can follow.
    pub failed: u64,
    /// Of the active policy, on the same requests.
    pub active_times: Times,
    /// Of the candidate, which is observed while it runs.
    pub candidate_times: Times,
    /// The newest last.
    pub recent: VecDeque<Difference>,
}

/// A candidate at work.
pub struct Shadow {
    /// As the tenant's record has it.
    pub candidate: Candidate,
    pub(super) policy: Arc<Policy>,
    stage: Arc<Stage>,
    report: Mutex<Report>,
}

impl Shadow {
    pub(super) fn new(candidate: Candidate, policy: Arc<Policy>, stage: Arc<Stage>) -> Arc<Self> {
        Arc::new(Self { candidate, policy, stage, report: Mutex::default() })
    }

    /// What is known of it on this host.
    pub fn report(&self) -> Report {
        self.reporting().clone()
    }

    fn reporting(&self) -> std::sync::MutexGuard<'_, Report> {
        self.report.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request is among those the candidate runs on.
    pub(super) fn wants(&self) -> bool {
        fastrand::u8(0..100) < self.candidate.percent
    }

    pub(super) fn skip(&self, requests: usize) {
        self.reporting().skipped += requests as u64;
    }

    /// Runs the candidate on a request that the active policy has answered.
    pub(super) fn run(
        self: &Arc<Self>,
        request: Request,
        payload: Option<&Payload>,
        bound: Bound,
        answer: Answer,
        elapsed: Duration,
    ) {
        let slots = Arc::clone(&self.stage.slots);
        let is_long = payload.is_some_and(|payload| payload.body.len() > MAX_PAYLOAD);
        let (false, Ok(permit)) = (is_long, slots.try_acquire_owned()) else {
            return self.skip(1);
        };
        let (shadow, payload) = (Arc::clone(self), payload.cloned());
        tokio::spawn(async move {
            shadow.compare(&request, payload.as_ref(), bound, &answer, elapsed).await;
            drop(permit);
        });
    }

    async fn compare(
        &self,
        request: &Request,
        payload: Option<&Payload>,
        bound: Bound,
        active: &Answer,
        elapsed: Duration,
    ) {
        let state = Rehearsal::new(Arc::clone(&self.stage.states));
        let observe = Observe { state: Some(state), bound, ..Observe::default() };
        let observed = self.stage.host.observe(&self.policy, request, payload, observe).await;
        let Ok(trace) = observed else { return self.skip(1) };
        let failed =
            [trace.decision.as_ref().err(), trace.output.as_ref().and_then(|it| it.as_ref().err())];
        let failed = failed.into_iter().flatten().any(PolicyError::is_failure);
        let candidate = match (&trace.decision, &trace.output) {
            (Err(error), _) | (_, Some(Err(error))) => Answer::Error(error.code()),
            (Ok(_), Some(Ok(_))) => Answer::Done,
            (Ok(_), None) if payload.is_some() => Answer::Done,
            (Ok(plan), None) => Answer::Plan(Box::new(plan.clone())),
        };
        let kind = difference(active, &candidate);
        let mut report = self.reporting();
        report.active_times.note(elapsed);
        report.candidate_times.note(trace.elapsed);
        report.failed += u64::from(failed);
        let Some(kind) = kind else {
            report.same += 1;
            return;
        };
        match &kind {
            Kind::Decision => report.decisions += 1,
            Kind::Plan(_) => report.plans += 1,
            Kind::Error => report.errors += 1,
        }
        if report.recent.len() == RECENT {
            report.recent.pop_front();
        }
        report.recent.push_back(Difference {
            time: clock::unix_ms(),
            request_id: request.id.clone(),
            operation: request.operation.clone(),
            key: request.key.clone(),
            kind,
            active: active.name(),
            candidate: candidate.name(),
        });
    }
}

fn difference(active: &Answer, candidate: &Answer) -> Option<Kind> {
    match (active, candidate) {
        (Answer::Plan(active), Answer::Plan(candidate)) => {
            let members = [
                ("key", active.key != candidate.key),
                ("version", active.version != candidate.version),
                ("suite", active.suite != candidate.suite),
                ("authenticated_data", active.authenticated_data != candidate.authenticated_data),
                ("obligations", active.obligations != candidate.obligations),
            ];
            let differing = members.into_iter().filter(|(_, differs)| *differs);
            let names: Vec<_> = differing.map(|(name, _)| name).collect();
            (!names.is_empty()).then_some(Kind::Plan(names))
        }
        (Answer::Error(active), Answer::Error(candidate)) => {
            (active != candidate).then_some(Kind::Error)
        }
        (Answer::Error(_), _) | (_, Answer::Error(_)) => Some(Kind::Decision),
        (Answer::Done, _) | (_, Answer::Done) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(data: &[u8], version: Option<u32>) -> Answer {
        Answer::Plan(Box::new(Plan {
            key: None,
            version,
            suite: None,
            authenticated_data: data.to_vec(),
            obligations: Vec::new(),
        }))
    }

    #[test]
    fn answers_differ_in_what_they_differ() {
        use Answer::{Done, Error};
        let same = [
            (plan(b"a", None), plan(b"a", None)),
            (Error("policy_refused"), Error("policy_refused")),
            (Done, Done),
        ];
        for (active, candidate) in same {
            assert_eq!(difference(&active, &candidate), None);
        }
        let plans = difference(&plan(b"a", None), &plan(b"b", Some(2)));
        assert_eq!(plans, Some(Kind::Plan(vec!["version", "authenticated_data"])));
        for (active, candidate) in
            [(plan(b"", None), Error("policy_trap")), (Error("policy_refused"), Done)]
        {
            assert_eq!(difference(&active, &candidate), Some(Kind::Decision));
        }
        let errors = difference(&Error("policy_refused"), &Error("policy_trap"));
        assert_eq!(errors, Some(Kind::Error));
    }

    #[test]
    fn times_have_bounds() {
        let mut times = Times::default();
        assert_eq!((times.mean(), times.percentile(50)), (None, None));
        for micros in [3, 3, 3, 1000] {
            times.note(Duration::from_micros(micros));
        }
        assert_eq!(times.mean(), Some(252));
        assert_eq!((times.percentile(50), times.percentile(75)), (Some(4), Some(4)));
        assert_eq!(times.percentile(99), Some(1024));
        times.note(Duration::from_secs(1 << 40));
        assert_eq!(times.percentile(100), Some(1 << 31));
    }
}
