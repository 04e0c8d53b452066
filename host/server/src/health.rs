//! What is known of where the keys are, in one shape for the embedded store and for Vault.

use std::time::{Duration, Instant, SystemTime};

use keyward_keyring::Keyring;
use keyward_keyring::vault::{LastError, Requests, State, Status};
use moka::future::Cache;

use crate::backend::Backend;
use crate::errors::Code;
use crate::readiness::Waiting;

/// How long the answer of one probe holds: whoever asks in between gets the same, so that asking
/// often puts no load on the store.
const HOLDS: Duration = Duration::from_secs(1);
/// How long a probe may take.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Asks the store how it is, at most once a second.
pub struct Health {
    /// Why it cannot be used, if so.
    probes: Cache<(), Option<Waiting>>,
}

impl Default for Health {
    fn default() -> Self {
        Self { probes: Cache::builder().max_capacity(1).time_to_live(HOLDS).build() }
    }
}

impl Health {
    /// What is seen now.
    pub async fn check(&self, backend: &Backend, keyring: &Keyring) -> Status {
        match backend {
            Backend::Embedded => ping(keyring).await,
            Backend::Vault(backend) => backend.vault.check_now().await,
        }
    }

    /// What was seen last; of an embedded store, which answers at once, what is seen now.
    pub async fn last(&self, backend: &Backend, keyring: &Keyring) -> Status {
        match backend {
            Backend::Embedded => ping(keyring).await,
            Backend::Vault(backend) => backend.vault.status(),
        }
    }

    /// Why the store cannot be used at the moment; `None`: it can. A Vault is asked about itself
    /// and about the token, and then for a record.
    pub async fn trouble(&self, backend: &Backend, keyring: &Keyring) -> Option<Waiting> {
        let probe = async {
            tokio::time::timeout(PROBE_TIMEOUT, probe(backend, keyring)).await.unwrap_or_else(
                |_| {
                    let reason = format!("no answer within {} s", PROBE_TIMEOUT.as_secs());
                    Some(Waiting { code: Code::VaultTimeout, reason })
                },
            )
        };
        self.probes.get_with((), probe).await
    }
}

async fn ping(keyring: &Keyring) -> Status {
    let (now, start) = (SystemTime::now(), Instant::now());
    let error = keyring.store().ping().await.err();
    Status {
        state: if error.is_none() { State::Healthy } else { State::Unhealthy },
        last_check: Some(now),
        check_duration: Some(start.elapsed()),
        last_error: error.map(|error| LastError {
            code: error.code(),
            message: error.to_string(),
            at: now,
        }),
        token: None,
        requests: Requests::default(),
        version: None,
    }
}

async fn probe(backend: &Backend, keyring: &Keyring) -> Option<Waiting> {
    if let Backend::Vault(backend) = backend {
        let status = backend.vault.check_now().await;
        if !status.state.is_usable() {
            return Some(Waiting::of(&status));
        }
    }
    let error = keyring.store().ping().await.err()?;
    tracing::debug!(%error, "the key store does not answer");
    Some(Waiting { code: (&error).into(), reason: error.to_string() })
}
