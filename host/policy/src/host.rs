//! Admits policies and runs them, one fresh instance for each request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Semaphore, SemaphorePermit, TryAcquireError};
use wasmtime::component::{HasSelf, Linker, ResourceTableError};
use wasmtime::{Engine, PoolConcurrencyLimitError, Store, Trap};

use crate::admission;
use crate::artefact::{self, ArtefactStore, TrustedCode};
use crate::bindings::{Operation, Payload, Plan, Request, World, WorldPre};
use crate::compiler::Compiler;
use crate::engine::{self, PoolMetrics};
use crate::error::{AdmissionError, HostError, Limit, PolicyError, Scope, SetupError, TrapKind};
use crate::instance::Instance;
use crate::keys::KeyService;
use crate::limits::{HostConfig, Limits};
use crate::obligations::{ObligationError, Obligations};
use crate::policy::{Policy, Program};

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
    linker: Linker<Instance>,
    keys: Arc<dyn KeyService>,
    artefacts: ArtefactStore,
    compiler: Compiler,
    config: Settings,
    /// In front of the pool, so that a full pool is an answer and not an error within wasmtime.
    slots: Semaphore,
    programs: Mutex<HashMap<String, Weak<Program>>>,
}

struct Settings {
    per_tenant: usize,
    limits: Limits,
    max_component_bytes: usize,
    compile_timeout: std::time::Duration,
}

impl PolicyHost {
    /// Starts the engine and its clock.
    pub fn new(config: HostConfig, keys: Arc<dyn KeyService>) -> Result<Arc<Self>, SetupError> {
        check_range("policy.pool_size", config.pool_size.into(), 1, 10_000)?;
        check_range("policy.per_tenant", config.per_tenant.into(), 1, config.pool_size.into())?;
        let memory = config.limits.memory_bytes as u64;
        check_range("policy.memory_bytes", memory, 64 << 10, Limits::MAX_MEMORY_BYTES as u64)?;
        let engine = engine::for_running(config.pool_size)?;
        engine::start_ticker(&engine)?;
        let mut linker = Linker::new(&engine);
        World::add_to_linker::<_, HasSelf<_>>(&mut linker, |instance: &mut Instance| instance)
            .map_err(|error| SetupError::Engine {
                reason: format!("{error:#}"),
                pool_size: config.pool_size,
            })?;
        let artefacts = ArtefactStore::new(config.artefact_dir, config.artefact_key, &engine)?;
        Ok(Arc::new(Self {
            engine,
            linker,
            keys,
            artefacts,
            compiler: config.compiler,
            config: Settings {
                per_tenant: config.per_tenant as usize,
                limits: config.limits,
                max_component_bytes: config.max_component_bytes,
                compile_timeout: config.compile_timeout,
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
        let parsed = admission::parse(wasm, self.config.max_component_bytes, &self.config.limits)?;
        let hex = hex::encode(keyward_crypto::sha256(wasm));
        if let Some(program) = self.programs().get(&hex).and_then(Weak::upgrade) {
            return Ok(self.policy(program));
        }
        let pre = self.prepare(wasm, &hex).await?;
        let operations = self.describe(&pre).await?;
        let program = Arc::new(Program {
            digest: format!("sha256:{hex}"),
            size: wasm.len(),
            imports: parsed.imports,
            operations,
            pre,
        });
        let mut programs = self.programs();
        programs.retain(|_, program| program.strong_count() > 0);
        programs.insert(hex, Arc::downgrade(&program));
        drop(programs);
        Ok(self.policy(program))
    }

    fn policy(&self, program: Arc<Program>) -> Arc<Policy> {
        Arc::new(Policy { program, slots: Semaphore::new(self.config.per_tenant) })
    }

    fn programs(&self) -> std::sync::MutexGuard<'_, HashMap<String, Weak<Program>>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn prepare(&self, wasm: &[u8], hex: &str) -> Result<WorldPre<Instance>, AdmissionError> {
        let host =
            |error: &dyn std::fmt::Display| AdmissionError::Host { reason: error.to_string() };
        let component = match self.artefacts.get(hex) {
            Some(code) => artefact::load(&self.engine, &code).ok(),
            None => None,
        };
        let component = if let Some(component) = component {
            component
        } else {
            let code = self.compiler.compile(wasm, self.config.compile_timeout).await?;
            let code = TrustedCode::from_own_compiler(code);
            // Also refuses what compiles but could never have a slot of the pool.
            let component = artefact::load(&self.engine, &code)
                .map_err(|error| AdmissionError::CompileFailed { reason: format!("{error:#}") })?;
            self.artefacts.put(hex, &code).map_err(|error| host(&error))?;
            component
        };
        let pre = self
            .linker
            .instantiate_pre(&component)
            .map_err(|error| AdmissionError::WrongTypes { reason: format!("{error:#}") })?;
        WorldPre::new(pre)
            .map_err(|error| AdmissionError::WrongTypes { reason: format!("{error:#}") })
    }

    async fn describe(&self, pre: &WorldPre<Instance>) -> Result<Vec<Operation>, AdmissionError> {
        let bad = |reason: String| AdmissionError::BadDescription { reason };
        let _permit = self.slots.try_acquire().map_err(|_| AdmissionError::Host {
            reason: "all policy instances are in use; retry shortly".into(),
        })?;
        let mut store = self.store("", String::new());
        let operations = self
            .bounded(&mut store, async |store| {
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
        let mut store = self.store(&request.tenant, request.id.clone());
        let plan = self
            .bounded(&mut store, async |store| {
                let world = policy.program.pre.instantiate_async(&mut *store).await?;
                world.keyward_policy_guard().call_authorize(store, request).await
            })
            .await?;
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
        let mut store = self.store(&first.tenant, first.id.clone());
        let plans = self
            .bounded(&mut store, async |store| {
                let world = policy.program.pre.instantiate_async(&mut *store).await?;
                world.keyward_policy_guard().call_authorize_many(store, requests).await
            })
            .await?;
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
        let mut store = self.store(&request.tenant, request.id.clone());
        self.bounded(&mut store, async |store| {
            let world = policy.program.pre.instantiate_async(&mut *store).await?;
            let plan = world.keyward_policy_guard().call_authorize(&mut *store, request).await?;
            let plan = match plan.map_err(HostError::from).map_err(PolicyError::from) {
                Ok(plan) => checked(plan),
                Err(error) => Err(error),
            };
            let plan = match plan {
                Ok(plan) => plan,
                Err(error) => return Ok(Err(error)),
            };
            if let Err(error) = meet_obligations(&plan, request, payload) {
                return Ok(Err(error.into()));
            }
            let answer =
                world.keyward_policy_handler().call_invoke(store, request, payload).await?;
            Ok(answer.map_err(|error| HostError::from(error).into()))
        })
        .await?
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

    fn store(&self, tenant: &str, request_id: String) -> Store<Instance> {
        Instance::new(tenant.into(), request_id, Arc::clone(&self.keys), self.config.limits)
            .into_store(&self.engine)
    }

    /// Runs `work` within the wall clock and turns its failure into a typed one. After a failure
    /// the store is dropped by the caller, never used again.
    async fn bounded<T>(
        &self,
        store: &mut Store<Instance>,
        work: impl AsyncFnOnce(&mut Store<Instance>) -> wasmtime::Result<T>,
    ) -> Result<T, PolicyError> {
        let wall = self.config.limits.wall;
        let outcome = tokio::time::timeout(wall, work(store)).await;
        store.data().report_dropped_lines();
        match outcome {
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

fn meet_obligations(
    plan: &Plan,
    request: &Request,
    payload: &Payload,
) -> Result<(), ObligationError> {
    let obligations = Obligations::of(plan)?;
    obligations.check_len(payload.body.len())?;
    obligations.record(&request.tenant, &request.id);
    Ok(())
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
