//! What the benches of the sandbox share: a request, policies that differ in nothing but their
//! digest, and the time a decision takes.
#![allow(dead_code, reason = "each bench uses a part of it")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward_crypto::{Binding, Channel, KeyVersion};
use keyward_policy_host::{
    Caller, HostError, KeyHandle, KeyService, Policy, PolicyHost, Request, Services, StateEntry,
    StateService,
};

/// No keys: the decision alone is measured; the encryption follows natively, as in the server.
pub struct NoKeys;

#[async_trait::async_trait]
impl KeyService for NoKeys {
    async fn open(
        &self,
        _tenant: &str,
        name: &str,
        _version: Option<u32>,
    ) -> Result<Arc<dyn KeyHandle>, HostError> {
        Err(HostError::NotFound(format!("no key `{name}`")))
    }
}

/// Nothing to remember either.
#[async_trait::async_trait]
impl StateService for NoKeys {
    async fn get(&self, _: &str, _: &str) -> Result<Option<StateEntry>, HostError> {
        Ok(None)
    }
    async fn put(
        &self,
        _: &str,
        _: &str,
        _: &[u8],
        _: Option<u64>,
        _: Option<u64>,
    ) -> Result<u64, HostError> {
        Err(HostError::Unavailable("nothing is kept".into()))
    }
    async fn add(&self, _: &str, _: &str, _: i64, _: Option<u64>) -> Result<i64, HostError> {
        Err(HostError::Unavailable("nothing is kept".into()))
    }
    async fn remove(&self, _: &str, _: &str, _: Option<u64>) -> Result<(), HostError> {
        Ok(())
    }
}

/// Neither.
pub fn services() -> Services {
    Services { keys: Arc::new(NoKeys), state: Arc::new(NoKeys) }
}

/// The component built from the policy of this name; ends the bench if there is none.
pub fn component(name: &str) -> Vec<u8> {
    let path = component_path(name);
    std::fs::read(&path).unwrap_or_else(|error| {
        eprintln!("{}: {error}: run `cargo xtask policies` first", path.display());
        std::process::exit(2)
    })
}

/// Where it is.
pub fn component_path(name: &str) -> PathBuf {
    let directory = std::env::var_os("KEYWARD_POLICIES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/policies")),
        PathBuf::from,
    );
    directory.join(format!("{name}.wasm"))
}

pub fn request() -> Request {
    Request {
        id: "bench".into(),
        tenant: "demo".into(),
        caller: Caller {
            subject: "bench".into(),
            roles: vec!["application".into(), "support".into(), "billing".into()],
            claims: Vec::new(),
        },
        operation: "encrypt".into(),
        key: Some("demo".into()),
        context: Some(b"row 17".to_vec()),
        purpose: Some("billing".into()),
        time: 1_800_000_000_000,
    }
}

/// The same policy with another digest: a custom section with a number appended.
pub fn distinct(wasm: &[u8], number: usize) -> Vec<u8> {
    let mut wasm = wasm.to_vec();
    let content = u32::try_from(number).unwrap().to_le_bytes();
    wasm.extend_from_slice(&[0, 6, 1, b'n']);
    wasm.extend_from_slice(&content);
    wasm
}

/// p50, p90 and p99 in microseconds.
pub async fn measure(
    host: &PolicyHost,
    policies: &[Arc<Policy>],
    request: &Request,
    key: Option<&KeyVersion>,
) -> [f64; 3] {
    measure_rounds(host, policies, request, key, 20_000.max(policies.len() * 5)).await
}

pub async fn measure_rounds(
    host: &PolicyHost,
    policies: &[Arc<Policy>],
    request: &Request,
    key: Option<&KeyVersion>,
    rounds: usize,
) -> [f64; 3] {
    let plaintext = [7_u8; 64];
    let mut times: Vec<Duration> = Vec::with_capacity(rounds);
    for round in 0..rounds + policies.len() {
        let policy = &policies[round % policies.len()];
        let start = Instant::now();
        let plan = host.authorize(policy, request).await.unwrap();
        if let Some(key) = key {
            let binding = Binding {
                channel: Channel::Payload,
                tenant: "demo",
                key_name: "demo",
                policy_data: &plan.authenticated_data,
                context: b"row 17",
            };
            std::hint::black_box(key.seal(None, &binding, &plaintext).unwrap());
        }
        if round >= policies.len() {
            times.push(start.elapsed());
        }
    }
    times.sort_unstable();
    [50, 90, 99].map(|percent| times[times.len() * percent / 100].as_secs_f64() * 1e6)
}
