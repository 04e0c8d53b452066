//! The policy cycle: a fresh instance, one decision, gone. With 1, 200 and 2,000 distinct
//! policies taken in turn, without and with one encryption by the host. Then the same policy in
//! JavaScript and in Python, in the image engine.
//!
//! `cargo xtask bench` runs it; KEYWARD_POLICIES names the directory of built components.
#![allow(clippy::unwrap_used, reason = "it fails by panicking")]

mod common;

use std::time::Instant;

use keyward_crypto::{Algorithm, KeyId, KeyMaterial, KeyVersion};
use keyward_policy_host::{EngineKind, HostConfig, ImageConfig, PolicyHost};
use zeroize::Zeroizing;

use common::{component, component_path, distinct, measure, measure_rounds, request, services};

fn main() {
    let wasm = component("records");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(run(&wasm));
    for language in ["records-js", "records-py"] {
        let path = component_path(language);
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
