//! The policy cycle: a fresh instance, one decision, gone. With 1, 200 and 2,000 distinct
//! policies taken in turn, without and with one encryption by the host. Then the same policy in
//! JavaScript and in Python, in the image engine.
//!
//! `cargo xtask bench` runs it; KEYWARD_POLICIES names the directory of built components.
#![allow(clippy::unwrap_used, reason = "it fails by panicking")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use keyward_crypto::{Algorithm, Binding, Channel, KeyId, KeyMaterial, KeyVersion};
use keyward_policy_host::{
    Caller, EngineKind, HostConfig, HostError, ImageConfig, KeyHandle, KeyService, Policy,
    PolicyHost, Request, Services, StateEntry, StateService,
};
use zeroize::Zeroizing;

/// No keys: the decision alone is measured; the encryption follows natively, as in the server.
struct NoKeys;

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
fn services() -> Services {
    Services { keys: Arc::new(NoKeys), state: Arc::new(NoKeys) }
}

fn main() {
    let directory = std::env::var_os("KEYWARD_POLICIES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/policies")),
        PathBuf::from,
    );
    let path = directory.join("records.wasm");
    let Ok(wasm) = std::fs::read(&path) else {
        eprintln!("{} is missing: run `cargo xtask policies` first", path.display());
        std::process::exit(2);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(&wasm));
    for language in ["records-js", "records-py"] {
        let path = directory.join(format!("{language}.wasm"));
        match std::fs::read(&path) {
            Ok(wasm) => runtime.block_on(run_image(language, &wasm)),
            Err(error) => println!("{}: {error}; not measured", path.display()),
        }
    }
}

async fn run(wasm: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let config = HostConfig {
        artefact_dir: Some(dir.path().join("artefacts")),
        artefact_key: Zeroizing::new([7; 32]),
        ..HostConfig::default()
    };
    let host = PolicyHost::new(config, services()).unwrap();
    let material = KeyMaterial::generate(Algorithm::XAes256Gcm).unwrap();
    let key = KeyVersion::new(Algorithm::XAes256Gcm, KeyId(1), 1, &material).unwrap();
    let request = request();
    println!(
        "policy cycle: fresh instance + authorize + drop (records.wasm, {} bytes)",
        wasm.len()
    );
    println!(
        "{:>9} {:>10} {:>10} {:>10} {:>14} {:>14}",
        "policies", "p50 us", "p90 us", "p99 us", "+encrypt p50", "+encrypt p99"
    );
    for count in [1_usize, 200, 2_000] {
        let mut policies = Vec::with_capacity(count);
        for number in 0..count {
            policies.push(host.admit(&distinct(wasm, number)).await.unwrap());
        }
        let decide = measure(&host, &policies, &request, None).await;
        let encrypt = measure(&host, &policies, &request, Some(&key)).await;
        println!(
            "{count:>9} {:>10.2} {:>10.2} {:>10.2} {:>14.2} {:>14.2}",
            decide[0], decide[1], decide[2], encrypt[0], encrypt[2]
        );
    }
}

fn request() -> Request {
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

/// One policy with an interpreter inside: how long it takes to compile, and its cycle.
async fn run_image(name: &str, wasm: &[u8]) {
    let config = HostConfig { image: Some(ImageConfig::default()), ..HostConfig::default() };
    let host = PolicyHost::new(config, services()).unwrap();
    let start = Instant::now();
    let policy = host.admit(wasm).await.unwrap();
    let compiled = start.elapsed();
    assert_eq!(policy.engine(), EngineKind::Image);
    let [p50, p90, p99] = measure_rounds(&host, &[policy], &request(), None, 2_000).await;
    println!(
        "{name}.wasm, {} bytes: admitted in {:.1} s; p50 {p50:.0} us, p90 {p90:.0} us, p99 {p99:.0} us",
        wasm.len(),
        compiled.as_secs_f64()
    );
}

/// The same policy with another digest: a custom section with a number appended.
fn distinct(wasm: &[u8], number: usize) -> Vec<u8> {
    let mut wasm = wasm.to_vec();
    let content = u32::try_from(number).unwrap().to_le_bytes();
    wasm.extend_from_slice(&[0, 6, 1, b'n']);
    wasm.extend_from_slice(&content);
    wasm
}

/// p50, p90 and p99 in microseconds.
async fn measure(
    host: &PolicyHost,
    policies: &[Arc<Policy>],
    request: &Request,
    key: Option<&KeyVersion>,
) -> [f64; 3] {
    measure_rounds(host, policies, request, key, 20_000.max(policies.len() * 5)).await
}

async fn measure_rounds(
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
