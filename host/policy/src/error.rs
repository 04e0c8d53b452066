//! Every way setting up, admitting or running a policy can fail.

use std::time::Duration;

use crate::bindings::types;
use crate::obligations::ObligationError;

/// What a policy, or the host on a policy's behalf, answers instead of a result. The text is
/// meant for the caller. Mirrors `types.error` of the contract.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// Not allowed.
    #[error("{0}")]
    Denied(String),
    /// The request cannot be right, whoever asks.
    #[error("{0}")]
    Invalid(String),
    /// No such key or version in this tenant.
    #[error("{0}")]
    NotFound(String),
    /// It clashes with the state of things.
    #[error("{0}")]
    Conflict(String),
    /// Try again later.
    #[error("{0}")]
    Unavailable(String),
}

impl HostError {
    /// The same, said to be the operator's baseline policy's.
    #[must_use]
    pub fn of_baseline(self) -> Self {
        let said = |text: String| format!("the operator's baseline policy: {text}");
        match self {
            Self::Denied(text) => Self::Denied(said(text)),
            Self::Invalid(text) => Self::Invalid(said(text)),
            Self::NotFound(text) => Self::NotFound(said(text)),
            Self::Conflict(text) => Self::Conflict(said(text)),
            Self::Unavailable(text) => Self::Unavailable(said(text)),
        }
    }

    /// Stable machine code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Denied(_) => "policy_refused",
            Self::Invalid(_) => "policy_invalid",
            Self::NotFound(_) => "policy_not_found",
            Self::Conflict(_) => "policy_conflict",
            Self::Unavailable(_) => "policy_unavailable",
        }
    }
}

impl From<types::Error> for HostError {
    fn from(error: types::Error) -> Self {
        match error {
            types::Error::Denied(text) => Self::Denied(text),
            types::Error::Invalid(text) => Self::Invalid(text),
            types::Error::NotFound(text) => Self::NotFound(text),
            types::Error::Conflict(text) => Self::Conflict(text),
            types::Error::Unavailable(text) => Self::Unavailable(text),
        }
    }
}

impl From<HostError> for types::Error {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Denied(text) => Self::Denied(text),
            HostError::Invalid(text) => Self::Invalid(text),
            HostError::NotFound(text) => Self::NotFound(text),
            HostError::Conflict(text) => Self::Conflict(text),
            HostError::Unavailable(text) => Self::Unavailable(text),
        }
    }
}

/// How a guest crashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrapKind {
    /// It ended itself: a panic, a failed assertion.
    Unreachable,
    /// It recursed too deep.
    StackOverflow,
    /// It reached outside its memory or tables.
    OutOfBounds,
    /// It broke the component model's rules for what crosses its boundary.
    BadValue,
    /// Any other trap.
    Other,
}

/// Which bound a run of a policy hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Limit {
    /// CPU time.
    #[error("CPU time of {} ms", .0.as_millis())]
    Cpu(Duration),
    /// Time from start to end.
    #[error("time of {} ms from start to end", .0.as_millis())]
    Wall(Duration),
    /// Linear memory, in bytes.
    #[error("{0} bytes of memory")]
    Memory(usize),
    /// Table elements.
    #[error("{0} table elements")]
    Table(usize),
    /// Key handles open at once.
    #[error("{0} open key handles")]
    Handles(usize),
    /// Host calls.
    #[error("{0} host calls")]
    HostCalls(u32),
    /// Calls of `state`.
    #[error("{0} calls of state")]
    StateCalls(u32),
    /// Bytes copied by one host call or result.
    #[error("{0} bytes in one host call or result")]
    HostCallBytes(usize),
    /// Random bytes in one call.
    #[error("{0} random bytes in one call")]
    RandomBytes(u32),
}

impl Limit {
    /// Stable machine code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Cpu(_) => "policy_cpu_limit",
            Self::Wall(_) => "policy_timeout",
            Self::Memory(_) => "policy_memory_limit",
            Self::Table(_) => "policy_table_limit",
            Self::Handles(_) => "policy_handle_limit",
            Self::HostCalls(_) => "policy_host_call_limit",
            Self::StateCalls(_) => "policy_state_limit",
            Self::HostCallBytes(_) => "policy_host_call_bytes_limit",
            Self::RandomBytes(_) => "policy_random_limit",
        }
    }
}

/// Whose share of instances is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// This tenant's.
    Tenant,
    /// The whole pool.
    Pool,
}

/// Why a run of a policy gave no result. After any of these the instance is gone; the next
/// request starts fresh.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The policy answered, and its answer is no.
    #[error(transparent)]
    Refused(#[from] HostError),
    /// The policy has no such operation.
    #[error("this tenant's policy has no operation `{name}`; GET …/policy lists what it offers")]
    UnknownOperation {
        /// What was asked for.
        name: String,
    },
    /// The policy crashed.
    #[error("the policy crashed: {detail}")]
    Trap {
        /// How.
        kind: TrapKind,
        /// One line, without guest data.
        detail: String,
    },
    /// The policy hit a bound and was stopped.
    #[error("the policy was stopped: it exceeded its limit, {0}")]
    Limit(Limit),
    /// The policy's answer makes no sense.
    #[error("the policy's answer cannot be used: {reason}")]
    BadPlan {
        /// What is wrong with it.
        reason: String,
    },
    /// The plan obliges the host to what it cannot meet.
    #[error(transparent)]
    Obligation(#[from] ObligationError),
    /// All instances are in use. Nothing ran; try again shortly.
    #[error("{}", match scope {
        Scope::Tenant => "this tenant's policy instances are all in use; retry shortly",
        Scope::Pool => "all policy instances are in use; retry shortly",
    })]
    Busy {
        /// Whose share is used up.
        scope: Scope,
    },
    /// The operator's baseline did not let the request pass to the tenant's policy.
    #[error("the operator's baseline policy: {0}")]
    Baseline(Box<PolicyError>),
    /// A fault of the host's own.
    #[error("the policy host failed: {reason}")]
    Internal {
        /// For the operator.
        reason: String,
    },
}

impl PolicyError {
    /// Whether the policy itself is at fault: it crashed, hit a limit, or gave a plan nobody can
    /// follow. A refusal is none, nor is a request for what it does not offer.
    pub fn is_failure(&self) -> bool {
        match self {
            Self::Trap { .. } | Self::Limit(_) | Self::BadPlan { .. } => true,
            Self::Obligation(error) => !matches!(error, ObligationError::TooLong { .. }),
            Self::Refused(_)
            | Self::Baseline(_)
            | Self::UnknownOperation { .. }
            | Self::Busy { .. }
            | Self::Internal { .. } => false,
        }
    }

    /// Stable machine code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(error) => error.code(),
            Self::Baseline(error) => error.code(),
            Self::UnknownOperation { .. } => "operation_not_found",
            Self::Trap { .. } => "policy_trap",
            Self::Limit(limit) => limit.code(),
            Self::BadPlan { .. } => "policy_bad_plan",
            Self::Obligation(error) => error.code(),
            Self::Busy { .. } => "policy_busy",
            Self::Internal { .. } => "policy_host_failed",
        }
    }
}

/// Why an uploaded component was not admitted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdmissionError {
    /// Too large.
    #[error("the component has {size} bytes; at most {limit} are allowed")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// Not a WebAssembly component, or one with features the sandbox does not have.
    #[error(
        "not a valid WebAssembly component: {reason}. Build it for wasm32-unknown-unknown and turn \
         the module into a component, as docs/policies.md shows"
    )]
    NotAComponent {
        /// What the parser said.
        reason: String,
    },
    /// It wants what the host does not offer.
    #[error(
        "the component imports what Keyward does not offer: {}. Allowed are only the interfaces of \
         keyward:policy@0.1.0; WASI is not among them", wanted.join(", ")
    )]
    ForbiddenImports {
        /// The imports that are not ours, as the component names them.
        wanted: Vec<String>,
    },
    /// It was built for a version of the contract that this host does not have yet.
    #[error(
        "the component needs contract {needs}, this host has {has}: update the host, or build the \
         component against keyward:policy@{has}"
    )]
    NewerContract {
        /// The version it was built for.
        needs: String,
        /// The newest this host has.
        has: &'static str,
    },
    /// It wants more than was allowed to it.
    #[error(
        "the component wants more than the ceiling allows: {reason}. Build it with less, or have \
         an operator raise the ceiling"
    )]
    AboveCeiling {
        /// What is wanted, and what is allowed.
        reason: String,
    },
    /// It does not export what a policy must.
    #[error("the component does not export {}", missing.join(", "))]
    MissingExports {
        /// The exports it lacks.
        missing: Vec<String>,
    },
    /// Its imports or exports have other types than the contract's.
    #[error("the component does not fit keyward:policy@0.1.0: {reason}")]
    WrongTypes {
        /// The first mismatch.
        reason: String,
    },
    /// It needs more than a pool slot holds.
    #[error("the component needs {needed} {what}; at most {limit} are allowed")]
    NeedsTooMuch {
        /// Of what.
        what: &'static str,
        /// How much.
        needed: u64,
        /// The limit.
        limit: u64,
    },
    /// The compiler refused it or crashed over it.
    #[error("the component does not compile: {reason}")]
    CompileFailed {
        /// What the compiler said, shortened.
        reason: String,
    },
    /// It compiles too slowly.
    #[error("compiling the component took longer than {} s", .0.as_secs())]
    CompileTimeout(Duration),
    /// Its `describe` failed or gave something unusable.
    #[error("the policy's description of its operations cannot be used: {reason}")]
    BadDescription {
        /// What is wrong.
        reason: String,
    },
    /// No instance is free to ask the component what it offers. Nothing is wrong with it.
    #[error("all policy instances are in use; retry shortly")]
    Busy,
    /// The host could not run the compiler or keep the artefact.
    #[error("the host could not prepare the component: {reason}")]
    Host {
        /// For the operator.
        reason: String,
    },
}

impl AdmissionError {
    /// Stable machine code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "component_too_large",
            Self::NotAComponent { .. } => "component_invalid",
            Self::ForbiddenImports { .. } => "component_forbidden_imports",
            Self::NewerContract { .. } => "component_newer_contract",
            Self::AboveCeiling { .. } => "component_above_ceiling",
            Self::MissingExports { .. } => "component_missing_exports",
            Self::WrongTypes { .. } => "component_wrong_types",
            Self::NeedsTooMuch { .. } => "component_needs_too_much",
            Self::CompileFailed { .. } => "component_compile_failed",
            Self::CompileTimeout(_) => "component_compile_timeout",
            Self::BadDescription { .. } => "component_bad_description",
            Self::Busy => "policy_busy",
            Self::Host { .. } => "component_host_failed",
        }
    }
}

/// Why the sandbox could not be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The engine refused its settings, most often for want of address space.
    #[error(
        "the policy engine cannot start: {reason}. The pool reserves about {slot_mib} MiB of \
         address space for each of its {pool_size} instances; lower `{setting}` or raise `ulimit -v`"
    )]
    Engine {
        /// What wasmtime said.
        reason: String,
        /// The configured pool size.
        pool_size: u32,
        /// The setting that gives it.
        setting: &'static str,
        /// Address space of one instance.
        slot_mib: usize,
    },
    /// The host functions cannot be linked.
    #[error("the policy engine's host functions cannot be linked: {reason}")]
    Linker {
        /// What wasmtime said.
        reason: String,
    },
    /// A limit is out of range.
    #[error("{name} must be between {min} and {max}, not {value}")]
    Limit {
        /// Which.
        name: &'static str,
        /// What was given.
        value: u64,
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
    },
    /// The artefact directory cannot be used.
    #[error("the artefact directory cannot be used: {0}")]
    Artefacts(#[from] std::io::Error),
    /// The ticker thread did not start.
    #[error("the epoch ticker cannot start: {0}")]
    Ticker(std::io::Error),
}
