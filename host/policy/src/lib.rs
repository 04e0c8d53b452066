//! The sandbox that runs tenants' policies.
//!
//! This crate owns the wasmtime engines and their instance pools, the admission of uploaded
//! components, their compiled artefacts, and the functions a policy may call. It gives every
//! request a fresh instance and turns each way a policy can fail into a typed error.
//!
//! It never sees key bytes and does not know where keys live: it asks for them through
//! [`KeyService`], which the server implements over the keyring, as it does [`StateService`] for
//! what policies remember. It offers a policy nothing else: no WASI, no clock, no files, no network.
//!
//! Start at [`PolicyHost`]: [`PolicyHost::admit`] turns component bytes into a [`Policy`];
//! [`PolicyHost::authorize`] and [`PolicyHost::invoke`] run it.

mod admission;
mod artefact;
mod at_once;
mod bindings;
mod ceiling;
pub mod compiler;
mod compose;
mod contract;
mod engine;
mod error;
mod functions;
mod host;
mod instance;
mod keys;
mod limits;
mod needs;
mod noting;
mod obligations;
mod outcome;
mod policy;
mod sandbox;
pub mod spans;
mod state;
mod survey;
mod trace;
mod watch;

pub use crate::bindings::{Algorithm, Caller, Obligation, Operation, Payload, Plan, Request};
pub use crate::ceiling::Ceiling;
pub use crate::compiler::Compiler;
pub use crate::compose::{Bound, compose};
pub use crate::engine::{EngineKind, PoolMetrics};
pub use crate::error::{
    AdmissionError, HostError, Limit, PolicyError, Scope, SetupError, TrapKind,
};
pub use crate::host::{Observe, PolicyHost, Services};
pub use crate::keys::{KeyHandle, KeyService};
pub use crate::limits::{Bounds, HostConfig, ImageConfig, Limits};
pub use crate::needs::Needs;
pub use crate::obligations::{ObligationError, Obligations};
pub use crate::policy::Policy;
pub use crate::state::{MAX_STATE_NAME, MAX_STATE_VALUE, StateEntry, StateService};
pub use crate::survey::{Survey, survey};
pub use crate::trace::{Detail, Divergence, HostCall, KeyRef, LogEntry, Trace, Value};
