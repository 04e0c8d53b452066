//! One engine with its pool, its host functions and its artefacts, and the two ways to run in it.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Engine, Store};
use zeroize::Zeroizing;

use crate::artefact::{self, ArtefactStore, TrustedCode};
use crate::at_once::{self, AtOnce, MustWait};
use crate::bindings::{World, WorldPre};
use crate::engine::{self, EngineKind, PoolMetrics};
use crate::error::{AdmissionError, Limit, PolicyError, Scope, SetupError};
use crate::host::Services;
use crate::instance::Instance;
use crate::limits::{ImageConfig, Limits};
use crate::outcome::classify;

/// An engine, and everything that belongs to it alone.
pub struct Sandbox {
    pub kind: EngineKind,
    pub per_tenant: usize,
    pub limits: Limits,
    fuel: bool,
    pool_size: u32,
    engine: Engine,
    at_once: Linker<Instance>,
    on_fiber: Linker<Instance>,
    artefacts: ArtefactStore,
    /// In front of the pool, so that a full pool is an answer and not an error within wasmtime.
    slots: Semaphore,
}

impl Sandbox {
    /// Starts the engine. Its clock stands still until [`engine::start_ticker`] is told of it.
    pub fn new(
        kind: EngineKind,
        config: ImageConfig,
        fuel: bool,
        artefact_dir: Option<PathBuf>,
        artefact_key: Zeroizing<[u8; 32]>,
    ) -> Result<Self, SetupError> {
        let ImageConfig { pool_size, per_tenant, limits, .. } = config;
        let names = match kind {
            EngineKind::Compact => ["policy.pool_size", "policy.per_tenant", "policy.memory_bytes"],
            EngineKind::Image => {
                ["policy.image.pool_size", "policy.image.per_tenant", "policy.image.memory_bytes"]
            }
        };
        check_range(names[0], pool_size.into(), 1, 10_000)?;
        check_range(names[1], per_tenant.into(), 1, pool_size.into())?;
        let slot = kind.slot().memory_bytes as u64;
        check_range(names[2], limits.memory_bytes as u64, 64 << 10, slot)?;
        let engine = engine::for_running(kind, pool_size, fuel)?;
        let failed = |error: wasmtime::Error| SetupError::Linker { reason: format!("{error:#}") };
        let mut on_fiber = Linker::new(&engine);
        World::add_to_linker::<_, HasSelf<_>>(&mut on_fiber, |instance: &mut Instance| instance)
            .map_err(failed)?;
        Ok(Self {
            kind,
            per_tenant: per_tenant as usize,
            limits,
            fuel,
            pool_size,
            at_once: at_once::linker(&engine).map_err(failed)?,
            on_fiber,
            artefacts: ArtefactStore::new(artefact_dir, artefact_key, &engine)?,
            slots: Semaphore::new(pool_size as usize),
            engine,
        })
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Instances at once.
    pub fn pool_size(&self) -> usize {
        self.pool_size as usize
    }

    /// How full its pool is.
    pub fn pool_metrics(&self) -> PoolMetrics {
        engine::pool_metrics(&self.engine, self.pool_size)
    }

    /// The component's code as it was kept; none if there is none of this host's own. Reads and
    /// checks a file, which for an image takes a tenth of a second.
    pub fn kept(&self, digest_hex: &str) -> Option<Component> {
        artefact::load(&self.engine, &self.artefacts.get(digest_hex)?).ok()
    }

    /// Removes what was kept of a component; what is not there is no error.
    pub fn forget(&self, digest_hex: &str) -> std::io::Result<()> {
        self.artefacts.remove(digest_hex)
    }

    /// Loads what the compiler made of a component, and keeps it.
    pub fn load(&self, digest_hex: &str, code: Vec<u8>) -> Result<Component, AdmissionError> {
        let code = TrustedCode::from_own_compiler(code);
        // Also refuses what compiles but could never have a slot of the pool.
        let component = artefact::load(&self.engine, &code)
            .map_err(|error| AdmissionError::CompileFailed { reason: format!("{error:#}") })?;
        self.artefacts
            .put(digest_hex, &code)
            .map_err(|error| AdmissionError::Host { reason: error.to_string() })?;
        Ok(component)
    }

    /// Links a component for both ways to run it. An instance of the image engine takes about as
    /// long as a run here and now may: it is not tried, for each second one would be begun anew, and
    /// what a fiber costs does not show beside it.
    pub fn link(
        &self,
        component: &Component,
    ) -> Result<(Option<AtOnce>, WorldPre<Instance>), AdmissionError> {
        let wrong_types =
            |error: wasmtime::Error| AdmissionError::WrongTypes { reason: format!("{error:#}") };
        let pre = self.on_fiber.instantiate_pre(component).map_err(wrong_types)?;
        let on_fiber = WorldPre::new(pre).map_err(wrong_types)?;
        let at_once = match self.kind {
            EngineKind::Compact => {
                Some(AtOnce::new(&self.at_once, component).map_err(wrong_types)?)
            }
            EngineKind::Image => None,
        };
        Ok((at_once, on_fiber))
    }

    /// A slot of the pool for as long as the permit is held, or the answer that there is none.
    pub fn acquire(&self) -> Result<SemaphorePermit<'_>, PolicyError> {
        take(&self.slots, Scope::Pool)
    }

    /// The state of one run.
    pub fn instance(&self, tenant: &str, request_id: &str, services: &Arc<Services>) -> Instance {
        let (tenant, services) = (tenant.into(), Arc::clone(services));
        let mut instance =
            Instance::new(tenant, request_id.to_owned(), services, self.limits, self.kind);
        instance.counts_fuel = self.fuel;
        instance
    }

    /// Runs `work` here and now. `None`: it would have to wait, and nothing of it is left.
    pub fn at_once<T>(
        &self,
        instance: Instance,
        work: impl FnOnce(&mut Store<Instance>) -> wasmtime::Result<T>,
    ) -> Option<Result<T, PolicyError>> {
        let mut store = instance.into_store_at_once(&self.engine);
        let outcome = work(&mut store);
        if outcome.as_ref().is_err_and(wasmtime::Error::is::<MustWait>) {
            return None;
        }
        store.data_mut().write_log();
        Some(outcome.map_err(|error| classify(&error, &self.limits)))
    }

    /// Runs `work` within the wall clock, waiting where it has to.
    pub async fn on_fiber<T>(
        &self,
        instance: Instance,
        work: impl AsyncFnOnce(&mut Store<Instance>) -> wasmtime::Result<T>,
    ) -> Result<T, PolicyError> {
        let mut store = instance.into_store_on_fiber(&self.engine);
        let outcome = self.within_wall(&mut store, work).await;
        store.data_mut().write_log();
        outcome
    }

    /// The same in a store at hand; what the run logged stays in it.
    pub async fn within_wall<T>(
        &self,
        store: &mut Store<Instance>,
        work: impl AsyncFnOnce(&mut Store<Instance>) -> wasmtime::Result<T>,
    ) -> Result<T, PolicyError> {
        let wall = self.limits.wall;
        match tokio::time::timeout(wall, work(store)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(classify(&error, &self.limits)),
            Err(_) => Err(PolicyError::Limit(Limit::Wall(wall))),
        }
    }
}

/// A permit now, or the answer that all are in use.
pub fn take(slots: &Semaphore, scope: Scope) -> Result<SemaphorePermit<'_>, PolicyError> {
    match slots.try_acquire() {
        Ok(permit) => Ok(permit),
        Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {
            Err(PolicyError::Busy { scope })
        }
    }
}

fn check_range(name: &'static str, value: u64, min: u64, max: u64) -> Result<(), SetupError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(SetupError::Limit { name, value, min, max })
}
