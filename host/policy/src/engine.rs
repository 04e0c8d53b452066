//! The engines, their instance pools and their clock.
//!
//! There are two. The *compact* one is for components of a few hundred KiB, thousands of them: what
//! matters most for a fresh instance per request is the pooling allocator, memory kept resident
//! instead of unmapped, and no copy-on-write images, which cost 60 % with thousands of small
//! components. The *image* one is for components that bring along an interpreter, such as those made
//! from JavaScript and Python: ten and more MiB of memory filled before the first request. It maps
//! these copy-on-write, where copying them would take a JavaScript policy five times as long and a
//! Python one twenty times. Which of the two runs a component is decided at its admission, by what it
//! needs. All settings were chosen by measurement.

use std::fmt;
use std::time::Duration;

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

use crate::error::SetupError;
use crate::limits::Limits;

/// One tick of the engines' clock.
pub const TICK: Duration = Duration::from_millis(1);

/// Which of the two engines runs a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EngineKind {
    /// For components of a few hundred KiB, whose memory is filled by copying.
    Compact,
    /// For components with an interpreter inside, whose memory is mapped copy-on-write.
    Image,
}

impl EngineKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Compact, Self::Image];

    /// Its stable name, in the API and in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Compact => "compact",
            Self::Image => "image",
        }
    }

    /// The engine of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What a slot of its pool holds.
    pub(crate) fn slot(self) -> &'static Slot {
        match self {
            Self::Compact => &COMPACT,
            Self::Image => &IMAGE,
        }
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What one instance of a component may have at most: the size of a pool's slot.
#[derive(Debug)]
pub struct Slot {
    /// Core instances of one component.
    pub core_instances: u32,
    /// Its linear memories.
    pub memories: u32,
    /// Its tables.
    pub tables: u32,
    /// Elements of one table.
    pub table_elements: usize,
    /// Bytes of its linear memory.
    pub memory_bytes: usize,
    /// Bytes of memory that are filled when an instance is made.
    pub data_bytes: u64,
    /// Bytes of wasmtime's own records of one component, or of one core instance.
    record_bytes: usize,
    /// Bytes of native stack that a guest may use.
    stack_bytes: usize,
    /// Bytes of a fiber's stack: the guest's and what host functions need.
    fiber_bytes: usize,
    /// Bytes of each memory that are reset by copying instead of being given back to the kernel.
    keep_resident: usize,
}

static COMPACT: Slot = Slot {
    core_instances: 8,
    memories: 1,
    tables: 4,
    table_elements: 2_048,
    memory_bytes: Limits::MAX_MEMORY_BYTES,
    // Copying more costs more than mapping it.
    data_bytes: 1 << 20,
    record_bytes: 256 << 10,
    stack_bytes: 256 << 10,
    fiber_bytes: 512 << 10,
    keep_resident: 256 << 10,
};

static IMAGE: Slot = Slot {
    core_instances: 64,
    memories: 1,
    tables: 8,
    table_elements: Limits::MAX_IMAGE_TABLE_ELEMENTS,
    memory_bytes: Limits::MAX_IMAGE_MEMORY_BYTES,
    data_bytes: Limits::MAX_IMAGE_MEMORY_BYTES as u64,
    record_bytes: 4 << 20,
    // An interpreter recurses once for each call of what it interprets.
    stack_bytes: 1 << 20,
    fiber_bytes: 2 << 20,
    keep_resident: 256 << 10,
};

/// What both the compiler and the runtime must agree on.
fn base(kind: EngineKind, fuel: bool) -> Config {
    let slot = kind.slot();
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .consume_fuel(fuel)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_backtrace_max_frames(None)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        // For backtraces and debuggers alone, and as large as the code, of which each policy keeps its
        // own in memory.
        .generate_address_map(false)
        .native_unwind_info(false)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_relaxed_simd(false)
        .wasm_wide_arithmetic(false)
        .concurrency_support(false)
        .memory_init_cow(kind == EngineKind::Image)
        .memory_guaranteed_dense_image_size(slot.memory_bytes as u64)
        // No more than a slot holds: less address space, and bounds checks that hold under
        // speculation.
        .memory_reservation(slot.memory_bytes as u64)
        .memory_guard_size(64 << 10)
        .max_wasm_stack(slot.stack_bytes)
        .async_stack_size(slot.fiber_bytes)
        // Host functions run on the guest's fiber stack; leave nothing of theirs behind.
        .async_stack_zeroing(true);
    config
}

/// An engine that compiles and runs nothing.
pub fn for_compiling(kind: EngineKind, fuel: bool) -> wasmtime::Result<Engine> {
    Engine::new(&base(kind, fuel))
}

/// The engine that runs policies, with a pool of `pool_size` instances.
pub fn for_running(kind: EngineKind, pool_size: u32, fuel: bool) -> Result<Engine, SetupError> {
    let slot = kind.slot();
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(pool_size)
        .total_core_instances(pool_size.saturating_mul(slot.core_instances / 2))
        .total_memories(pool_size)
        .total_tables(pool_size.saturating_mul(slot.tables))
        .total_stacks(pool_size)
        .max_core_instances_per_component(slot.core_instances)
        .max_memories_per_component(slot.memories)
        .max_tables_per_component(slot.tables)
        .max_memory_size(slot.memory_bytes)
        .table_elements(slot.table_elements)
        .max_component_instance_size(slot.record_bytes)
        .max_core_instance_size(slot.record_bytes)
        .linear_memory_keep_resident(slot.keep_resident)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(64 << 10)
        .max_unused_warm_slots(match kind {
            // A slot has nothing of value for the policy it ran last, without copy-on-write images;
            // the slot used last, whoever had it, is in the CPU's cache. With 200 policies in turn a
            // cycle takes 6.6 us with 0 here and 18.8 us with 200.
            EngineKind::Compact => 0,
            // A slot has its last policy's image mapped.
            EngineKind::Image => pool_size,
        })
        .decommit_batch_size(1)
        // Misses pages that were swapped out: the next tenant could read them.
        .pagemap_scan(Enabled::No);
    let mut config = base(kind, fuel);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config).map_err(|error| SetupError::Engine {
        reason: format!("{error:#}"),
        pool_size,
        setting: match kind {
            EngineKind::Compact => "policy.pool_size",
            EngineKind::Image => "policy.image.pool_size",
        },
        slot_mib: (slot.memory_bytes >> 20) + 1,
    })
}

/// Advances the engines' clock from a thread of its own, which ends when the engines are dropped.
/// A task on the async runtime would be starved by the very guest it should stop.
pub fn start_ticker<'a>(engines: impl Iterator<Item = &'a Engine>) -> Result<(), SetupError> {
    let engines: Vec<_> = engines.map(Engine::weak).collect();
    std::thread::Builder::new()
        .name("keyward-epoch".into())
        .spawn(move || {
            loop {
                std::thread::sleep(TICK);
                let mut alive = false;
                for engine in engines.iter().filter_map(wasmtime::EngineWeak::upgrade) {
                    engine.increment_epoch();
                    alive = true;
                }
                if !alive {
                    return;
                }
            }
        })
        .map_err(SetupError::Ticker)?;
    Ok(())
}

/// How full the pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolMetrics {
    /// Instances there may be at once.
    pub size: u64,
    /// Component instances alive.
    pub component_instances: u64,
    /// Linear memories alive.
    pub memories: u64,
    /// Fiber stacks alive.
    pub stacks: u64,
}

/// Reads the pool's gauges.
pub fn pool_metrics(engine: &Engine, pool_size: u32) -> PoolMetrics {
    let size = pool_size.into();
    let empty = PoolMetrics { size, ..PoolMetrics::default() };
    engine.pooling_allocator_metrics().map_or(empty, |metrics| PoolMetrics {
        size,
        component_instances: metrics.component_instances(),
        memories: metrics.memories() as u64,
        stacks: metrics.stacks() as u64,
    })
}
