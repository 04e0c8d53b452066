//! Handles on the tenant's keys.

use crate::{Algorithm, Ciphertext, Error, Plaintext, host};

/// A handle on one of the tenant's own keys, at one version. Key bytes never enter a policy.
///
/// What is encrypted through a handle is bound to tenant, key, version and suite by the host, and
/// to `aad` in addition. It opens only through a policy: the host's own `/decrypt` refuses it,
/// and a policy cannot open what the host encrypted for a caller by a plan.
#[derive(Debug)]
pub struct Key(host::Key);

impl Key {
    /// Opens a key at its current version. [`Error::NotFound`] if the tenant has no such key.
    pub fn open(name: &str) -> Result<Self, Error> {
        host::open(name).map(Self)
    }

    /// Opens one version of a key; the handle then encrypts with and opens that version alone.
    pub fn open_version(name: &str, version: u32) -> Result<Self, Error> {
        host::open_version(name, version).map(Self)
    }

    /// The key's name within the tenant.
    pub fn name(&self) -> String {
        self.0.name()
    }

    /// The version this handle encrypts with.
    pub fn version(&self) -> u32 {
        self.0.version()
    }

    /// How the key's bytes are used.
    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }

    /// An attribute given to the key by its owner, for instance `context` = `required`.
    pub fn attribute(&self, name: &str) -> Option<String> {
        self.0.attribute(name)
    }

    /// Encrypts `data` with an AEAD or deterministic key and binds `aad` to it. The result is
    /// Keyward's binary ciphertext format.
    pub fn encrypt(&self, data: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.encrypt(data, aad)
    }

    /// Encrypts many in one call of the host; results in the order of the items.
    pub fn encrypt_many(&self, items: &[Plaintext]) -> Vec<Result<Vec<u8>, Error>> {
        self.0.encrypt_many(items)
    }

    /// Decrypts what [`Key::encrypt`] made under the same key with the same `aad`. Whatever the
    /// reason it does not open, the error is the same [`Error::Invalid`].
    pub fn decrypt(&self, data: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.decrypt(data, aad)
    }

    /// Decrypts many in one call of the host; results in the order of the items.
    pub fn decrypt_many(&self, items: &[Ciphertext]) -> Vec<Result<Vec<u8>, Error>> {
        self.0.decrypt_many(items)
    }

    /// 32-byte HMAC-SHA-256 tag of `data`, with an `hmac-sha-256` key.
    pub fn mac(&self, data: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.mac(data)
    }

    /// Checks a tag in constant time against the handle's version.
    pub fn verify(&self, data: &[u8], tag: &[u8]) -> Result<bool, Error> {
        self.0.verify(data, tag)
    }

    /// Blind-index term of 32 bytes, with an `hmac-sha-256` key: equal values give equal terms
    /// under one key and label.
    pub fn term(&self, label: &str, value: &[u8]) -> Result<Vec<u8>, Error> {
        self.0.term(label, value)
    }

    /// The terms by every version still in use, newest first: what to search for while old terms
    /// have not been rewritten after a rotation.
    pub fn terms(&self, label: &str, value: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        self.0.terms(label, value)
    }
}
