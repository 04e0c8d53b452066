//! What the tests of the sandbox stand on: keys of two tenants, a state that counts, a hostile policy.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keyward_crypto::{
    Algorithm, Alphabet, Binding, Channel, KeyId, KeyMaterial, KeyVersion, Mac, SignatureForm,
};
use keyward_policy_host::{
    Caller, EngineKind, HostConfig, HostError, KeyHandle, KeyService, Policy, PolicyHost,
    PoolMetrics, Request, Services, StateEntry, StateService,
};
use zeroize::Zeroizing;

pub const TENANT: &str = "acme";

/// Keys with real cryptography; remembers nothing, owns `demo` of `acme` and `secret` of `other`.
pub struct TwoTenants {
    acme: Arc<OneKey>,
    other: Arc<OneKey>,
    delay: Duration,
}

pub struct OneKey {
    tenant: &'static str,
    name: &'static str,
    version: KeyVersion,
}

impl OneKey {
    fn new(tenant: &'static str, name: &'static str, id: u64) -> Arc<Self> {
        let material = KeyMaterial::generate(Algorithm::XAes256Gcm).unwrap();
        let version = KeyVersion::new(Algorithm::XAes256Gcm, KeyId(id), 1, &material).unwrap();
        Arc::new(Self { tenant, name, version })
    }

    fn binding<'a>(&'a self, aad: &'a [u8]) -> Binding<'a> {
        Binding {
            channel: Channel::Policy,
            tenant: self.tenant,
            key_name: self.name,
            policy_data: aad,
            context: &[],
        }
    }
}

#[async_trait::async_trait]
impl KeyService for TwoTenants {
    async fn open(
        &self,
        tenant: &str,
        name: &str,
        _version: Option<u32>,
    ) -> Result<Arc<dyn KeyHandle>, HostError> {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        for key in [&self.acme, &self.other] {
            if key.tenant == tenant && key.name == name {
                return Ok(Arc::clone(key) as Arc<dyn KeyHandle>);
            }
        }
        Err(HostError::NotFound(format!("no key `{name}`")))
    }
}

#[async_trait::async_trait]
impl KeyHandle for OneKey {
    fn name(&self) -> &str {
        self.name
    }
    fn version(&self) -> u32 {
        1
    }
    fn algorithm(&self) -> Algorithm {
        self.version.algorithm()
    }
    fn attribute(&self, _name: &str) -> Option<&str> {
        None
    }
    async fn encrypt(&self, data: &[u8], aad: &[u8]) -> Result<Vec<u8>, HostError> {
        self.version
            .seal(None, &self.binding(aad), data)
            .map_err(|error| HostError::Invalid(error.to_string()))
    }
    async fn decrypt(&self, data: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, HostError> {
        self.version
            .open(&self.binding(aad), data)
            .map_err(|error| HostError::Invalid(error.to_string()))
    }
    async fn mac(&self, _data: &[u8]) -> Result<Mac, HostError> {
        Err(HostError::Invalid("not a MAC key".into()))
    }
    async fn verify(&self, _data: &[u8], _tag: &[u8]) -> Result<bool, HostError> {
        Err(HostError::Invalid("not a MAC key".into()))
    }
    async fn sign(&self, data: &[u8], form: SignatureForm) -> Result<Vec<u8>, HostError> {
        self.version.sign(data, form).map_err(|error| HostError::Invalid(error.to_string()))
    }
    async fn verify_signature(
        &self,
        data: &[u8],
        signature: &[u8],
        form: SignatureForm,
    ) -> Result<Option<u32>, HostError> {
        let valid = self.version.verify(data, signature, form);
        let valid = valid.map_err(|error| HostError::Invalid(error.to_string()))?;
        Ok(valid.then_some(1))
    }
    async fn public_key(&self) -> Result<Vec<u8>, HostError> {
        let public = self.version.public_key();
        let public = public.map_err(|error| HostError::Invalid(error.to_string()))?;
        Ok(public.der().to_vec())
    }
    async fn tokenize(&self, _: &Alphabet, _: &[u8], _: &str) -> Result<String, HostError> {
        Err(HostError::Invalid("not a deterministic key".into()))
    }
    async fn reveal_token(
        &self,
        _: &Alphabet,
        _: &[u8],
        _: &str,
    ) -> Result<Zeroizing<String>, HostError> {
        Err(HostError::Invalid("not a deterministic key".into()))
    }
    async fn term(&self, _label: &str, _value: &[u8]) -> Result<[u8; 32], HostError> {
        Err(HostError::Invalid("not a MAC key".into()))
    }
    async fn terms(&self, _label: &str, _value: &[u8]) -> Result<Vec<[u8; 32]>, HostError> {
        Err(HostError::Invalid("not a MAC key".into()))
    }
}

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
    let keys = TwoTenants {
        acme: OneKey::new("acme", "demo", 1),
        other: OneKey::new("other", "secret", 2),
        delay,
    };
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
