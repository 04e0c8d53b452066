//! Runs that are watched: for the author's tools, and to explain a decision.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::Store;

use super::{PolicyHost, Run, Services};
use crate::bindings::{Payload, Request};
use crate::compose::Bound;
use crate::error::{HostError, PolicyError};
use crate::instance::Instance;
use crate::noting::level_name;
use crate::outcome::{checked, obligations_of_invoke};
use crate::policy::Policy;
use crate::state::StateService;
use crate::trace::{Detail, HostCall, LogEntry, Trace};
use crate::watch::Watch;

/// How a run is watched.
#[derive(Clone, Default)]
pub struct Observe {
    /// How much of the values is kept.
    pub detail: Detail,
    /// The calls of a recorded run: each is answered as recorded, without keys, and the run ends
    /// at the first that is another. Recorded with [`Detail::Values`].
    pub script: Option<Vec<HostCall>>,
    /// What the policy remembers, in the place of the host's: for runs whose writes are not to last.
    pub state: Option<Arc<dyn StateService>>,
    /// What a baseline binds above the policy.
    pub bound: Bound,
    /// Most bytes that the calls are kept in; `None`: however many. The run itself goes on beyond.
    pub max_bytes: Option<usize>,
}

/// What the two calls of a run gave; what is missing was not called or did not return.
#[derive(Default)]
struct Answers {
    decision: Option<Result<crate::bindings::Plan, PolicyError>>,
    output: Option<Result<Payload, HostError>>,
}

impl PolicyHost {
    /// Runs `authorize`, and then `invoke` if there is a payload and the decision allows it, as
    /// [`PolicyHost::authorize`] and [`PolicyHost::invoke`] would, and tells all that happened. The
    /// policy's log lines and notes are in the trace and not in the host's log.
    ///
    /// Fails only if nothing ran; what the run itself came to is in the trace.
    pub async fn observe(
        &self,
        policy: &Policy,
        request: &Request,
        payload: Option<&Payload>,
        observe: Observe,
    ) -> Result<Trace, PolicyError> {
        let _slots = Self::acquire(policy)?;
        let program = &policy.program;
        let mut instance = self.instance(Run { program, request, bound: &observe.bound });
        instance.watch =
            Some(Box::new(Watch::new(observe.detail, observe.script, observe.max_bytes)));
        if let Some(state) = observe.state {
            let keys = Arc::clone(&self.services.keys);
            instance.services = Arc::new(Services { keys, state });
        }
        let mut store = instance.into_store_on_fiber(program.sandbox.engine());
        let mut answers = Answers::default();
        let started = Instant::now();
        let ended = program
            .sandbox
            .within_wall(&mut store, async |store| {
                let world = program.on_fiber.instantiate_async(&mut *store).await?;
                let guard = world.keyward_policy_guard();
                let plan = guard.call_authorize(&mut *store, request).await?;
                let allowed = match payload {
                    None => checked_plan(plan.clone()).map(drop),
                    Some(payload) => obligations_of_invoke(plan.clone(), payload).map(drop),
                };
                let go_on = allowed.is_ok();
                answers.decision = Some(allowed.and_then(|()| checked_plan(plan)));
                if let (true, Some(payload)) = (go_on, payload) {
                    let handler = world.keyward_policy_handler();
                    let output = handler.call_invoke(store, request, payload).await?;
                    answers.output = Some(output.map_err(HostError::from));
                }
                Ok(())
            })
            .await;
        let elapsed = started.elapsed();
        let fuel = store.get_fuel().ok().map(|left| u64::MAX - left);
        Ok(trace(store, answers, ended, fuel, elapsed))
    }
}

fn checked_plan(
    plan: Result<crate::bindings::Plan, crate::bindings::types::Error>,
) -> Result<crate::bindings::Plan, PolicyError> {
    checked(plan.map_err(HostError::from)?)
}

fn trace(
    mut store: Store<Instance>,
    answers: Answers,
    ended: Result<(), PolicyError>,
    fuel: Option<u64>,
    elapsed: std::time::Duration,
) -> Trace {
    let instance = store.data_mut();
    let watch = instance.watch.take();
    let calls_left = watch.as_ref().map_or(0, |watch| watch.calls_left());
    let overflowed = watch.as_ref().is_some_and(|watch| watch.overflowed());
    let (calls, divergence) =
        watch.map_or_else(Default::default, |watch| (watch.calls, watch.divergence));
    let log = instance.log_lines.drain(..).map(|line| LogEntry {
        level: level_name(line.level),
        message: line.message,
        fields: line.fields,
    });
    let log = log.collect();
    let internal = || PolicyError::Internal { reason: "the run gave no answer".into() };
    let (decision, output) = match (answers.decision, answers.output, ended) {
        (None, _, Err(error)) => (Err(error), None),
        (None, _, Ok(())) => (Err(internal()), None),
        (Some(decision), _, Err(error)) => (decision, Some(Err(error))),
        (Some(decision), output, Ok(())) => {
            (decision, output.map(|output| output.map_err(PolicyError::Refused)))
        }
    };
    Trace {
        decision,
        output,
        calls,
        log,
        log_lines_dropped: instance.log_lines_dropped,
        fuel,
        memory_bytes: instance.memory_bytes,
        elapsed,
        divergence,
        calls_left,
        overflowed,
    }
}
