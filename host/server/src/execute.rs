//! Carries out a policy's plan: the bytes of encrypt and decrypt, natively, from cached keys.
//!
//! A plan is prepared once and then used for every payload it was decided for, so that a batch
//! looks its key up once. What the caller got wrong and what the policy got wrong are different
//! errors: the latter are `policy_bad_plan`.

use std::str::FromStr;
use std::sync::Arc;

use keyward_crypto::{Algorithm, Binding, Channel, CryptoError, Header, KeyVersion, Suite};
use keyward_keyring::{Key, KeyName, Keyring, KeyringError, TenantName};
use keyward_policy_host::{Obligations, Plan};
use zeroize::Zeroizing;

use crate::errors::Code;
use crate::http::Problem;

/// A plan ready to encrypt.
#[derive(Clone)]
pub struct Sealer {
    key: Arc<Key>,
    version: Arc<KeyVersion>,
    suite: Option<Suite>,
    authenticated_data: Vec<u8>,
    obligations: Obligations,
}

impl Sealer {
    /// Prepares `plan` for requests that name the key `requested`.
    pub async fn prepare(
        keyring: &Keyring,
        tenant: &TenantName,
        requested: Option<&str>,
        plan: Plan,
    ) -> Result<Self, Problem> {
        let obligations = Obligations::of(&plan)?;
        let by_policy = plan.key.as_deref().filter(|key| Some(*key) != requested);
        let Some(name) = by_policy.or(requested) else {
            let detail = "neither the request nor the tenant's policy names a key; add `key`";
            return Err(Problem::field(Code::KeyRequired, "/key", detail));
        };
        let fault = |problem: Problem| match by_policy {
            Some(name) => {
                // Whatever the policy wrote there, the answer stays short.
                let name: String = name.chars().take(64).collect();
                bad_plan(format!("its key {name:?} cannot be used: {}", problem.detail))
            }
            None => Problem { field: Some("/key".into()), ..problem },
        };
        let key = match KeyName::from_str(name) {
            Ok(name) => keyring.key(tenant, &name).await,
            Err(error) => Err(error),
        };
        let key = key.map_err(|error| blame(error, fault))?;
        let Some(own_suite) = key.algorithm().default_suite() else {
            let detail = format!(
                "key {} is of algorithm {}, which does not encrypt",
                key.name(),
                key.algorithm()
            );
            return Err(fault(Problem::new(Code::KeyUnsuitable, detail)));
        };
        let suite = match plan.suite {
            None => None,
            Some(algorithm) => Some(
                Algorithm::from(algorithm)
                    .default_suite()
                    .ok_or_else(|| bad_plan("its suite does not encrypt"))?,
            ),
        };
        if suite.is_some_and(|suite| is_deterministic(suite) != is_deterministic(own_suite)) {
            return Err(bad_plan("its suite is not of the key's family"));
        }
        let number = plan.version.unwrap_or(key.current_version());
        let version = keyring.version(&key, number).await.map_err(|error| match error {
            KeyringError::VersionNotFound { .. } => bad_plan(error.to_string()),
            error => error.into(),
        })?;
        let authenticated_data = plan.authenticated_data;
        Ok(Self { key, version, suite, authenticated_data, obligations })
    }

    /// What the plan obliges the host to.
    pub fn obligations(&self) -> &Obligations {
        &self.obligations
    }

    /// The version it encrypts with.
    pub fn version(&self) -> u32 {
        self.version.version()
    }

    /// Encrypts into Keyward's binary format.
    pub fn seal(&self, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Problem> {
        self.obligations.check_len(plaintext.len())?;
        let binding = binding(&self.key, &self.authenticated_data, context);
        self.version.seal(self.suite, &binding, plaintext).map_err(|error| match error {
            CryptoError::SuiteNotAllowed { .. } => bad_plan("its suite is not of the key's family"),
            CryptoError::TooLong => {
                Problem::new(Code::PayloadTooLarge, "the plaintext is too long for the key's suite")
            }
            error => Problem::internal(error),
        })
    }
}

/// A plan ready to decrypt what was made with one key.
#[derive(Clone)]
pub struct Opener {
    key: Arc<Key>,
    only_version: Option<u32>,
    authenticated_data: Vec<u8>,
    obligations: Obligations,
}

impl Opener {
    /// Prepares `plan` for ciphertexts made with `key`.
    pub fn prepare(key: Arc<Key>, plan: Plan) -> Result<Self, Problem> {
        let obligations = Obligations::of(&plan)?;
        // A plan for another key than the ciphertext's: nothing opens.
        if plan.key.as_deref().is_some_and(|name| name != key.name().as_str()) {
            return Err(Problem::ciphertext_invalid());
        }
        let Plan { version: only_version, authenticated_data, .. } = plan;
        Ok(Self { key, only_version, authenticated_data, obligations })
    }

    /// What the plan obliges the host to.
    pub fn obligations(&self) -> &Obligations {
        &self.obligations
    }

    /// Opens a ciphertext; gives the plaintext and the version it was made with.
    pub async fn open(
        &self,
        keyring: &Keyring,
        header: &Header,
        context: &[u8],
        ciphertext: &[u8],
    ) -> Result<(Zeroizing<Vec<u8>>, u32), Problem> {
        self.obligations.check_len(ciphertext.len())?;
        let number = header.key_version;
        if header.key_id != self.key.id() || self.only_version.is_some_and(|only| only != number) {
            return Err(Problem::ciphertext_invalid());
        }
        let version = keyring.version(&self.key, number).await.map_err(|error| match error {
            KeyringError::VersionNotFound { .. } => Problem::ciphertext_invalid(),
            error => error.into(),
        })?;
        let binding = binding(&self.key, &self.authenticated_data, context);
        match version.open(&binding, ciphertext) {
            Ok(plaintext) => Ok((plaintext, number)),
            Err(_) => Err(Problem::ciphertext_invalid()),
        }
    }
}

fn binding<'a>(key: &'a Key, policy_data: &'a [u8], context: &'a [u8]) -> Binding<'a> {
    Binding {
        channel: Channel::Payload,
        tenant: key.tenant().as_str(),
        key_name: key.name().as_str(),
        policy_data,
        context,
    }
}

fn is_deterministic(suite: Suite) -> bool {
    suite == Suite::Aes256Siv
}

fn bad_plan(reason: impl std::fmt::Display) -> Problem {
    Problem::new(Code::PolicyBadPlan, format!("the policy's plan cannot be executed: {reason}"))
}

/// A key that does not exist is the fault of whoever named it; a store that fails is nobody's.
fn blame(error: KeyringError, fault: impl FnOnce(Problem) -> Problem) -> Problem {
    match error {
        KeyringError::KeyNotFound { .. } | KeyringError::InvalidName { .. } => fault(error.into()),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests;
