//! The in-memory host of the test harness: one tenant's keys, with the host's own cryptography.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

use keyward_crypto::{
    Alphabet, Binding, Channel, CryptoError, Header, KeyId, KeyMaterial, KeyVersion, RecipientKey,
};

use super::memory_state::State;
use crate::harness::LogLine;
use crate::log::Level;
use crate::{Algorithm, Ciphertext, Error, Plaintext, SignatureForm};

/// Most random bytes in one call, as in the host.
const MAX_RANDOM: u32 = 64 << 10;

thread_local! {
    static CURRENT: RefCell<Option<Rc<Host>>> = const { RefCell::new(None) };
}

/// One tenant's host.
#[derive(Debug)]
pub struct Host {
    tenant: String,
    keys: RefCell<BTreeMap<String, StoredKey>>,
    calls: Cell<u32>,
    log: RefCell<Vec<LogLine>>,
    state: RefCell<State>,
}

struct StoredKey {
    id: KeyId,
    algorithm: Algorithm,
    attributes: Vec<(String, String)>,
    versions: Vec<Rc<KeyVersion>>,
}

impl std::fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredKey")
            .field("algorithm", &self.algorithm)
            .field("versions", &self.versions.len())
            .finish_non_exhaustive()
    }
}

impl StoredKey {
    fn new(algorithm: Algorithm, attributes: Vec<(String, String)>) -> Result<Self, CryptoError> {
        let mut key = Self { id: KeyId::random()?, algorithm, attributes, versions: Vec::new() };
        key.rotate()?;
        Ok(key)
    }

    fn rotate(&mut self) -> Result<u32, CryptoError> {
        let number = self.current() + 1;
        let algorithm = native(self.algorithm);
        let material = KeyMaterial::generate(algorithm)?;
        let version = KeyVersion::new(algorithm, self.id, number, &material)?;
        self.versions.push(Rc::new(version));
        Ok(number)
    }

    fn current(&self) -> u32 {
        self.versions.last().map_or(0, |version| version.version())
    }

    fn version(&self, number: u32) -> Option<Rc<KeyVersion>> {
        self.versions.iter().find(|version| version.version() == number).cloned()
    }
}

impl Host {
    pub fn new(tenant: &str) -> Rc<Self> {
        Rc::new(Self {
            tenant: tenant.to_owned(),
            keys: RefCell::default(),
            calls: Cell::new(0),
            log: RefCell::default(),
            state: RefCell::default(),
        })
    }

    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    pub fn calls(&self) -> u32 {
        self.calls.get()
    }

    pub fn log(&self) -> Vec<LogLine> {
        self.log.borrow().clone()
    }

    pub fn create(
        &self,
        name: &str,
        algorithm: Algorithm,
        attributes: Vec<(String, String)>,
    ) -> Result<(), Error> {
        let key = StoredKey::new(algorithm, attributes).map_err(error)?;
        self.keys.borrow_mut().insert(name.to_owned(), key);
        Ok(())
    }

    pub fn rotate(&self, name: &str) -> Result<u32, Error> {
        let mut keys = self.keys.borrow_mut();
        let key = keys.get_mut(name).ok_or_else(|| no_key(name))?;
        key.rotate().map_err(error)
    }

    /// The name of the key that made a ciphertext.
    pub fn key_of(&self, ciphertext: &[u8]) -> Result<String, Error> {
        let id = Header::parse(ciphertext).map_err(error)?.key_id;
        let keys = self.keys.borrow();
        let made = keys.iter().find(|(_, key)| key.id == id);
        made.map(|(name, _)| name.clone()).ok_or_else(|| error(CryptoError::CiphertextInvalid))
    }

    /// Makes this the host of the calling thread while `f` runs.
    pub fn install<R>(self: &Rc<Self>, f: impl FnOnce() -> R) -> R {
        struct Restore(Option<Rc<Host>>);
        impl Drop for Restore {
            fn drop(&mut self) {
                CURRENT.set(self.0.take());
            }
        }
        let _restore = Restore(CURRENT.replace(Some(Rc::clone(self))));
        f()
    }

    fn version(&self, name: &str, version: Option<u32>) -> Result<Rc<KeyVersion>, Error> {
        let keys = self.keys.borrow();
        let key = keys.get(name).ok_or_else(|| no_key(name))?;
        let number = version.unwrap_or_else(|| key.current());
        key.version(number)
            .ok_or_else(|| Error::not_found(format!("key `{name}` has no version {number}")))
    }

    pub fn seal(&self, plan: &Use<'_>, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let version = self.version(plan.key, plan.version)?;
        let suite = plan.suite.and_then(|suite| native(suite).default_suite());
        version.seal(suite, &plan.binding(&self.tenant), plaintext).map_err(error)
    }

    pub fn unseal(&self, plan: &Use<'_>, ciphertext: &[u8]) -> Result<Vec<u8>, Error> {
        let header = Header::parse(ciphertext).map_err(error)?;
        if plan.version.is_some_and(|version| version != header.key_version) {
            return Err(error(CryptoError::CiphertextInvalid));
        }
        let version = self
            .version(plan.key, Some(header.key_version))
            .map_err(|_| error(CryptoError::CiphertextInvalid))?;
        let opened = version.open(&plan.binding(&self.tenant), ciphertext).map_err(error)?;
        Ok(opened.to_vec())
    }

    /// Sets the clock that entries of the state expire by, in milliseconds since 1970.
    pub fn set_time(&self, time: u64) {
        self.state.borrow_mut().set_time(time);
    }

    fn counted(&self) {
        self.calls.set(self.calls.get().saturating_add(1));
    }
}

/// How a key is to be used once.
pub struct Use<'a> {
    pub key: &'a str,
    pub version: Option<u32>,
    pub suite: Option<Algorithm>,
    pub channel: Channel,
    pub policy_data: &'a [u8],
    pub context: &'a [u8],
}

impl<'a> Use<'a> {
    fn binding(&self, tenant: &'a str) -> Binding<'a> {
        Binding {
            channel: self.channel,
            tenant,
            key_name: self.key,
            policy_data: self.policy_data,
            context: self.context,
        }
    }
}

/// A handle on a key of the thread's host.
#[derive(Debug)]
pub struct Key {
    host: Rc<Host>,
    name: String,
    version: u32,
    /// Opened by version: encrypts with and opens that one alone.
    pinned: bool,
    algorithm: Algorithm,
}

pub fn open(name: &str) -> Result<Key, Error> {
    handle(name, None)
}

pub fn open_version(name: &str, version: u32) -> Result<Key, Error> {
    handle(name, Some(version))
}

fn handle(name: &str, version: Option<u32>) -> Result<Key, Error> {
    let host = current();
    host.counted();
    let opened = host.version(name, version)?;
    let algorithm = host.keys.borrow().get(name).ok_or_else(|| no_key(name))?.algorithm;
    Ok(Key {
        version: opened.version(),
        name: name.to_owned(),
        pinned: version.is_some(),
        algorithm,
        host,
    })
}

impl Key {
    pub fn name(&self) -> String {
        self.host.counted();
        self.name.clone()
    }

    pub fn version(&self) -> u32 {
        self.host.counted();
        self.version
    }

    pub fn algorithm(&self) -> Algorithm {
        self.host.counted();
        self.algorithm
    }

    pub fn attribute(&self, name: &str) -> Option<String> {
        self.host.counted();
        let keys = self.host.keys.borrow();
        let attributes = &keys.get(&self.name)?.attributes;
        attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    pub fn encrypt(&self, data: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error> {
        self.host.counted();
        self.host.seal(&self.used(aad, Some(self.version)), data)
    }

    pub fn encrypt_many(&self, items: &[Plaintext]) -> Vec<Result<Vec<u8>, Error>> {
        self.host.counted();
        let seal = |item: &Plaintext| {
            self.host.seal(&self.used(&item.aad, Some(self.version)), &item.data)
        };
        items.iter().map(seal).collect()
    }

    pub fn decrypt(&self, data: &[u8], aad: &[u8]) -> Result<Vec<u8>, Error> {
        self.host.counted();
        self.host.unseal(&self.used(aad, self.pinned.then_some(self.version)), data)
    }

    pub fn decrypt_many(&self, items: &[Ciphertext]) -> Vec<Result<Vec<u8>, Error>> {
        self.host.counted();
        let pinned = self.pinned.then_some(self.version);
        let unseal =
            |item: &Ciphertext| self.host.unseal(&self.used(&item.aad, pinned), &item.data);
        items.iter().map(unseal).collect()
    }

    pub fn mac(&self, data: &[u8]) -> Result<Vec<u8>, Error> {
        self.host.counted();
        Ok(self.opened()?.mac(data).map_err(error)?.to_vec())
    }

    pub fn verify(&self, data: &[u8], tag: &[u8]) -> Result<bool, Error> {
        self.host.counted();
        self.opened()?.verify_mac(data, tag).map_err(error)
    }

    pub fn sign(&self, data: &[u8], form: SignatureForm) -> Result<Vec<u8>, Error> {
        self.host.counted();
        self.opened()?.sign(data, native_form(form)).map_err(error)
    }

    pub fn verify_signature(
        &self,
        data: &[u8],
        signature: &[u8],
        form: SignatureForm,
    ) -> Result<Option<u32>, Error> {
        self.host.counted();
        for version in self.accepted()? {
            if version.verify(data, signature, native_form(form)).map_err(error)? {
                return Ok(Some(version.version()));
            }
        }
        Ok(None)
    }

    pub fn public_key(&self) -> Result<Vec<u8>, Error> {
        self.host.counted();
        Ok(self.opened()?.public_key().map_err(error)?.der().to_vec())
    }

    pub fn term(&self, label: &str, value: &[u8]) -> Result<Vec<u8>, Error> {
        self.host.counted();
        Ok(self.opened()?.index_term(label, value).map_err(error)?.to_vec())
    }

    pub fn terms(&self, label: &str, value: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        self.host.counted();
        self.accepted()?
            .iter()
            .map(|version| Ok(version.index_term(label, value).map_err(error)?.to_vec()))
            .collect()
    }

    pub fn tokenize(&self, alphabet: &str, tweak: &[u8], text: &str) -> Result<String, Error> {
        self.host.counted();
        let alphabet = Alphabet::new(alphabet).map_err(error)?;
        self.opened()?.tokenize(&alphabet, tweak, text).map_err(error)
    }

    pub fn reveal(&self, alphabet: &str, tweak: &[u8], token: &str) -> Result<String, Error> {
        self.host.counted();
        let alphabet = Alphabet::new(alphabet).map_err(error)?;
        let text = self.opened()?.detokenize(&alphabet, tweak, token).map_err(error)?;
        Ok(text.to_string())
    }

    /// The versions whose work this handle accepts, newest first.
    fn accepted(&self) -> Result<Vec<Rc<KeyVersion>>, Error> {
        if self.pinned {
            return Ok(vec![self.opened()?]);
        }
        let keys = self.host.keys.borrow();
        let key = keys.get(&self.name).ok_or_else(|| no_key(&self.name))?;
        Ok(key.versions.iter().rev().cloned().collect())
    }

    fn opened(&self) -> Result<Rc<KeyVersion>, Error> {
        self.host.version(&self.name, Some(self.version))
    }

    fn used<'a>(&'a self, aad: &'a [u8], version: Option<u32>) -> Use<'a> {
        Use {
            key: &self.name,
            version,
            suite: None,
            channel: Channel::Policy,
            policy_data: aad,
            context: &[],
        }
    }
}

pub fn random_token(alphabet: &str, length: u32) -> Result<String, Error> {
    current().counted();
    let alphabet = Alphabet::new(alphabet).map_err(error)?;
    alphabet.random(length as usize).map_err(error)
}

pub fn seal_to(public_key: &[u8], info: &[u8], aad: &[u8], data: &[u8]) -> Result<Vec<u8>, Error> {
    current().counted();
    RecipientKey::from_der(public_key).and_then(|key| key.seal(info, aad, data)).map_err(error)
}

pub fn random_bytes(len: u32) -> Vec<u8> {
    current().counted();
    assert!(len <= MAX_RANDOM, "the host ends a policy that asks for {len} random bytes at once");
    let mut bytes = vec![0; len as usize];
    keyward_crypto::random_bytes(&mut bytes).unwrap_or_else(|error| panic!("{error}"));
    bytes
}

pub fn log(level: Level, message: &str, fields: &[(&str, &str)]) {
    let host = current();
    host.counted();
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let fields = fields.iter().map(owned).collect();
    host.log.borrow_mut().push(LogLine { level, message: message.to_owned(), fields });
}

/// The state of the thread's host, for one call.
pub(super) fn with_state<T>(call: impl FnOnce(&mut State) -> T) -> T {
    let host = current();
    host.counted();
    let mut state = host.state.borrow_mut();
    call(&mut state)
}

/// The host of this thread.
fn current() -> Rc<Host> {
    CURRENT.with_borrow(Clone::clone).unwrap_or_else(|| {
        panic!("no host on this thread: call the policy through `harness::Harness`")
    })
}

fn no_key(name: &str) -> Error {
    Error::not_found(format!("there is no key `{name}`"))
}

fn error(error: CryptoError) -> Error {
    match error {
        CryptoError::Random => Error::unavailable(error.to_string()),
        _ => Error::invalid(error.to_string()),
    }
}

fn native_form(form: SignatureForm) -> keyward_crypto::SignatureForm {
    match form {
        SignatureForm::Standard => keyward_crypto::SignatureForm::Standard,
        SignatureForm::Fixed => keyward_crypto::SignatureForm::Fixed,
        SignatureForm::Pkcs1 => keyward_crypto::SignatureForm::Pkcs1,
    }
}

fn native(algorithm: Algorithm) -> keyward_crypto::Algorithm {
    match algorithm {
        Algorithm::XAes256Gcm => keyward_crypto::Algorithm::XAes256Gcm,
        Algorithm::Aes256Gcm => keyward_crypto::Algorithm::Aes256Gcm,
        Algorithm::Aes256GcmSiv => keyward_crypto::Algorithm::Aes256GcmSiv,
        Algorithm::ChaCha20Poly1305 => keyward_crypto::Algorithm::ChaCha20Poly1305,
        Algorithm::XChaCha20Poly1305 => keyward_crypto::Algorithm::XChaCha20Poly1305,
        Algorithm::Aes256Siv => keyward_crypto::Algorithm::Aes256Siv,
        Algorithm::HmacSha256 => keyward_crypto::Algorithm::HmacSha256,
        Algorithm::HmacSha384 => keyward_crypto::Algorithm::HmacSha384,
        Algorithm::HmacSha512 => keyward_crypto::Algorithm::HmacSha512,
        Algorithm::Ed25519 => keyward_crypto::Algorithm::Ed25519,
        Algorithm::EcdsaP256 => keyward_crypto::Algorithm::EcdsaP256,
        Algorithm::EcdsaP384 => keyward_crypto::Algorithm::EcdsaP384,
        Algorithm::Rsa2048 => keyward_crypto::Algorithm::Rsa2048,
        Algorithm::Rsa3072 => keyward_crypto::Algorithm::Rsa3072,
        Algorithm::Rsa4096 => keyward_crypto::Algorithm::Rsa4096,
        Algorithm::RsaOaep2048 => keyward_crypto::Algorithm::RsaOaep2048,
        Algorithm::RsaOaep3072 => keyward_crypto::Algorithm::RsaOaep3072,
        Algorithm::RsaOaep4096 => keyward_crypto::Algorithm::RsaOaep4096,
        Algorithm::X25519 => keyward_crypto::Algorithm::X25519,
        Algorithm::MlKem768 => keyward_crypto::Algorithm::MlKem768,
        Algorithm::X25519MlKem768 => keyward_crypto::Algorithm::X25519MlKem768,
        Algorithm::MlDsa65 => keyward_crypto::Algorithm::MlDsa65,
    }
}
