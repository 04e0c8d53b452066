//! What the sandbox needs from whoever keeps the keys.

use std::sync::Arc;

use async_trait::async_trait;
use keyward_crypto::{Algorithm, Alphabet, Mac, SignatureForm};
use zeroize::Zeroizing;

use crate::error::HostError;
use crate::limits::Bounds;

/// Opens keys on behalf of a policy. Implementations see the tenant the request belongs to and
/// must never reach beyond it, whatever the name says.
#[async_trait]
pub trait KeyService: Send + Sync + 'static {
    /// Opens `name` of `tenant`, at `version` or at the current one.
    async fn open(
        &self,
        tenant: &str,
        name: &str,
        version: Option<u32>,
    ) -> Result<Arc<dyn KeyHandle>, HostError>;

    /// Bounds of the tenant's runs, where they are below the host's own. Asked at the start of each.
    fn bounds(&self, tenant: &str) -> Bounds {
        let _ = tenant;
        Bounds::default()
    }

    /// Hears how often a run of the tenant's called the host, and the most memory it had, in bytes.
    fn ran(&self, tenant: &str, host_calls: u32, memory_bytes: usize) {
        let _ = (tenant, host_calls, memory_bytes);
    }
}

/// One open key. It works with the key's bytes and never gives them out.
#[async_trait]
pub trait KeyHandle: Send + Sync + 'static {
    /// The key's name within its tenant.
    fn name(&self) -> &str;
    /// The version this handle encrypts with.
    fn version(&self) -> u32;
    /// The key's algorithm.
    fn algorithm(&self) -> Algorithm;
    /// An attribute given to the key by its owner.
    fn attribute(&self, name: &str) -> Option<&str>;
    /// Encrypts `data`, with `aad` as the policy's part of the authenticated data.
    async fn encrypt(&self, data: &[u8], aad: &[u8]) -> Result<Vec<u8>, HostError>;
    /// Opens what [`KeyHandle::encrypt`] made with the same `aad`.
    async fn decrypt(&self, data: &[u8], aad: &[u8]) -> Result<Zeroizing<Vec<u8>>, HostError>;
    /// HMAC tag of `data`, with the hash the key's algorithm names.
    async fn mac(&self, data: &[u8]) -> Result<Mac, HostError>;
    /// Constant-time check of a tag.
    async fn verify(&self, data: &[u8], tag: &[u8]) -> Result<bool, HostError>;
    /// Signature of `data` by this handle's version, over nothing but these bytes.
    async fn sign(&self, data: &[u8], form: SignatureForm) -> Result<Vec<u8>, HostError>;
    /// The version whose signature of `data` it is, if it is one's: of those in use, or, if the
    /// handle was opened by version, of that one alone.
    async fn verify_signature(
        &self,
        data: &[u8],
        signature: &[u8],
        form: SignatureForm,
    ) -> Result<Option<u32>, HostError>;
    /// The public half of this handle's version: DER of a SubjectPublicKeyInfo.
    async fn public_key(&self) -> Result<Vec<u8>, HostError>;
    /// Blind-index term of `value` under `label`.
    async fn term(&self, label: &str, value: &[u8]) -> Result<[u8; 32], HostError>;
    /// A token for `text`; see [`keyward_crypto::KeyVersion::tokenize`].
    async fn tokenize(
        &self,
        alphabet: &Alphabet,
        tweak: &[u8],
        text: &str,
    ) -> Result<String, HostError>;
    /// The text of a token made by this handle's version.
    async fn reveal_token(
        &self,
        alphabet: &Alphabet,
        tweak: &[u8],
        token: &str,
    ) -> Result<Zeroizing<String>, HostError>;
    /// Terms by every version in use, newest first.
    async fn terms(&self, label: &str, value: &[u8]) -> Result<Vec<[u8; 32]>, HostError>;
}

/// What stands behind a guest's `key` handle.
pub struct KeyResource(pub(crate) Arc<dyn KeyHandle>);
