//! What the tests of the sandbox stand on: keys of two tenants, a state that counts, a hostile policy.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

mod keys;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keyward_policy_host::{
    Caller, EngineKind, HostConfig, HostError, Policy, PolicyHost, PoolMetrics, Request, Services,
    StateEntry, StateService,
};

pub use keys::TwoTenants;

pub const TENANT: &str = "acme";

/// Counts what is written, and remembers nothing.
#[derive(Default)]
pub struct Forgetful {
    pub written: AtomicU64,
}

#[async_trait::async_trait]
impl StateService for Forgetful {
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
        Ok(self.written.fetch_add(1, Ordering::Relaxed) + 1)
    }
    async fn add(&self, _: &str, _: &str, amount: i64, _: Option<u64>) -> Result<i64, HostError> {
        self.written.fetch_add(1, Ordering::Relaxed);
        Ok(amount)
    }
    async fn remove(&self, _: &str, _: &str, _: Option<u64>) -> Result<(), HostError> {
        Ok(())
    }
}

/// How full the compact engine's pool is.
pub fn pool(host: &PolicyHost) -> PoolMetrics {
    let mut pools = host.pool_metrics();
    pools.find_map(|(kind, pool)| (kind == EngineKind::Compact).then_some(pool)).unwrap()
}

pub fn component(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/policies")
        .join(format!("{name}.wasm"));
    std::fs::read(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; run `cargo xtask policies`", path.display()))
}

pub fn host_with(config: HostConfig, delay: Duration) -> Arc<PolicyHost> {
    start(config, delay, Arc::default())
}

/// A host, and what counts the writes of its policies' state.
pub fn host_and_state() -> (Arc<PolicyHost>, Arc<Forgetful>) {
    let state = Arc::<Forgetful>::default();
    (start(small(), Duration::ZERO, Arc::clone(&state)), state)
}

fn start(config: HostConfig, delay: Duration, state: Arc<Forgetful>) -> Arc<PolicyHost> {
    let keys = TwoTenants::new(delay);
    PolicyHost::new(config, Services { keys: Arc::new(keys), state }).unwrap()
}

pub fn small() -> HostConfig {
    HostConfig { pool_size: 16, per_tenant: 8, ..HostConfig::default() }
}

pub async fn hostile() -> (Arc<PolicyHost>, Arc<Policy>) {
    let host = host_with(small(), Duration::ZERO);
    let policy = host.admit(&component("hostile")).await.unwrap();
    (host, policy)
}

/// What the hostile guest does is chosen by the purpose.
pub fn request(behaviour: &str) -> Request {
    Request {
        id: "test".into(),
        tenant: TENANT.into(),
        caller: Caller { subject: "svc".into(), roles: vec!["application".into()], claims: vec![] },
        operation: "encrypt".into(),
        key: Some("demo".into()),
        context: None,
        purpose: Some(behaviour.into()),
        time: 1_800_000_000_000,
    }
}
