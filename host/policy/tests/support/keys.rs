//! Keys of two tenants, with real cryptography.

use std::sync::Arc;
use std::time::Duration;

use keyward_crypto::{
    Algorithm, Alphabet, Binding, Channel, CryptoError, KeyId, KeyMaterial, KeyVersion, Mac,
    SignatureForm,
};
use keyward_policy_host::{HostError, KeyHandle, KeyService};
use zeroize::Zeroizing;

/// `acme` owns a key of each family: `demo` encrypts, `tags` authenticates, `same` encrypts
/// deterministically, `seal` signs, `mail` is encrypted to. `other` owns `secret`.
pub struct TwoTenants {
    keys: Vec<Arc<OneKey>>,
    delay: Duration,
}

pub struct OneKey {
    tenant: &'static str,
    name: &'static str,
    version: KeyVersion,
}

impl TwoTenants {
    /// New ones; whoever opens a key waits so long.
    pub fn new(delay: Duration) -> Self {
        let keys = [
            ("acme", "demo", Algorithm::XAes256Gcm),
            ("acme", "tags", Algorithm::HmacSha256),
            ("acme", "same", Algorithm::Aes256Siv),
            ("acme", "seal", Algorithm::Ed25519),
            ("acme", "mail", Algorithm::X25519),
            ("other", "secret", Algorithm::XAes256Gcm),
        ];
        let key = |(id, (tenant, name, algorithm))| {
            let material = KeyMaterial::generate(algorithm).unwrap();
            let version = KeyVersion::new(algorithm, KeyId(id), 1, &material).unwrap();
            Arc::new(OneKey { tenant, name, version })
        };
        Self { keys: (1..).zip(keys).map(key).collect(), delay }
    }
}

impl OneKey {
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
        let key = self.keys.iter().find(|key| key.tenant == tenant && key.name == name);
        match key {
            Some(key) => Ok(Arc::clone(key) as Arc<dyn KeyHandle>),
            None => Err(HostError::NotFound(format!("no key `{name}`"))),
        }
    }
}

fn invalid(error: &CryptoError) -> HostError {
    HostError::Invalid(error.to_string())
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
        self.version.seal(None, &self.binding(aad), data).map_err(|error| invalid(&error))
    }
    async fn decrypt(&self, data: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, HostError> {
        self.version.open(&self.binding(aad), data).map_err(|error| invalid(&error))
    }
    async fn mac(&self, data: &[u8]) -> Result<Mac, HostError> {
        self.version.mac(data).map_err(|error| invalid(&error))
    }
    async fn verify(&self, data: &[u8], tag: &[u8]) -> Result<bool, HostError> {
        self.version.verify_mac(data, tag).map_err(|error| invalid(&error))
    }
    async fn sign(&self, data: &[u8], form: SignatureForm) -> Result<Vec<u8>, HostError> {
        self.version.sign(data, form).map_err(|error| invalid(&error))
    }
    async fn verify_signature(
        &self,
        data: &[u8],
        signature: &[u8],
        form: SignatureForm,
    ) -> Result<Option<u32>, HostError> {
        let valid = self.version.verify(data, signature, form);
        Ok(valid.map_err(|error| invalid(&error))?.then_some(1))
    }
    async fn public_key(&self) -> Result<Vec<u8>, HostError> {
        let public = self.version.public_key().map_err(|error| invalid(&error))?;
        Ok(public.der().to_vec())
    }
    async fn tokenize(
        &self,
        alphabet: &Alphabet,
        tweak: &[u8],
        text: &str,
    ) -> Result<String, HostError> {
        self.version.tokenize(alphabet, tweak, text).map_err(|error| invalid(&error))
    }
    async fn reveal_token(
        &self,
        alphabet: &Alphabet,
        tweak: &[u8],
        token: &str,
    ) -> Result<Zeroizing<String>, HostError> {
        self.version.detokenize(alphabet, tweak, token).map_err(|error| invalid(&error))
    }
    async fn term(&self, label: &str, value: &[u8]) -> Result<[u8; 32], HostError> {
        self.version.index_term(label, value).map_err(|error| invalid(&error))
    }
    async fn terms(&self, label: &str, value: &[u8]) -> Result<Vec<[u8; 32]>, HostError> {
        Ok(vec![self.term(label, value).await?])
    }
}
