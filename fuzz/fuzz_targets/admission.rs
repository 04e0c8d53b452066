//! Admission, given whatever is uploaded: bytes, real components that were damaged, and real ones
//! with a core module beside them that nobody has seen before, which is compiled and started.
#![no_main]

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arbitrary::Unstructured;
use keyward_crafted::Crafted;
use keyward_policy_host::{
    AdmissionError, HostConfig, HostError, KeyHandle, KeyService, Limits, PolicyHost, Services,
    StateEntry, StateService, survey,
};
use libfuzzer_sys::fuzz_target;
use tokio::runtime::Runtime;
use wasm_smith::{Config, Module};

/// No keys and no state: a component that is admitted is asked what it offers, and nothing else.
struct Nothing;

fn none() -> HostError {
    HostError::Unavailable("there is none".into())
}

#[async_trait::async_trait]
impl KeyService for Nothing {
    async fn open(
        &self,
        _: &str,
        _: &str,
        _: Option<u32>,
    ) -> Result<Arc<dyn KeyHandle>, HostError> {
        Err(none())
    }
}

#[async_trait::async_trait]
impl StateService for Nothing {
    async fn get(&self, _: &str, _: &str) -> Result<Option<StateEntry>, HostError> {
        Err(none())
    }
    async fn put(
        &self,
        _: &str,
        _: &str,
        _: &[u8],
        _: Option<u64>,
        _: Option<u64>,
    ) -> Result<u64, HostError> {
        Err(none())
    }
    async fn add(&self, _: &str, _: &str, _: i64, _: Option<u64>) -> Result<i64, HostError> {
        Err(none())
    }
    async fn remove(&self, _: &str, _: &str, _: Option<u64>) -> Result<(), HostError> {
        Err(none())
    }
}

struct Fixture {
    runtime: Runtime,
    config: HostConfig,
    host: Arc<PolicyHost>,
    good: Vec<u8>,
    /// Core modules at the top of `good`.
    modules: u8,
}

impl Fixture {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let config = HostConfig {
            pool_size: 4,
            per_tenant: 2,
            limits: Limits { wall: Duration::from_secs(10), ..Limits::default() },
            max_component_bytes: 1 << 20,
            ..HostConfig::default()
        };
        let services = Services { keys: Arc::new(Nothing), state: Arc::new(Nothing) };
        let host = PolicyHost::new(config.clone(), services).unwrap();
        let good = Crafted::default().component();
        let modules = modules(&good);
        Self { runtime, config, host, good, modules }
    }

    fn admit(&self, wasm: &[u8]) {
        let surveyed = survey(wasm, &self.config);
        let started = Instant::now();
        match self.runtime.block_on(self.host.admit(wasm)) {
            Ok(policy) => {
                let survey = surveyed.expect("what is admitted can be described");
                assert!(survey.objections.is_empty(), "{:?}", survey.objections);
                assert!(policy.imports().iter().all(|it| it.starts_with("keyward:policy/")));
                assert_eq!(survey.digest, policy.digest());
            }
            Err(AdmissionError::Busy | AdmissionError::Host { .. }) => {
                panic!("admission failed for a reason that is not the component's")
            }
            Err(_) => {}
        }
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
        for (_, pool) in self.host.pool_metrics() {
            assert_eq!((pool.component_instances, pool.memories, pool.stacks), (0, 0, 0));
        }
    }

    /// `good`, and a module of which so many instances are made with it.
    fn beside(&self, module: &[u8], instances: u8) -> Vec<u8> {
        let mut wasm = self.good.clone();
        section(&mut wasm, 1, module);
        let mut made = vec![instances];
        for _ in 0..instances {
            made.extend([0, self.modules, 0]);
        }
        section(&mut wasm, 2, &made);
        wasm
    }
}

/// Appends a section: its number, its length in LEB128, its content.
fn section(wasm: &mut Vec<u8>, id: u8, content: &[u8]) {
    wasm.push(id);
    let mut length = content.len();
    while length >= 0x80 {
        wasm.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    wasm.push(length as u8);
    wasm.extend_from_slice(content);
}

fn modules(wasm: &[u8]) -> u8 {
    let (mut at, mut modules) = (8, 0);
    while at < wasm.len() {
        modules += u8::from(wasm[at] == 1);
        at += 1;
        let (mut length, mut shift) = (0, 0);
        loop {
            let byte = wasm[at];
            at += 1;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        at += length;
    }
    modules
}

/// A module that needs nobody, with what the engine has and what it does not.
fn module(input: &mut Unstructured<'_>) -> Option<Vec<u8>> {
    let config = Config {
        max_imports: 0,
        allow_start_export: true,
        max_memories: 2,
        max_memory32_bytes: 1 << 25,
        max_tables: 4,
        max_data_segments: 1_000,
        max_instructions: 2_000,
        // Half of the modules have features the sandbox is without.
        threads_enabled: input.ratio(1, 8).ok()?,
        memory64_enabled: input.ratio(1, 8).ok()?,
        tail_call_enabled: input.ratio(1, 8).ok()?,
        exceptions_enabled: input.ratio(1, 8).ok()?,
        gc_enabled: input.ratio(1, 8).ok()?,
        relaxed_simd_enabled: input.ratio(1, 8).ok()?,
        ..Config::default()
    };
    Module::new(config, input).ok().map(|module| module.to_bytes())
}

thread_local! {
    static FIXTURE: OnceCell<Fixture> = const { OnceCell::new() };
}

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    FIXTURE.with(|fixture| {
        let fixture = fixture.get_or_init(Fixture::new);
        match kind % 3 {
            // As it came: seeds are real components, so most of these are damaged ones.
            0 => fixture.admit(rest),
            1 => {
                // Sections after those of a good one.
                let wasm = [&fixture.good, rest].concat();
                fixture.admit(&wasm);
            }
            _ => {
                let mut input = Unstructured::new(rest);
                let instances = input.int_in_range(0..=9).unwrap_or(0);
                if let Some(module) = module(&mut input) {
                    fixture.admit(&fixture.beside(&module, instances));
                }
            }
        }
    });
});
