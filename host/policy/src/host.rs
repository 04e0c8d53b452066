//! Admits policies and runs them, one fresh instance for each request.

mod observe;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::task::spawn_blocking;
use wasmtime::Store;

use crate::admission::{self, Parsed};
use crate::at_once::AtOnce;
use crate::bindings::{Operation, Payload, Plan, Request, WorldPre, types};
use crate::ceiling::Ceiling;
use crate::compiler::Compiler;
use crate::compose::Bound;
use crate::engine::{self, EngineKind, PoolMetrics};
use crate::error::{AdmissionError, HostError, PolicyError, Scope, SetupError};
use crate::instance::Instance;
use crate::keys::KeyService;
use crate::limits::{HostConfig, ImageConfig};
use crate::needs::Offer;
use crate::outcome::{checked, obligations_of_invoke};
use crate::policy::{Policy, Program};
use crate::sandbox::{Sandbox, take};
use crate::spans;
use crate::state::StateService;

pub use self::observe::Observe;

/// Most operations a policy may describe.
const MAX_OPERATIONS: usize = 64;
/// Largest description or schema of an operation, in bytes.
const MAX_SCHEMA: usize = 64 << 10;

/// The sandbox: both engines, all tenants' policies.
pub struct PolicyHost {
    compact: Arc<Sandbox>,
    image: Option<Arc<Sandbox>>,
    services: Arc<Services>,
    offers: Vec<Offer>,
    compiler: Compiler,
    compile_timeout: std::time::Duration,
    fuel: bool,
    /// Compilations at a time: each takes all cores, and some hundred MiB for an image.
    compiling: Semaphore,
    programs: Mutex<HashMap<String, Weak<Program>>>,
}

/// What the sandbox asks of the rest of the host.
pub struct Services {
    /// For a tenant's keys.
    pub keys: Arc<dyn KeyService>,
    /// For what a tenant's policy remembers.
    pub state: Arc<dyn StateService>,
}

/// Compilations at a time.
const COMPILATIONS: usize = 2;

/// What one run is of.
#[derive(Clone, Copy)]
struct Run<'a> {
    program: &'a Program,
    request: &'a Request,
    bound: &'a Bound,
}

impl PolicyHost {
    /// Starts the engines and their clock.
    pub fn new(config: HostConfig, services: Services) -> Result<Arc<Self>, SetupError> {
        let sandbox = |kind, bounds| {
            let (dir, key) = (config.artefact_dir.clone(), config.artefact_key.clone());
            Sandbox::new(kind, bounds, config.fuel, dir, key).map(Arc::new)
        };
        let bounds = ImageConfig {
            pool_size: config.pool_size,
            per_tenant: config.per_tenant,
            limits: config.limits,
            max_component_bytes: config.max_component_bytes,
        };
        let compact = sandbox(EngineKind::Compact, bounds)?;
        let image = config.image.map(|bounds| sandbox(EngineKind::Image, bounds)).transpose()?;
        let host = Self {
            compact,
            image,
            services: Arc::new(services),
            offers: config.offers(),
            compiler: config.compiler,
            compile_timeout: config.compile_timeout,
            fuel: config.fuel,
            compiling: Semaphore::new(COMPILATIONS),
            programs: Mutex::new(HashMap::new()),
        };
        engine::start_ticker(host.sandboxes().map(|sandbox| sandbox.engine()))?;
        Ok(Arc::new(host))
    }

    fn sandboxes(&self) -> impl Iterator<Item = &Arc<Sandbox>> {
        std::iter::once(&self.compact).chain(&self.image)
    }

    /// How long a compilation may take.
    pub fn compile_timeout(&self) -> std::time::Duration {
        self.compile_timeout
    }

    /// How full the pools are.
    pub fn pool_metrics(&self) -> impl Iterator<Item = (EngineKind, PoolMetrics)> {
        self.sandboxes().map(|sandbox| (sandbox.kind, sandbox.pool_metrics()))
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
        let wasm: Arc<[u8]> = wasm.into();
        let (bytes, offers) = (Arc::clone(&wasm), self.offers.clone());
        // Reading twenty megabytes takes a tenth of a second.
        let (parsed, hex) = spawn_blocking(move || {
            let parsed = admission::parse(&bytes, &offers)?;
            Ok::<_, AdmissionError>((parsed, hex::encode(keyward_crypto::sha256(&bytes))))
        })
        .await
        .map_err(|error| host_failed(&error))??;
        let Parsed { imports, contract, engine } = parsed;
        ceiling.check(&imports, wasm.len())?;
        if let Some(program) = self.programs().get(&hex).and_then(Weak::upgrade) {
            return Ok(Self::policy(program));
        }
        let sandbox = self
            .sandboxes()
            .find(|sandbox| sandbox.kind == engine)
            .ok_or_else(|| host_failed(&"the component's engine is gone"))?;
        let (at_once, on_fiber) = self.prepare(sandbox, &wasm, &hex).await?;
        let operations = self.describe(sandbox, &on_fiber).await?;
        let program = Arc::new(Program {
            digest: format!("sha256:{hex}"),
            size: wasm.len(),
            imports,
            contract,
            operations,
            sandbox: Arc::clone(sandbox),
            at_once,
            on_fiber,
        });
        let mut programs = self.programs();
        programs.retain(|_, program| program.strong_count() > 0);
        programs.insert(hex, Arc::downgrade(&program));
        drop(programs);
        Ok(Self::policy(program))
    }

    /// Removes what was compiled of the component with this digest (hexadecimal digits), which is
    /// not needed any more. Policies that run keep it to their end.
    pub fn forget(&self, digest_hex: &str) -> std::io::Result<()> {
        // A host with other settings may have run it in the other engine.
        self.sandboxes().try_for_each(|sandbox| sandbox.forget(digest_hex))
    }

    /// The same policy, with as many instances at once as the pool has: for one that runs for all
    /// tenants.
    pub fn for_all(policy: &Policy) -> Arc<Policy> {
        let program = Arc::clone(&policy.program);
        let slots = Semaphore::new(program.sandbox.pool_size());
        Arc::new(Policy { program, slots })
    }

    fn policy(program: Arc<Program>) -> Arc<Policy> {
        let slots = Semaphore::new(program.sandbox.per_tenant);
        Arc::new(Policy { program, slots })
    }

    fn programs(&self) -> std::sync::MutexGuard<'_, HashMap<String, Weak<Program>>> {
        self.programs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn prepare(
        &self,
        sandbox: &Arc<Sandbox>,
        wasm: &[u8],
        hex: &str,
    ) -> Result<(Option<AtOnce>, WorldPre<Instance>), AdmissionError> {
        let kept = blocking(sandbox, hex, Sandbox::kept).await?;
        let component = if let Some(component) = kept {
            component
        } else {
            let _turn = self.compiling.acquire().await.map_err(|error| host_failed(&error))?;
            let code =
                self.compiler.compile(sandbox.kind, wasm, self.compile_timeout, self.fuel).await?;
            blocking(sandbox, hex, move |sandbox: &Sandbox, hex: &str| sandbox.load(hex, code))
                .await??
        };
        sandbox.link(&component)
    }

    async fn describe(
        &self,
        sandbox: &Sandbox,
        pre: &WorldPre<Instance>,
    ) -> Result<Vec<Operation>, AdmissionError> {
        let bad = |reason: String| AdmissionError::BadDescription { reason };
        let _permit = sandbox.acquire().map_err(|_| AdmissionError::Busy)?;
        let operations = sandbox
            .on_fiber(sandbox.instance("", "", &self.services), async |store| {
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
        self.authorize_under(policy, request, &Bound::default()).await
    }

    /// The same below a baseline that binds so. Its plan is the policy's own: [`compose`] it.
    ///
    /// [`compose`]: crate::compose()
    pub async fn authorize_under(
        &self,
        policy: &Policy,
        request: &Request,
        bound: &Bound,
    ) -> Result<Plan, PolicyError> {
        let _slots = Self::acquire(policy)?;
        let program = &policy.program;
        let run = Run { program, request, bound };
        let at_once = self.at_once(run, |run, store| run.authorize(store, request));
        let plan = match at_once {
            Some(outcome) => outcome?,
            None => {
                // Boxed: a fiber's future is large, and seldom needed.
                Box::pin(program.sandbox.on_fiber(self.instance(run), async |store| {
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
        self.authorize_many_under(policy, requests, &Bound::default()).await
    }

    /// The same below a baseline that binds so for each of them.
    pub async fn authorize_many_under(
        &self,
        policy: &Policy,
        requests: &[Request],
        bound: &Bound,
    ) -> Result<Vec<Result<Plan, HostError>>, PolicyError> {
        let Some(first) = requests.first() else {
            return Ok(Vec::new());
        };
        let _slots = Self::acquire(policy)?;
        let program = &policy.program;
        let run = Run { program, request: first, bound };
        let at_once = self.at_once(run, |run, store| run.authorize_many(store, requests));
        let plans = match at_once {
            Some(outcome) => outcome?,
            None => {
                Box::pin(program.sandbox.on_fiber(self.instance(run), async |store| {
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
        self.invoke_under(policy, request, payload, &Bound::default()).await
    }

    /// The same below a baseline that binds so.
    pub async fn invoke_under(
        &self,
        policy: &Policy,
        request: &Request,
        payload: &Payload,
        bound: &Bound,
    ) -> Result<Payload, PolicyError> {
        let name = request.operation.strip_prefix("invoke/").unwrap_or(&request.operation);
        if !policy.operations().iter().any(|operation| operation.name == name) {
            return Err(PolicyError::UnknownOperation { name: name.to_owned() });
        }
        let _slots = Self::acquire(policy)?;
        let program = &policy.program;
        let mut obligations = None;
        let mut decide = |plan: Result<Plan, types::Error>| -> Result<(), PolicyError> {
            obligations = None;
            obligations = Some(obligations_of_invoke(plan, payload)?);
            Ok(())
        };
        let run = Run { program, request, bound };
        let at_once =
            self.at_once(run, |run, store| run.invoke(store, request, payload, &mut decide));
        let outcome = match at_once {
            Some(outcome) => outcome,
            None => {
                Box::pin(program.sandbox.on_fiber(self.instance(run), async |store| {
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

    fn acquire(policy: &Policy) -> Result<(SemaphorePermit<'_>, SemaphorePermit<'_>), PolicyError> {
        Ok((take(&policy.slots, Scope::Tenant)?, policy.program.sandbox.acquire()?))
    }

    fn instance(&self, Run { program, request, bound }: Run<'_>) -> Instance {
        let mut instance = program.sandbox.instance(&request.tenant, &request.id, &self.services);
        instance.bound = bound.clone();
        instance
    }

    /// Runs `work` here and now. `None`: it would have to wait, and nothing of it is left. A run that is
    /// traced is not tried: its host calls would be in the trace twice.
    fn at_once<T>(
        &self,
        run: Run<'_>,
        work: impl FnOnce(&AtOnce, &mut Store<Instance>) -> wasmtime::Result<T>,
    ) -> Option<Result<T, PolicyError>> {
        let linked = run.program.at_once.as_ref()?;
        if spans::is_traced() {
            return None;
        }
        run.program.sandbox.at_once(self.instance(run), |store| work(linked, store))
    }
}

/// Works with a sandbox's files and code where waiting holds up nobody.
async fn blocking<T: Send + 'static>(
    sandbox: &Arc<Sandbox>,
    digest_hex: &str,
    work: impl FnOnce(&Sandbox, &str) -> T + Send + 'static,
) -> Result<T, AdmissionError> {
    let (sandbox, digest_hex) = (Arc::clone(sandbox), digest_hex.to_owned());
    spawn_blocking(move || work(&sandbox, &digest_hex)).await.map_err(|error| host_failed(&error))
}

fn host_failed(error: &dyn std::fmt::Display) -> AdmissionError {
    AdmissionError::Host { reason: error.to_string() }
}
