//! The sandbox of the server, on the author's machine: the same engine, limits and bridge to a
//! keyring, over a store in memory.

use std::path::Path;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use async_trait::async_trait;
use keyward_keyring::store::memory::MemoryStore;
use keyward_keyring::{CacheConfig, KeyName, Keyring, KeyringError, TenantName};
use keyward_policy_host::{
    AdmissionError, HostConfig, HostError, ImageConfig, KeyHandle, KeyService, Policy, PolicyHost,
    Services, StateEntry, StateService,
};

use super::cases::File;
use crate::bridge::Bridge;
use crate::client::failure::Failure;
use crate::state::States;

/// Instances at once: one runs, one is being described.
const POOL: u32 = 4;
/// How much a policy may remember: as a server has it, unless it is configured otherwise.
const STATE_BYTES: usize = 1 << 20;
/// The interface by which a policy remembers.
const STATE: &str = "keyward:policy/state@0.1.0";
/// Who made the keys, in their history.
const AUTHOR: &str = "author";

/// A policy, ready to run.
pub struct Sandbox {
    pub host: Arc<PolicyHost>,
    pub policy: Arc<Policy>,
    keys: Arc<Keys>,
    memory: Arc<Memory>,
}

/// The keys of the file whose cases run.
#[derive(Default)]
struct Keys(ArcSwapOption<Bridge>);

/// What the policy remembers of the runs before.
struct Memory(ArcSwap<States>);

impl Memory {
    fn states() -> Arc<States> {
        Arc::new(States::new(Arc::new(MemoryStore::default()), STATE_BYTES))
    }
}

#[async_trait]
impl StateService for Memory {
    async fn get(&self, tenant: &str, name: &str) -> Result<Option<StateEntry>, HostError> {
        self.0.load_full().get(tenant, name).await
    }

    async fn put(
        &self,
        tenant: &str,
        name: &str,
        value: &[u8],
        ttl: Option<u64>,
        expected: Option<u64>,
    ) -> Result<u64, HostError> {
        self.0.load_full().put(tenant, name, value, ttl, expected).await
    }

    async fn add(
        &self,
        tenant: &str,
        name: &str,
        amount: i64,
        ttl: Option<u64>,
    ) -> Result<i64, HostError> {
        self.0.load_full().add(tenant, name, amount, ttl).await
    }

    async fn remove(
        &self,
        tenant: &str,
        name: &str,
        expected: Option<u64>,
    ) -> Result<(), HostError> {
        self.0.load_full().remove(tenant, name, expected).await
    }
}

#[async_trait]
impl KeyService for Keys {
    async fn open(
        &self,
        tenant: &str,
        name: &str,
        version: Option<u32>,
    ) -> Result<Arc<dyn KeyHandle>, HostError> {
        match self.0.load_full() {
            Some(bridge) => bridge.open(tenant, name, version).await,
            None => Err(HostError::NotFound("this tenant has no such key".into())),
        }
    }
}

/// What a file of cases sets up.
pub struct Tenant {
    pub keyring: Keyring,
    pub name: TenantName,
}

impl Sandbox {
    /// Admits the component in `path`. With `fuel`, runs tell how much they used and take longer.
    pub async fn open(path: &Path, fuel: bool) -> Result<Self, Failure> {
        let wasm = std::fs::read(path).map_err(|error| Failure::file("read", path, &error))?;
        let keys = Arc::<Keys>::default();
        // What is measured is measured with the server's pool.
        let config = if fuel {
            let image = ImageConfig { pool_size: POOL, per_tenant: POOL, ..ImageConfig::default() };
            let image = Some(image);
            HostConfig { pool_size: POOL, per_tenant: POOL, fuel, image, ..HostConfig::default() }
        } else {
            HostConfig { image: Some(ImageConfig::default()), ..HostConfig::default() }
        };
        let memory = Arc::new(Memory(ArcSwap::new(Memory::states())));
        let services = Services { keys: Arc::clone(&keys) as _, state: Arc::clone(&memory) as _ };
        let host = PolicyHost::new(config, services)
            .map_err(|error| Failure::local("the sandbox does not start", &error))?;
        let policy = host.admit(&wasm).await.map_err(|error| not_admitted(path, &error))?;
        Ok(Self { host, policy, keys, memory })
    }

    /// Whether the policy may remember.
    pub fn remembers(&self) -> bool {
        self.policy.imports().iter().any(|import| import == STATE)
    }

    /// Lets the policy remember nothing.
    pub fn forget(&self) {
        self.memory.0.store(Memory::states());
    }

    /// Sets up the tenant of a file and its keys; what runs next finds these.
    pub async fn set_up(&self, file: &File) -> Result<Tenant, Failure> {
        let wrong = |what: &str, error: &dyn std::fmt::Display| {
            Failure::Usage(format!("{}: {what}: {error}", file.path.display()))
        };
        let name: TenantName =
            file.tenant.parse().map_err(|error: KeyringError| wrong("`tenant`", &error))?;
        let keyring = Keyring::new(Arc::new(MemoryStore::default()), CacheConfig::default());
        keyring.create_tenant(&name).await.map_err(|error| wrong("`tenant`", &error))?;
        for (key, spec) in &file.keys {
            let place = format!("`keys.{key}`");
            let told = |error: KeyringError| wrong(&place, &error);
            let key: KeyName = key.parse().map_err(told)?;
            let attributes = spec.attributes.clone();
            let made = keyring.create_key(&name, &key, spec.algorithm, attributes, AUTHOR);
            made.await.map_err(told)?;
            if !(1..=100).contains(&spec.versions) {
                return Err(wrong(&place, &"`versions` is between 1 and 100"));
            }
            for _ in 1..spec.versions {
                keyring.rotate(&name, &key, AUTHOR).await.map_err(told)?;
            }
            if spec.disabled {
                keyring.set_enabled(&name, &key, false, AUTHOR).await.map_err(told)?;
            }
        }
        self.keys.0.store(Some(Arc::new(Bridge::new(keyring.clone()))));
        self.forget();
        Ok(Tenant { keyring, name })
    }
}

fn not_admitted(path: &Path, error: &AdmissionError) -> Failure {
    Failure::Local(format!(
        "{}: {error} ({}); `keyward policy inspect` says more",
        path.display(),
        error.code()
    ))
}
