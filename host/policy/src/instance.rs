//! The state behind one running instance: what it has used, and what it may use.

use std::sync::Arc;
use std::time::Duration;

use tracing::Span;
use wasmtime::component::ResourceTable;
use wasmtime::{ResourceLimiter, Store, UpdateDeadline};

use crate::at_once::MustWait;
use crate::bindings::log::Level;
use crate::compose::Bound;
use crate::engine::{EngineKind, TICK};
use crate::error::Limit;
use crate::host::Services;
use crate::limits::Limits;
use crate::spans;
use crate::watch::Watch;

/// Ticks within which a run that does not wait has to end.
const TICKS_AT_ONCE: u64 = 2;

/// One log line of a policy, ready to be written.
pub struct LogLine {
    pub level: Level,
    pub message: String,
    /// `name=value`, separated by spaces.
    pub fields: String,
}

/// One request's store data.
pub struct Instance {
    /// Whose keys it may open.
    pub tenant: Arc<str>,
    /// The host's request identifier, for log lines.
    pub request_id: String,
    pub services: Arc<Services>,
    pub limits: Limits,
    /// Which engine runs it.
    engine: EngineKind,
    /// Open key handles.
    pub handles: ResourceTable,
    host_calls_left: u32,
    state_calls_left: u32,
    pub log_bytes_left: usize,
    pub log_lines_dropped: u32,
    /// Written when the run is over: a run that is begun anew says nothing twice.
    pub log_lines: Vec<LogLine>,
    ticks_left: u64,
    /// The most linear memory it had, in bytes.
    pub memory_bytes: usize,
    /// Whether the engine counts fuel.
    pub counts_fuel: bool,
    /// What the operator's baseline binds into all that the run seals and opens.
    pub bound: Bound,
    /// Who observes the run, if anybody does.
    pub watch: Option<Box<Watch>>,
    /// Whether the run belongs to a request that is traced.
    pub is_traced: bool,
    /// The host call under way, in a run that is.
    pub call: Span,
}

impl Instance {
    pub fn new(
        tenant: Arc<str>,
        request_id: String,
        services: Arc<Services>,
        limits: Limits,
        engine: EngineKind,
    ) -> Self {
        let limits = services.keys.bounds(&tenant).lower(limits);
        let mut handles = ResourceTable::new();
        handles.set_max_capacity(limits.handles);
        Self {
            tenant,
            request_id,
            services,
            limits,
            engine,
            handles,
            host_calls_left: limits.host_calls,
            state_calls_left: limits.state_calls,
            log_bytes_left: limits.log_bytes,
            log_lines_dropped: 0,
            log_lines: Vec::new(),
            ticks_left: ticks(limits.cpu),
            memory_bytes: 0,
            counts_fuel: false,
            bound: Bound::default(),
            watch: None,
            is_traced: spans::is_traced(),
            call: Span::none(),
        }
    }

    /// Counts one host call.
    pub fn count_call(&mut self) -> Result<(), Limit> {
        self.host_calls_left =
            self.host_calls_left.checked_sub(1).ok_or(Limit::HostCalls(self.limits.host_calls))?;
        Ok(())
    }

    /// Counts that a call asks the store, beside [`Instance::count_call`].
    pub fn count_state_call(&mut self) -> Result<(), Limit> {
        let limit = Limit::StateCalls(self.limits.state_calls);
        self.state_calls_left = self.state_calls_left.checked_sub(1).ok_or(limit)?;
        Ok(())
    }

    /// Writes the run's log lines, and says once how many were over the limit.
    pub fn write_log(&mut self) {
        let (tenant, request_id) = (&*self.tenant, self.request_id.as_str());
        for LogLine { level, message, fields } in self.log_lines.drain(..) {
            match level {
                Level::Debug => {
                    tracing::debug!(target: "keyward::guest", tenant, request_id, fields, "{message}");
                }
                Level::Info => {
                    tracing::info!(target: "keyward::guest", tenant, request_id, fields, "{message}");
                }
                Level::Warn => {
                    tracing::warn!(target: "keyward::guest", tenant, request_id, fields, "{message}");
                }
                Level::Error => {
                    tracing::error!(target: "keyward::guest", tenant, request_id, fields, "{message}");
                }
            }
        }
        let dropped = self.log_lines_dropped;
        if dropped > 0 {
            tracing::warn!(tenant, request_id, dropped, "policy log lines over the limit");
        }
    }

    /// A store for a run that does not wait; see [`crate::at_once`].
    pub fn into_store_at_once(self, engine: &wasmtime::Engine) -> Store<Self> {
        let mut store = self.into_bounded_store(engine);
        store.set_epoch_deadline(TICKS_AT_ONCE);
        store.epoch_deadline_callback(|_| Err(wasmtime::Error::new(MustWait)));
        store
    }

    /// A store for a run on a fiber. At every tick the guest yields, so that a spinning one does
    /// not hold its thread; when its time is used up it traps.
    pub fn into_store_on_fiber(self, engine: &wasmtime::Engine) -> Store<Self> {
        let mut store = self.into_bounded_store(engine);
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|mut context| {
            let instance = context.data_mut();
            match instance.ticks_left.checked_sub(1) {
                Some(left) => {
                    instance.ticks_left = left;
                    Ok(UpdateDeadline::Yield(1))
                }
                None => Err(wasmtime::Error::new(Limit::Cpu(instance.limits.cpu))),
            }
        });
        store
    }

    /// A store with every bound in force but those on time.
    fn into_bounded_store(self, engine: &wasmtime::Engine) -> Store<Self> {
        let (limits, fuel) = (self.limits, self.counts_fuel);
        let mut store = Store::new(engine, self);
        store.limiter(|instance| instance);
        store.set_hostcall_fuel(limits.host_call_bytes);
        store.set_max_component_handles(limits.handles);
        if fuel {
            // Never to run out: time is what bounds a run. Fails only in an engine without fuel.
            let _ = store.set_fuel(u64::MAX);
        }
        store
    }
}

/// Whole ticks in `time`, plus one: the first tick may come at once.
fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis() / TICK.as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

impl Drop for Instance {
    fn drop(&mut self) {
        let calls = self.limits.host_calls - self.host_calls_left;
        self.services.keys.ran(&self.tenant, calls, self.memory_bytes);
    }
}

impl ResourceLimiter for Instance {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.limits.memory_bytes {
            return Err(wasmtime::Error::new(Limit::Memory(self.limits.memory_bytes)));
        }
        // One memory at most, see `memories`.
        self.memory_bytes = self.memory_bytes.max(desired);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.limits.table_elements {
            return Err(wasmtime::Error::new(Limit::Table(self.limits.table_elements)));
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        self.engine.slot().core_instances as usize
    }

    fn memories(&self) -> usize {
        self.engine.slot().memories as usize
    }

    fn tables(&self) -> usize {
        self.engine.slot().tables as usize
    }
}
