//! Which policy each tenant has active, kept across restarts.
//!
//! The component's bytes are a file named by their digest; which one is active is a record in the
//! store, changed only by compare-and-set. A policy that does not load leaves its tenant with
//! nothing allowed, and every other tenant and the server as they were.

mod record;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use keyward_keyring::store::{Store, StoreError};
use keyward_keyring::{Keyring, TenantName};
use keyward_policy_host::{Policy, PolicyHost};

pub use self::record::PolicyRecord;
use crate::errors::Code;
use crate::http::Problem;
use crate::{clock, files};

/// How often an activation tries again when somebody else changed the record.
const ATTEMPTS: usize = 5;

/// A tenant's active policy.
pub struct Active {
    /// Ready to run.
    pub policy: Arc<Policy>,
    /// Since when, and by whom.
    pub record: PolicyRecord,
}

#[derive(Clone)]
enum Slot {
    Ready(Arc<Active>),
    /// Did not load; the reason is in the log.
    Failed,
}

/// The tenants' active policies.
pub struct Policies {
    host: Arc<PolicyHost>,
    store: Arc<dyn Store>,
    dir: PathBuf,
    /// Read on every request, replaced on an activation.
    slots: ArcSwap<HashMap<String, Slot>>,
    /// Orders activations of this process.
    activating: tokio::sync::Mutex<()>,
}

impl Policies {
    /// Keeps components in `dir`, which exists.
    pub fn new(host: Arc<PolicyHost>, keyring: &Keyring, dir: PathBuf) -> Self {
        let store = Arc::clone(keyring.store());
        let slots = ArcSwap::from_pointee(HashMap::new());
        Self { host, store, dir, slots, activating: tokio::sync::Mutex::new(()) }
    }

    /// Where policies run.
    pub fn host(&self) -> &Arc<PolicyHost> {
        &self.host
    }

    /// The tenant's active policy, or why there is none to ask.
    pub fn active(&self, tenant: &TenantName) -> Result<Arc<Active>, Problem> {
        match self.slots.load().get(tenant.as_str()) {
            Some(Slot::Ready(active)) => Ok(Arc::clone(active)),
            Some(Slot::Failed) => Err(Problem::new(
                Code::PolicyUnusable,
                "the tenant's active policy did not load at start, so nothing is allowed; an \
                 operator finds the reason in the server's log, or activates a policy with PUT \
                 …/policy",
            )),
            None => Err(Problem::new(
                Code::PolicyMissing,
                format!(
                    "tenant {tenant} has no active policy, so nothing is allowed; activate one: \
                     curl -X PUT -H 'Content-Type: application/wasm' --data-binary @policy.wasm \
                     …/api/v1/tenants/{tenant}/policy"
                ),
            )),
        }
    }

    /// How many tenants' policies did not load.
    pub fn failed(&self) -> usize {
        self.slots.load().values().filter(|slot| matches!(slot, Slot::Failed)).count()
    }

    /// Loads what was active before, at start.
    pub async fn load(&self, tenants: &[TenantName]) -> Result<(), StoreError> {
        let mut slots = HashMap::new();
        for tenant in tenants {
            let Some(stored) = self.store.get(&record::path(tenant)).await? else {
                continue;
            };
            let slot = match self.load_one(&stored.value).await {
                Ok(active) => Slot::Ready(Arc::new(active)),
                Err(reason) => {
                    tracing::error!(%tenant, reason, "policy did not load; tenant is shut");
                    Slot::Failed
                }
            };
            slots.insert(tenant.as_str().to_owned(), slot);
        }
        self.slots.store(Arc::new(slots));
        Ok(())
    }

    async fn load_one(&self, stored: &[u8]) -> Result<Active, String> {
        let record = PolicyRecord::from_bytes(stored).ok_or("its record is damaged")?;
        let path = self.dir.join(record.file_name().ok_or("its record is damaged")?);
        // At start, before anything is served.
        let wasm = std::fs::read(&path)
            .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let policy = self.host.admit(&wasm).await.map_err(|error| error.to_string())?;
        if policy.digest() != record.digest {
            return Err(format!("{} was changed: its digest is another", path.display()));
        }
        Ok(Active { policy, record })
    }

    /// Admits a component and makes it the tenant's policy for every request from now on.
    pub async fn activate(
        &self,
        tenant: &TenantName,
        wasm: bytes::Bytes,
        activated_by: &str,
    ) -> Result<Arc<Active>, Problem> {
        let policy = self.host.admit(&wasm).await?;
        let record = PolicyRecord {
            digest: policy.digest().to_owned(),
            activated_at: clock::unix_ms(),
            activated_by: activated_by.to_owned(),
        };
        let _order = self.activating.lock().await;
        self.keep(&record, wasm).await?;
        self.write_record(tenant, &record).await?;
        let active = Arc::new(Active { policy, record });
        self.slots.rcu(|slots| {
            let mut slots = HashMap::clone(slots);
            slots.insert(tenant.as_str().to_owned(), Slot::Ready(Arc::clone(&active)));
            slots
        });
        tracing::info!(%tenant, digest = active.record.digest, by = activated_by, "policy active");
        Ok(active)
    }

    /// Writes the component's file before any record names it.
    async fn keep(&self, record: &PolicyRecord, wasm: bytes::Bytes) -> Result<(), Problem> {
        let name = record.file_name().ok_or_else(|| Problem::internal("unusable digest"))?;
        let path = self.dir.join(name);
        let written = tokio::task::spawn_blocking(move || {
            if std::fs::read(&path).is_ok_and(|kept| kept == wasm) {
                return Ok(());
            }
            files::write_atomic(&path, &wasm, 0o600)
        });
        match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Problem::internal(format!("cannot keep a policy: {error}"))),
            Err(error) => Err(Problem::internal(error)),
        }
    }

    async fn write_record(
        &self,
        tenant: &TenantName,
        record: &PolicyRecord,
    ) -> Result<(), Problem> {
        let path = record::path(tenant);
        let bytes = record.to_bytes();
        for _ in 0..ATTEMPTS {
            let written = match self.store.get(&path).await.map_err(store_failed)? {
                None => self.store.create(&path, &bytes).await,
                Some(old) => self.store.replace(&path, &bytes, old.revision).await,
            };
            match written {
                Ok(_) => return Ok(()),
                Err(StoreError::Exists { .. } | StoreError::RevisionMismatch { .. }) => {}
                Err(error) => return Err(store_failed(error)),
            }
        }
        Err(Problem::new(Code::Conflict, "others are changing this tenant's policy; retry"))
    }
}

fn store_failed(error: StoreError) -> Problem {
    keyward_keyring::KeyringError::Store(error).into()
}

#[cfg(test)]
mod tests;
