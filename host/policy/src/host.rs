//! Admits policies and runs them, one fresh instance for each request.

mod observe;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};
use wasmtime::component::{HasSelf, Linker, ResourceTableError};
use wasmtime::{Engine, PoolConcurrencyLimitError, Store, Trap};

use crate::admission;
use crate::artefact::{self, ArtefactStore, TrustedCode};
use crate::at_once::{self, AtOnce, MustWait};
use crate::bindings::{Operation, Payload, Plan, Request, World, WorldPre, types};
use crate::ceiling::Ceiling;
use crate::compiler::Compiler;
use crate::engine::{self, PoolMetrics};
use crate::error::{AdmissionError, HostError, Limit, PolicyError, Scope, SetupError, TrapKind};
use crate::instance::Instance;
use crate::keys::KeyService;
use crate::limits::{HostConfig, Limits};
use crate::obligations::Obligations;
use crate::policy::{Policy, Program};
use crate::state::StateService;

pub use self::observe::Observe;

/// Most bytes of authenticated data a plan may carry.
const MAX_AUTHENTICATED_DATA: usize = 4 << 10;
/// Most obligations of a plan.
const MAX_OBLIGATIONS: usize = 16;
/// Most operations a policy may describe.
const MAX_OPERATIONS: usize = 64;
/// Largest description or schema of an operation, in bytes.
const MAX_SCHEMA: usize = 64 << 10;

/// The sandbox: one engine, one pool, all tenants' policies.
pub struct PolicyHost {
    engine: Engine,
    linkers: Linkers,
    services: Arc<Services>,
    artefacts: ArtefactStore,
    compiler: Compiler,
    config: Settings,
    /// In front of the pool, so that a full pool is an answer and not an error within wasmtime.
    slots: Semaphore,
    programs: Mutex<HashMap<String, Weak<Program>>>,
}

/// What the sandbox asks of the rest of the host.
pub struct Services {
    /// For a tenant's keys.
    pub keys: Arc<dyn KeyService>,
    /// For what a tenant's policy remembers.
    pub state: Arc<dyn StateService>,
}

/// The host functions, for both ways to run.
struct Linkers {
    at_once: Linker<Instance>,
    on_fiber: Linker<Instance>,
}

impl Linkers {
    fn new(engine: &Engine) -> wasmtime::Result<Self> {
        let mut on_fiber = Linker::new(engine);
        World::add_to_linker::<_, HasSelf<_>>(&mut on_fiber, |instance: &mut Instance| instance)?;
        Ok(Self { at_once: at_once::linker(engine)?, on_fiber })
    }
}

struct Settings {
    per_tenant: usize,
    limits: Limits,
    max_component_bytes: usize,
    compile_timeout: std::time::Duration,
    fuel: bool,
}

impl PolicyHost {
    /// Starts the engine and its clock.
    pub fn new(config: HostConfig, services: Services) -> Result<Arc<Self>, SetupError> {
        check_range("policy.pool_size", config.pool_size.into(), 1, 10_000)?;
        check_range("policy.per_tenant", config.per_tenant.into(), 1, config.pool_size.into())?;
        let memory = config.limits.memory_bytes as u64;
        check_range("policy.memory_bytes", memory, 64 << 10, Limits::MAX_MEMORY_BYTES as u64)?;
        let engine = engine::for_running(config.pool_size, config.fuel)?;
        engine::start_ticker(&engine)?;
        let linkers = Linkers::new(&engine).map_err(|error| SetupError::Engine {
            reason: format!("{error:#}"),
            pool_size: config.pool_size,
        })?;
        let artefacts = ArtefactStore::new(config.artefact_dir, config.artefact_key, &engine)?;
        Ok(Arc::new(Self {
            engine,
            linkers,
            services: Arc::new(services),
            artefacts,
            compiler: config.compiler,
            config: Settings {
                per_tenant: config.per_tenant as usize,
                limits: config.limits,
                max_component_bytes: config.max_component_bytes,
                compile_timeout: config.compile_timeout,
                fuel: config.fuel,
            },
            slots: Semaphore::new(config.pool_size as usize),
            programs: Mutex::new(HashMap::new()),
        }))
    }

    /// Bounds on each run.
    pub fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// How full the pool is.
    pub fn pool_metrics(&self) -> PoolMetrics {
        engine::pool_metrics(&self.engine)
    }

    /// Checks, compiles and describes a component. The same component admitted again shares its
    /// code with the first, and each policy has its own share of the pool.
    pub async fn admit(&self, wasm: &[u8]) -> Result<Arc<Policy>, AdmissionError> {
        self.admit_within(wasm, &Ceiling::default()).await
    }

    /// The same for a component that may not want more than `ceiling`, which is checked before
    /// anything is compiled.
    pub async fn admit_within(
        &self,
        wasm: &[u8],
        ceiling: &Ceiling,
    ) -> Result<Arc<Policy>, AdmissionError> {
        let parsed = admission::parse(wasm, self.config.max_component_bytes, &self.config.limits)?;
        ceiling.check(&parsed.imports, wasm.len())?;
        let hex = hex::encode(keyward_crypto::sha256(wasm));
        if let Some(program) = self.programs().get(&hex).and_then(Weak::upgrade) {
            return Ok(self.policy(program));
        }
        let (at_once, on_fiber) = self.prepare(wasm, &hex).await?;
        let operations = self.describe(&on_fiber).await?;
        let program = Arc::new(Program {
            digest: format!("sha256:{hex}"),
            size: wasm.len(),
            imports: parsed.imports,
            contract: parsed.contract,
            operations,
            at_once,
            on_fiber,
        });
        let mut programs = self.programs();
        programs.retain(|_, program| program.strong_count() > 0);
        programs.insert(hex, Arc::downgrade(&program));
        drop(programs);
        Ok(self.policy(program))
    }

    /// Removes what was compiled of the component with this digest (hexadecimal digits), which is
    /// not needed any more. Policies that run keep it to their end.
    pub fn forget(&self, digest_hex: &str) -> std::io::Result<()> {
        self.artefacts.remove(digest_hex)
    }

    fn policy(&self, program: Arc<Program>) -> Arc<Policy> {
        Arc::new(Policy { program, slots: Semaphore::new(self.config.per_tenant) })
    }

    fn programs(&self) -> std::sync::MutexGuard<'_, HashMap<String, Weak<Program>>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn prepare(
        &self,
        wasm: &[u8],
        hex: &str,
    ) -> Result<(AtOnce, WorldPre<Instance>), AdmissionError> {
        let host =
            |error: &dyn std::fmt::Display| AdmissionError::Host { reason: error.to_string() };
        let component = match self.artefacts.get(hex) {
            Some(code) => artefact::load(&self.engine, &code).ok(),
            None => None,
        };
        let component = if let Some(component) = component {
            component
        } else {
            let code =
                self.compiler.compile(wasm, self.config.compile_timeout, self.config.fuel).await?;
            let code = TrustedCode::from_own_compiler(code);
            // Also refuses what compiles but could never have a slot of the pool.
            let component = artefact::load(&self.engine, &code)
                .map_err(|error| AdmissionError::CompileFailed { reason: format!("{error:#}") })?;
            self.artefacts.put(hex, &code).map_err(|error| host(&error))?;
            component
        };
        let wrong_types =
            |error: wasmtime::Error| AdmissionError::WrongTypes { reason: format!("{error:#}") };
        let pre = self.linkers.on_fiber.instantiate_pre(&component).map_err(wrong_types)?;
        let on_fiber = WorldPre::new(pre).map_err(wrong_types)?;
        let at_once = AtOnce::new(&self.linkers.at_once, &component).map_err(wrong_types)?;
        Ok((at_once, on_fiber))
    }

    async fn describe(&self, pre: &WorldPre<Instance>) -> Result<Vec<Operation>, AdmissionError> {
        let bad = |reason: String| AdmissionError::BadDescription { reason };
        let _permit = self.slots.try_acquire().map_err(|_| AdmissionError::Busy)?;
        let operations = self
            .on_fiber(self.instance("", ""), async |store| {
                let world = pre.instantiate_async(&mut *store).await?;
                world.keyward_policy_handler().call_describe(store).await
            })
            .await
            .map_err(|error| bad(error.to_string()))?;
        if operations.len() > MAX_OPERATIONS {
            return Err(bad(format!("more than {MAX_OPERATIONS} operations")));
        }
        for (position, operation) in operations.iter().enumerate() {
            let well_formed = (1..=64).contains(&operation.name.len())
                && operation
                    .name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
            if !well_formed {
                return Err(bad(format!(
                    "operation {position} has a name not of [a-z0-9-]{{1,64}}"
                )));
            }
            if operations[..position].iter().any(|earlier| earlier.name == operation.name) {
                return Err(bad(format!("operation `{}` is described twice", operation.name)));
            }
            for text in [&operation.description, &operation.input_schema, &operation.output_schema]
            {
                if text.len() > MAX_SCHEMA {
                    return Err(bad(format!(
                        "operation `{}` has a text over {MAX_SCHEMA} bytes",
                        operation.name
                    )));
                }
            }
        }
        Ok(operations)
    }

    /// Asks the policy for its decision.
    pub async fn authorize(&self, policy: &Policy, request: &Request) -> Result<Plan, PolicyError> {
        let _slots = self.acquire(policy)?;
        let program = &policy.program;
        let plan = match self.at_once(request, |store| program.at_once.authorize(store, request)) {
            Some(outcome) => outcome?,
            None => {
                // Boxed: a fiber's future is large, and seldom needed.
                Box::pin(self.on_fiber(self.instance_for(request), async |store| {
                    let world = program.on_fiber.instantiate_async(&mut *store).await?;
                    world.keyward_policy_guard().call_authorize(store, request).await
                }))
                .await?
            }
        };
        checked(plan.map_err(HostError::from)?)
    }

    /// Asks for many decisions in one instance; results in the order of the requests, which must
    /// be of one tenant.
    pub async fn authorize_many(
        &self,
        policy: &Policy,
        requests: &[Request],
    ) -> Result<Vec<Result<Plan, HostError>>, PolicyError> {
        let Some(first) = requests.first() else {
            return Ok(Vec::new());
        };
        let _slots = self.acquire(policy)?;
        let program = &policy.program;
        let plans =
            match self.at_once(first, |store| program.at_once.authorize_many(store, requests)) {
                Some(outcome) => outcome?,
                None => {
                    Box::pin(self.on_fiber(self.instance_for(first), async |store| {
                        let world = program.on_fiber.instantiate_async(&mut *store).await?;
                        world.keyward_policy_guard().call_authorize_many(store, requests).await
                    }))
                    .await?
                }
            };
        if plans.len() != requests.len() {
            return Err(PolicyError::BadPlan {
                reason: format!("{} answers to {} requests", plans.len(), requests.len()),
            });
        }
        plans
            .into_iter()
            .map(|plan| match plan {
                Ok(plan) => checked(plan).map(Ok),
                Err(error) => Ok(Err(HostError::from(error))),
            })
            .collect()
    }

    /// Runs `invoke/NAME`: the decision, then the operation, in one instance. `request.operation`
    /// carries the name.
    pub async fn invoke(
        &self,
        policy: &Policy,
        request: &Request,
        payload: &Payload,
    ) -> Result<Payload, PolicyError> {
        let name = request.operation.strip_prefix("invoke/").unwrap_or(&request.operation);
        if !policy.operations().iter().any(|operation| operation.name == name) {
            return Err(PolicyError::UnknownOperation { name: name.to_owned() });
        }
        let _slots = self.acquire(policy)?;
        let program = &policy.program;
        let mut obligations = None;
        let mut decide = |plan: Result<Plan, types::Error>| -> Result<(), PolicyError> {
            obligations = None;
            obligations = Some(obligations_of_invoke(plan, payload)?);
            Ok(())
        };
        let at_once = self
            .at_once(request, |store| program.at_once.invoke(store, request, payload, &mut decide));
        let outcome = match at_once {
            Some(outcome) => outcome,
            None => {
                Box::pin(self.on_fiber(self.instance_for(request), async |store| {
                    let world = program.on_fiber.instantiate_async(&mut *store).await?;
                    let guard = world.keyward_policy_guard();
                    let plan = guard.call_authorize(&mut *store, request).await?;
                    if let Err(refused) = decide(plan) {
                        return Ok(Err(refused));
                    }
                    let handler = world.keyward_policy_handler();
                    handler.call_invoke(store, request, payload).await.map(Ok)
                }))
                .await
            }
        };
        if let Some(obligations) = obligations {
            obligations.record(&request.tenant, &request.id);
        }
        Ok(outcome??.map_err(HostError::from)?)
    }

    fn acquire<'a>(
        &'a self,
        policy: &'a Policy,
    ) -> Result<(SemaphorePermit<'a>, SemaphorePermit<'a>), PolicyError> {
        let take = |slots: &'a Semaphore, scope| match slots.try_acquire() {
            Ok(permit) => Ok(permit),
            Err(TryAcquireError::NoPermits | TryAcquireError::Closed) => {
                Err(PolicyError::Busy { scope })
            }
        };
        Ok((take(&policy.slots, Scope::Tenant)?, take(&self.slots, Scope::Pool)?))
    }

    fn instance(&self, tenant: &str, request_id: &str) -> Instance {
        let (services, limits) = (Arc::clone(&self.services), self.config.limits);
        let mut instance = Instance::new(tenant.into(), request_id.to_owned(), services, limits);
        instance.counts_fuel = self.config.fuel;
        instance
    }

    fn instance_for(&self, request: &Request) -> Instance {
        self.instance(&request.tenant, &request.id)
    }

    /// Runs `work` here and now. `None`: it would have to wait, and nothing of it is left.
    fn at_once<T>(
        &self,
        request: &Request,
        work: impl FnOnce(&mut Store<Instance>) -> wasmtime::Result<T>,
    ) -> Option<Result<T, PolicyError>> {
        let mut store = self.instance_for(request).into_store_at_once(&self.engine);
        let outcome = work(&mut store);
        if outcome.as_ref().is_err_and(wasmtime::Error::is::<MustWait>) {
            return None;
        }
        store.data_mut().write_log();
        Some(outcome.map_err(|error| classify(&error, &self.config.limits)))
    }

    /// Runs `work` within the wall clock, waiting where it has to.
    async fn on_fiber<T>(
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
    async fn within_wall<T>(
        &self,
        store: &mut Store<Instance>,
        work: impl AsyncFnOnce(&mut Store<Instance>) -> wasmtime::Result<T>,
    ) -> Result<T, PolicyError> {
        let wall = self.config.limits.wall;
        match tokio::time::timeout(wall, work(store)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(classify(&error, &self.config.limits)),
            Err(_) => Err(PolicyError::Limit(Limit::Wall(wall))),
        }
    }
}

fn check_range(name: &'static str, value: u64, min: u64, max: u64) -> Result<(), SetupError> {
    if (min..=max).contains(&value) {
        return Ok(());
    }
    Err(SetupError::Limit { name, value, min, max })
}

/// A plan the host can work with.
fn checked(plan: Plan) -> Result<Plan, PolicyError> {
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
    Ok(plan)
}

/// What the plan of an invoke obliges to, after what can be checked of it was.
fn obligations_of_invoke(
    plan: Result<Plan, types::Error>,
    payload: &Payload,
) -> Result<Obligations, PolicyError> {
    let plan = checked(plan.map_err(HostError::from)?)?;
    let obligations = Obligations::of(&plan)?;
    obligations.check_len(payload.body.len())?;
    Ok(obligations)
}

fn classify(error: &wasmtime::Error, limits: &Limits) -> PolicyError {
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
