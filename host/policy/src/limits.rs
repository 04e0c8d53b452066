//! What one request may use, and how many may run at once.

use std::path::PathBuf;
use std::time::Duration;

use zeroize::Zeroizing;

use crate::compiler::Compiler;
use crate::engine::EngineKind;
use crate::needs::Offer;

/// Bounds on one run of one policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory, in bytes. At most the size of a pool slot: [`Limits::MAX_MEMORY_BYTES`], or
    /// [`Limits::MAX_IMAGE_MEMORY_BYTES`] for policies of the image engine.
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
    /// Size of a slot of the image pool.
    pub const MAX_IMAGE_MEMORY_BYTES: usize = 128 << 20;
    /// Elements of a table in the image pool: an interpreter has one for each function it may call
    /// by address.
    pub(crate) const MAX_IMAGE_TABLE_ELEMENTS: usize = 32 << 10;

    /// The defaults for policies that run in the image engine. A policy in JavaScript or Python
    /// starts with 10 to 13 MiB, and its interpreter is some fifty times slower than native code.
    pub fn for_image() -> Self {
        Self {
            memory_bytes: 64 << 20,
            table_elements: Self::MAX_IMAGE_TABLE_ELEMENTS,
            cpu: Duration::from_millis(500),
            ..Self::default()
        }
    }
}

/// Bounds for one tenant's runs. What is `None` is as the host's limits say; nothing here raises those.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Calls of host functions.
    pub host_calls: Option<u32>,
    /// Bytes copied out of the guest by one host call, or by one result.
    pub host_call_bytes: Option<usize>,
    /// Linear memory, in bytes.
    pub memory_bytes: Option<usize>,
}

impl Bounds {
    /// The limits, or these bounds where they are lower.
    pub(crate) fn lower(self, mut limits: Limits) -> Limits {
        let least = |limit: usize, bound: Option<usize>| bound.map_or(limit, |it| it.min(limit));
        limits.host_calls =
            self.host_calls.map_or(limits.host_calls, |it| it.min(limits.host_calls));
        limits.host_call_bytes = least(limits.host_call_bytes, self.host_call_bytes);
        limits.memory_bytes = least(limits.memory_bytes, self.memory_bytes);
        limits
    }
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

/// The engine for components with an interpreter inside, such as JavaScript's or Python's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageConfig {
    /// Instances at once, over all tenants: the size of its pool.
    pub pool_size: u32,
    /// Instances at once of one tenant's policy.
    pub per_tenant: u32,
    /// Bounds on each run.
    pub limits: Limits,
    /// Largest component accepted, in bytes.
    pub max_component_bytes: usize,
}

impl Default for ImageConfig {
    fn default() -> Self {
        Self {
            pool_size: 64,
            per_tenant: 32,
            limits: Limits::for_image(),
            max_component_bytes: 48 << 20,
        }
    }
}

/// How a [`PolicyHost`](crate::PolicyHost) is set up.
#[derive(Clone)]
pub struct HostConfig {
    /// Instances of the compact engine at once, over all tenants: the size of its pool.
    pub pool_size: u32,
    /// Instances of the compact engine at once of one tenant's policy.
    pub per_tenant: u32,
    /// Bounds on each run in the compact engine.
    pub limits: Limits,
    /// Largest component the compact engine accepts, in bytes.
    pub max_component_bytes: usize,
    /// The engine for larger components; none: they are refused.
    pub image: Option<ImageConfig>,
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
    /// policies some 10 % slower, so it is for tools and for explanations.
    ///
    /// [`Trace::fuel`]: crate::Trace::fuel
    pub fuel: bool,
}

impl HostConfig {
    /// What its engines offer to a component, the first choice first.
    pub(crate) fn offers(&self) -> Vec<Offer> {
        let compact = Offer {
            engine: EngineKind::Compact,
            limits: self.limits,
            max_bytes: self.max_component_bytes,
        };
        let image = self.image.map(|image| Offer {
            engine: EngineKind::Image,
            limits: image.limits,
            max_bytes: image.max_component_bytes,
        });
        std::iter::once(compact).chain(image).collect()
    }
}

impl Default for HostConfig {
    /// The measured settings, compiling in this process and keeping no artefacts; without the image
    /// engine.
    fn default() -> Self {
        Self {
            pool_size: 1_000,
            per_tenant: 250,
            limits: Limits::default(),
            max_component_bytes: 16 << 20,
            image: None,
            compile_timeout: Duration::from_mins(2),
            artefact_dir: None,
            artefact_key: Zeroizing::new([0; 32]),
            compiler: Compiler::InProcess,
            fuel: false,
        }
    }
}
