//! An admitted policy, ready to run.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::at_once::AtOnce;
use crate::bindings::{Operation, WorldPre};
use crate::engine::EngineKind;
use crate::instance::Instance;
use crate::sandbox::Sandbox;

/// The compiled component and what is known of it. Tenants that use the same component share it.
pub(crate) struct Program {
    pub digest: String,
    pub size: usize,
    pub imports: Vec<String>,
    pub contract: String,
    pub operations: Vec<Operation>,
    /// Where it runs.
    pub sandbox: Arc<Sandbox>,
    /// None: its runs take too long to be tried here and now.
    pub at_once: Option<AtOnce>,
    pub on_fiber: WorldPre<Instance>,
}

/// One tenant's policy. Replacing it is a matter of using another one for the next request:
/// requests that run keep theirs to the end.
pub struct Policy {
    pub(crate) program: Arc<Program>,
    /// This tenant's share of the pool.
    pub(crate) slots: Semaphore,
}

impl Policy {
    /// `sha256:` and the component's digest in hexadecimal.
    pub fn digest(&self) -> &str {
        &self.program.digest
    }

    /// Size of the component, in bytes.
    pub fn size(&self) -> usize {
        self.program.size
    }

    /// Which engine runs it.
    pub fn engine(&self) -> EngineKind {
        self.program.sandbox.kind
    }

    /// The interfaces it imports: its permissions. Sorted.
    pub fn imports(&self) -> &[String] {
        &self.program.imports
    }

    /// The version of the contract it was built for, such as `0.1.0`.
    pub fn contract(&self) -> &str {
        &self.program.contract
    }

    /// What `invoke` offers.
    pub fn operations(&self) -> &[Operation] {
        &self.program.operations
    }
}
