//! The engine, its instance pool and its clock.
//!
//! The settings were chosen by measurement; what matters most for a fresh instance per request is
//! the pooling allocator, memory kept resident instead of unmapped, and no copy-on-write images:
//! these pay for one large module, and cost 60 % with thousands of small ones.

use std::time::Duration;

use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, OptLevel, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

use crate::error::SetupError;
use crate::limits::Limits;

/// One tick of the engine's clock.
pub const TICK: Duration = Duration::from_millis(1);

/// Core instances, memories and tables one component may have.
pub const MAX_CORE_INSTANCES: u32 = 8;
/// See [`MAX_CORE_INSTANCES`].
pub const MAX_MEMORIES: u32 = 1;
/// See [`MAX_CORE_INSTANCES`].
pub const MAX_TABLES: u32 = 4;

/// What both the compiler and the runtime must agree on.
fn base(fuel: bool) -> Config {
    let mut config = Config::new();
    config
        .epoch_interruption(true)
        .consume_fuel(fuel)
        .cranelift_opt_level(OptLevel::Speed)
        .wasm_backtrace_max_frames(None)
        .wasm_backtrace_details(WasmBacktraceDetails::Disable)
        .wasm_memory64(false)
        .wasm_multi_memory(false)
        .wasm_tail_call(false)
        .wasm_relaxed_simd(false)
        .wasm_wide_arithmetic(false)
        .concurrency_support(false)
        .memory_init_cow(false)
        .memory_reservation(Limits::MAX_MEMORY_BYTES as u64)
        .memory_guard_size(64 << 10)
        .max_wasm_stack(256 << 10)
        .async_stack_size(512 << 10)
        // Host functions run on the guest's fiber stack; leave nothing of theirs behind.
        .async_stack_zeroing(true);
    config
}

/// An engine that compiles and runs nothing.
pub fn for_compiling(fuel: bool) -> wasmtime::Result<Engine> {
    Engine::new(&base(fuel))
}

/// The engine that runs policies, with a pool of `pool_size` instances.
pub fn for_running(pool_size: u32, fuel: bool) -> Result<Engine, SetupError> {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(pool_size)
        .total_core_instances(pool_size.saturating_mul(4))
        .total_memories(pool_size)
        .total_tables(pool_size.saturating_mul(4))
        .total_stacks(pool_size)
        .max_core_instances_per_component(MAX_CORE_INSTANCES)
        .max_memories_per_component(MAX_MEMORIES)
        .max_tables_per_component(MAX_TABLES)
        .max_memory_size(Limits::MAX_MEMORY_BYTES)
        .table_elements(2_048)
        .max_component_instance_size(256 << 10)
        .max_core_instance_size(256 << 10)
        .linear_memory_keep_resident(256 << 10)
        .table_keep_resident(16 << 10)
        .async_stack_keep_resident(64 << 10)
        // A slot has nothing of value for the policy it ran last, without copy-on-write images; the
        // slot used last, whoever had it, is in the CPU's cache. With 200 policies in turn a cycle
        // takes 6.6 us with 0 here and 18.8 us with 200.
        .max_unused_warm_slots(0)
        .decommit_batch_size(1)
        // Misses pages that were swapped out: the next tenant could read them.
        .pagemap_scan(Enabled::No);
    let mut config = base(fuel);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    Engine::new(&config)
        .map_err(|error| SetupError::Engine { reason: format!("{error:#}"), pool_size })
}

/// Advances the engine's clock from a thread of its own, which ends when the engine is dropped.
/// A task on the async runtime would be starved by the very guest it should stop.
pub fn start_ticker(engine: &Engine) -> Result<(), SetupError> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("keyward-epoch".into())
        .spawn(move || {
            loop {
                std::thread::sleep(TICK);
                let Some(engine) = engine.upgrade() else {
                    return;
                };
                engine.increment_epoch();
            }
        })
        .map_err(SetupError::Ticker)?;
    Ok(())
}

/// How full the pool is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolMetrics {
    /// Component instances alive.
    pub component_instances: u64,
    /// Linear memories alive.
    pub memories: u64,
    /// Fiber stacks alive.
    pub stacks: u64,
}

/// Reads the pool's gauges.
pub fn pool_metrics(engine: &Engine) -> PoolMetrics {
    engine.pooling_allocator_metrics().map_or_else(PoolMetrics::default, |metrics| PoolMetrics {
        component_instances: metrics.component_instances(),
        memories: metrics.memories() as u64,
        stacks: metrics.stacks() as u64,
    })
}
