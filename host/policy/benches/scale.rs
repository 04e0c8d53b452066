//! Many tenants on one host, each with a policy of its own: how long a start takes when all of them
//! were compiled before, how much memory each takes, and the policy cycle when they are asked in
//! turn.
//!
//! `cargo xtask bench scale` runs it. KEYWARD_SCALE_POLICIES says how many there are; 10,000
//! otherwise. What is compiled is kept for the next time, which takes a minute of the first run for
//! each few thousand. What is measured runs in a process of its own, which has compiled nothing.
#![allow(clippy::unwrap_used, reason = "it fails by panicking")]
#![allow(clippy::cast_precision_loss, reason = "numbers of policies are far below 2^52")]

mod common;

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use keyward_crypto::{Algorithm, KeyId, KeyMaterial, KeyVersion};
use keyward_policy_host::{HostConfig, Policy, PolicyHost};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

use common::{component, distinct, measure, request, services};

/// Loaded at a time, as by a server.
const LOADS: usize = 8;
/// The argument of the process that measures.
const MEASURE: &str = "measure";

fn main() {
    let count = std::env::var("KEYWARD_SCALE_POLICIES")
        .map_or(10_000, |text| text.parse().expect("KEYWARD_SCALE_POLICIES is a number"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if std::env::args().any(|argument| argument == MEASURE) {
        return runtime.block_on(run(count));
    }
    let start = Instant::now();
    runtime.block_on(async { drop(admit(&host(), count).await) });
    drop(runtime);
    println!("{count} policies, compiled or found in {:.1} s", start.elapsed().as_secs_f64());
    let program = std::env::current_exe().unwrap();
    let status = Command::new(program).arg(MEASURE).status().unwrap();
    assert!(status.success(), "{status}");
}

fn host() -> Arc<PolicyHost> {
    let config = HostConfig {
        artefact_dir: Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("scale-artefacts")),
        artefact_key: Zeroizing::new([7; 32]),
        ..HostConfig::default()
    };
    PolicyHost::new(config, services()).unwrap()
}

/// All policies, in order.
async fn admit(host: &Arc<PolicyHost>, count: usize) -> Vec<Arc<Policy>> {
    let wasm = Arc::new(component("records"));
    let mut loading = JoinSet::new();
    let mut loaded: Vec<Option<Arc<Policy>>> = vec![None; count];
    for number in 0..count {
        if loading.len() == LOADS {
            let (number, policy) = loading.join_next().await.unwrap().unwrap();
            loaded[number] = Some(policy);
        }
        let (host, wasm) = (Arc::clone(host), Arc::clone(&wasm));
        loading.spawn(async move {
            let policy = host.admit(&distinct(&wasm, number)).await;
            (number, policy.unwrap())
        });
    }
    while let Some(done) = loading.join_next().await {
        let (number, policy) = done.unwrap();
        loaded[number] = Some(policy);
    }
    loaded.into_iter().map(Option::unwrap).collect()
}

async fn run(count: usize) {
    let host = host();
    // What is there once, whatever the number of policies.
    let first = host.admit(&distinct(&component("records"), count)).await.unwrap();
    measure(&host, std::slice::from_ref(&first), &request(), None).await;
    let before = Memory::now();
    let start = Instant::now();
    let policies = admit(&host, count).await;
    let took = start.elapsed();
    let loaded = Memory::now().since(&before);
    println!(
        "start: {:.2} s, {:.0} us for each policy",
        took.as_secs_f64(),
        took.as_secs_f64() * 1e6 / count as f64
    );
    println!("memory of each, loaded: {}", loaded.of_each(count));
    let material = KeyMaterial::generate(Algorithm::XAes256Gcm).unwrap();
    let key = KeyVersion::new(Algorithm::XAes256Gcm, KeyId(1), 1, &material).unwrap();
    println!(
        "{:>9} {:>10} {:>10} {:>10} {:>14} {:>14}",
        "policies", "p50 us", "p90 us", "p99 us", "+encrypt p50", "+encrypt p99"
    );
    for policies in [&policies[..1], &policies[..count.min(2_000)], &policies[..]] {
        let decide = measure(&host, policies, &request(), None).await;
        let encrypt = measure(&host, policies, &request(), Some(&key)).await;
        println!(
            "{:>9} {:>10.2} {:>10.2} {:>10.2} {:>14.2} {:>14.2}",
            policies.len(),
            decide[0],
            decide[1],
            decide[2],
            encrypt[0],
            encrypt[2]
        );
    }
    let used = Memory::now().since(&before);
    println!("memory of each, after all have run: {}", used.of_each(count));
}

/// What this process has in memory, in KiB.
struct Memory {
    resident: f64,
    /// Of that what is no file's.
    anonymous: f64,
}

impl Memory {
    fn now() -> Self {
        let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let figure = |name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        Self { resident: figure("Rss:"), anonymous: figure("Anonymous:") }
    }

    fn since(&self, before: &Self) -> Self {
        let resident = self.resident - before.resident;
        Self { resident, anonymous: self.anonymous - before.anonymous }
    }

    fn of_each(&self, count: usize) -> String {
        let each = |kib: f64| kib / count as f64;
        format!("{:.1} KiB, {:.1} of them anonymous", each(self.resident), each(self.anonymous))
    }
}
