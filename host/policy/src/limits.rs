//! What one request may use, and how many may run at once.

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::compiler::Compiler;

/// Bounds on one run of one policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory, in bytes. At most [`Limits::MAX_MEMORY_BYTES`], the size of a pool slot.
    pub memory_bytes: usize,
    /// Table elements.
    pub table_elements: usize,
    /// Key handles open at once.
    pub handles: usize,
    /// CPU time, in whole milliseconds, give or take one tick of the 1 ms clock.
    pub cpu: Duration,
    /// Time from start to end, waits for keys included.
    pub wall: Duration,
    /// Calls of host functions.
    pub host_calls: u32,
    /// Of these, calls of `state`, each of which asks the key store.
    pub state_calls: u32,
    /// Bytes copied out of the guest by one host call, or by one result.
    pub host_call_bytes: usize,
    /// Bytes of log lines; what exceeds it is dropped and counted.
    pub log_bytes: usize,
}

impl Limits {
    /// Size of a pool slot: no policy of the compact pool can have more linear memory.
    pub const MAX_MEMORY_BYTES: usize = 16 << 20;
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: Self::MAX_MEMORY_BYTES,
            table_elements: 2_048,
            handles: 1_024,
            cpu: Duration::from_millis(100),
            wall: Duration::from_secs(2),
            host_calls: 10_000,
            state_calls: 32,
            host_call_bytes: 4 << 20,
            log_bytes: 16 << 10,
        }
    }
}

/// How a [`PolicyHost`](crate::PolicyHost) is set up.
pub struct HostConfig {
    /// Instances at once, over all tenants: the size of the pool.
    pub pool_size: u32,
    /// Instances at once of one tenant's policy.
    pub per_tenant: u32,
    /// Bounds on each run.
    pub limits: Limits,
    /// Largest component accepted, in bytes.
    pub max_component_bytes: usize,
    /// How long a compilation may take.
    pub compile_timeout: Duration,
    /// Where compiled artefacts are kept; none: compile at every admission. The directory must
    /// belong to the host alone.
    pub artefact_dir: Option<PathBuf>,
    /// Key by which the host authenticates its artefacts before it loads them as native code.
    pub artefact_key: Zeroizing<[u8; 32]>,
    /// Who compiles.
    pub compiler: Compiler,
    /// Counts fuel, about one unit for each WebAssembly instruction, for [`Trace::fuel`]. It makes
    /// policies some 10 % slower, so it is for tools; they compile in their own process.
    ///
    /// [`Trace::fuel`]: crate::Trace::fuel
    pub fuel: bool,
}

impl Default for HostConfig {
    /// The measured settings, compiling in this process and keeping no artefacts.
    fn default() -> Self {
        Self {
            pool_size: 1_000,
            per_tenant: 250,
            limits: Limits::default(),
            max_component_bytes: 16 << 20,
            compile_timeout: Duration::from_secs(30),
            artefact_dir: None,
            artefact_key: Zeroizing::new([0; 32]),
            compiler: Compiler::InProcess,
            fuel: false,
        }
    }
}
