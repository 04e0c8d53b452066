//! What comes out of a run: plans that make sense, and errors by their kind.

use wasmtime::component::ResourceTableError;
use wasmtime::{PoolConcurrencyLimitError, Trap};

use crate::bindings::{Payload, Plan, types};
use crate::compose;
use crate::error::{HostError, Limit, PolicyError, Scope, TrapKind};
use crate::limits::Limits;
use crate::obligations::Obligations;

/// Most bytes of authenticated data a plan may carry.
const MAX_AUTHENTICATED_DATA: usize = 4 << 10;
/// Most obligations of a plan.
const MAX_OBLIGATIONS: usize = 16;

/// A plan the host can work with.
pub fn checked(plan: Plan) -> Result<Plan, PolicyError> {
    let bad = |reason: String| PolicyError::BadPlan { reason };
    if plan.authenticated_data.len() > MAX_AUTHENTICATED_DATA {
        return Err(bad(format!(
            "{} bytes of authenticated data; at most {MAX_AUTHENTICATED_DATA} are allowed",
            plan.authenticated_data.len()
        )));
    }
    if plan.obligations.len() > MAX_OBLIGATIONS {
        return Err(bad(format!("more than {MAX_OBLIGATIONS} obligations")));
    }
    if plan.version == Some(0) {
        return Err(bad("key versions begin at 1".into()));
    }
    compose::alone(plan)
}

/// What the plan of an invoke obliges to, after what can be checked of it was.
pub fn obligations_of_invoke(
    plan: Result<Plan, types::Error>,
    payload: &Payload,
) -> Result<Obligations, PolicyError> {
    let plan = checked(plan.map_err(HostError::from)?)?;
    let obligations = Obligations::of(&plan)?;
    obligations.check_len(payload.body.len())?;
    Ok(obligations)
}

/// Which limit, trap or refusal ended a run.
pub fn classify(error: &wasmtime::Error, limits: &Limits) -> PolicyError {
    if let Some(limit) = error.downcast_ref::<Limit>() {
        return PolicyError::Limit(*limit);
    }
    if let Some(ResourceTableError::Full) = error.downcast_ref::<ResourceTableError>() {
        return PolicyError::Limit(Limit::Handles(limits.handles));
    }
    if error.downcast_ref::<PoolConcurrencyLimitError>().is_some() {
        return PolicyError::Busy { scope: Scope::Pool };
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        let kind = match trap {
            Trap::UnreachableCodeReached => TrapKind::Unreachable,
            Trap::StackOverflow => TrapKind::StackOverflow,
            Trap::MemoryOutOfBounds | Trap::TableOutOfBounds => TrapKind::OutOfBounds,
            Trap::StringOutOfBounds
            | Trap::ListOutOfBounds
            | Trap::InvalidDiscriminant
            | Trap::InvalidChar
            | Trap::UnalignedPointer => TrapKind::BadValue,
            _ => TrapKind::Other,
        };
        return PolicyError::Trap { kind, detail: trap.to_string() };
    }
    let root = error.root_cause().to_string();
    // wasmtime keeps these error types to itself.
    if root.contains("fuel allocated for hostcalls") {
        return PolicyError::Limit(Limit::HostCallBytes(limits.host_call_bytes));
    }
    if root.contains("handle") && root.contains("limit") {
        return PolicyError::Limit(Limit::Handles(limits.handles));
    }
    PolicyError::Trap { kind: TrapKind::BadValue, detail: root.chars().take(200).collect() }
}
