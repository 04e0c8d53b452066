//! Joins the policy host to the keyring: what a guest's `keys.open` and its handles do.
//!
//! A policy's own ciphertexts are sealed on [`Channel::Policy`], so that `/decrypt` never opens
//! them and `opening` never opens what `/encrypt` made.

use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use keyward_crypto::{
    Algorithm, Alphabet, Binding, Channel, CryptoError, Header, Mac, SignatureForm,
};
use keyward_keyring::{Key, KeyName, Keyring, KeyringError, TenantName};
use keyward_policy_host::{Bounds, HostError, KeyHandle, KeyService};
use zeroize::Zeroizing;

use crate::errors::Code;
use crate::http::Problem;
use crate::limits::Limits;
use crate::metered::Metered;

/// Opens keys of the keyring for policies.
pub struct Bridge {
    keyring: Keyring,
    /// Which keys policies may use, and how much else; none where policies are tried.
    limits: Option<Arc<Limits>>,
}

impl Bridge {
    /// Opens keys of this keyring.
    pub fn new(keyring: Keyring) -> Self {
        Self { keyring, limits: None }
    }

    /// The same, within what operators give each tenant.
    #[must_use]
    pub fn within(self, limits: &Arc<Limits>) -> Self {
        Self { limits: Some(Arc::clone(limits)), ..self }
    }
}

#[async_trait]
impl KeyService for Bridge {
    async fn open(
        &self,
        tenant: &str,
        name: &str,
        version: Option<u32>,
    ) -> Result<Arc<dyn KeyHandle>, HostError> {
        let no_such_key = || HostError::NotFound("this tenant has no such key".into());
        if let Some(limits) = &self.limits
            && let Err(problem) = limits.check_grant(tenant, name)
        {
            return Err(HostError::Denied(format!(
                "{} ({})",
                problem.detail,
                problem.code.as_str()
            )));
        }
        let tenant = TenantName::from_str(tenant).map_err(|_| no_such_key())?;
        // A name that no key can have is the name of no key.
        let name = KeyName::from_str(name).map_err(|_| no_such_key())?;
        let key = self.keyring.key(&tenant, &name).await.map_err(host_error)?;
        let number = version.unwrap_or(key.current_version());
        let current = Metered::of(&self.keyring, &key, number).await.map_err(host_error)?;
        let keyring = self.keyring.clone();
        Ok(Arc::new(Handle { keyring, key, current, pinned: version.is_some() }))
    }

    fn bounds(&self, tenant: &str) -> Bounds {
        self.limits.as_ref().map_or_else(Bounds::default, |limits| limits.bounds(tenant))
    }

    fn ran(&self, tenant: &str, host_calls: u32, memory_bytes: usize) {
        if let Some(limits) = &self.limits {
            limits.ran(tenant, host_calls, memory_bytes);
        }
    }
}

struct Handle {
    keyring: Keyring,
    key: Arc<Key>,
    current: Metered,
    /// Opened by version: that version alone.
    pinned: bool,
}

impl Handle {
    fn binding<'a>(&'a self, aad: &'a [u8]) -> Binding<'a> {
        Binding {
            channel: Channel::Policy,
            tenant: self.key.tenant().as_str(),
            key_name: self.key.name().as_str(),
            policy_data: aad,
            context: b"",
        }
    }

    /// The version a ciphertext was made with, if this handle may open it.
    async fn version_of(&self, ciphertext: &[u8]) -> Result<Metered, HostError> {
        let header = Header::parse(ciphertext).map_err(|_| does_not_open())?;
        if header.key_id != self.key.id() {
            return Err(does_not_open());
        }
        if header.key_version == self.current.version() {
            return Ok(self.current.clone());
        }
        if self.pinned {
            return Err(does_not_open());
        }
        match Metered::of(&self.keyring, &self.key, header.key_version).await {
            Ok(version) => Ok(version),
            Err(KeyringError::VersionNotFound { .. }) => Err(does_not_open()),
            Err(error) => Err(host_error(error)),
        }
    }

    /// The version to encrypt, to sign and to make MACs with.
    fn sealing(&self) -> Result<&Metered, HostError> {
        self.key.check_encrypts(self.current.version()).map_err(host_error)?;
        Ok(&self.current)
    }

    fn crypto_error(&self, error: &CryptoError) -> HostError {
        match error {
            CryptoError::CiphertextInvalid => does_not_open(),
            CryptoError::OperationNotSupported { .. } | CryptoError::SuiteNotAllowed { .. } => {
                let (name, algorithm) = (self.key.name(), self.key.algorithm());
                HostError::Invalid(format!(
                    "key {name} is of algorithm {algorithm}, which cannot do this"
                ))
            }
            CryptoError::SignatureFormNotAllowed { .. } | CryptoError::NotAsymmetric { .. } => {
                HostError::Invalid(format!("key {}: {error}", self.key.name()))
            }
            CryptoError::TooLong => HostError::Invalid("the data is too long".into()),
            CryptoError::NotInAlphabet { .. } | CryptoError::TokenTooShort { .. } => {
                HostError::Invalid(error.to_string())
            }
            error => {
                tracing::error!(%error, "a key operation failed");
                HostError::Unavailable("the host could not carry out a key operation".into())
            }
        }
    }
}

#[async_trait]
impl KeyHandle for Handle {
    fn name(&self) -> &str {
        self.key.name().as_str()
    }

    fn version(&self) -> u32 {
        self.current.version()
    }

    fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.key.attributes().get(name).map(String::as_str)
    }

    async fn encrypt(&self, data: &[u8], aad: &[u8]) -> Result<Vec<u8>, HostError> {
        self.sealing()?.seal(None, &self.binding(aad), data).map_err(|e| self.crypto_error(&e))
    }

    async fn decrypt(&self, data: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, HostError> {
        let version = self.version_of(data).await?;
        version.open(&self.binding(aad), data).map_err(|e| self.crypto_error(&e))
    }

    async fn mac(&self, data: &[u8]) -> Result<Mac, HostError> {
        self.sealing()?.mac(data).map_err(|e| self.crypto_error(&e))
    }

    async fn verify(&self, data: &[u8], tag: &[u8]) -> Result<bool, HostError> {
        let valid = self.current.is_by(|version| version.verify_mac(data, tag));
        valid.map_err(|e| self.crypto_error(&e))
    }

    async fn sign(&self, data: &[u8], form: SignatureForm) -> Result<Vec<u8>, HostError> {
        self.sealing()?.sign(data, form).map_err(|e| self.crypto_error(&e))
    }

    async fn verify_signature(
        &self,
        data: &[u8],
        signature: &[u8],
        form: SignatureForm,
    ) -> Result<Option<u32>, HostError> {
        let is_by = |version: &Metered| {
            let valid = version.is_by(|version| version.verify(data, signature, form));
            valid.map_err(|e| self.crypto_error(&e))
        };
        if self.pinned {
            return Ok(is_by(&self.current)?.then_some(self.current.version()));
        }
        let in_use = self.key.versions().iter().filter(|info| self.key.is_in_use(info.version));
        for info in in_use.rev() {
            let version = Metered::if_in_use(&self.keyring, &self.key, info.version).await;
            if let Some(version) = version.map_err(host_error)?
                && is_by(&version)?
            {
                return Ok(Some(info.version));
            }
        }
        Ok(None)
    }

    async fn public_key(&self) -> Result<Vec<u8>, HostError> {
        let public = self.current.public_key().map_err(|e| self.crypto_error(&e))?;
        Ok(public.der().to_vec())
    }

    async fn tokenize(
        &self,
        alphabet: &Alphabet,
        tweak: &[u8],
        text: &str,
    ) -> Result<String, HostError> {
        self.sealing()?.tokenize(alphabet, tweak, text).map_err(|e| self.crypto_error(&e))
    }

    async fn reveal_token(
        &self,
        alphabet: &Alphabet,
        tweak: &[u8],
        token: &str,
    ) -> Result<Zeroizing<String>, HostError> {
        self.current.detokenize(alphabet, tweak, token).map_err(|e| self.crypto_error(&e))
    }

    async fn term(&self, label: &str, value: &[u8]) -> Result<[u8; 32], HostError> {
        self.current.index_term(label, value).map_err(|e| self.crypto_error(&e))
    }

    async fn terms(&self, label: &str, value: &[u8]) -> Result<Vec<[u8; 32]>, HostError> {
        if self.pinned {
            let term = self.current.lookup_term(label, value).map_err(|e| self.crypto_error(&e))?;
            return Ok(vec![term]);
        }
        let mut terms = Vec::with_capacity(self.key.versions().len());
        let usable = self.key.versions().iter().filter(|info| self.key.is_in_use(info.version));
        for info in usable.rev() {
            let version = Metered::of(&self.keyring, &self.key, info.version).await;
            let version = version.map_err(host_error)?;
            terms.push(version.lookup_term(label, value).map_err(|e| self.crypto_error(&e))?);
        }
        Ok(terms)
    }
}

/// The one answer to every ciphertext that does not open.
fn does_not_open() -> HostError {
    HostError::Invalid("the ciphertext does not open with this key, or it is damaged".into())
}

fn host_error(error: KeyringError) -> HostError {
    match error {
        KeyringError::KeyNotFound { .. }
        | KeyringError::TenantNotFound { .. }
        | KeyringError::VersionNotFound { .. }
        | KeyringError::VersionDestroyed { .. } => HostError::NotFound(error.to_string()),
        KeyringError::Conflict { .. } => HostError::Conflict(error.to_string()),
        KeyringError::KeyDisabled { .. }
        | KeyringError::KeyDeleted { .. }
        | KeyringError::KeyDestroyed { .. } => HostError::Denied(error.to_string()),
        KeyringError::VersionBelowMinDecrypt { .. }
        | KeyringError::VersionBelowMinEncrypt { .. } => {
            let code = Problem::from(error.clone()).code.as_str();
            HostError::Denied(format!("{error} ({code})"))
        }
        KeyringError::Store(error) => HostError::Unavailable(match Problem::store(&error).code {
            Code::StoreUnavailable => "the key store did not answer".into(),
            code => format!("{} ({})", code.title(), code.as_str()),
        }),
        error => {
            tracing::error!(%error, "a key could not be loaded for a policy");
            HostError::Unavailable("the key store did not answer".into())
        }
    }
}

#[cfg(test)]
mod tests;
